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
)

const (
	jwksAge     = 10 * time.Minute // how long a set is used without another fetch
	jwksGap     = time.Minute      // the least time between two fetches, failed ones too
	jwksTimeout = 5 * time.Second  // of one fetch
	maxJWKS     = 64 << 10         // bytes
	minRSA      = 2048             // bits
)

// A keyID names a key together with the one algorithm its type fits, so that a
// token cannot have a key used under another.
type keyID struct{ kid, algorithm string }

// fetched is the issuer's keys as they stood at one time.
type fetched struct {
	keys map[keyID]any
	at   time.Time
}

// A keySet is the issuer's published keys, fetched when needed.
type keySet struct {
	url    string
	client *http.Client
	now    func() time.Time

	current atomic.Pointer[fetched] // nil: never had

	turn    chan struct{} // holding its one place guards what follows and the fetch; a channel, since waiting ends with ctx
	triedAt time.Time
	err     error // of the last try
}

func newKeySet(url string, client *http.Client, now func() time.Time) *keySet {
	direct := *client
	direct.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	return &keySet{url: url, client: &direct, now: now, turn: make(chan struct{}, 1)}
}

// key gives the key of that id, fetching the set if it is old or lacks the key
// and the last fetch was a minute ago. A set that cannot be renewed stays in
// use; a key it lacks is then ErrUnavailable, since nobody can tell.
func (s *keySet) key(ctx context.Context, id keyID) (any, error) {
	if key, ok := s.fresh(id); ok {
		return key, nil
	}
	select {
	case s.turn <- struct{}{}:
		defer func() { <-s.turn }()
	case <-ctx.Done():
		return nil, fmt.Errorf("%w: waiting for the JWKS: %w", ErrUnavailable, context.Cause(ctx))
	}
	s.renew(ctx)
	if set := s.current.Load(); set != nil {
		if key, ok := set.keys[id]; ok {
			return key, nil
		}
	}
	if s.err != nil { // the set that we could not have may hold the key
		return nil, fmt.Errorf("%w: the JWKS could not be fetched", ErrUnavailable)
	}
	return nil, unauthorized("the JWKS has no such kid for this algorithm")
}

func (s *keySet) fresh(id keyID) (key any, ok bool) {
	set := s.current.Load()
	if set == nil || s.now().Sub(set.at) >= jwksAge {
		return nil, false
	}
	key, ok = set.keys[id]
	return key, ok
}

// renew fetches the set unless that was tried less than a minute ago, as by
// whoever had the turn before: senders of invented kids must not make us a
// nuisance to the issuer.
func (s *keySet) renew(ctx context.Context) {
	now := s.now()
	if now.Sub(s.triedAt) < jwksGap {
		return
	}
	s.triedAt = now
	keys, err := s.fetch(ctx)
	s.err = err
	if err != nil {
		slog.ErrorContext(ctx, "the JWKS was not fetched; the one fetched before, if any, stays in use", "error", err)
		return
	}
	s.current.Store(&fetched{keys: keys, at: now})
}

func (s *keySet) fetch(ctx context.Context) (map[keyID]any, error) {
	// The fetch is everybody's: its caller's going away must not cost the minute.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), jwksTimeout)
	defer cancel()
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

// parseKeys gives the set's keys that verify an accepted algorithm. Others are
// passed over, as RFC 7517 asks: one of a new kind must not cost the rest. A set
// may be empty; that is how an issuer of HS256 tokens alone looks.
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
		algorithm := fitting(k.Key)
		if algorithm == "" || k.Algorithm != "" && k.Algorithm != algorithm {
			continue
		}
		keys[keyID{kid: k.KeyID, algorithm: algorithm}] = k.Key
	}
	return keys, nil
}

// fitting gives the one algorithm a key is accepted for; "" is none, as for a
// symmetric or private key, which no JWKS should hold.
func fitting(key any) string {
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
