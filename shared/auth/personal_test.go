package auth_test

import (
	"context"
	"encoding/json"
	"errors"
	"testing"
	"time"

	"github.com/preset/nanobanana-functions/shared/auth"
	"github.com/preset/nanobanana-functions/shared/auth/authtest"
	"github.com/preset/nanobanana-functions/shared/auth/token"
	"github.com/preset/nanobanana-functions/shared/config"
)

// Where clients are allowed, a personal token signs in its owner and nobody
// else; elsewhere it is forbidden. An unknown token is unauthorized everywhere.
func TestOwnerPersonalToken(t *testing.T) {
	c := newClock()
	p := newProvider(t, newMint(t, c))
	adas, kept := token.NewPersonalToken("ada", "claude")
	laptop, keptToo := token.NewPersonalToken("ada", "laptop")
	bobs, others := token.NewPersonalToken("bob", "bobs")
	stranger, _ := token.NewPersonalToken("ada", "claude")
	// Each is in the other kind's list, where it signs in nobody.
	misfiled, astray := token.NewPersonalToken("ada", "astray")
	servers, strayed := token.NewServiceToken("strayed")
	secret := withSecret(config.Secret{
		PersonalTokens: token.PersonalTokens{others, kept, keptToo, {ID: "strayed", Owner: "ada", Hash: strayed.Hash}},
		ServiceTokens:  token.ServiceTokens{{ID: "astray", Hash: astray.Hash}},
	}, nil)
	elsewhere := newVerifier(t, p, c, secret)
	mcp := newVerifier(t, p, c, secret, allowClients)
	for name, test := range map[string]struct {
		token  string
		behalf []string
		want   error
		owner  string
	}{
		"ada's":                      {token: adas, owner: "ada"},
		"another of ada's":           {token: laptop, owner: "ada"},
		"bob's":                      {token: bobs, owner: "bob"},
		"ada's, for bob":             {token: adas, behalf: []string{"bob"}, want: auth.ErrForbidden},
		"ada's, for herself":         {token: adas, behalf: []string{"ada"}, want: auth.ErrForbidden},
		"ada's, for an empty owner":  {token: adas, behalf: []string{""}, want: auth.ErrForbidden},
		"a stranger's":               {token: stranger, want: auth.ErrUnauthorized},
		"a stranger's, for bob":      {token: stranger, behalf: []string{"bob"}, want: auth.ErrUnauthorized},
		"cut":                        {token: adas[:40], want: auth.ErrUnauthorized},
		"one more character":         {token: adas + "A", want: auth.ErrUnauthorized},
		"two of ada's":               {token: adas + " " + laptop, want: auth.ErrUnauthorized},
		"two, joined by the gateway": {token: adas + ",Bearer " + adas, want: auth.ErrUnauthorized},
		"empty":                      {token: "", want: auth.ErrUnauthorized},
		"the prefix alone":           {token: "nbp_", want: auth.ErrUnauthorized},
		"without its prefix":         {token: adas[len("nbp_"):], want: auth.ErrUnauthorized},
		"under the service prefix":   {token: "nbs_" + adas[len("nbp_"):], behalf: []string{"ada"}, want: auth.ErrUnauthorized},
		"its hash":                   {token: kept.Hash, want: auth.ErrUnauthorized},
		"its hash under the prefix":  {token: "nbp_" + kept.Hash, want: auth.ErrUnauthorized},
		"a personal one filed as a service token": {token: misfiled, behalf: []string{"ada"}, want: auth.ErrUnauthorized},
		"a service one filed as a personal token": {token: servers, behalf: []string{"ada"}, want: auth.ErrUnauthorized},
	} {
		t.Run(name, func(t *testing.T) {
			r := request("Bearer " + test.token)
			for _, owner := range test.behalf {
				r.Header.Add("On-Behalf-Of", owner)
			}
			owner, err := mcp.Owner(t.Context(), r)
			check(t, owner, err, test.want, test.token)
			if owner != test.owner {
				t.Errorf("owner %q, want %q", owner, test.owner)
			}
			want := test.want
			if want == nil {
				want = auth.ErrForbidden
			}
			owner, err = elsewhere.Owner(t.Context(), r)
			check(t, owner, err, want, test.token)
		})
	}
	t.Run("every single bit counts", func(t *testing.T) {
		for i := range len(adas) * 8 {
			b := []byte(adas)
			b[i/8] ^= 1 << (i % 8)
			owner, err := mcp.Owner(t.Context(), request("Bearer "+string(b)))
			check(t, owner, err, auth.ErrUnauthorized, string(b))
		}
	})
}

// With no tokens in the secret, none is accepted. While the secret cannot be
// read, the answer is ErrUnavailable, and JWTs work as before.
func TestOwnerWithoutPersonalTokens(t *testing.T) {
	c := newClock()
	mint := newMint(t, c)
	p := newProvider(t, mint)
	adas, _ := token.NewPersonalToken("ada", "claude")
	for name, test := range map[string]struct {
		change func(*auth.Config)
		want   error
	}{
		"not wired":            {func(*auth.Config) {}, auth.ErrUnauthorized},
		"none set":             {withSecret(config.Secret{}, nil), auth.ErrUnauthorized},
		"an unreadable secret": {withSecret(config.Secret{}, errors.New("down")), auth.ErrUnavailable},
	} {
		t.Run(name, func(t *testing.T) {
			v := newVerifier(t, p, c, test.change, allowClients)
			owner, err := v.Owner(t.Context(), request("Bearer "+adas))
			check(t, owner, err, test.want, adas)
			session := must(mint.Token("ada", time.Hour))
			owner, err = v.Owner(t.Context(), request("Bearer "+session))
			check(t, owner, err, nil, session)
		})
	}
}

// Tokens given to clients work on /mcp alone, as long as the secret has them: a
// removed one is refused within 5 minutes.
func TestForClients(t *testing.T) {
	c := newClock()
	mint := newMint(t, c)
	mint.Now = time.Now // the verifiers use the real clock, the secret uses c
	p := newProvider(t, mint)
	settings := config.Settings{AuthIssuer: issuer, AuthAudience: authtest.Audience, AuthJWKSURL: p.URL + authtest.Path}
	adas, kept := token.NewPersonalToken("ada", "claude")
	laptop, keptToo := token.NewPersonalToken("ada", "laptop")
	service, servers := token.NewServiceToken("preset")
	claudes := must(mint.Sign(with(mint.Claims("ada", time.Hour), "client_id", "claude")))
	session := must(mint.Token("ada", time.Hour))

	var tokens token.PersonalTokens
	var readErr error
	secrets := config.NewSecrets(func(context.Context) ([]byte, error) {
		keys := []map[string]string{{"id": "k", "key": "0123456789abcdef0123456789abcdef"}}
		return must(json.Marshal(map[string]any{
			"callbackKeys": keys, "imageKeys": keys, "serviceTokens": token.ServiceTokens{servers}, "personalTokens": tokens,
		})), readErr
	}, c.now, discard)
	elsewhere := must(auth.FromSettings(settings, secrets, p.Client(), discard))
	mcp := must(auth.ForClients(settings, secrets, p.Client(), discard))
	expect := func(text string, onMCP, otherwise error) {
		t.Helper()
		for v, want := range map[*auth.Verifier]error{mcp: onMCP, elsewhere: otherwise} {
			r := request("Bearer " + text)
			if text == service {
				r.Header.Set("On-Behalf-Of", "ada")
			}
			owner, err := v.Owner(t.Context(), r)
			check(t, owner, err, want, text)
			if err == nil && owner != "ada" {
				t.Errorf("owner %q", owner)
			}
		}
	}

	readErr = errors.New("down")
	expect(adas, auth.ErrUnavailable, auth.ErrUnavailable)
	expect(session, nil, nil)
	readErr, tokens = nil, token.PersonalTokens{kept, keptToo}
	c.advance(5 * time.Second)
	expect(adas, nil, auth.ErrForbidden)
	expect(laptop, nil, auth.ErrForbidden)
	expect(claudes, nil, auth.ErrForbidden)
	expect(session, nil, nil)
	expect(service, nil, nil)

	tokens = token.PersonalTokens{keptToo}
	c.advance(5*time.Minute - time.Second)
	expect(adas, nil, auth.ErrForbidden)
	c.advance(time.Second)
	expect(adas, auth.ErrUnauthorized, auth.ErrUnauthorized)
	expect(laptop, nil, auth.ErrForbidden)

	readErr = errors.New("down")
	c.advance(time.Hour)
	expect(laptop, nil, auth.ErrForbidden) // by the last secret read
	expect(adas, auth.ErrUnauthorized, auth.ErrUnauthorized)
}
