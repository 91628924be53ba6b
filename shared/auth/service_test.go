package auth_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/preset/nanobanana-functions/shared/auth"
	"github.com/preset/nanobanana-functions/shared/auth/token"
	"github.com/preset/nanobanana-functions/shared/config"
	"github.com/preset/nanobanana-functions/shared/task"
)

// The token decides whether the request may name an owner at all.
func TestOwnerOnBehalfOf(t *testing.T) {
	c := newClock()
	mint := newMint(t, c)
	p := newProvider(t, mint)
	service, kept := token.NewServiceToken("preset")
	rolled, keptToo := token.NewServiceToken("old")
	stranger, _ := token.NewServiceToken("preset")
	v := newVerifier(t, p, c, withSecret(config.Secret{ServiceTokens: token.ServiceTokens{kept, keptToo}}, nil))
	person := must(mint.Token("ada", time.Hour))
	invalid := &task.Error{Code: task.CodeInvalidRequest}
	for name, test := range map[string]struct {
		token  string
		behalf []string
		origin string
		want   error
		owner  string
	}{
		"for ada":                         {token: service, behalf: []string{"ada"}, owner: "ada"},
		"with the token it replaces":      {token: rolled, behalf: []string{"ada"}, owner: "ada"},
		"for the longest owner":           {token: service, behalf: []string{strings.Repeat("x", 128)}, owner: strings.Repeat("x", 128)},
		"without an owner":                {token: service, want: invalid},
		"for an empty owner":              {token: service, behalf: []string{""}, want: invalid},
		"for two":                         {token: service, behalf: []string{"ada", "bob"}, want: invalid},
		"for one twice":                   {token: service, behalf: []string{"ada", "ada"}, want: invalid},
		"for two, joined by the gateway":  {token: service, behalf: []string{"ada,bob"}, want: invalid},
		"for a longer owner":              {token: service, behalf: []string{strings.Repeat("x", 129)}, want: invalid},
		"for an owner with a space":       {token: service, behalf: []string{"a b"}, want: invalid},
		"for an owner beyond ASCII":       {token: service, behalf: []string{"ädä"}, want: invalid},
		"for an owner with a newline":     {token: service, behalf: []string{"ada\n"}, want: invalid},
		"from a page":                     {token: service, behalf: []string{"ada"}, origin: "https://app.example.com", want: auth.ErrForbidden},
		"from a page without an origin":   {token: service, behalf: []string{"ada"}, origin: "null", want: auth.ErrForbidden},
		"from a page, without an owner":   {token: service, origin: "https://app.example.com", want: auth.ErrForbidden},
		"a stranger's":                    {token: stranger, behalf: []string{"ada"}, want: auth.ErrUnauthorized},
		"a stranger's, without an owner":  {token: stranger, want: auth.ErrUnauthorized},
		"cut":                             {token: service[:40], behalf: []string{"ada"}, want: auth.ErrUnauthorized},
		"the prefix alone":                {token: "nbs_", behalf: []string{"ada"}, want: auth.ErrUnauthorized},
		"its hash":                        {token: kept.Hash, behalf: []string{"ada"}, want: auth.ErrUnauthorized},
		"a person's, for another":         {token: person, behalf: []string{"bob"}, want: auth.ErrForbidden},
		"a person's, for the same person": {token: person, behalf: []string{"ada"}, want: auth.ErrForbidden},
		"a person's, for an empty owner":  {token: person, behalf: []string{""}, want: auth.ErrForbidden},
		"a person's, from a page":         {token: person, origin: "https://app.example.com", owner: "ada"},
		"an unknown token, for bob":       {token: "x", behalf: []string{"bob"}, want: auth.ErrUnauthorized},
		"a person's, expired, for bob":    {token: must(mint.Token("ada", -time.Hour)), behalf: []string{"bob"}, want: auth.ErrUnauthorized},
		"a third-party client's, for bob": {token: must(mint.Sign(with(mint.Claims("ada", time.Hour), "client_id", "x"))), behalf: []string{"bob"}, want: auth.ErrForbidden},
	} {
		t.Run(name, func(t *testing.T) {
			r := request("Bearer " + test.token)
			for _, owner := range test.behalf {
				r.Header.Add("On-Behalf-Of", owner)
			}
			if test.origin != "" {
				r.Header.Set("Origin", test.origin)
			}
			owner, err := v.Owner(t.Context(), r)
			if test.want == invalid {
				e, ok := errors.AsType[*task.Error](err)
				if owner != "" || !ok || e.Code != task.CodeInvalidRequest || len(e.Fields) != 1 || !strings.Contains(e.Fields[0].Message, "On-Behalf-Of") {
					t.Errorf("%q, %v; want an invalid request whose field names the header", owner, err)
				}
				return
			}
			check(t, owner, err, test.want, test.token)
			if owner != test.owner {
				t.Errorf("owner %q, want %q", owner, test.owner)
			}
		})
	}
}

// With no tokens in the secret, none is accepted. While the secret cannot be
// read, the answer is ErrUnavailable, and JWTs work as before.
func TestOwnerWithoutServiceTokens(t *testing.T) {
	c := newClock()
	mint := newMint(t, c)
	p := newProvider(t, mint)
	service, _ := token.NewServiceToken("preset")
	for name, test := range map[string]struct {
		change func(*auth.Config)
		want   error
	}{
		"not wired":            {func(*auth.Config) {}, auth.ErrUnauthorized},
		"none set":             {withSecret(config.Secret{}, nil), auth.ErrUnauthorized},
		"an unreadable secret": {withSecret(config.Secret{}, errors.New("down")), auth.ErrUnavailable},
	} {
		t.Run(name, func(t *testing.T) {
			v := newVerifier(t, p, c, test.change)
			r := request("Bearer " + service)
			r.Header.Set("On-Behalf-Of", "ada")
			owner, err := v.Owner(t.Context(), r)
			check(t, owner, err, test.want, service)
			person := must(mint.Token("ada", time.Hour))
			owner, err = v.Owner(t.Context(), request("Bearer "+person))
			check(t, owner, err, nil, person)
		})
	}
}
