package auth

import (
	"crypto/sha256"
	"encoding/binary"
	"testing"
)

// Whoever has a key to sign with has no end of tokens: what is remembered of
// them stays bounded, and the latest is remembered always.
func TestProvenIsBounded(t *testing.T) {
	var p proven
	most := 0
	for n := range 3*maxProven + 1 {
		token := sha256.Sum256(binary.BigEndian.AppendUint64(nil, uint64(n)))
		p.put(token, proof{id: keyID{kid: "k"}})
		if _, ok := p.get(token); !ok {
			t.Fatalf("token %d is not remembered", n)
		}
		most = max(most, len(p.proofs))
	}
	if most != maxProven {
		t.Errorf("%d tokens were remembered at once, want %d", most, maxProven)
	}
}
