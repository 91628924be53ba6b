package task

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"time"
)

const (
	// ForgottenFor is how long the orders of a forgotten owner are refused: until then the
	// identity provider has deleted the account, and no token of it is valid any more.
	ForgottenFor = 90 * 24 * time.Hour
	// MaxForgotten is how many owners are remembered as forgotten at once. The row that
	// holds them, of 30 KB then, is read every few seconds.
	MaxForgotten = 1000
)

// Forgotten holds the owners whose orders are refused because they were forgotten. It
// does not say who they are: each is a hash, whose salt is made with the first of them.
type Forgotten struct {
	Salt  string
	Until map[string]time.Time // by hash
}

// Has reports whether the owner's orders are refused.
func (f Forgotten) Has(owner string, now time.Time) bool {
	return len(f.Until) > 0 && now.Before(f.Until[f.hash(owner)])
}

// Since returns when an owner was forgotten whose orders are refused.
func (f Forgotten) Since(owner string, now time.Time) (since time.Time, ok bool) {
	if !f.Has(owner, now) {
		return time.Time{}, false
	}
	return f.Until[f.hash(owner)].Add(-ForgottenFor), true
}

// Add remembers an owner. It returns what a Store writes: the hash, and those that it
// drops because their time is over. A full list is ErrFull.
func (f *Forgotten) Add(owner string, now time.Time) (hash string, over []string, err error) {
	hash = f.hash(owner)
	left := 0
	for h, until := range f.Until {
		switch {
		case now.Before(until):
			left++
		case h != hash:
			over = append(over, h)
		}
	}
	if !f.Has(owner, now) && left >= MaxForgotten {
		return "", nil, ErrFull
	}
	for _, h := range over {
		delete(f.Until, h)
	}
	if f.Until == nil {
		f.Until = map[string]time.Time{}
	}
	f.Until[hash] = stamp(now.Add(ForgottenFor))
	return hash, over, nil
}

// Unwelcome returns the error of an order, or an upload, of a forgotten owner.
func Unwelcome() *Error {
	return &Error{Code: CodeForbidden, Fields: []Field{{
		Code: "forgotten", Message: "Everything of this account was erased, as was asked for, and it makes no more pictures.",
	}}}
}

// NewSalt returns the salt of a list that has none yet.
func NewSalt() string { return rand.Text() }

// hash is 16 characters: too many for two owners to share one, and the row stays small.
func (f Forgotten) hash(owner string) string {
	sum := sha256.Sum256(fmt.Appendf(nil, "forgotten|%s|%s", f.Salt, owner))
	return base64.RawURLEncoding.EncodeToString(sum[:12])
}
