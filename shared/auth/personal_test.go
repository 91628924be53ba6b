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

func withPersonal(tokens token.PersonalTokens, err error) func(*auth.Config) {
	return func(c *auth.Config) {
		c.PersonalTokens = func(context.Context) (token.PersonalTokens, error) { return tokens, err }
	}
}

// Where clients are let in, a personal token is its owner's and can be no one
// else's; elsewhere it is forbidden. What is none of ours is told so everywhere.
func TestOwnerPersonalToken(t *testing.T) {
	c := newClock()
	p := newProvider(t, newMint(t, c))
	adas, kept := token.NewPersonalToken("ada", "claude")
	laptop, keptToo := token.NewPersonalToken("ada", "laptop")
	bobs, others := token.NewPersonalToken("bob", "bobs")
	stranger, _ := token.NewPersonalToken("ada", "claude")
	// Each put into the other kind's list, where it stands for nobody.
	misfiled, astray := token.NewPersonalToken("ada", "astray")
	servers, strayed := token.NewServiceToken("strayed")
	options := []func(*auth.Config){
		withPersonal(token.PersonalTokens{others, kept, keptToo, {ID: "strayed", Owner: "ada", Hash: strayed.Hash}}, nil),
		withTokens(token.ServiceTokens{{ID: "astray", Hash: astray.Hash}}, nil),
	}
	elsewhere := newVerifier(t, p, c, options...)
	mcp := newVerifier(t, p, c, append(options, allowClients)...)
	for name, test := range map[string]struct {
		token  string
		behalf []string
		want   error
		owner  string
	}{
		"ada's":                          {token: adas, owner: "ada"},
		"another of ada's":               {token: laptop, owner: "ada"},
		"bob's":                          {token: bobs, owner: "bob"},
		"ada's, for bob":                 {token: adas, behalf: []string{"bob"}, want: auth.ErrForbidden},
		"ada's, for herself":             {token: adas, behalf: []string{"ada"}, want: auth.ErrForbidden},
		"ada's, for an empty one":        {token: adas, behalf: []string{""}, want: auth.ErrForbidden},
		"a stranger's":                   {token: stranger, want: auth.ErrUnauthorized},
		"a stranger's, for bob":          {token: stranger, behalf: []string{"bob"}, want: auth.ErrUnauthorized},
		"cut":                            {token: adas[:40], want: auth.ErrUnauthorized},
		"one more character":             {token: adas + "A", want: auth.ErrUnauthorized},
		"two of ada's":                   {token: adas + " " + laptop, want: auth.ErrUnauthorized},
		"two, joined by the gateway":     {token: adas + ",Bearer " + adas, want: auth.ErrUnauthorized},
		"empty":                          {token: "", want: auth.ErrUnauthorized},
		"the prefix alone":               {token: "nbp_", want: auth.ErrUnauthorized},
		"without its prefix":             {token: adas[len("nbp_"):], want: auth.ErrUnauthorized},
		"under the prefix of a server's": {token: "nbs_" + adas[len("nbp_"):], behalf: []string{"ada"}, want: auth.ErrUnauthorized},
		"what the secret keeps of it":    {token: kept.Hash, want: auth.ErrUnauthorized},
		"that, under the prefix":         {token: "nbp_" + kept.Hash, want: auth.ErrUnauthorized},
		"one among the servers'":         {token: misfiled, behalf: []string{"ada"}, want: auth.ErrUnauthorized},
		"a server's among the personal":  {token: servers, behalf: []string{"ada"}, want: auth.ErrUnauthorized},
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

// Without tokens set none is accepted; while nobody can tell, the answer is
// neither yes nor no, and other tokens are as good as ever.
func TestOwnerPersonalTokens(t *testing.T) {
	c := newClock()
	mint := newMint(t, c)
	p := newProvider(t, mint)
	adas, _ := token.NewPersonalToken("ada", "claude")
	for name, test := range map[string]struct {
		options []func(*auth.Config)
		want    error
	}{
		"not wired":               {nil, auth.ErrUnauthorized},
		"none set":                {[]func(*auth.Config){withPersonal(nil, nil)}, auth.ErrUnauthorized},
		"the secret out of reach": {[]func(*auth.Config){withPersonal(nil, errors.New("down"))}, auth.ErrUnavailable},
	} {
		t.Run(name, func(t *testing.T) {
			v := newVerifier(t, p, c, append(test.options, allowClients)...)
			owner, err := v.Owner(t.Context(), request("Bearer "+adas))
			check(t, owner, err, test.want, adas)
			session := must(mint.Token("ada", time.Hour))
			owner, err = v.Owner(t.Context(), request("Bearer "+session))
			check(t, owner, err, nil, session)
		})
	}
}

// By the settings, tokens given to clients are good on /mcp alone, for as long
// as the secret has them: one that is taken out falls within 5 minutes.
func TestForClients(t *testing.T) {
	c := newClock()
	mint := newMint(t, c)
	mint.Now = time.Now // as the verifiers do: the clock is the secret's
	p := newProvider(t, mint)
	settings := config.Settings{AuthIssuer: issuer, AuthAudience: authtest.Audience, AuthJWKSURL: p.URL + authtest.Path}
	adas, kept := token.NewPersonalToken("ada", "claude")
	laptop, keptToo := token.NewPersonalToken("ada", "laptop")
	service, servers := token.NewServiceToken("preset")
	claudes := must(mint.Sign(with(mint.Claims("ada", time.Hour), "client_id", "claude")))
	session := must(mint.Token("ada", time.Hour))

	var tokens token.PersonalTokens
	var down error
	secrets := config.NewSecrets(func(context.Context) ([]byte, error) {
		keys := []map[string]string{{"id": "k", "key": "0123456789abcdef0123456789abcdef"}}
		return must(json.Marshal(map[string]any{
			"callbackKeys": keys, "imageKeys": keys, "serviceTokens": token.ServiceTokens{servers}, "personalTokens": tokens,
		})), down
	}, c.now)
	elsewhere := must(auth.FromSettings(settings, secrets, p.Client()))
	mcp := must(auth.ForClients(settings, secrets, p.Client()))
	asks := func(adas string, onMCP, otherwise error) {
		t.Helper()
		for v, want := range map[*auth.Verifier]error{mcp: onMCP, elsewhere: otherwise} {
			r := request("Bearer " + adas)
			if adas == service {
				r.Header.Set("On-Behalf-Of", "ada")
			}
			owner, err := v.Owner(t.Context(), r)
			check(t, owner, err, want, adas)
			if err == nil && owner != "ada" {
				t.Errorf("owner %q", owner)
			}
		}
	}

	down = errors.New("down")
	asks(adas, auth.ErrUnavailable, auth.ErrUnavailable)
	asks(session, nil, nil)
	down, tokens = nil, token.PersonalTokens{kept, keptToo}
	c.advance(5 * time.Second)
	asks(adas, nil, auth.ErrForbidden)
	asks(laptop, nil, auth.ErrForbidden)
	asks(claudes, nil, auth.ErrForbidden)
	asks(session, nil, nil)
	asks(service, nil, nil)

	tokens = token.PersonalTokens{keptToo}
	c.advance(5*time.Minute - time.Second)
	asks(adas, nil, auth.ErrForbidden)
	c.advance(time.Second)
	asks(adas, auth.ErrUnauthorized, auth.ErrUnauthorized)
	asks(laptop, nil, auth.ErrForbidden)

	down = errors.New("down")
	c.advance(time.Hour)
	asks(laptop, nil, auth.ErrForbidden) // by the secret as it last was
	asks(adas, auth.ErrUnauthorized, auth.ErrUnauthorized)
}
