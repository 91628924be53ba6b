package config

import (
	"errors"
	"fmt"
)

// PersonalTokenPrefix begins every personal token, as [ServiceTokenPrefix] does
// those of our own servers.
const PersonalTokenPrefix = "nbp_"

const maxOwner = 128 // characters

// A PersonalToken is what the secret keeps of a token that a user has given to a
// program of his, such as Claude Code.
type PersonalToken struct {
	ID    string `json:"id"`    // names it to whoever revokes it: 1 to 32 of A-Z a-z 0-9 _ -
	Owner string `json:"owner"` // the one user it stands for
	Hash  string `json:"hash"`
}

// PersonalTokens are the tokens that are accepted; several may be one owner's.
// One is revoked by taking it out.
type PersonalTokens []PersonalToken

// NewPersonalToken makes a token of owner's, which is to be shown once and kept
// nowhere, and what the secret keeps of it.
func NewPersonalToken(owner, id string) (token string, kept PersonalToken) {
	token, hash := newToken(PersonalTokenPrefix)
	return token, PersonalToken{ID: id, Owner: owner, Hash: hash}
}

// Owner gives the user whom token stands for, or "" if it is none of these. It
// takes the same time whichever it is, or none.
func (ts PersonalTokens) Owner(token string) string {
	found, _ := find(ts, token)
	return found.Owner
}

// Check says what is wrong with it, if anything is.
func (t PersonalToken) Check() error {
	return errors.Join(PersonalTokens{t}.faults("personalTokens")...)
}

func (t PersonalToken) kept() (id, hash string) { return t.ID, t.Hash }

// faults gives a sentence for everything wrong with the secret's member name.
func (ts PersonalTokens) faults(name string) []error {
	faults := entryFaults(name, "make token", ts)
	hashes := map[string]bool{}
	for i, t := range ts {
		if !IsOwner(t.Owner) {
			faults = append(faults, fmt.Errorf("%s[%d].owner is not 1 to %d visible ASCII characters: put in the user's id", name, i, maxOwner))
		}
		if hashes[t.Hash] { // whose it is would go by the order, and taken out it would still count
			faults = append(faults, fmt.Errorf("%s[%d].hash stands there twice: make a token for each entry", name, i))
		}
		hashes[t.Hash] = true
	}
	return faults
}

// IsOwner reports whether text can be a user's id: 1 to 128 visible ASCII characters.
func IsOwner(text string) bool {
	return text != "" && len(text) <= maxOwner && visible(text)
}
