// Package tasks is GET /v1/tasks/{id} and GET /v1/tasks, which show an owner's
// tasks now or as soon as something about them changes, and the two ways to
// change one: PUT /v1/tasks/{id}/target and DELETE /v1/tasks/{id}.
package tasks

import (
	"cmp"
	"context"
	"errors"
	"log/slog"
	"net/http"
	"slices"
	"time"

	"github.com/preset/nanobanana-functions/shared/auth"
	"github.com/preset/nanobanana-functions/shared/httpapi"
	"github.com/preset/nanobanana-functions/shared/lifecycle"
	"github.com/preset/nanobanana-functions/shared/task"
)

const maxWait = 20 // seconds a client may ask to wait

// Function is what the endpoints need.
type Function struct {
	Auth    *auth.Verifier
	Store   task.Store
	View    httpapi.View
	WaitMax time.Duration     // caps ?wait=
	Notify  bool              // Preset is notified of moves and deletes
	Reader  *lifecycle.Reader // has overdue tasks read while a client waits
	Now     func() time.Time
	Log     *slog.Logger
}

// New returns the function's handler.
func New(f Function) http.Handler {
	mux := http.NewServeMux()
	Register(mux.Handle, f)
	return httpapi.Mux(f.Log, mux)
}

// Register adds the function's routes to a mux, whose Handle method is handle.
func Register(handle func(pattern string, h http.Handler), f Function) {
	if f.View.ExpectedSeconds == nil {
		f.View.ExpectedSeconds = (&task.Durations{Store: f.Store, Now: f.Now}).Expected
	}
	handle("GET /v1/tasks/{id}", httpapi.Handler(f.Log, httpapi.ForOwner(f.Auth.Owner, f.get)))
	handle("GET /v1/tasks", httpapi.Handler(f.Log, httpapi.ForOwner(f.Auth.Owner, f.list)))
	handle("PUT /v1/tasks/{id}/target", httpapi.Handler(f.Log, httpapi.ForOwner(f.Auth.Owner, f.retarget)))
	handle("DELETE /v1/tasks/{id}", httpapi.Handler(f.Log, httpapi.ForOwner(f.Auth.Owner, f.remove)))
}

func (f Function) get(r *http.Request, owner string) (httpapi.Answer, error) {
	q, err := httpapi.Query(r, "wait")
	if err != nil {
		return httpapi.Answer{}, err
	}
	wait, err := httpapi.QueryInt(q, "wait", 0, 1, maxWait)
	if err != nil {
		return httpapi.Answer{}, err
	}
	return f.watch(r, wait, func(ctx context.Context) (snapshot, error) {
		t, err := f.ownedTask(ctx, owner, r.PathValue("id"))
		if err != nil {
			return snapshot{}, err
		}
		shown, err := f.View.Task(ctx, t)
		return snapshot{single: true, page: taskPage{Tasks: []httpapi.Task{shown}}, rows: []*task.Task{t}}, err
	})
}

// ownedTask reads a task of owner's. A task of somebody else, a deleted and an
// unknown one are all not found.
func (f Function) ownedTask(ctx context.Context, owner, id string) (*task.Task, error) {
	t, err := f.ownedRow(ctx, owner, id)
	if err == nil && t.Deleted() {
		return nil, task.ErrNotFound
	}
	return t, err
}

// ownedRow is like ownedTask but also returns deleted tasks.
func (f Function) ownedRow(ctx context.Context, owner, id string) (*task.Task, error) {
	if !task.ValidID(id) {
		return nil, task.ErrNotFound
	}
	t, err := f.Store.Task(ctx, id)
	if err == nil && t.Owner != owner {
		return nil, task.ErrNotFound
	}
	return t, storeError(err)
}

// storeError maps a store error for the client: not-found and bad-cursor pass
// through; anything else is temporary unavailability.
func storeError(err error) error {
	if err == nil || errors.Is(err, task.ErrNotFound) || errors.Is(err, task.ErrCursor) {
		return err
	}
	return &task.Error{Code: task.CodeUnavailable, Err: err}
}

// snapshot is one read of the tasks that a request asks for.
type snapshot struct {
	single bool // one task, not a list
	page   taskPage
	rows   []*task.Task // of the tasks on the page
}

// body returns the answer's body.
func (s snapshot) body() any {
	if s.single {
		return s.page.Tasks[0]
	}
	return s.page
}

// etag returns the entity tag of everything except progress: passing time alone
// is no reason to send the answer again or to end a wait.
func (s snapshot) etag() (string, error) {
	s.page.Tasks = slices.Clone(s.page.Tasks)
	for i := range s.page.Tasks {
		s.page.Tasks[i].Progress = nil
	}
	body, err := httpapi.Encode(s.body())
	return httpapi.ETagOf(body), err
}

// watch answers with what read returns: at once or, if the client waits, as soon
// as that changes. It compares with what the client has (If-None-Match), or else
// with the first read. An overdue task's record is read once meanwhile.
func (f Function) watch(r *http.Request, wait int, read func(context.Context) (snapshot, error)) (httpapi.Answer, error) {
	end := time.Now().Add(min(time.Duration(wait)*time.Second, f.WaitMax))
	first, tried := "", false
	for {
		looked := time.Now()
		s, err := read(r.Context())
		if err != nil {
			return httpapi.Answer{}, err
		}
		etag, err := s.etag()
		if err != nil {
			return httpapi.Answer{}, err
		}
		header := http.Header{"Etag": {etag}, "Cache-Control": {"private, no-cache"}}
		after := httpapi.RetryAfter(s.rows...)
		if after != "" {
			header.Set("Retry-After", after)
		}
		unchanged := httpapi.NotModified(r, etag)
		first = cmp.Or(first, etag)
		changed := etag != first || r.Header.Get("If-None-Match") != "" && !unchanged
		watching := after != "" && !changed
		switch {
		case watching && !tried && f.readOverdue(r.Context(), s, end):
			tried = true // and look at once
		case watching && f.rest(r.Context(), s, looked, end):
		case unchanged:
			return httpapi.Answer{Status: http.StatusNotModified, Header: header}, nil
		default:
			return httpapi.Answer{Header: header, Body: s.body()}, nil
		}
	}
}
