package auth_test

import (
	"context"
	"crypto/rand"
	"crypto/rsa"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/preset/nanobanana-functions/shared/auth"
	"github.com/preset/nanobanana-functions/shared/auth/authtest"
)

// text answers every request with this body.
func text(body string) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, body) })
}

// status answers every request with this status.
func status(code int) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(code) })
}

// jwks returns the JSON of a set of these keys, each a JWK or its JSON.
func jwks(keys ...any) string {
	var texts []string
	for _, k := range keys {
		s, ok := k.(string)
		if !ok {
			s = string(must(json.Marshal(k)))
		}
		texts = append(texts, s)
	}
	return `{"keys":[` + strings.Join(texts, ",") + `]}`
}

func TestJWKSRotation(t *testing.T) {
	c := newClock()
	old, next := newMint(t, c), newMint(t, c)
	p := newProvider(t, old)
	v := newVerifier(t, p, c)
	expect := func(mint *authtest.Mint, want error, fetches int32) {
		t.Helper()
		token := must(mint.Token("alice", time.Hour))
		owner, err := v.Owner(t.Context(), request("Bearer "+token))
		check(t, owner, err, want, token)
		if n := p.requests.Load(); n != fetches {
			t.Fatalf("%d fetches, want %d", n, fetches)
		}
	}
	expect(old, nil, 1)
	expect(old, nil, 1)
	expect(next, auth.ErrUnauthorized, 1) // unknown, but the last fetch was just now
	p.set(text(jwks(old.JWKS().Keys[0], next.JWKS().Keys[0])))
	c.advance(59 * time.Second)
	expect(next, auth.ErrUnauthorized, 1)
	c.advance(time.Second)
	expect(next, nil, 2)
	expect(old, nil, 2)

	p.set(next)
	c.advance(10*time.Minute - time.Second)
	expect(old, nil, 2) // withdrawn, but still cached
	c.advance(time.Second)
	expect(old, auth.ErrUnauthorized, 3)
	expect(next, nil, 3)

	p.set(status(http.StatusInternalServerError))
	c.advance(10 * time.Minute)
	expect(next, nil, 4) // the old set stays
	expect(next, nil, 4) // a failed fetch counts too
	c.advance(time.Minute)
	expect(next, nil, 5)
	p.set(next)
	c.advance(time.Minute)
	expect(next, nil, 6)
}

// While the set cannot be fetched, an unknown key may be a new one: the answer is
// not 401, because a client would end its valid session.
func TestJWKSUnknownKeyWhileUnreachable(t *testing.T) {
	c := newClock()
	old, next := newMint(t, c), newMint(t, c)
	p := newProvider(t, old)
	v := newVerifier(t, p, c)
	expect := func(mint *authtest.Mint, want error) {
		t.Helper()
		token := must(mint.Token("alice", time.Hour))
		owner, err := v.Owner(t.Context(), request("Bearer "+token))
		check(t, owner, err, want, token)
	}
	expect(old, nil)
	expect(next, auth.ErrUnauthorized)
	p.set(status(http.StatusBadGateway))
	c.advance(time.Minute)
	expect(next, auth.ErrUnavailable)
	expect(next, auth.ErrUnavailable) // within the minute of the failed fetch
	expect(old, nil)
	p.set(old)
	c.advance(time.Minute)
	expect(next, auth.ErrUnauthorized)
	p.set(next)
	c.advance(time.Minute)
	expect(next, nil)
}

func TestJWKSInventedKids(t *testing.T) {
	c := newClock()
	mint, stranger := newMint(t, c), newMint(t, c)
	p := newProvider(t, mint)
	v := newVerifier(t, p, c)
	forged := "Bearer " + must(stranger.Token("alice", time.Hour))
	for range 600 { // one a second
		if _, err := v.Owner(t.Context(), request(forged)); !errors.Is(err, auth.ErrUnauthorized) {
			t.Fatal(err)
		}
		c.advance(time.Second)
	}
	if n := p.requests.Load(); n != 10 {
		t.Errorf("%d fetches in 10 minutes, want 10", n)
	}
}

func TestJWKSBeforeTheFirstFetch(t *testing.T) {
	c := newClock()
	mint := newMint(t, c)
	elsewhere := newProvider(t, mint)
	for _, tt := range []struct {
		name   string
		answer http.Handler
		want   error
	}{
		{"500", status(500), auth.ErrUnavailable},
		{"204", status(204), auth.ErrUnavailable},
		{"404 with a set", http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(http.StatusNotFound)
			_, _ = io.WriteString(w, jwks(mint.JWKS().Keys[0]))
		}), auth.ErrUnavailable},
		{"HTML", text("<html>"), auth.ErrUnavailable},
		{"null", text("null"), auth.ErrUnavailable},
		{"an error as JSON", text(`{"message":"no"}`), auth.ErrUnavailable},
		{"two values", text(`{"keys":[]}{}`), auth.ErrUnavailable},
		{"64 KiB and one byte", text(jwks(mint.JWKS().Keys[0]) + strings.Repeat(" ", 64<<10)), auth.ErrUnavailable},
		{"a redirect", http.RedirectHandler(elsewhere.URL+authtest.Path, http.StatusFound), auth.ErrUnavailable},
		{"an empty set", text(`{"keys":[]}`), auth.ErrUnauthorized},
	} {
		t.Run(tt.name, func(t *testing.T) {
			p := newProvider(t, tt.answer)
			v := newVerifier(t, p, c)
			token := must(mint.Token("alice", time.Hour))
			for range 3 {
				owner, err := v.Owner(t.Context(), request("Bearer "+token))
				check(t, owner, err, tt.want, token)
			}
			if n := p.requests.Load(); n != 1 {
				t.Errorf("%d fetches within a minute", n)
			}
			p.set(mint)
			c.advance(time.Minute)
			owner, err := v.Owner(t.Context(), request("Bearer "+token))
			check(t, owner, err, nil, token)
		})
	}
	if n := elsewhere.requests.Load(); n != 0 {
		t.Errorf("a redirect was followed %d times", n)
	}
	t.Run("nothing listens", func(t *testing.T) {
		p := newProvider(t, mint)
		v := newVerifier(t, p, c)
		p.Close()
		token := must(mint.Token("alice", time.Hour))
		owner, err := v.Owner(t.Context(), request("Bearer "+token))
		check(t, owner, err, auth.ErrUnavailable, token)
	})
}

func TestJWKSKeys(t *testing.T) {
	c := newClock()
	mint := newMint(t, c)
	ec := mint.JWKS().Keys[0]
	rsaKey := must(rsa.GenerateKey(rand.Reader, 2048))
	rsaWeak := must(rsa.GenerateKey(rand.Reader, 1024))
	rsaJWK := jose.JSONWebKey{Key: rsaKey.Public(), KeyID: "r", Algorithm: "RS256", Use: "sig"}
	claims := mint.Claims("alice", time.Hour)
	rs256 := sign(jose.RS256, rsaKey, map[string]any{"kid": "r"}, claims)
	es256 := must(mint.Sign(claims))
	changed := func(k jose.JSONWebKey, f func(*jose.JSONWebKey)) jose.JSONWebKey { f(&k); return k }
	for _, tt := range []struct {
		name, token, set string
		want             error
	}{
		{"RS256", rs256, jwks(ec, rsaJWK), nil},
		{"RS256 without alg and use", rs256, jwks(jose.JSONWebKey{Key: rsaKey.Public(), KeyID: "r"}), nil},
		{"PS256 is not accepted", sign(jose.PS256, rsaKey, map[string]any{"kid": "r"}, claims), jwks(rsaJWK), auth.ErrUnauthorized},
		{"RS512 is not accepted", sign(jose.RS512, rsaKey, map[string]any{"kid": "r"}, claims), jwks(rsaJWK), auth.ErrUnauthorized},
		{"a key for another algorithm", rs256, jwks(changed(rsaJWK, func(k *jose.JSONWebKey) { k.Algorithm = "RS512" })), auth.ErrUnauthorized},
		{"a key for encryption", rs256, jwks(changed(rsaJWK, func(k *jose.JSONWebKey) { k.Use = "enc" })), auth.ErrUnauthorized},
		{"a weak RSA key", sign(jose.RS256, rsaWeak, map[string]any{"kid": "r"}, claims), jwks(jose.JSONWebKey{Key: rsaWeak.Public(), KeyID: "r"}), auth.ErrUnauthorized},
		{"a private key", rs256, jwks(jose.JSONWebKey{Key: rsaKey, KeyID: "r"}), auth.ErrUnauthorized},
		{"one kid for an EC and an RSA key", es256, jwks(ec, changed(rsaJWK, func(k *jose.JSONWebKey) { k.KeyID = ec.KeyID })), nil},
		{"a symmetric key", sign(jose.HS256, []byte(jwtSecret), map[string]any{"kid": "o"}, claims), jwks(jose.JSONWebKey{Key: []byte(jwtSecret), KeyID: "o"}), auth.ErrUnauthorized},
		{"besides keys of unknown kinds", es256, jwks(`{"kty":"AKP","kid":"a"}`, `{"kty":"EC","crv":"P-256","kid":"broken"}`, `7`, `null`, ec), nil},
		{"neither key nor token has a kid", sign(jose.RS256, rsaKey, nil, claims), jwks(changed(rsaJWK, func(k *jose.JSONWebKey) { k.KeyID = "" })), auth.ErrUnauthorized},
		{"a key without kid", es256, jwks(changed(ec, func(k *jose.JSONWebKey) { k.KeyID = "" })), auth.ErrUnauthorized},
	} {
		t.Run(tt.name, func(t *testing.T) {
			v := newVerifier(t, newProvider(t, text(tt.set)), c)
			owner, err := v.Owner(t.Context(), request("Bearer "+tt.token))
			check(t, owner, err, tt.want, tt.token)
		})
	}
}

// held answers like next, but only after a receive from release.
func held(next http.Handler, arrived chan<- struct{}, release <-chan struct{}) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		arrived <- struct{}{}
		<-release
		next.ServeHTTP(w, r)
	})
}

func TestJWKSFetchIsShared(t *testing.T) {
	c := newClock()
	mint := newMint(t, c)
	arrived, release := make(chan struct{}, 100), make(chan struct{})
	p := newProvider(t, held(mint, arrived, release))
	v := newVerifier(t, p, c)
	token := must(mint.Token("alice", time.Hour))

	gone, cancel := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	wg.Go(func() { // its cancellation does not end the fetch
		owner, err := v.Owner(gone, request("Bearer "+token))
		check(t, owner, err, nil, token)
	})
	<-arrived
	cancel()
	for range 50 {
		wg.Go(func() {
			owner, err := v.Owner(t.Context(), request("Bearer "+token))
			check(t, owner, err, nil, token)
		})
	}
	impatient, cancel := context.WithTimeout(t.Context(), time.Millisecond)
	defer cancel()
	if _, err := v.Owner(impatient, request("Bearer "+token)); !errors.Is(err, auth.ErrUnavailable) || !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("waiting beyond the deadline: %v", err)
	}
	close(release)
	wg.Wait()
	if n := p.requests.Load(); n != 1 {
		t.Errorf("%d fetches", n)
	}
}

func TestJWKSKnownKeysDoNotWait(t *testing.T) {
	c := newClock()
	mint, stranger := newMint(t, c), newMint(t, c)
	p := newProvider(t, mint)
	v := newVerifier(t, p, c)
	token, forged := must(mint.Token("alice", time.Hour)), must(stranger.Token("alice", time.Hour))
	owner, err := v.Owner(t.Context(), request("Bearer "+token))
	check(t, owner, err, nil, token)

	arrived, release := make(chan struct{}, 1), make(chan struct{})
	p.set(held(mint, arrived, release))
	c.advance(time.Minute)
	var wg sync.WaitGroup
	wg.Go(func() { _, _ = v.Owner(t.Context(), request("Bearer "+forged)) })
	<-arrived
	owner, err = v.Owner(t.Context(), request("Bearer "+token)) // would hang if it waited for the fetch
	check(t, owner, err, nil, token)
	close(release)
	wg.Wait()
}

func TestJWKSNeverAnswers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		silent := &http.Client{Transport: &http.Transport{DialContext: func(context.Context, string, string) (net.Conn, error) {
			here, there := net.Pipe()
			go func() { _, _ = io.Copy(io.Discard, there) }()
			return here, nil
		}}}
		v := must(auth.New(auth.Config{Issuer: issuer, Audience: authtest.Audience, JWKSURL: "http://issuer.test" + authtest.Path, HTTP: silent, Log: discard}))
		mint := newMint(t, newClock())
		start := time.Now()
		_, err := v.Owner(t.Context(), request("Bearer "+must(mint.Token("alice", time.Hour))))
		if !errors.Is(err, auth.ErrUnavailable) || time.Since(start) != 5*time.Second {
			t.Errorf("Owner: %v after %v", err, time.Since(start))
		}
	})
}

// What Prepare fetches, the first token has. A fetch that fails counts as no try: the
// first token fetches at once, and not in a minute.
func TestJWKSPrepare(t *testing.T) {
	c := newClock()
	mint := newMint(t, c)
	token := must(mint.Token("alice", time.Hour))
	for name, test := range map[string]struct {
		answer  http.Handler
		fetches int32
	}{
		"it is fetched":   {mint, 1},
		"the fetch fails": {status(http.StatusInternalServerError), 2},
	} {
		t.Run(name, func(t *testing.T) {
			p := newProvider(t, test.answer)
			v := newVerifier(t, p, c)
			if err := v.Prepare(t.Context()); (err == nil) != (test.fetches == 1) {
				t.Errorf("Prepare: %v", err)
			}
			p.set(mint)
			owner, err := v.Owner(t.Context(), request("Bearer "+token))
			check(t, owner, err, nil, token)
			if n := p.requests.Load(); n != test.fetches {
				t.Errorf("%d fetches, want %d", n, test.fetches)
			}
		})
	}
}

// Prepare ends with its context, though an issuer hangs. Then the first token fetches.
func TestJWKSPrepareIsCancelled(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var dials atomic.Int32
		silent := &http.Client{Transport: &http.Transport{DialContext: func(context.Context, string, string) (net.Conn, error) {
			dials.Add(1)
			here, there := net.Pipe()
			go func() { _, _ = io.Copy(io.Discard, there) }()
			return here, nil
		}}}
		v := must(auth.New(auth.Config{Issuer: issuer, Audience: authtest.Audience, JWKSURL: "http://issuer.test" + authtest.Path, HTTP: silent, Log: discard}))
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		start := time.Now()
		if err := v.Prepare(ctx); !errors.Is(err, context.DeadlineExceeded) || time.Since(start) != time.Second {
			t.Errorf("Prepare: %v after %v", err, time.Since(start))
		}
		_, err := v.Owner(t.Context(), request("Bearer "+must(newMint(t, newClock()).Token("alice", time.Hour))))
		if !errors.Is(err, auth.ErrUnavailable) || time.Since(start) != 6*time.Second || dials.Load() != 2 {
			t.Errorf("Owner: %v after %v and %d fetches", err, time.Since(start), dials.Load())
		}
	})
}
