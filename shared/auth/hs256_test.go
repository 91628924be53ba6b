package auth_test

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/preset/nanobanana-functions/shared/auth"
	"github.com/preset/nanobanana-functions/shared/auth/token"
	"github.com/preset/nanobanana-functions/shared/config"
)

func TestOwnerHS256(t *testing.T) {
	c := newClock()
	mint := newMint(t, c)
	p := newProvider(t, mint)
	signed := sign(jose.HS256, []byte(jwtSecret), map[string]any{"kid": "legacy"}, mint.Claims("alice", time.Hour))
	// A Supabase API key: a JWT of its own issuer, without sub and audience.
	anonKey := sign(jose.HS256, []byte(jwtSecret), nil, map[string]any{"iss": "supabase", "ref": "x", "role": "anon", "exp": 4e9})
	key := func(secret token.Hidden) func(*auth.Config) {
		return withSecret(config.Secret{JWTSecret: secret}, nil)
	}
	unreadable := withSecret(config.Secret{}, errors.New("down"))
	for _, tt := range []struct {
		name, token string
		change      func(*auth.Config)
		want        error
	}{
		{"with the secret", signed, withJWTSecret, nil},
		{"with another secret", signed, key(token.Hidden(strings.ToUpper(jwtSecret))), auth.ErrUnauthorized},
		{"with a short secret", signed, key("short"), auth.ErrUnauthorized},
		{"without a secret", signed, key(""), auth.ErrUnauthorized},
		{"with the secret out of reach", signed, unreadable, auth.ErrUnavailable},
		{"not wired", signed, func(*auth.Config) {}, auth.ErrUnauthorized},
		{"the project's anon key", anonKey, withJWTSecret, auth.ErrForbidden},
	} {
		t.Run(tt.name, func(t *testing.T) {
			v := newVerifier(t, p, c, tt.change)
			owner, err := v.Owner(t.Context(), request("Bearer "+tt.token))
			check(t, owner, err, tt.want, tt.token)
		})
	}
	if n := p.requests.Load(); n != 0 {
		t.Errorf("the JWKS was fetched %d times", n)
	}
	t.Run("an unreadable secret does not affect ES256 tokens", func(t *testing.T) {
		v := newVerifier(t, p, c, unreadable)
		session := must(mint.Token("alice", time.Hour))
		owner, err := v.Owner(t.Context(), request("Bearer "+session))
		check(t, owner, err, nil, session)
	})
}

// Without a JWT secret every HS256 token is refused, including tokens signed with
// the empty key or with another value that could mean "no key".
func TestHS256WithoutASecret(t *testing.T) {
	c := newClock()
	mint := newMint(t, c)
	p := newProvider(t, mint)
	claims := string(must(json.Marshal(mint.Claims("mallory", time.Hour))))
	for name, key := range map[string]string{
		"the empty key": "", "a zero": "\x00", "a block of zeros": strings.Repeat("\x00", sha256.BlockSize),
		"null": "null", "null, eight times": strings.Repeat("null", 8), "32 spaces": strings.Repeat(" ", 32),
	} {
		unsigned := strings.TrimSuffix(raw(`{"alg":"HS256","typ":"JWT"}`, claims, ""), ".")
		mac := hmac.New(sha256.New, []byte(key))
		mac.Write([]byte(unsigned))
		forged := unsigned + "." + base64.RawURLEncoding.EncodeToString(mac.Sum(nil))
		for wiring, change := range map[string]func(*auth.Config){
			"not wired": func(*auth.Config) {},
			"empty":     withSecret(config.Secret{}, nil),
		} {
			t.Run(wiring+", signed with "+name, func(t *testing.T) {
				owner, err := newVerifier(t, p, c, change).Owner(t.Context(), request("Bearer "+forged))
				check(t, owner, err, auth.ErrUnauthorized, forged)
				// By our own check, not because the library happens to refuse short keys.
				if wiring == "empty" && !strings.Contains(err.Error(), "without a secret") {
					t.Errorf("refused for another reason: %v", err)
				}
			})
		}
	}
}
