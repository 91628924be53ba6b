package vault

import (
	"fmt"
	"slices"

	"github.com/preset/nanobanana-functions/shared/auth/token"
)

// TokenKind is who a token is for. It is a word of the commands.
type TokenKind string

// The kinds of tokens.
const (
	Personal TokenKind = "personal" // a program of one user; it opens /mcp
	Service  TokenKind = "service"  // one of our own servers
)

// A Token is what may be shown of a token.
type Token struct {
	Kind  TokenKind `json:"kind"`
	ID    string    `json:"id"`
	Owner string    `json:"owner,omitempty"`
}

// Tokens returns what may be shown of all tokens.
func (d *Document) Tokens() []Token {
	var all []Token
	for _, kind := range []TokenKind{Personal, Service} {
		for _, e := range d.list(kind.list()) {
			all = append(all, Token{kind, e.text("id"), e.text("owner")})
		}
	}
	return all
}

func (k TokenKind) list() string {
	if k == Personal {
		return personalTokens
	}
	return serviceTokens
}

// AddPersonal adds a personal token, of which the secret keeps the hash.
func (d *Document) AddPersonal(t token.PersonalToken) error {
	return d.addToken(Personal, t.ID, [][2]string{{"id", t.ID}, {"owner", t.Owner}, {"hash", t.Hash}})
}

// AddService adds a service token, of which the secret keeps the hash.
func (d *Document) AddService(t token.ServiceToken) error {
	return d.addToken(Service, t.ID, [][2]string{{"id", t.ID}, {"hash", t.Hash}})
}

func (d *Document) addToken(kind TokenKind, id string, members [][2]string) error {
	entries := d.list(kind.list())
	if slices.ContainsFunc(entries, func(e object) bool { return e.text("id") == id }) {
		return fmt.Errorf("nothing was changed: there is a %s token %q already. Give the new one another ID: token add %s", kind, id, kind)
	}
	var e object
	for _, m := range members {
		e.setText(m[0], m[1])
	}
	d.setList(kind.list(), append(entries, e))
	return nil
}

// Revoke removes the token of that id. Personal and service tokens have ids of their
// own; where both have this one, kind must say which is meant.
func (d *Document) Revoke(id string, kind TokenKind) (Token, error) {
	var found []Token
	for _, t := range d.Tokens() {
		if t.ID == id && (kind == "" || kind == t.Kind) {
			found = append(found, t)
		}
	}
	switch {
	case len(found) == 0:
		return Token{}, fmt.Errorf("nothing was changed: there is no such token %q. To see all, run: token list", id)
	case len(found) > 1:
		return Token{}, fmt.Errorf("nothing was changed: a personal and a service token have the id %q. Say which: token revoke -kind personal %s", id, id)
	}
	kept := slices.DeleteFunc(d.list(found[0].Kind.list()), func(e object) bool { return e.text("id") == id })
	d.setList(found[0].Kind.list(), kept)
	return found[0], nil
}
