package token

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
)

// MinKey is the least number of bytes of a key, as in the Standard Webhooks specification.
const MinKey = 24

// maxSigned is the length of the longest token that Sign makes.
var maxSigned = maxID + len(".") + base64.RawURLEncoding.EncodedLen(sha256.Size)

// A Key signs and verifies. Its id is public: every token starts with it.
type Key struct {
	ID  string `json:"id"`  // 1 to 32 of A-Z a-z 0-9 _ -
	Key Hidden `json:"key"` // at least MinKey bytes
}

// Keys are the keys of one purpose. The first signs and all verify, so that the
// old and the new key both work while one replaces the other.
type Keys []Key

// Sign returns the token of message under the first key: key id + "." +
// base64url(HMAC-SHA256(key, message)). It panics without a key.
func (ks Keys) Sign(message string) string { return ks[0].sign(message) }

// Verify reports whether signed is the token of message under any of the keys.
// It takes the same time for all tokens of one length, whether or not it knows the key id.
func (ks Keys) Verify(message, signed string) bool {
	if len(signed) > maxSigned {
		return false
	}
	verified := false
	for _, k := range ks {
		if hmac.Equal([]byte(k.sign(message)), []byte(signed)) {
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

// Check returns one sentence for each fault in ks, the secret's member name. It quotes no key.
func (ks Keys) Check(name string) error {
	c := newChecker(name)
	for i, k := range ks {
		c.id(i, k.ID)
		if len(k.Key) < MinKey {
			c.fault(i, "key", "is too short: use at least %d random bytes", MinKey)
		}
	}
	return c.err()
}
