// Package tasks is GET /v1/tasks/{id} and GET /v1/tasks: how one's tasks are,
// now or as soon as something about them changes; and what can be changed of
// them: PUT /v1/tasks/{id}/target, and DELETE /v1/tasks/{id}.
package tasks

import (
	"cmp"
	"context"
	"errors"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/preset/nanobanana-functions/shared/auth"
	"github.com/preset/nanobanana-functions/shared/httpapi"
	"github.com/preset/nanobanana-functions/shared/task"
)

const (
	maxIDs   = 50
	maxWait  = 20          // seconds a client may wish for
	lookEach = time.Second // a waiting client costs the store one read a second

	// maxPage is how long a page may be that has more than maxIDs tasks, which at
	// their longest make 5 MB. Lambda hands over 6 MiB, and packs the body into JSON
	// once more, where it may grow to twice its size.
	maxPage = 3 << 20
)

// Function is what the endpoints need.
type Function struct {
	Auth    *auth.Verifier
	Store   task.Store
	View    httpapi.View
	WaitMax time.Duration // caps ?wait=
	Rules   task.Rules    // a task that is cancelled ends by them
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
		f.View.ExpectedSeconds = (&task.Durations{Store: f.Store, Now: f.View.Now}).Expected
	}
	handle("GET /v1/tasks/{id}", httpapi.Handler(f.Log, f.one))
	handle("GET /v1/tasks", httpapi.Handler(f.Log, f.many))
	handle("PUT /v1/tasks/{id}/target", httpapi.Handler(f.Log, f.retarget))
	handle("DELETE /v1/tasks/{id}", httpapi.Handler(f.Log, f.remove))
}

func (f Function) one(r *http.Request) (httpapi.Answer, error) {
	owner, err := f.Auth.Owner(r.Context(), r)
	if err != nil {
		return httpapi.Answer{}, err
	}
	q, err := httpapi.Query(r, "wait")
	if err != nil {
		return httpapi.Answer{}, err
	}
	wait, err := httpapi.QueryInt(q, "wait", 0, 1, maxWait)
	if err != nil {
		return httpapi.Answer{}, err
	}
	id := r.PathValue("id")
	return f.watch(r, wait, func(ctx context.Context) (sight, error) {
		t, err := f.own(ctx, owner, id)
		if err != nil {
			return sight{}, err
		}
		shown, err := f.View.Task(ctx, t)
		return sight{one: true, rows: []*task.Task{t}, page: list{Tasks: []httpapi.Task{shown}}}, err
	})
}

// own reads a task. Another owner's, a deleted and an unknown one look alike.
func (f Function) own(ctx context.Context, owner, id string) (*task.Task, error) {
	t, err := f.mine(ctx, owner, id)
	if err == nil && t.Deleted() {
		return nil, task.ErrNotFound
	}
	return t, err
}

// mine is own, but for a deleted task, which it gives.
func (f Function) mine(ctx context.Context, owner, id string) (*task.Task, error) {
	if !task.ValidID(id) {
		return nil, task.ErrNotFound
	}
	t, err := f.Store.Task(ctx, id)
	if err == nil && t.Owner != owner {
		return nil, task.ErrNotFound
	}
	return t, away(err)
}

// away is what an error of the store is from outside: unless it is an answer,
// the store's failing, which passes.
func away(err error) error {
	if err == nil || errors.Is(err, task.ErrNotFound) || errors.Is(err, task.ErrCursor) {
		return err
	}
	return &task.Error{Code: task.CodeUnavailable, Err: err}
}

// list is a page of tasks.
type list struct {
	Tasks  []httpapi.Task `json:"tasks"`
	Cursor string         `json:"cursor,omitempty"`
}

func (f Function) many(r *http.Request) (httpapi.Answer, error) {
	owner, err := f.Auth.Owner(r.Context(), r)
	if err != nil {
		return httpapi.Answer{}, err
	}
	q, err := httpapi.Query(r, "target", "limit", "cursor", "ids", "wait")
	if err != nil {
		return httpapi.Answer{}, err
	}
	limit, err := httpapi.QueryInt(q, "limit", 50, 1, 100)
	if err != nil {
		return httpapi.Answer{}, err
	}
	wait, err := httpapi.QueryInt(q, "wait", 0, 1, maxWait)
	if err != nil {
		return httpapi.Answer{}, err
	}
	switch byIDs := q.Has("ids"); {
	case byIDs && (q.Has("target") || q.Has("limit") || q.Has("cursor")):
		return httpapi.Answer{}, badQuery("Give either ids, or target with limit and cursor.")
	case byIDs:
		ids := strings.Split(q.Get("ids"), ",")
		if len(ids) > maxIDs {
			return httpapi.Answer{}, badQuery("At most 50 ids at a time.")
		}
		return f.watch(r, wait, func(ctx context.Context) (sight, error) {
			return f.show(ctx, owner, ids, "")
		})
	case wait > 0:
		return httpapi.Answer{}, badQuery("Waiting needs ids.")
	}
	target, ok := task.ParseTarget(q.Get("target"))
	if !ok {
		return httpapi.Answer{}, badQuery("Give target=KIND:ID, such as moodboard:42, or ids=A,B.")
	}
	return f.watch(r, 0, func(ctx context.Context) (sight, error) {
		return f.page(ctx, owner, target, limit, q.Get("cursor"))
	})
}

// page reads a page of a target's tasks: shorter than it may be where its tasks are
// so long that Lambda would not hand over more.
func (f Function) page(ctx context.Context, owner string, target task.Target, limit int, cursor string) (sight, error) {
	for ; ; limit /= 2 {
		ids, next, err := f.Store.List(ctx, owner, target, limit, cursor)
		if err != nil {
			return sight{}, away(err)
		}
		seen, err := f.show(ctx, owner, ids, next)
		if err != nil || limit <= maxIDs {
			return seen, err
		}
		if body, err := httpapi.Encode(seen.body()); err != nil || len(body) <= maxPage {
			return seen, err
		}
	}
}

// sight is what a look at tasks sees.
type sight struct {
	one  bool // a task, not a list
	page list
	rows []*task.Task // of what is on the page
}

// body is what is answered.
func (s sight) body() any {
	if s.one {
		return s.page.Tasks[0]
	}
	return s.page
}

// etag is the tag of all that is seen but progress: that time passes is no
// news, to be sent again or to be woken by.
func (s sight) etag() (string, error) {
	s.page.Tasks = slices.Clone(s.page.Tasks)
	for i := range s.page.Tasks {
		s.page.Tasks[i].Progress = nil
	}
	still, err := httpapi.Encode(s.body())
	return httpapi.ETagOf(still), err
}

func badQuery(message string) error {
	return task.Malformed(task.Field{Code: "invalid", Message: message})
}

// show reads those of ids that are the owner's.
func (f Function) show(ctx context.Context, owner string, ids []string, cursor string) (sight, error) {
	valid := make([]string, 0, len(ids))
	for _, id := range ids {
		if task.ValidID(id) {
			valid = append(valid, id)
		}
	}
	found, err := f.Store.Tasks(ctx, valid)
	if err != nil {
		return sight{}, away(err)
	}
	page := list{Tasks: []httpapi.Task{}, Cursor: cursor}
	own := found[:0]
	for _, t := range found {
		if t.Owner != owner || t.Deleted() {
			continue
		}
		shown, err := f.View.ListItem(ctx, t)
		if err != nil {
			return sight{}, err
		}
		own = append(own, t)
		page.Tasks = append(page.Tasks, shown)
	}
	return sight{page: page, rows: own}, nil
}

// watch answers what look sees, at once or, where the client wishes to wait,
// as soon as that is not what it was: what the client has, by If-None-Match,
// or else what it was at first.
func (f Function) watch(r *http.Request, wait int, look func(context.Context) (sight, error)) (httpapi.Answer, error) {
	begun, patience := time.Now(), min(time.Duration(wait)*time.Second, f.WaitMax)
	looks := time.NewTicker(lookEach)
	defer looks.Stop()
	first := ""
	for {
		seen, err := look(r.Context())
		if err != nil {
			return httpapi.Answer{}, err
		}
		etag, err := seen.etag()
		if err != nil {
			return httpapi.Answer{}, err
		}
		header := http.Header{"Etag": {etag}, "Cache-Control": {"private, no-cache"}}
		after := httpapi.RetryAfter(seen.rows...)
		if after != "" {
			header.Set("Retry-After", after)
		}
		has := httpapi.NotModified(r, etag)
		first = cmp.Or(first, etag)
		news := etag != first || r.Header.Get("If-None-Match") != "" && !has
		if after != "" && !news && time.Since(begun) < patience && pause(r.Context(), looks.C) {
			continue
		}
		if has {
			return httpapi.Answer{Status: http.StatusNotModified, Header: header}, nil
		}
		return httpapi.Answer{Header: header, Body: seen.body()}, nil
	}
}

// pause waits for the next look, and says whether there is time for one.
func pause(ctx context.Context, look <-chan time.Time) bool {
	select {
	case <-ctx.Done():
		return false
	case <-look:
		return ctx.Err() == nil
	}
}
