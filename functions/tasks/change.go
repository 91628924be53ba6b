package tasks

import (
	"context"
	"errors"
	"net/http"

	"github.com/preset/nanobanana-functions/shared/httpapi"
	"github.com/preset/nanobanana-functions/shared/lifecycle"
	"github.com/preset/nanobanana-functions/shared/task"
)

// maxBody is the longest body in bytes, as everywhere in the API.
const maxBody = 256 << 10

// fieldHints help a client that sends the target as a task has it.
var fieldHints = map[string]string{"/target": "Give kind and id by themselves."}

// retarget is PUT /v1/tasks/{id}/target.
func (f Function) retarget(r *http.Request, owner string) (httpapi.Answer, error) {
	to, err := httpapi.Decode[task.Target](r, maxBody, fieldHints)
	if err != nil {
		return httpapi.Answer{}, err
	}
	if fields := to.Faults(); len(fields) > 0 {
		return httpapi.Answer{}, task.Invalid(fields...)
	}
	t, err := f.change(r.Context(), owner, r.PathValue("id"), func(x *task.Task) error { return x.SetTarget(f.rules(), to, f.Now()) })
	if err != nil {
		return httpapi.Answer{}, err
	}
	shown, err := f.View.Task(r.Context(), t)
	if err != nil {
		return httpapi.Answer{}, err
	}
	header := http.Header{}
	if after := httpapi.RetryAfter(t); after != "" {
		header.Set("Retry-After", after)
	}
	return httpapi.Answer{Header: header, Body: shown}, nil
}

// remove is DELETE /v1/tasks/{id}; with cancel=1 it deletes a waiting task only. A
// repeated DELETE is 204 too and writes nothing: a client that lost the first answer
// learns that the task is gone.
func (f Function) remove(r *http.Request, owner string) (httpapi.Answer, error) {
	q, err := httpapi.Query(r, "cancel")
	if err != nil {
		return httpapi.Answer{}, err
	}
	cancel, err := httpapi.QueryInt(q, "cancel", 0, 0, 1)
	if err != nil {
		return httpapi.Answer{}, err
	}
	remove := (*task.Task).Delete
	if cancel == 1 {
		remove = (*task.Task).Cancel
	}
	_, err = f.change(r.Context(), owner, r.PathValue("id"), func(x *task.Task) error { return remove(x, f.rules(), f.Now()) })
	return httpapi.Answer{Status: http.StatusNoContent}, err
}

// rules are those that a change by the owner depends on.
func (f Function) rules() task.Rules { return task.Rules{Notify: f.Notify} }

// change applies change to a task of owner's and returns the changed task.
func (f Function) change(ctx context.Context, owner, id string, change func(*task.Task) error) (*task.Task, error) {
	t, err := f.ownedRow(ctx, owner, id)
	if err != nil {
		return nil, err
	}
	var refused error // the row does not allow the change: an answer, no store error
	t, err = lifecycle.Update(ctx, f.Log, f.Store, t, func(x *task.Task) error {
		refused = change(x)
		return refused
	})
	if errors.Is(err, task.ErrStuck) || refused != nil {
		return nil, err
	}
	return t, storeError(err)
}
