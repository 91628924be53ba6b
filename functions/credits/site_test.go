package credits_test

import (
	"encoding/json"
	"io"
	"net/http"
	"path/filepath"
	"testing"
	"time"

	"github.com/preset/nanobanana-functions/functions/credits"
	"github.com/preset/nanobanana-functions/shared/auth"
	"github.com/preset/nanobanana-functions/shared/auth/authtest"
	"github.com/preset/nanobanana-functions/shared/httpapi"
	"github.com/preset/nanobanana-functions/shared/httpapi/httpapitest"
	"github.com/preset/nanobanana-functions/shared/lifecycle"
	"github.com/preset/nanobanana-functions/shared/lifecycle/lifecycletest"
	"github.com/preset/nanobanana-functions/shared/nanobanana/nanobananatest"
	"github.com/preset/nanobanana-functions/shared/task"
)

// site is the function, served over HTTP, and what stands behind it.
type site struct {
	*lifecycletest.World
	t        testing.TB
	handler  http.Handler
	function credits.Function
	mint     *authtest.Mint
	token    string // ada's
	http     *http.Client
}

func serve(t testing.TB, adjust ...func(*nanobananatest.Knobs)) *site {
	t.Helper()
	s := &site{World: lifecycletest.New(t, adjust...), t: t}
	key, err := authtest.LoadOrCreateKey(filepath.Join(t.TempDir(), "key.pem"))
	if err != nil {
		t.Fatal(err)
	}
	issuer := s.Settings.PublicURL
	if s.mint, err = authtest.NewMint(key, issuer); err != nil {
		t.Fatal(err)
	}
	s.mint.Now = s.Clock.Now
	s.Site.Handle("GET "+authtest.Path, s.mint)
	verifier, err := auth.New(auth.Config{
		Issuer: issuer, Audience: authtest.Audience, JWKSURL: issuer + authtest.Path, HTTP: http.DefaultClient, Now: s.Clock.Now,
	})
	if err != nil {
		t.Fatal(err)
	}
	s.function = credits.Function{Auth: verifier, Service: s.Service, LowBelow: 100, Log: s.Log}
	s.handler = credits.New(s.function)
	s.Site.Handle("/v1/credits", s.handler)
	s.Site.Handle("/v1/models", s.handler)
	if s.token, err = s.mint.Token("ada", 72*time.Hour); err != nil {
		t.Fatal(err)
	}
	s.http = &http.Client{Transport: httpapitest.Load(t).Transport(t, nil)}
	return s
}

func (s *site) request(path string) *http.Request {
	s.t.Helper()
	r, err := http.NewRequestWithContext(s.t.Context(), http.MethodGet, s.Settings.PublicURL+path, nil)
	if err != nil {
		s.t.Fatal(err)
	}
	return r
}

// get asks, with an Authorization if it is not empty.
func (s *site) get(path, authorization string) (*http.Response, string) {
	s.t.Helper()
	r := s.request(path)
	if authorization != "" {
		r.Header.Set("Authorization", authorization)
	}
	resp, err := s.http.Do(r)
	if err != nil {
		s.t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		s.t.Fatal(err)
	}
	return resp, string(body)
}

// credits asks as ada, and expects an answer.
func (s *site) credits() (c credits.Credits) {
	s.t.Helper()
	resp, body := s.get("/v1/credits", "Bearer "+s.token)
	if err := json.Unmarshal([]byte(body), &c); err != nil || resp.StatusCode != http.StatusOK {
		s.t.Fatalf("%s %s", resp.Status, body)
	}
	return c
}

// problem expects a Problem.
func (s *site) problem(path, authorization string, status int, code task.Code) (*http.Response, string) {
	s.t.Helper()
	resp, body := s.get(path, authorization)
	var p httpapi.Problem
	if err := json.Unmarshal([]byte(body), &p); err != nil || resp.StatusCode != status || p.Code != code {
		s.t.Errorf("%s: %s %s; want %d %s", path, resp.Status, body, status, code)
	}
	return resp, body
}

// submit orders n pictures for an owner.
func (s *site) submit(owner string, n int) *task.Task {
	s.t.Helper()
	t, _, err := s.Submit(s.t.Context(), lifecycle.Order{Owner: owner, Request: task.Request{Prompt: "a lighthouse", NumImages: n}})
	if err != nil {
		s.t.Fatal(err)
	}
	return t
}
