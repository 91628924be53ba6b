package auth_test

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/preset/nanobanana-functions/shared/auth"
)

// A cached token is checked on every request: it expires, and it is refused once
// its key is withdrawn.
func TestCachedTokenIsCheckedEachTime(t *testing.T) {
	after := map[string]struct {
		advance time.Duration
		keys    func(*provider, *clock)
		want    error
	}{
		"nothing":               {0, nil, nil},
		"its expiry":            {2 * time.Hour, nil, auth.ErrUnauthorized},
		"a new set of keys":     {11 * time.Minute, func(*provider, *clock) {}, nil},
		"its key withdrawn":     {11 * time.Minute, func(p *provider, _ *clock) { p.set(text(`{"keys":[]}`)) }, auth.ErrUnauthorized},
		"another key, same kid": {11 * time.Minute, func(p *provider, c *clock) { p.set(newMint(t, c)) }, auth.ErrUnauthorized},
		"the keys unreachable":  {11 * time.Minute, func(p *provider, _ *clock) { p.set(status(500)) }, nil},
	}
	for name, test := range after {
		t.Run(name, func(t *testing.T) {
			c := newClock()
			mint := newMint(t, c)
			p := newProvider(t, mint)
			v := newVerifier(t, p, c)
			r := request("Bearer " + must(mint.Token("ada", time.Hour)))
			for range 2 {
				if owner, err := v.Owner(t.Context(), r); owner != "ada" || err != nil {
					t.Fatalf("before: %q, %v", owner, err)
				}
			}
			c.advance(test.advance)
			if test.keys != nil {
				test.keys(p, c)
			}
			if _, err := v.Owner(t.Context(), r); !errors.Is(err, test.want) {
				t.Errorf("after: %v, want %v", err, test.want)
			}
		})
	}
}

// However many tokens arrive, each is matched to its own owner.
func TestCachedTokensAreNotMixedUp(t *testing.T) {
	c := newClock()
	mint := newMint(t, c)
	v := newVerifier(t, newProvider(t, mint), c)
	for n := range 1100 {
		want := fmt.Sprint("user-", n)
		r := request("Bearer " + must(mint.Token(want, time.Hour)))
		for range 2 {
			if owner, err := v.Owner(t.Context(), r); owner != want || err != nil {
				t.Fatalf("%q, %v; want %q", owner, err, want)
			}
		}
	}
}
