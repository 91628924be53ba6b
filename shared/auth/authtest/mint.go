// Package authtest replaces the identity provider in tests and the local run: its
// Mint issues real ES256 tokens and publishes the real key.
package authtest

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"
	"github.com/go-json-experiment/json"
)

const (
	// Path is where a Mint publishes its key.
	Path = "/.well-known/jwks.json"
	// Audience is the audience of a Mint's tokens, the same as Supabase's.
	Audience = "authenticated"
)

// A Mint issues tokens and, as an http.Handler, publishes the key that verifies them.
type Mint struct {
	// Now is the clock that dates tokens. Change it only before use.
	Now func() time.Time

	issuer string
	jwk    jose.JSONWebKey
	signer jose.Signer
}

// NewMint returns a Mint that signs with a P-256 key as issuer.
func NewMint(key *ecdsa.PrivateKey, issuer string) (*Mint, error) {
	jwk := jose.JSONWebKey{Key: key.Public(), Algorithm: string(jose.ES256), Use: "sig"}
	thumbprint, err := jwk.Thumbprint(crypto.SHA256)
	if err != nil {
		return nil, fmt.Errorf("authtest: naming the key: %w", err)
	}
	jwk.KeyID = base64.RawURLEncoding.EncodeToString(thumbprint)
	signer, err := jose.NewSigner(
		jose.SigningKey{Algorithm: jose.ES256, Key: jose.JSONWebKey{Key: key, KeyID: jwk.KeyID}},
		(&jose.SignerOptions{}).WithType("JWT"))
	if err != nil {
		return nil, fmt.Errorf("authtest: making the signer: %w", err)
	}
	return &Mint{Now: time.Now, issuer: issuer, jwk: jwk, signer: signer}, nil
}

// Token returns a token that signs owner in for ttl.
func (m *Mint) Token(owner string, ttl time.Duration) (string, error) {
	return m.Sign(m.Claims(owner, ttl))
}

// Claims returns the claims that Token signs. A test can change them and call Sign.
func (m *Mint) Claims(owner string, ttl time.Duration) map[string]any {
	now := m.Now()
	return map[string]any{
		"iss": m.issuer, "aud": Audience, "sub": owner, "role": "authenticated",
		"iat": now.Unix(), "exp": now.Add(ttl).Unix(),
	}
}

// Sign returns a token of any claims.
func (m *Mint) Sign(claims map[string]any) (string, error) {
	token, err := jwt.Signed(m.signer).Claims(claims).Serialize()
	if err != nil {
		return "", fmt.Errorf("authtest: signing: %w", err)
	}
	return token, nil
}

// JWKS returns the public key as a JWK set.
func (m *Mint) JWKS() jose.JSONWebKeySet {
	return jose.JSONWebKeySet{Keys: []jose.JSONWebKey{m.jwk}}
}

// ServeHTTP answers JWKS at Path.
func (m *Mint) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.URL.Path != Path {
		http.NotFound(w, r)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	_ = json.MarshalWrite(w, m.JWKS()) // fails only if the client has gone
}

// LoadOrCreateKey returns the P-256 key in the PEM file path. If there is no file, it
// creates one that only its user may read. Processes that do so at the same time all
// get the same key.
func LoadOrCreateKey(path string) (*ecdsa.PrivateKey, error) {
	key, err := loadKey(path)
	if errors.Is(err, fs.ErrNotExist) {
		if err = createKey(path); err == nil {
			key, err = loadKey(path)
		}
	}
	if err != nil {
		return nil, fmt.Errorf("authtest: the mint's key: %w", err)
	}
	return key, nil
}

func loadKey(path string) (*ecdsa.PrivateKey, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	block, _ := pem.Decode(text)
	if block == nil {
		return nil, fmt.Errorf("%s is not PEM: remove it, and a new key will be created", path)
	}
	parsed, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		return nil, fmt.Errorf("parsing %s: %w", path, err)
	}
	key, ok := parsed.(*ecdsa.PrivateKey)
	if !ok || key.Curve != elliptic.P256() {
		return nil, fmt.Errorf("%s is not a P-256 key: remove it, and a new key will be created", path)
	}
	return key, nil
}

// createKey writes a new key to path unless another process has done so in the meantime.
func createKey(path string) error {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return err
	}
	// Written to another file and then linked, so that no process reads half a key
	// and the first of two wins. CreateTemp's files are 0600.
	f, err := os.CreateTemp(filepath.Dir(path), filepath.Base(path)+".*")
	if err != nil {
		return err
	}
	defer func() { _ = os.Remove(f.Name()) }()
	var text bytes.Buffer
	if err := pem.Encode(&text, &pem.Block{Type: "PRIVATE KEY", Bytes: der}); err != nil {
		return err
	}
	_, err = f.Write(text.Bytes())
	if err := errors.Join(err, f.Close()); err != nil {
		return err
	}
	if err := os.Link(f.Name(), path); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	return nil
}
