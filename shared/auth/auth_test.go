package auth_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"log/slog"
	"maps"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"

	"github.com/preset/nanobanana-functions/shared/auth"
	"github.com/preset/nanobanana-functions/shared/auth/authtest"
	"github.com/preset/nanobanana-functions/shared/config"
	"github.com/preset/nanobanana-functions/shared/task"
)

const (
	issuer    = "https://project.supabase.test/auth/v1"
	jwtSecret = "a-jwt-secret-of-at-least-32-bytes"
)

var discard = slog.New(slog.DiscardHandler)

// provider is an identity provider over real HTTP. A test sets what it answers; requests are counted.
type provider struct {
	*httptest.Server
	answer   atomic.Pointer[http.HandlerFunc]
	requests atomic.Int32
}

func newProvider(t testing.TB, h http.Handler) *provider {
	t.Helper()
	p := &provider{}
	p.set(h)
	p.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		p.requests.Add(1)
		(*p.answer.Load())(w, r)
	}))
	t.Cleanup(p.Close)
	return p
}

func (p *provider) set(h http.Handler) {
	f := http.HandlerFunc(h.ServeHTTP)
	p.answer.Store(&f)
}

// clock stands still until a test advances it.
type clock struct{ at atomic.Int64 }

func newClock() *clock {
	c := &clock{}
	c.at.Store(time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC).UnixNano())
	return c
}

func (c *clock) now() time.Time          { return time.Unix(0, c.at.Load()).UTC() }
func (c *clock) advance(d time.Duration) { c.at.Add(int64(d)) }

func newMint(t testing.TB, c *clock) *authtest.Mint {
	t.Helper()
	mint := must(authtest.NewMint(must(ecdsa.GenerateKey(elliptic.P256(), rand.Reader)), issuer))
	mint.Now = c.now
	return mint
}

func newVerifier(t testing.TB, p *provider, c *clock, change ...func(*auth.Config)) *auth.Verifier {
	t.Helper()
	settings := auth.Config{
		Issuer: issuer, Audience: authtest.Audience, JWKSURL: p.URL + authtest.Path,
		HTTP: p.Client(), Log: discard, Now: c.now,
	}
	for _, f := range change {
		f(&settings)
	}
	return must(auth.New(settings))
}

// withSecret makes this the result of reading the secret.
func withSecret(s config.Secret, err error) func(*auth.Config) {
	return func(c *auth.Config) {
		c.Secret = func(context.Context) (config.Secret, error) { return s, err }
	}
}

var withJWTSecret = withSecret(config.Secret{JWTSecret: jwtSecret}, nil)

func allowClients(c *auth.Config) { c.AllowClients = true }

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

func request(headers ...string) *http.Request {
	r := httptest.NewRequest(http.MethodGet, "/v1/tasks", nil)
	for _, h := range headers {
		r.Header.Add("Authorization", h)
	}
	return r
}

// sign returns a token with any algorithm, key and header members.
func sign(alg jose.SignatureAlgorithm, key any, header map[string]any, claims map[string]any) string {
	opts := &jose.SignerOptions{}
	for name, value := range header {
		opts = opts.WithHeader(jose.HeaderKey(name), value)
	}
	signer := must(jose.NewSigner(jose.SigningKey{Algorithm: alg, Key: key}, opts))
	return must(jwt.Signed(signer).Claims(claims).Serialize())
}

// raw returns a token of any header, claims and signature.
func raw(header, claims, signature string) string {
	e := base64.RawURLEncoding.EncodeToString
	return e([]byte(header)) + "." + e([]byte(claims)) + "." + e([]byte(signature))
}

func TestOwnerClaims(t *testing.T) {
	c := newClock()
	mint := newMint(t, c)
	p := newProvider(t, mint)
	at := func(d time.Duration) int64 { return c.now().Add(d).Unix() }
	for _, tt := range []struct {
		name  string
		claim string
		value any // nil: the claim is missing
		want  error
	}{
		{"as issued", "x", 1, nil},
		{"expired", "exp", at(-time.Minute), auth.ErrUnauthorized},
		{"expired within the leeway", "exp", at(-20 * time.Second), nil},
		{"no exp", "exp", nil, auth.ErrUnauthorized},
		{"exp as a string", "exp", "2050-01-01", auth.ErrUnauthorized},
		{"exp beyond int64", "exp", 1e30, auth.ErrUnauthorized},
		{"not yet valid", "nbf", at(time.Minute), auth.ErrUnauthorized},
		{"not yet valid within the leeway", "nbf", at(20 * time.Second), nil},
		{"issued in the future", "iat", at(time.Minute), auth.ErrUnauthorized},
		{"no iat", "iat", nil, nil},
		{"another issuer", "iss", "https://other.supabase.test/auth/v1", auth.ErrUnauthorized},
		{"the issuer with a slash", "iss", issuer + "/", auth.ErrUnauthorized},
		{"no issuer", "iss", nil, auth.ErrUnauthorized},
		{"another audience", "aud", "anon", auth.ErrUnauthorized},
		{"our audience among several", "aud", []string{"other", "authenticated"}, nil},
		{"several audiences, none ours", "aud", []string{"other", "Authenticated"}, auth.ErrUnauthorized},
		{"an audience of numbers", "aud", []int{1}, auth.ErrUnauthorized},
		{"no audience", "aud", nil, auth.ErrUnauthorized},
		{"an empty audience", "aud", []string{}, auth.ErrUnauthorized},
		{"role anon", "role", "anon", auth.ErrForbidden},
		{"role service_role", "role", "service_role", auth.ErrForbidden},
		{"role admin", "role", "admin", auth.ErrForbidden},
		{"a role in other case", "role", "Authenticated", auth.ErrForbidden},
		{"roles", "role", []string{"authenticated"}, auth.ErrUnauthorized},
		{"no role", "role", nil, auth.ErrUnauthorized},
		{"an anonymous session", "is_anonymous", true, auth.ErrForbidden},
		{"an account", "is_anonymous", false, nil},
		{"anonymous as a string", "is_anonymous", "true", auth.ErrUnauthorized},
		{"no sub", "sub", nil, auth.ErrUnauthorized},
		{"an empty sub", "sub", "", auth.ErrUnauthorized},
		{"a numeric sub", "sub", 7, auth.ErrUnauthorized},
		{"a sub of 128", "sub", strings.Repeat("x", 128), nil},
		{"a sub of 129", "sub", strings.Repeat("x", 129), auth.ErrUnauthorized},
		{"a sub with a space", "sub", "a b", auth.ErrUnauthorized},
		{"a sub with a newline", "sub", "a\n", auth.ErrUnauthorized},
		{"a sub with NUL", "sub", "a\x00", auth.ErrUnauthorized},
		{"a sub beyond ASCII", "sub", "ä", auth.ErrUnauthorized},
		{"given to a third-party client", "client_id", "claude", auth.ErrForbidden},
		{"given to a third-party client without a name", "client_id", "", auth.ErrForbidden},
	} {
		t.Run(tt.name, func(t *testing.T) {
			claims := mint.Claims("alice", time.Hour)
			claims[tt.claim] = tt.value
			if tt.value == nil {
				delete(claims, tt.claim)
			}
			token := must(mint.Sign(claims))
			owner, err := newVerifier(t, p, c).Owner(t.Context(), request("Bearer "+token))
			check(t, owner, err, tt.want, token)
			if want, _ := claims["sub"].(string); err == nil && owner != want {
				t.Errorf("owner %q, want %q", owner, want)
			}
		})
	}
}

// check fails the test unless Owner returned what is wanted and its error does not quote the token.
func check(t *testing.T, owner string, err, want error, token string) {
	t.Helper()
	if !errors.Is(err, want) || (err == nil) != (want == nil) || (err == nil) == (owner == "") {
		t.Fatalf("Owner = %q, %v; want %v", owner, err, want)
	}
	if err == nil {
		return
	}
	for part := range strings.SplitSeq(token, ".") {
		if len(part) > 8 && strings.Contains(err.Error(), part) {
			t.Errorf("the error quotes the token: %v", err)
		}
	}
}

// Where anonymous sessions are allowed, they sign in like others. Elsewhere people
// read why not.
func TestOwnerAnonymous(t *testing.T) {
	c := newClock()
	mint := newMint(t, c)
	claims := mint.Claims("alice", time.Hour)
	claims["is_anonymous"] = true
	token := must(mint.Sign(claims))
	allow := func(c *auth.Config) { c.AllowAnonymous = true }
	owner, err := newVerifier(t, newProvider(t, mint), c, allow).Owner(t.Context(), request("Bearer "+token))
	check(t, owner, err, nil, token)
	_, err = newVerifier(t, newProvider(t, mint), c).Owner(t.Context(), request("Bearer "+token))
	if shown, ok := errors.AsType[*task.Error](err); !ok || shown.Code != task.CodeForbidden || len(shown.Fields) != 1 || shown.Fields[0].Code != "anonymous" {
		t.Errorf("refused with %v", err)
	}
}

func TestOwnerThirdPartyClient(t *testing.T) {
	c := newClock()
	mint := newMint(t, c)
	claims := mint.Claims("alice", time.Hour)
	claims["client_id"] = "claude"
	token := must(mint.Sign(claims))
	owner, err := newVerifier(t, newProvider(t, mint), c, allowClients).Owner(t.Context(), request("Bearer "+token))
	check(t, owner, err, nil, token)
}

func TestOwnerHeader(t *testing.T) {
	c := newClock()
	mint := newMint(t, c)
	p := newProvider(t, mint)
	v := newVerifier(t, p, c)
	good := must(mint.Token("alice", time.Hour))
	for _, tt := range []struct {
		name    string
		headers []string
		want    error
	}{
		{"one bearer token", []string{"Bearer " + good}, nil},
		{"the scheme in other case", []string{"bEARER " + good}, nil},
		{"none", nil, auth.ErrUnauthorized},
		{"empty", []string{""}, auth.ErrUnauthorized},
		{"no token", []string{"Bearer"}, auth.ErrUnauthorized},
		{"an empty token", []string{"Bearer "}, auth.ErrUnauthorized},
		{"no scheme", []string{good}, auth.ErrUnauthorized},
		{"another scheme", []string{"Basic " + good}, auth.ErrUnauthorized},
		{"two headers", []string{"Bearer " + good, "Bearer " + good}, auth.ErrUnauthorized},
		{"two headers joined by the gateway", []string{"Bearer " + good + ",Bearer " + good}, auth.ErrUnauthorized},
		{"something after the token", []string{"Bearer " + good + " x"}, auth.ErrUnauthorized},
		{"12 kB", []string{"Bearer " + strings.Repeat("a", 12<<10)}, auth.ErrTooLong},
		{"a good token beyond 8 kB", []string{"Bearer " + must(mint.Sign(with(mint.Claims("alice", time.Hour), "x", strings.Repeat("x", 12<<10))))}, auth.ErrTooLong},
		{"two parts", []string{"Bearer " + good[:strings.LastIndex(good, ".")]}, auth.ErrUnauthorized},
		{"an empty signature", []string{"Bearer " + good[:strings.LastIndex(good, ".")+1]}, auth.ErrUnauthorized},
		{"JSON serialization", []string{`Bearer {"payload":"e30","protected":"e30","signature":""}`}, auth.ErrUnauthorized},
		{"five parts, encrypted", []string{"Bearer " + good + ".a.b"}, auth.ErrUnauthorized},
		{"dots", []string{"Bearer " + strings.Repeat(".", 8000)}, auth.ErrUnauthorized},
		{"not ASCII", []string{"Bearer ①.②.③"}, auth.ErrUnauthorized},
	} {
		t.Run(tt.name, func(t *testing.T) {
			owner, err := v.Owner(t.Context(), request(tt.headers...))
			check(t, owner, err, tt.want, strings.Join(tt.headers, ""))
		})
	}
}

func with(claims map[string]any, name string, value any) map[string]any {
	claims = maps.Clone(claims)
	claims[name] = value
	return claims
}

func TestOwnerForgeries(t *testing.T) {
	c := newClock()
	mint := newMint(t, c)
	p := newProvider(t, mint)
	attacker := newProvider(t, newMint(t, c))
	public := mint.JWKS().Keys[0]
	kid := public.KeyID
	publicPEM := pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: must(x509.MarshalPKIXPublicKey(public.Key))})
	publicJWK := must(json.Marshal(public))
	stranger := must(ecdsa.GenerateKey(elliptic.P256(), rand.Reader))
	stranger384 := must(ecdsa.GenerateKey(elliptic.P384(), rand.Reader))
	strangerRSA := must(rsa.GenerateKey(rand.Reader, 2048))
	claims := mint.Claims("mallory", time.Hour)
	claimsJSON := string(must(json.Marshal(claims)))
	good := must(mint.Sign(claims))
	parts := strings.Split(good, ".")
	other := strings.Split(must(mint.Token("alice", time.Hour)), ".")

	for _, tt := range []struct{ name, token string }{
		{"alg none", raw(`{"alg":"none"}`, claimsJSON, "")},
		{"alg None with a kid", raw(`{"alg":"None","kid":"`+kid+`"}`, claimsJSON, "")},
		{"alg none before a good signature", base64.RawURLEncoding.EncodeToString([]byte(`{"alg":"none"}`)) + "." + parts[1] + "." + parts[2]},
		{"no alg", raw(`{"kid":"`+kid+`"}`, claimsJSON, "")},
		{"two algs", raw(`{"alg":"ES256","alg":"none","kid":"`+kid+`"}`, claimsJSON, "")},
		{"a header that is not an object", raw(`null`, claimsJSON, "")},
		{"HS256 with the public key's PEM", sign(jose.HS256, publicPEM, map[string]any{"kid": kid}, claims)},
		{"HS256 with the public key's JWK", sign(jose.HS256, publicJWK, map[string]any{"kid": kid}, claims)},
		{"HS512 with the secret", sign(jose.HS512, []byte(jwtSecret+jwtSecret), nil, claims)},
		{"HS256 with a guess", sign(jose.HS256, []byte("super-secret-jwt-token-with-at-least-32-characters"), nil, claims)},
		{"a stranger's key under our kid", sign(jose.ES256, stranger, map[string]any{"kid": kid}, claims)},
		{"no kid", sign(jose.ES256, stranger, nil, claims)},
		{"an unknown kid", sign(jose.ES256, stranger, map[string]any{"kid": "unknown"}, claims)},
		{"an empty kid", sign(jose.ES256, stranger, map[string]any{"kid": ""}, claims)},
		{"a kid that is a path", sign(jose.ES256, stranger, map[string]any{"kid": "../../dev/null"}, claims)},
		{"a kid that is not a string", raw(`{"alg":"ES256","kid":{"secret":"header-content"}}`, claimsJSON, "")},
		{"RS256 under the kid of an EC key", sign(jose.RS256, strangerRSA, map[string]any{"kid": kid}, claims)},
		{"ES384", sign(jose.ES384, stranger384, map[string]any{"kid": kid}, claims)},
		{"an embedded jwk", sign(jose.ES256, stranger, map[string]any{"jwk": jose.JSONWebKey{Key: stranger.Public()}}, claims)},
		{"an embedded jwk with our kid", sign(jose.ES256, stranger, map[string]any{"kid": kid, "jwk": jose.JSONWebKey{Key: stranger.Public(), KeyID: kid}}, claims)},
		{"jku to the attacker", sign(jose.ES256, stranger, map[string]any{"kid": kid, "jku": attacker.URL + authtest.Path}, claims)},
		{"x5u to the attacker", sign(jose.ES256, stranger, map[string]any{"kid": kid, "x5u": attacker.URL + "/chain.pem"}, claims)},
		{"an unknown critical header", sign(jose.ES256, stranger, map[string]any{"kid": kid, "crit": []string{"x"}, "x": 1}, claims)},
		{"another token's signature", parts[0] + "." + parts[1] + "." + other[2]},
		{"claims changed after signing", parts[0] + "." + other[1] + "." + parts[2]},
		{"a signature of zeros", parts[0] + "." + parts[1] + "." + base64.RawURLEncoding.EncodeToString(make([]byte, 64))},
		{"a DER signature", parts[0] + "." + parts[1] + "." + base64.RawURLEncoding.EncodeToString(append([]byte{0x30, 6, 2, 1, 0, 2, 1, 0}, make([]byte, 56)...))},
	} {
		for name, options := range map[string][]func(*auth.Config){"": nil, " with a JWT secret": {withJWTSecret}} {
			t.Run(tt.name+name, func(t *testing.T) {
				owner, err := newVerifier(t, p, c, options...).Owner(t.Context(), request("Bearer "+tt.token))
				check(t, owner, err, auth.ErrUnauthorized, tt.token)
				if err != nil && strings.Contains(err.Error(), "header-content") {
					t.Errorf("the error quotes the header: %v", err)
				}
			})
		}
	}
	if n := attacker.requests.Load(); n != 0 {
		t.Errorf("the attacker's host got %d requests", n)
	}
}

func TestNewReportsEveryEmptyField(t *testing.T) {
	_, err := auth.New(auth.Config{})
	if err == nil {
		t.Fatal("New succeeded")
	}
	for _, name := range []string{"Issuer", "Audience", "JWKSURL", "HTTP", "Log"} {
		if !strings.Contains(err.Error(), "Config."+name+" is empty") {
			t.Errorf("the error does not name %s: %v", name, err)
		}
	}
}

func FuzzOwner(f *testing.F) {
	c := newClock()
	mint := newMint(f, c)
	v := newVerifier(f, newProvider(f, mint), c, withJWTSecret)
	good := must(mint.Token("alice", time.Hour))
	f.Add("Bearer " + good)
	f.Add("Bearer " + raw(`{"alg":"none"}`, `{"sub":"alice"}`, ""))
	f.Add("Bearer " + raw(`{"alg":"HS256","kid":"x","x5c":["AA=="]}`, `{"sub":"alice"}`, "x"))
	f.Add("Bearer " + raw(`{"alg":"ES256","jwk":{"kty":"EC","crv":"P-256"}}`, `null`, ""))
	f.Add("Basic x")
	f.Fuzz(func(t *testing.T, header string) {
		owner, err := v.Owner(t.Context(), request(header))
		if err == nil {
			if owner != "alice" || !strings.Contains(header, strings.Split(good, ".")[1]) {
				t.Fatalf("Owner(%q) = %q", header, owner)
			}
			return
		}
		if owner != "" || !errors.Is(err, auth.ErrUnauthorized) {
			t.Errorf("Owner = %q, %v", owner, err)
		}
	})
}
