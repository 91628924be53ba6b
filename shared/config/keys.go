package config

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"strings"
)

const (
	minKey   = 24 // bytes; what the Standard Webhooks specification asks for too
	maxKeyID = 32
)

// maxToken is the length of the longest token Sign makes.
var maxToken = maxKeyID + len(".") + base64.RawURLEncoding.EncodedLen(sha256.Size)

// A Key signs and verifies. Its id is public; it stands in every token.
type Key struct {
	ID  string `json:"id"`  // 1 to 32 of A-Z a-z 0-9 _ -
	Key Hidden `json:"key"` // at least 24 bytes
}

// Keys are the keys of one purpose. The first signs and all verify, so that old and new work while one rolls.
type Keys []Key

// Sign gives the token of message under the first key: key id + "." +
// base64url(HMAC-SHA256(key, message)). There must be a key.
func (ks Keys) Sign(message string) string { return ks[0].sign(message) }

// Verify reports whether token is the message's under any of the keys. It takes
// the same time for every token of one length, its key id known or not.
func (ks Keys) Verify(message, token string) bool {
	if len(token) > maxToken {
		return false
	}
	verified := false
	for _, k := range ks {
		if hmac.Equal([]byte(k.sign(message)), []byte(token)) {
			verified = true
		}
	}
	return verified
}

func (k Key) sign(message string) string {
	mac := hmac.New(sha256.New, []byte(k.Key))
	mac.Write([]byte(message))
	return k.ID + "." + base64.RawURLEncoding.EncodeToString(mac.Sum(nil))
}

// idFaults gives a sentence for everything wrong with the id of a list's entry,
// and remembers it among those seen.
func idFaults(name string, i int, id string, seen map[string]bool) (faults []error) {
	if id == "" || len(id) > maxKeyID || strings.ContainsFunc(id, notInName) {
		faults = append(faults, fmt.Errorf("%s[%d].id is not 1 to %d of A-Z a-z 0-9 _ -: rename it", name, i, maxKeyID))
	}
	if seen[id] {
		faults = append(faults, fmt.Errorf("%s[%d].id stands there twice: give each its own", name, i))
	}
	seen[id] = true
	return faults
}

// faults gives a sentence for everything wrong with the keys of the secret's member name.
func (ks Keys) faults(name string) []error {
	var faults []error
	ids := map[string]bool{}
	for i, k := range ks {
		faults = append(faults, idFaults(name, i, k.ID, ids)...)
		if len(k.Key) < minKey {
			faults = append(faults, fmt.Errorf("%s[%d].key is too short: use at least %d random bytes", name, i, minKey))
		}
	}
	return faults
}
