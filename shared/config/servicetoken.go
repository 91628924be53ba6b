package config

import "errors"

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
	token, hash := newToken(ServiceTokenPrefix)
	return token, ServiceToken{ID: id, Hash: hash}
}

// Verify reports whether token is one of these. It takes the same time
// whichever it is, or none.
func (ts ServiceTokens) Verify(token string) bool {
	_, ok := find(ts, token)
	return ok
}

// Check says what is wrong with it, if anything is.
func (t ServiceToken) Check() error {
	return errors.Join(ServiceTokens{t}.faults("serviceTokens")...)
}

func (t ServiceToken) kept() (id, hash string) { return t.ID, t.Hash }

// faults gives a sentence for everything wrong with the secret's member name.
func (ts ServiceTokens) faults(name string) []error {
	return entryFaults(name, "make service-token", ts)
}
