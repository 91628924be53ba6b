package tasks_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/preset/nanobanana-functions/functions/tasks"
	"github.com/preset/nanobanana-functions/shared/httpapi"
	"github.com/preset/nanobanana-functions/shared/httpapi/httpapitest"
	"github.com/preset/nanobanana-functions/shared/lifecycle"
	"github.com/preset/nanobanana-functions/shared/lifecycle/lifecycletest"
	"github.com/preset/nanobanana-functions/shared/task"
)

// harness is the function, over HTTP and directly, with everything behind it.
type harness struct {
	*lifecycletest.Harness
	t        testing.TB
	identity *lifecycletest.Identity
	function tasks.Function
	handler  http.Handler
	token    string // ada's
	contract *httpapitest.Contract
}

func newHarness(t testing.TB) *harness {
	t.Helper()
	h := &harness{Harness: lifecycletest.New(t), t: t, contract: httpapitest.Load(t)}
	h.identity = h.Identity(t)
	h.function = tasks.Function{
		Auth: h.identity.Verifier, Store: h.Rows, View: httpapi.View{PublicURL: h.Settings.PublicURL, Secrets: h.Secrets, Now: h.Clock.Now},
		WaitMax: 20 * time.Second, Reader: lifecycle.NewReader(h.Service), Now: h.Clock.Now, Log: h.Log,
	}
	h.handler = tasks.New(h.function)
	h.Mux.Handle("/v1/tasks", h.handler)
	h.Mux.Handle("/v1/tasks/", h.handler)
	h.token = h.identity.Token("ada")
	return h
}

// answer is the function's answer.
type answer struct{ httpapitest.Answer }

// request returns a request by ada, with headers as [httpapitest.NewRequest]
// takes them.
func (h *harness) request(method, path string, header ...string) *http.Request {
	h.t.Helper()
	header = append([]string{"Authorization", "Bearer " + h.token}, header...)
	return httpapitest.NewRequest(h.t, method, h.Settings.PublicURL+path, nil, header...)
}

// send sends a change over HTTP.
func (h *harness) send(method, path, body string, header ...string) answer {
	h.t.Helper()
	header = append([]string{"Authorization", "Bearer " + h.token, "Content-Type", "application/json"}, header...)
	return answer{h.contract.Do(h.t, httpapitest.NewRequest(h.t, method, h.Settings.PublicURL+path, strings.NewReader(body), header...))}
}

// get sends a GET over HTTP.
func (h *harness) get(path string, header ...string) answer {
	h.t.Helper()
	return answer{h.contract.Do(h.t, h.request(http.MethodGet, path, header...))}
}

// serve calls the handler directly, with ctx.
func (h *harness) serve(ctx context.Context, path string, header ...string) answer {
	h.t.Helper()
	return answer{h.contract.Serve(h.t, h.handler, h.request(http.MethodGet, path, header...).WithContext(ctx))}
}

// task decodes the answer as a task.
func (a answer) task(t testing.TB) (shown httpapi.Task) {
	t.Helper()
	a.JSON(t, http.StatusOK, &shown)
	return shown
}

// first decodes the answer as a task, or as a list that begins with it.
func (a answer) first(t testing.TB) httpapi.Task {
	t.Helper()
	var shown struct {
		httpapi.Task
		Tasks []httpapi.Task
	}
	a.JSON(t, http.StatusOK, &shown)
	return append(shown.Tasks, shown.Task)[0]
}

// list decodes the answer as a list and returns its tasks' ids and the cursor.
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

// fault returns the only fault that a request was refused for.
func (a answer) fault(t testing.TB) httpapi.ProblemField {
	t.Helper()
	a.Problem(t, http.StatusBadRequest, task.CodeInvalidRequest)
	var p httpapi.Problem
	if err := json.Unmarshal([]byte(a.Body), &p); err != nil || len(p.Errors) != 1 {
		t.Fatalf("%v: %s", err, a.Body)
	}
	return p.Errors[0]
}

// What the provider answers for every row.
const (
	providerID = "f00dfeedf00dfeedf00dfeedf00dfeed"
	resultURL  = "https://tempfile.aiquickdraw.com/result.png"
)

// addRow stores a task of owner's after applying the changes.
func (h *harness) addRow(owner string, change ...func(*task.Task) error) *task.Task {
	h.t.Helper()
	r := task.Request{Prompt: "a lighthouse", NumImages: 1}
	r.Normalize()
	t := task.New(task.Draft{Owner: owner, Request: r, Estimate: 4, PublicURL: "https://kept.example"}, h.Now())
	for _, c := range change {
		if err := c(t); err != nil {
			h.t.Fatal(err)
		}
	}
	if _, err := h.Rows.Create(h.t.Context(), t, 0); err != nil {
		h.t.Fatal(err)
	}
	return t
}

// addTargetRows stores n tasks for a target, a second apart, and returns their
// ids, the newest first.
func (h *harness) addTargetRows(owner string, target task.Target, n int) []string {
	h.t.Helper()
	ids := make([]string, n)
	for i := range ids {
		h.Clock.Add(time.Second)
		ids[n-1-i] = h.addRow(owner, func(x *task.Task) error { x.Target = &target; return nil }).ID
	}
	return ids
}

// row returns a task's row as stored.
func (h *harness) row(id string) *task.Task {
	h.t.Helper()
	x, err := h.Rows.Store.Task(h.t.Context(), id)
	if err != nil {
		h.t.Fatal(err)
	}
	return x
}

// change applies a change to a task and stores it.
func (h *harness) change(id string, change func(*task.Task) error) {
	h.t.Helper()
	t, err := h.Rows.Store.Task(h.t.Context(), id)
	if err == nil {
		_, err = task.Update(h.t.Context(), h.Rows.Store, t, change)
	}
	if err != nil {
		h.t.Error(err)
	}
}

// The changes that move a task to a status.

func (h *harness) accepted(x *task.Task) error { return x.Accepted(h.Rules, h.Now(), 1, providerID) }

func (h *harness) unanswered(x *task.Task) error { return x.Unanswered(h.Rules, h.Now(), 1) }

func (h *harness) refused(code task.Code, again task.Retry) func(*task.Task) error {
	return func(x *task.Task) error {
		return x.Refused(h.Rules, h.Now(), 1, task.Refusal{Code: code, Retry: again})
	}
}

func (h *harness) made(x *task.Task) error {
	if err := h.accepted(x); err != nil {
		return err
	}
	return h.recorded(x)
}

func (h *harness) recorded(x *task.Task) error {
	claim, ok := x.Claim(h.Rules, h.Now())
	if !ok {
		return fmt.Errorf("the record of a task that is %s cannot be read", x.Status)
	}
	return x.ApplyRecord(h.Rules, h.Now(), claim, task.Record{State: task.RecordMade, Match: task.MatchOwn, URLs: []string{resultURL}})
}

func (h *harness) succeeded(x *task.Task) error {
	if err := h.made(x); err != nil {
		return err
	}
	return h.stored(x)
}

func (h *harness) stored(x *task.Task) error {
	return x.Stored(h.Rules, h.Now(), []task.Image{{
		N: 1, File: "1-0123456789abcdef.png", Thumbnail: "1-0123456789abcdef-512.jpg", Width: 32, Height: 24, Bytes: 99,
		ContentType: "image/png", SHA256: "0123456789abcdef" + strings.Repeat("0", 48),
	}})
}

func (h *harness) deleted(x *task.Task) error {
	if err := h.succeeded(x); err != nil {
		return err
	}
	return x.Delete(h.Rules, h.Now())
}
