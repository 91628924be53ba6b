package tasks_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/preset/nanobanana-functions/functions/tasks"
	"github.com/preset/nanobanana-functions/shared/auth"
	"github.com/preset/nanobanana-functions/shared/auth/authtest"
	"github.com/preset/nanobanana-functions/shared/httpapi"
	"github.com/preset/nanobanana-functions/shared/httpapi/httpapitest"
	"github.com/preset/nanobanana-functions/shared/lifecycle/lifecycletest"
	"github.com/preset/nanobanana-functions/shared/task"
)

// site is the function, over HTTP and by itself, and what stands behind it.
type site struct {
	*lifecycletest.World
	t        testing.TB
	function tasks.Function
	handler  http.Handler
	contract *httpapitest.Contract
	mint     *authtest.Mint
	token    string // ada's
	http     *http.Client
}

func serve(t testing.TB) *site {
	t.Helper()
	s := &site{World: lifecycletest.New(t), t: t, contract: httpapitest.Load(t)}
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
	s.function = tasks.Function{
		Auth: verifier, Store: s.Rows, View: httpapi.View{PublicURL: issuer, Secrets: s.Secrets}, WaitMax: 20 * time.Second, Log: s.Log,
	}
	s.handler = tasks.New(s.function)
	s.Site.Handle("/v1/tasks", s.handler)
	s.Site.Handle("/v1/tasks/", s.handler)
	s.token = s.signedIn("ada")
	s.http = &http.Client{Transport: s.contract.Transport(t, nil)}
	return s
}

func (s *site) signedIn(owner string) string {
	s.t.Helper()
	token, err := s.mint.Token(owner, 24*time.Hour)
	if err != nil {
		s.t.Fatal(err)
	}
	return token
}

// answer is what the function said.
type answer struct {
	status int
	header http.Header
	body   string
}

// request is a GET as ada, with headers by name and value; an empty value is
// none.
func (s *site) request(path string, header ...string) *http.Request {
	s.t.Helper()
	r, err := http.NewRequestWithContext(s.t.Context(), http.MethodGet, s.Settings.PublicURL+path, nil)
	if err != nil {
		s.t.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer "+s.token)
	for i := 0; i < len(header); i += 2 {
		if r.Header.Del(header[i]); header[i+1] != "" {
			r.Header.Set(header[i], header[i+1])
		}
	}
	return r
}

// get asks over HTTP.
func (s *site) get(path string, header ...string) answer {
	s.t.Helper()
	resp, err := s.http.Do(s.request(path, header...))
	if err != nil {
		s.t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		s.t.Fatal(err)
	}
	return answer{resp.StatusCode, resp.Header, string(body)}
}

// ask calls the handler for as long as ctx, with no network between.
func (s *site) ask(ctx context.Context, path string, header ...string) answer {
	s.t.Helper()
	r, w := s.request(path, header...).WithContext(ctx), httptest.NewRecorder()
	s.handler.ServeHTTP(w, r)
	body := w.Body.String()
	s.contract.CheckResponse(s.t, r, w.Result())
	return answer{w.Code, w.Header(), body}
}

// task reads the answer as a task.
func (a answer) task(t testing.TB) (shown httpapi.Task) {
	t.Helper()
	if err := json.Unmarshal([]byte(a.body), &shown); err != nil || a.status != http.StatusOK {
		t.Fatalf("%d %.300s", a.status, a.body)
	}
	return shown
}

// list reads the answer as a list: its tasks' ids, and the cursor.
func (a answer) list(t testing.TB) (ids []string, cursor string) {
	t.Helper()
	var page struct {
		Tasks  []httpapi.Task
		Cursor string
	}
	if err := json.Unmarshal([]byte(a.body), &page); err != nil || a.status != http.StatusOK {
		t.Fatalf("%d %.300s", a.status, a.body)
	}
	for _, x := range page.Tasks {
		ids = append(ids, x.ID)
	}
	return ids, page.Cursor
}

// problem expects a Problem of this status and code, and gives it without
// what tells one request from the other.
func (a answer) problem(t testing.TB, status int, code task.Code) string {
	t.Helper()
	var p httpapi.Problem
	if err := json.Unmarshal([]byte(a.body), &p); err != nil || a.status != status || p.Code != code {
		t.Errorf("%d %.300s; want %d %s", a.status, a.body, status, code)
	}
	return strings.Replace(a.body, p.RequestID, "", 1)
}

// What the provider says of every row.
const (
	providerID = "f00dfeedf00dfeedf00dfeedf00dfeed"
	resultURL  = "https://tempfile.aiquickdraw.com/result.png"
)

// row stores a task of owner's, and what change makes of it.
func (s *site) row(owner string, change ...func(*task.Task) error) *task.Task {
	s.t.Helper()
	r := task.Request{Prompt: "a lighthouse", NumImages: 1}
	r.Normalize()
	t := task.New(task.Draft{Owner: owner, Request: r, Estimate: 4, PublicURL: "https://kept.example"}, s.Now())
	for _, c := range change {
		if err := c(t); err != nil {
			s.t.Fatal(err)
		}
	}
	if _, err := s.Rows.Create(s.t.Context(), t, 0); err != nil {
		s.t.Fatal(err)
	}
	return t
}

// rows stores n tasks for a target, a second apart, and gives their ids, the
// newest first.
func (s *site) rows(owner string, target task.Target, n int) []string {
	s.t.Helper()
	ids := make([]string, n)
	for i := range ids {
		s.Clock.Add(time.Second)
		ids[n-1-i] = s.row(owner, func(x *task.Task) error { x.Target = &target; return nil }).ID
	}
	return ids
}

// change writes a change of a task.
func (s *site) change(id string, change func(*task.Task) error) {
	s.t.Helper()
	t, err := s.Rows.Store.Task(s.t.Context(), id)
	if err == nil {
		_, err = task.Update(s.t.Context(), s.Rows.Store, t, change)
	}
	if err != nil {
		s.t.Error(err)
	}
}

// The changes of a task's life.

func (s *site) accepted(x *task.Task) error { return x.Accepted(s.Rules, s.Now(), 1, providerID) }

func (s *site) silence(x *task.Task) error { return x.Silence(s.Rules, s.Now(), 1) }

func (s *site) refused(code task.Code, again task.Again) func(*task.Task) error {
	return func(x *task.Task) error {
		return x.Refused(s.Rules, s.Now(), 1, task.Refusal{Code: code, Again: again})
	}
}

func (s *site) made(x *task.Task) error {
	if err := s.accepted(x); err != nil {
		return err
	}
	claim, ok := x.Claim(s.Rules, s.Now())
	if !ok {
		return fmt.Errorf("the record of a task that is %s cannot be read", x.Status)
	}
	return x.Learn(s.Rules, s.Now(), claim, task.Record{State: task.Made, Match: task.Names, URLs: []string{resultURL}})
}

func (s *site) succeeded(x *task.Task) error {
	if err := s.made(x); err != nil {
		return err
	}
	return x.Stored(s.Rules, s.Now(), []task.Image{{
		N: 1, File: "1-0123456789abcdef.png", Thumbnail: "1-0123456789abcdef-512.jpg", Width: 32, Height: 24, Bytes: 99,
		ContentType: "image/png", SHA256: "0123456789abcdef" + strings.Repeat("0", 48),
	}})
}

func (s *site) deleted(x *task.Task) error {
	if err := s.succeeded(x); err != nil {
		return err
	}
	return x.Delete(s.Rules, s.Now())
}
