package config

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
)

// ServiceTokenPrefix begins every service token: it tells one from a JWT, and
// lets scanners of repositories and logs know one when they see it.
const ServiceTokenPrefix = "nbs_"

// A ServiceToken is what the secret keeps of a token of one of our own servers.
type ServiceToken struct {
	ID   string `json:"id"` // names it to whoever replaces it: 1 to 32 of A-Z a-z 0-9 _ -
	Hash string `json:"hash"`
}

// ServiceTokens are the tokens that are accepted: several, while one is replaced.
type ServiceTokens []ServiceToken

// NewServiceToken makes a token, which is to be shown once and kept nowhere, and
// what the secret keeps of it.
func NewServiceToken(id string) (token string, kept ServiceToken) {
	var random [32]byte
	_, _ = rand.Read(random[:]) // it never fails
	token = ServiceTokenPrefix + base64.RawURLEncoding.EncodeToString(random[:])
	return token, ServiceToken{ID: id, Hash: hashOf(token)}
}

// hashOf is SHA-256 in hex, without salt and slowness: those are for what people
// choose. A token is 256 random bits, which nobody guesses from its hash.
func hashOf(token string) string {
	sum := sha256.Sum256([]byte(token))
	return hex.EncodeToString(sum[:])
}

// Verify reports whether token is one of these. It takes the same time
// whichever it is, or none.
func (ts ServiceTokens) Verify(token string) bool {
	hash := []byte(hashOf(token))
	verified := false
	for _, t := range ts {
		if hmac.Equal(hash, []byte(t.Hash)) {
			verified = true
		}
	}
	return verified
}

// Check says what is wrong with it, if anything is.
func (t ServiceToken) Check() error {
	return errors.Join(ServiceTokens{t}.faults("serviceTokens")...)
}

// faults gives a sentence for everything wrong with the secret's member name.
func (ts ServiceTokens) faults(name string) []error {
	var faults []error
	ids := map[string]bool{}
	for i, t := range ts {
		faults = append(faults, idFaults(name, i, t.ID, ids)...)
		sum, err := hex.DecodeString(t.Hash)
		if err != nil || hex.EncodeToString(sum) != t.Hash || len(sum) != sha256.Size {
			faults = append(faults, fmt.Errorf("%s[%d].hash is not a SHA-256 in 64 lower-case hex digits: put in what make service-token prints, not the token itself", name, i))
		}
	}
	return faults
}
