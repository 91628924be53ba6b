package auth

import (
	"crypto/sha256"
	"encoding/binary"
	"testing"
)

// However many tokens arrive, the cache stays bounded and always has the latest.
func TestClaimsCacheIsBounded(t *testing.T) {
	var cache claimsCache
	most := 0
	for n := range 3*maxCached + 1 {
		sum := sha256.Sum256(binary.BigEndian.AppendUint64(nil, uint64(n)))
		cache.put(sum, verifiedClaims{id: keyID{kid: "k"}})
		if _, ok := cache.get(sum); !ok {
			t.Fatalf("token %d is not cached", n)
		}
		most = max(most, len(cache.entries))
	}
	if most != maxCached {
		t.Errorf("%d tokens were cached at once, want %d", most, maxCached)
	}
}
