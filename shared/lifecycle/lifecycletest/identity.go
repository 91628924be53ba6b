package lifecycletest

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"net/http"
	"testing"
	"time"

	"github.com/preset/nanobanana-functions/shared/auth"
	"github.com/preset/nanobanana-functions/shared/auth/authtest"
	"github.com/preset/nanobanana-functions/shared/auth/token"
)

// Identity is an identity provider; those it signs in are known to Verifier.
type Identity struct {
	*authtest.Mint
	Verifier *auth.Verifier
	Clients  *auth.Verifier // of tokens given to the users' clients, too
	t        testing.TB
}

const signedInFor = 30 * 24 * time.Hour

// Identity serves the world's one identity provider at its Site, on its clock.
// The verifiers are as [auth.FromSettings] and [auth.ForClients] give them but
// for the clock.
func (w *World) Identity(t testing.TB) *Identity {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	issuer := w.Settings.PublicURL
	mint, err := authtest.NewMint(key, issuer)
	if err != nil {
		t.Fatal(err)
	}
	mint.Now = w.Clock.Now
	w.Site.Handle("GET "+authtest.Path, mint)
	c := auth.Config{
		Issuer: issuer, Audience: authtest.Audience, JWKSURL: issuer + authtest.Path, HTTP: http.DefaultClient, Now: w.Clock.Now,
		JWTSecret: func(ctx context.Context) (string, error) {
			secret, err := w.Secrets.Current(ctx)
			return string(secret.JWTSecret), err
		},
		ServiceTokens: func(ctx context.Context) (token.ServiceTokens, error) {
			secret, err := w.Secrets.Current(ctx)
			return secret.ServiceTokens, err
		},
		PersonalTokens: func(ctx context.Context) (token.PersonalTokens, error) {
			secret, err := w.Secrets.Current(ctx)
			return secret.PersonalTokens, err
		},
	}
	verifier, err := auth.New(c)
	if err != nil {
		t.Fatal(err)
	}
	c.AllowClients = true
	clients, err := auth.New(c)
	if err != nil {
		t.Fatal(err)
	}
	return &Identity{mint, verifier, clients, t}
}

// Token gives a token by which owner is signed in for a month.
func (i *Identity) Token(owner string) string {
	i.t.Helper()
	return i.signed(i.Claims(owner, signedInFor))
}

// TokenWith gives ada's token with a claim changed to value, nil for left out.
func (i *Identity) TokenWith(claim string, value any) string {
	i.t.Helper()
	claims := i.Claims("ada", signedInFor)
	if claims[claim] = value; value == nil {
		delete(claims, claim)
	}
	return i.signed(claims)
}

func (i *Identity) signed(claims map[string]any) string {
	i.t.Helper()
	token, err := i.Sign(claims)
	if err != nil {
		i.t.Fatal(err)
	}
	return token
}
