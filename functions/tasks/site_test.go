package tasks_test

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/preset/nanobanana-functions/functions/tasks"
	"github.com/preset/nanobanana-functions/shared/httpapi"
	"github.com/preset/nanobanana-functions/shared/httpapi/httpapitest"
	"github.com/preset/nanobanana-functions/shared/lifecycle/lifecycletest"
	"github.com/preset/nanobanana-functions/shared/task"
)

// site is the function, over HTTP and by itself, and what stands behind it.
type site struct {
	*lifecycletest.Harness
	t        testing.TB
	identity *lifecycletest.Identity
	function tasks.Function
	handler  http.Handler
	token    string // ada's
	contract *httpapitest.Contract
}

func serve(t testing.TB) *site {
	t.Helper()
	s := &site{Harness: lifecycletest.New(t), t: t, contract: httpapitest.Load(t)}
	s.identity = s.Identity(t)
	s.function = tasks.Function{
		Auth: s.identity.Verifier, Store: s.Rows, View: httpapi.View{PublicURL: s.Settings.PublicURL, Secrets: s.Secrets, Now: s.Clock.Now},
		WaitMax: 20 * time.Second, Rules: s.Rules, Now: s.Clock.Now, Log: s.Log,
	}
	s.handler = tasks.New(s.function)
	s.Mux.Handle("/v1/tasks", s.handler)
	s.Mux.Handle("/v1/tasks/", s.handler)
	s.token = s.identity.Token("ada")
	return s
}

// answer is what the function said.
type answer struct{ httpapitest.Answer }

// request is one as ada, with headers as [httpapitest.NewRequest] takes them.
func (s *site) request(method, path string, header ...string) *http.Request {
	s.t.Helper()
	header = append([]string{"Authorization", "Bearer " + s.token}, header...)
	return httpapitest.NewRequest(s.t, method, s.Settings.PublicURL+path, nil, header...)
}

// send asks for a change over HTTP.
func (s *site) send(method, path, body string, header ...string) answer {
	s.t.Helper()
	header = append([]string{"Authorization", "Bearer " + s.token, "Content-Type", "application/json"}, header...)
	return answer{s.contract.Do(s.t, httpapitest.NewRequest(s.t, method, s.Settings.PublicURL+path, strings.NewReader(body), header...))}
}

// get asks over HTTP.
func (s *site) get(path string, header ...string) answer {
	s.t.Helper()
	return answer{s.contract.Do(s.t, s.request(http.MethodGet, path, header...))}
}

// ask calls the handler for as long as ctx, with no network between.
func (s *site) ask(ctx context.Context, path string, header ...string) answer {
	s.t.Helper()
	return answer{s.contract.Serve(s.t, s.handler, s.request(http.MethodGet, path, header...).WithContext(ctx))}
}

// task reads the answer as a task.
func (a answer) task(t testing.TB) (shown httpapi.Task) {
	t.Helper()
	a.JSON(t, http.StatusOK, &shown)
	return shown
}

// list reads the answer as a list: its tasks' ids, and the cursor.
func (a answer) list(t testing.TB) (ids []string, cursor string) {
	t.Helper()
	var page struct {
		Tasks  []httpapi.Task
		Cursor string
	}
	a.JSON(t, http.StatusOK, &page)
	for _, x := range page.Tasks {
		ids = append(ids, x.ID)
	}
	return ids, page.Cursor
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

// stored is a task's row as it stands.
func (s *site) stored(id string) *task.Task {
	s.t.Helper()
	x, err := s.Rows.Store.Task(s.t.Context(), id)
	if err != nil {
		s.t.Fatal(err)
	}
	return x
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

func (s *site) silence(x *task.Task) error { return x.Unanswered(s.Rules, s.Now(), 1) }

func (s *site) refused(code task.Code, again task.Retry) func(*task.Task) error {
	return func(x *task.Task) error {
		return x.Refused(s.Rules, s.Now(), 1, task.Refusal{Code: code, Retry: again})
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
	return x.ApplyRecord(s.Rules, s.Now(), claim, task.Record{State: task.RecordMade, Match: task.MatchOwn, URLs: []string{resultURL}})
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
