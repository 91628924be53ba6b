package auth

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rsa"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/preset/nanobanana-functions/shared/config"
)

const (
	jwksTTL      = 10 * time.Minute
	jwksInterval = time.Minute     // the least time between two fetches, including failed ones
	jwksTimeout  = 5 * time.Second // of one fetch
	maxJWKS      = 64 << 10        // bytes
	minRSA       = 2048            // bits
)

// A keyID names a key together with the one algorithm that fits its type, so
// that no token can use the key with another algorithm.
type keyID struct{ kid, algorithm string }

// A snapshot is the issuer's keys at one time.
type snapshot struct {
	keys map[keyID]any
	at   time.Time
}

// A keySet is the issuer's published keys, fetched when needed.
type keySet struct {
	url    string
	client *http.Client
	log    *slog.Logger
	now    func() time.Time

	current atomic.Pointer[snapshot] // nil until the first successful fetch

	lock    chan struct{} // holds one value while a caller fetches; guards what follows. A channel, so that waiting ends with ctx
	triedAt time.Time
	lastErr error // of the last fetch
}

func newKeySet(c Config) *keySet {
	direct := *c.HTTP
	direct.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	return &keySet{url: c.JWKSURL, client: &direct, log: c.Log, now: c.Now, lock: make(chan struct{}, 1)}
}

// key returns the key of that id. It fetches the set if it is old or lacks the
// key, at most once a minute. If a fetch fails, the last set stays in use; a key
// that it lacks is then ErrUnavailable, since the new set may have it.
func (s *keySet) key(ctx context.Context, id keyID) (any, error) {
	if key, ok := s.cached(id); ok {
		return key, nil
	}
	select {
	case s.lock <- struct{}{}:
		defer func() { <-s.lock }()
	case <-ctx.Done():
		return nil, fmt.Errorf("%w: waiting for the JWKS: %w", ErrUnavailable, context.Cause(ctx))
	}
	s.refresh(ctx)
	if set := s.current.Load(); set != nil {
		if key, ok := set.keys[id]; ok {
			return key, nil
		}
	}
	if s.lastErr != nil {
		return nil, fmt.Errorf("%w: the JWKS could not be fetched", ErrUnavailable)
	}
	return nil, unauthorized("the JWKS has no such kid for this algorithm")
}

func (s *keySet) cached(id keyID) (key any, ok bool) {
	set := s.current.Load()
	if set == nil || s.now().Sub(set.at) >= jwksTTL {
		return nil, false
	}
	key, ok = set.keys[id]
	return key, ok
}

// refresh fetches the set unless a fetch was tried less than a minute ago,
// perhaps by the caller that held the lock before. Otherwise requests with
// invented kids could make us flood the issuer.
func (s *keySet) refresh(ctx context.Context) {
	now := s.now()
	if now.Sub(s.triedAt) < jwksInterval {
		return
	}
	s.triedAt = now
	// Other callers need this fetch too: it must not end with its caller's request.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), jwksTimeout)
	defer cancel()
	keys, err := s.fetch(ctx)
	s.lastErr = err
	if err != nil {
		s.log.ErrorContext(ctx, "JWKS not fetched; the last one, if any, stays in use", "error", err)
		return
	}
	s.current.Store(&snapshot{keys: keys, at: now})
}

// prepare fetches the set before anybody asks for a key. A fetch that fails counts as
// no try: the first caller fetches at once.
func (s *keySet) prepare(ctx context.Context) error {
	s.lock <- struct{}{} // free: the start is the only caller
	defer func() { <-s.lock }()
	now := s.now()
	keys, err := s.fetch(ctx)
	if err == nil {
		s.triedAt = now
		s.current.Store(&snapshot{keys: keys, at: now})
	}
	return err
}

func (s *keySet) fetch(ctx context.Context) (map[keyID]any, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, s.url, nil)
	if err != nil {
		return nil, fmt.Errorf("fetching the JWKS: %w", err)
	}
	req.Header.Set("Accept", "application/json")
	resp, err := s.client.Do(req)
	if err != nil {
		return nil, fmt.Errorf("fetching the JWKS: %w", err)
	}
	defer func() { _ = resp.Body.Close() }()
	if resp.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("fetching the JWKS: %s", resp.Status)
	}
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxJWKS+1))
	if err != nil {
		return nil, fmt.Errorf("reading the JWKS: %w", err)
	}
	if len(body) > maxJWKS {
		return nil, fmt.Errorf("reading the JWKS: more than %d bytes", maxJWKS)
	}
	return parseKeys(body)
}

// Keys fetches the issuer's keys once, and returns how many of them can be used. It is
// for the operator's tool; the verifier has its own.
func Keys(ctx context.Context, c config.Settings, client *http.Client) (usable int, err error) {
	ctx, cancel := context.WithTimeout(ctx, jwksTimeout)
	defer cancel()
	keys, err := newKeySet(Config{JWKSURL: c.AuthJWKSURL, HTTP: client}).fetch(ctx)
	return len(keys), err
}

// parseKeys returns the keys of a set that fit an accepted algorithm. It ignores
// the others, as RFC 7517 asks, so that a key of a new kind does not make the
// rest unusable. The set may be empty: an issuer that signs only by HS256 has
// no public key.
func parseKeys(body []byte) (map[keyID]any, error) {
	var set struct {
		Keys []jsontext.Value `json:"keys"`
	}
	if err := json.Unmarshal(body, &set); err != nil {
		return nil, fmt.Errorf("parsing the JWKS: %w", err)
	}
	if set.Keys == nil {
		return nil, errors.New("parsing the JWKS: no keys")
	}
	keys := map[keyID]any{}
	for _, raw := range set.Keys {
		var k jose.JSONWebKey
		if k.UnmarshalJSON(raw) != nil || k.KeyID == "" || k.Use != "" && k.Use != "sig" {
			continue
		}
		algorithm := algorithmFor(k.Key)
		if algorithm == "" || k.Algorithm != "" && k.Algorithm != algorithm {
			continue
		}
		keys[keyID{kid: k.KeyID, algorithm: algorithm}] = k.Key
	}
	return keys, nil
}

// algorithmFor returns the one algorithm that a key is accepted for. It is "" for
// others, such as symmetric and private keys, which no JWKS should hold.
func algorithmFor(key any) string {
	switch key := key.(type) {
	case *ecdsa.PublicKey:
		if key.Curve == elliptic.P256() {
			return string(jose.ES256)
		}
	case *rsa.PublicKey:
		if key.N.BitLen() >= minRSA {
			return string(jose.RS256)
		}
	}
	return ""
}
