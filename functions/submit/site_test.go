package submit_test

import (
	"encoding/json"
	"io"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/preset/nanobanana-functions/functions/submit"
	"github.com/preset/nanobanana-functions/shared/auth"
	"github.com/preset/nanobanana-functions/shared/auth/authtest"
	"github.com/preset/nanobanana-functions/shared/httpapi"
	"github.com/preset/nanobanana-functions/shared/httpapi/httpapitest"
	"github.com/preset/nanobanana-functions/shared/lifecycle/lifecycletest"
	"github.com/preset/nanobanana-functions/shared/task"
)

// site is the function, served over HTTP, and what stands behind it.
type site struct {
	*lifecycletest.World
	t        testing.TB
	verifier *auth.Verifier
	mint     *authtest.Mint
	token    string // ada's
	handler  http.Handler
	unsized  bool // bodies come without a Content-Length
	http     *http.Client
}

func serve(t testing.TB) *site {
	t.Helper()
	s := &site{World: lifecycletest.New(t), t: t}
	key, err := authtest.LoadOrCreateKey(filepath.Join(t.TempDir(), "key.pem"))
	if err != nil {
		t.Fatal(err)
	}
	if s.mint, err = authtest.NewMint(key, s.Settings.PublicURL); err != nil {
		t.Fatal(err)
	}
	s.token = s.signed(s.mint.Claims("ada", time.Hour))
	s.Site.Handle("GET "+authtest.Path, s.mint)
	c := s.Settings
	c.AuthIssuer, c.AuthJWKSURL = c.PublicURL, c.PublicURL+authtest.Path
	if s.verifier, err = auth.FromSettings(c, s.Secrets, http.DefaultClient); err != nil {
		t.Fatal(err)
	}
	s.handler = submit.New(submit.Function{
		Auth: s.verifier, Log: s.Log, Service: s.Service, View: httpapi.View{PublicURL: c.PublicURL, Secrets: s.Secrets},
	})
	s.Site.Handle("/v1/tasks", s.handler)
	s.http = &http.Client{Transport: httpapitest.Load(t).Transport(t, http.DefaultTransport)}
	return s
}

func (s *site) signed(claims map[string]any) string {
	s.t.Helper()
	token, err := s.mint.Sign(claims)
	if err != nil {
		s.t.Fatal(err)
	}
	return token
}

// in gives the site to a subtest.
func (s *site) in(t testing.TB) *site {
	c := *s
	c.t = t
	return &c
}

// request is a submit as ada, with headers by name and value; an empty value
// is none.
func (s *site) request(body io.Reader, header ...string) *http.Request {
	s.t.Helper()
	req, err := http.NewRequestWithContext(s.t.Context(), http.MethodPost, s.Settings.PublicURL+"/v1/tasks", body)
	if err != nil {
		s.t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+s.token)
	req.Header.Set("Content-Type", "application/json")
	for i := 0; i < len(header); i += 2 {
		if req.Header.Del(header[i]); header[i+1] != "" {
			req.Header[header[i]] = strings.Split(header[i+1], "\n")
		}
	}
	return req
}

// post submits a body.
func (s *site) post(body string, header ...string) (*http.Response, string) {
	s.t.Helper()
	var reader io.Reader = strings.NewReader(body)
	if s.unsized {
		reader = io.MultiReader(reader)
	}
	req := s.request(reader, header...)
	resp, err := s.http.Do(req)
	if err != nil {
		s.t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		s.t.Fatal(err)
	}
	return resp, string(b)
}

// accepted submits a body, and expects a task.
func (s *site) accepted(body string, header ...string) (shown httpapi.Task) {
	s.t.Helper()
	resp, text := s.post(body, header...)
	if err := json.Unmarshal([]byte(text), &shown); err != nil || resp.StatusCode != http.StatusAccepted {
		s.t.Errorf("%s %.300s; want 202", resp.Status, text)
	}
	return shown
}

// refused submits a body, and expects a Problem, and that nothing was stored
// or sent to the provider.
func (s *site) refused(status int, code task.Code, body string, header ...string) (p httpapi.Problem) {
	s.t.Helper()
	rows, posts := s.rows(), s.Sim.Posts()
	resp, text := s.post(body, header...)
	if err := json.Unmarshal([]byte(text), &p); err != nil || resp.StatusCode != status || p.Code != code {
		s.t.Errorf("%s %.300s; want %d %s", resp.Status, text, status, code)
	}
	if (resp.Header.Get("Www-Authenticate") == "Bearer") != (status == http.StatusUnauthorized) {
		s.t.Errorf("WWW-Authenticate: %q", resp.Header.Get("Www-Authenticate"))
	}
	if n := s.rows() - rows; n != 0 {
		s.t.Errorf("%d rows were stored", n)
	}
	if n := s.Sim.Posts() - posts; n != 0 {
		s.t.Errorf("the provider was sent %d POSTs", n)
	}
	return p
}

// rows counts the tasks that have not ended: what a submit would add to.
func (s *site) rows() (n int) {
	s.t.Helper()
	for _, err := range s.Rows.Store.Due(s.t.Context(), s.Now().Add(1000*time.Hour)) {
		if n++; err != nil {
			s.t.Fatal(err)
		}
	}
	return n
}
