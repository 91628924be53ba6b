// Package token holds the keys and tokens of the service's secret: Keys sign and
// verify callback URLs and picture links; service tokens and personal tokens
// sign requests in. The secret keeps only hashes of tokens. Everything is
// compared in constant time, and no error quotes a key or a token.
package token

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
)

const maxID = 32 // characters

// An entry is what the secret keeps of a token.
type entry interface {
	// idAndHash returns the id, by which the token is replaced or revoked, and
	// the token's hash.
	idAndHash() (id, hash string)
}

// newToken makes a token that starts with prefix, and its hash.
func newToken(prefix string) (token, hash string) {
	var random [32]byte
	_, _ = rand.Read(random[:]) // never fails
	token = prefix + base64.RawURLEncoding.EncodeToString(random[:])
	return token, hashOf(token)
}

// hashOf returns the SHA-256 of token in hex. It needs neither salt nor a slow
// hash, which protect what people choose: a token is 256 random bits.
func hashOf(token string) string {
	sum := sha256.Sum256([]byte(token))
	return hex.EncodeToString(sum[:])
}

// find returns the entry of token. It takes the same time whether or not there is one.
func find[E entry](entries []E, token string) (found E, ok bool) {
	hash := []byte(hashOf(token))
	for _, e := range entries {
		if _, want := e.idAndHash(); hmac.Equal(hash, []byte(want)) {
			found, ok = e, true
		}
	}
	return found, ok
}

// A checker collects one sentence for each fault in a list of the secret.
type checker struct {
	name   string // the list's member name
	ids    map[string]bool
	faults []error
}

func newChecker(name string) *checker { return &checker{name: name, ids: map[string]bool{}} }

// fault adds a fault of a member of entry i.
func (c *checker) fault(i int, member, format string, args ...any) {
	c.faults = append(c.faults, fmt.Errorf("%s[%d].%s %s", c.name, i, member, fmt.Sprintf(format, args...)))
}

func (c *checker) id(i int, id string) {
	if id == "" || len(id) > maxID || strings.ContainsFunc(id, notInID) {
		c.fault(i, "id", "is not 1 to %d of A-Z a-z 0-9 _ -: rename it", maxID)
	}
	if c.ids[id] {
		c.fault(i, "id", "occurs twice: give each entry its own id")
	}
	c.ids[id] = true
}

// hash checks a hash as command prints it.
func (c *checker) hash(i int, hash, command string) {
	sum, err := hex.DecodeString(hash)
	if err != nil || hex.EncodeToString(sum) != hash || len(sum) != sha256.Size {
		c.fault(i, "hash", "is not a SHA-256 in 64 lower-case hex digits: enter what %s prints, not the token itself", command)
	}
}

func (c *checker) err() error { return errors.Join(c.faults...) }

func notInID(c rune) bool {
	return (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && (c < '0' || c > '9') && c != '-' && c != '_'
}
