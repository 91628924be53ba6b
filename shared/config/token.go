package config

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"fmt"
)

// An entry is what the secret keeps of a token.
type entry interface {
	// kept gives the id, which names it to whoever replaces or revokes it, and
	// the token's hash.
	kept() (id, hash string)
}

// newToken makes a token that begins with prefix, and its hash.
func newToken(prefix string) (token, hash string) {
	var random [32]byte
	_, _ = rand.Read(random[:]) // it never fails
	token = prefix + base64.RawURLEncoding.EncodeToString(random[:])
	return token, hashOf(token)
}

// hashOf is SHA-256 in hex, without salt and slowness: those are for what people
// choose. A token is 256 random bits, which nobody guesses from its hash.
func hashOf(token string) string {
	sum := sha256.Sum256([]byte(token))
	return hex.EncodeToString(sum[:])
}

// find gives the entry of this token, if it has one. It takes the same time
// whichever it is, or none.
func find[E entry](entries []E, token string) (found E, ok bool) {
	hash := []byte(hashOf(token))
	for _, e := range entries {
		if _, kept := e.kept(); hmac.Equal(hash, []byte(kept)) {
			found, ok = e, true
		}
	}
	return found, ok
}

// entryFaults gives a sentence for everything wrong with the ids and hashes of
// the secret's member name, whose entries are as maker prints them.
func entryFaults[E entry](name, maker string, entries []E) (faults []error) {
	ids := map[string]bool{}
	for i, e := range entries {
		id, hash := e.kept()
		faults = append(faults, idFaults(name, i, id, ids)...)
		sum, err := hex.DecodeString(hash)
		if err != nil || hex.EncodeToString(sum) != hash || len(sum) != sha256.Size {
			faults = append(faults, fmt.Errorf("%s[%d].hash is not a SHA-256 in 64 lower-case hex digits: put in what %s prints, not the token itself", name, i, maker))
		}
	}
	return faults
}
