package lifecycletest

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"net/http"
	"testing"
	"time"

	"github.com/preset/nanobanana-functions/shared/auth"
	"github.com/preset/nanobanana-functions/shared/auth/authtest"
)

// Identity is an identity provider whose tokens Verifier accepts.
type Identity struct {
	*authtest.Mint
	Verifier *auth.Verifier
	Clients  *auth.Verifier // accepts tokens issued to OAuth clients, too
	t        testing.TB
}

const signedInFor = 30 * 24 * time.Hour

// Identity registers an identity provider on Mux; call it once. The verifiers are
// those of [auth.FromSettings] and [auth.ForClients], on the harness's clock.
func (h *Harness) Identity(t testing.TB) *Identity {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	issuer := h.Settings.PublicURL
	mint, err := authtest.NewMint(key, issuer)
	if err != nil {
		t.Fatal(err)
	}
	mint.Now = h.Clock.Now
	h.Mux.Handle("GET "+authtest.Path, mint)
	c := auth.Config{
		Issuer: issuer, Audience: authtest.Audience, JWKSURL: issuer + authtest.Path,
		Secret: h.Secrets.Current, HTTP: http.DefaultClient, Log: h.Log, Now: h.Clock.Now,
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

// Token returns a token that signs owner in for 30 days.
func (i *Identity) Token(owner string) string {
	i.t.Helper()
	return i.signed(i.Claims(owner, signedInFor))
}

// TokenWith returns ada's token with one claim set to value, or removed if value is nil.
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
