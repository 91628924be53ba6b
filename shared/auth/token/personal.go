package token

import "strings"

// PersonalPrefix starts every personal token, as [ServicePrefix] starts those of our own servers.
const PersonalPrefix = "nbp_"

const maxOwner = 128 // characters

// A PersonalToken is what the secret keeps of a token that a user gave to one of
// their programs, such as Claude Code.
type PersonalToken struct {
	ID    string `json:"id"`    // identifies it when it is revoked: 1 to 32 of A-Z a-z 0-9 _ -
	Owner string `json:"owner"` // the user whom it signs in
	Hash  string `json:"hash"`
}

// PersonalTokens are the accepted personal tokens; one owner may have several.
// Removing an entry revokes its token.
type PersonalTokens []PersonalToken

// NewPersonalToken makes a token of owner and what the secret keeps of it. Show
// the token once and store it nowhere.
func NewPersonalToken(owner, id string) (token string, kept PersonalToken) {
	token, hash := newToken(PersonalPrefix)
	return token, PersonalToken{ID: id, Owner: owner, Hash: hash}
}

// Owner returns the user whom token signs in, "" if it is none of ts. It takes
// the same time for every token.
func (ts PersonalTokens) Owner(token string) string {
	found, _ := find(ts, token)
	return found.Owner
}

// Check returns one sentence for each fault in ts, the secret's member name.
func (ts PersonalTokens) Check(name string) error {
	c := newChecker(name)
	hashes := map[string]bool{}
	for i, t := range ts {
		c.id(i, t.ID)
		c.hash(i, t.Hash, "make token")
		if !IsOwner(t.Owner) {
			c.fault(i, "owner", "is not 1 to %d visible ASCII characters: enter the user's id", maxOwner)
		}
		if hashes[t.Hash] { // the order would decide whose it is, and with one entry removed it would still work
			c.fault(i, "hash", "occurs twice: make a token for each entry")
		}
		hashes[t.Hash] = true
	}
	return c.err()
}

func (t PersonalToken) idAndHash() (id, hash string) { return t.ID, t.Hash }

// IsOwner reports whether text can be a user's id: 1 to 128 visible ASCII characters.
func IsOwner(text string) bool {
	return text != "" && len(text) <= maxOwner && !strings.ContainsFunc(text, func(c rune) bool { return c <= ' ' || c > '~' })
}
