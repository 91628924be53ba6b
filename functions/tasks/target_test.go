package tasks_test

import (
	"io"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/preset/nanobanana-functions/functions/tasks"
	"github.com/preset/nanobanana-functions/shared/httpapi"
	"github.com/preset/nanobanana-functions/shared/lifecycle/lifecycletest"
	"github.com/preset/nanobanana-functions/shared/task"
)

const showcase = `{"kind":"showcase","id":"7"}`

// statuses returns, for each status, the change that moves a task there.
func (h *harness) statuses() map[task.Status]func(*task.Task) error {
	return map[task.Status]func(*task.Task) error{
		task.Submitting: func(*task.Task) error { return nil }, task.Waiting: h.refused(task.CodePaused, task.RetryLater),
		task.Unconfirmed: h.unanswered, task.Generating: h.accepted, task.Storing: h.made,
		task.Succeeded: h.succeeded, task.Failed: h.refused(task.CodeProviderRejected, task.RetryNever),
	}
}

// A task in any status can move to another target, and nothing else of it
// changes: it is in the new list, ordered by its age, and no longer in the old
// one.
func TestTarget(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	older := h.addTargetRows("ada", task.Target{Kind: "showcase", ID: "7"}, 1)
	var moved []string
	for status, life := range h.statuses() {
		h.Clock.Add(time.Second)
		before := h.addRow("ada", func(x *task.Task) error { x.Target = &board; return life(x) })
		h.Clock.Add(time.Second)
		got := h.send("PUT", "/v1/tasks/"+before.ID+"/target", showcase)
		shown := got.task(t)
		if shown.ID != before.ID || shown.Status != status || *shown.Target != (task.Target{Kind: "showcase", ID: "7"}) || !shown.UpdatedAt.Equal(h.Now()) {
			t.Errorf("%s: %s", status, got.Body)
		}
		if cached, again := got.Header.Get("Cache-Control"), got.Header.Get("Retry-After"); cached != "no-store" || (again == "") != shown.Done {
			t.Errorf("%s: Cache-Control %q, Retry-After %q", status, cached, again)
		}
		after := h.row(before.ID)
		if after.Version != before.Version+1 {
			t.Errorf("%s: version %d after %d", status, after.Version, before.Version)
		}
		if after.Changes != 0 && !after.Done() || after.Changes != 1 && after.Done() {
			t.Errorf("%s: %d changes since the end", status, after.Changes)
		}
		after.Changes = 0
		after.Target, after.UpdatedAt, after.Version, after.Writer = before.Target, before.UpdatedAt, before.Version, before.Writer
		if !reflect.DeepEqual(after, before) {
			t.Errorf("%s:\ngot  %+v\nwant %+v", status, after, before)
		}
		moved = append(moved, before.ID)
	}
	newer := h.addTargetRows("ada", task.Target{Kind: "showcase", ID: "7"}, 1)
	slices.Reverse(moved)
	if got, _ := h.get("/v1/tasks?target=showcase:7").list(t); !slices.Equal(got, slices.Concat(newer, moved, older)) {
		t.Errorf("the new list: %v", got)
	}
	if got, _ := h.get("/v1/tasks?target=moodboard:42").list(t); len(got) != 0 {
		t.Errorf("the old list: %v", got)
	}
}

// Where notices are on, a finished task's new target is told to Preset; a running
// task's is not, since the notice of its end will have it.
func TestTargetIsTold(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	h.function.Notify = true
	h.handler = tasks.New(h.function)
	for status, life := range h.statuses() {
		x := h.addRow("ada", func(x *task.Task) error { x.Target = &board; return life(x) })
		for range 2 {
			r := h.request("PUT", "/v1/tasks/"+x.ID+"/target", "Content-Type", "application/json")
			r.Body = io.NopCloser(strings.NewReader(showcase))
			if got := h.contract.Serve(t, h.handler, r); got.Status != 200 {
				t.Fatalf("%s: %d %s", status, got.Status, got.Body)
			}
		}
		row := h.row(x.ID)
		if told := row.Notice == task.Pending; told != row.Done() || row.Version != x.Version+1 {
			t.Errorf("%s: notice %q, version %d after %d", status, row.Notice, row.Version, x.Version)
		}
	}
}

// A repeated PUT is answered again and writes nothing. A task without a target
// gets one, and a client that waits for the task sees it.
func TestTargetAgain(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	x := h.addRow("ada", h.succeeded)
	etag := h.get("/v1/tasks/" + x.ID).Header.Get("Etag")
	first := h.send("PUT", "/v1/tasks/"+x.ID+"/target", showcase)
	puts := h.Rows.Count("put")
	h.Clock.Add(time.Minute)
	if again := h.send("PUT", "/v1/tasks/"+x.ID+"/target", `{"id": "7", "kind": "showcase"}`); again.Body != first.Body || first.task(t).Target == nil {
		t.Errorf("%s, and again %s", first.Body, again.Body)
	}
	if n := h.Rows.Count("put") - puts; n != 0 || puts != 1 {
		t.Errorf("%d puts, and %d by the repeated one", puts, n)
	}
	if got := h.get("/v1/tasks/"+x.ID, "If-None-Match", etag); got.Status != 200 || got.Body != first.Body {
		t.Errorf("with the old ETag: %d %s", got.Status, got.Body)
	}
}

// An invalid target is refused with a pointer to the fault, without repeating
// what was sent, and without a store call.
func TestTargetBody(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	x := h.addRow("ada", func(x *task.Task) error { x.Target = &board; return nil })
	long := strings.Repeat("secret-", 30)
	tests := map[string]struct {
		body    string
		status  int
		faults  string // "pointer code", of each
		headers []string
	}{
		"empty":           {``, 400, " required", nil},
		"null":            {`null`, 400, " wrong_type", nil},
		"a list":          {`[]`, 400, " wrong_type", nil},
		"a text":          {`"showcase:7"`, 400, " wrong_type", nil},
		"cut off":         {`{"kind":"showcase"`, 400, " malformed_json", nil},
		"two values":      {showcase + showcase, 400, " malformed_json", nil},
		"as a task's":     {`{"target":` + showcase + `}`, 400, "/target unknown_field", nil},
		"wrong case":      {`{"Kind":"showcase","id":"7"}`, 400, "/Kind unknown_field", nil},
		"more":            {`{"kind":"showcase","id":"7","owner":"bob"}`, 400, "/owner unknown_field", nil},
		"twice":           {`{"kind":"showcase","id":"7","id":"8"}`, 400, "/id duplicate_field", nil},
		"null id":         {`{"kind":"showcase","id":null}`, 400, "/id null", nil},
		"NUL":             {`{"kind":"showcase","id":"\u0000"}`, 400, " invalid_character", nil},
		"no UTF-8":        {"{\"kind\":\"showcase\",\"id\":\"\xff\"}", 400, "/id malformed_json", nil},
		"number":          {`{"kind":"showcase","id":7}`, 422, "/id wrong_type", nil},
		"nothing":         {`{}`, 422, "/kind invalid, /id invalid", nil},
		"no id":           {`{"kind":"showcase"}`, 422, "/id invalid", nil},
		"no kind":         {`{"id":"7"}`, 422, "/kind invalid", nil},
		"kind in capital": {`{"kind":"Secret","id":"7"}`, 422, "/kind invalid", nil},
		"kind of path":    {`{"kind":"../secret","id":"7"}`, 422, "/kind invalid", nil},
		"long kind":       {`{"kind":"` + long + `","id":"7"}`, 422, "/kind invalid", nil},
		"empty id":        {`{"kind":"showcase","id":""}`, 422, "/id invalid", nil},
		"blank in id":     {`{"kind":"showcase","id":"secret 7"}`, 422, "/id invalid", nil},
		"line in id":      {`{"kind":"showcase","id":"7\n{\"level\":\"secret\"}"}`, 422, "/id invalid", nil},
		"long id":         {`{"kind":"showcase","id":"` + long + `"}`, 422, "/id invalid", nil},
		"as text":         {showcase, 415, "", []string{"Content-Type", "text/plain"}},
		"no type":         {showcase, 415, "", []string{"Content-Type", ""}},
		"compressed":      {showcase, 415, "", []string{"Content-Encoding", "gzip"}},
		"too large":       {`{"kind":"showcase","id":"` + strings.Repeat("7", 256<<10) + `"}`, 413, "", nil},
	}
	codes := map[int]task.Code{400: task.CodeInvalidRequest, 422: task.CodeInvalidRequest, 413: task.CodeBodyTooLarge, 415: task.CodeUnsupportedMediaType}
	before := h.Rows.Total()
	for name, test := range tests {
		got := h.send("PUT", "/v1/tasks/"+x.ID+"/target", test.body, test.headers...)
		got.Problem(t, test.status, codes[test.status])
		var p httpapi.Problem
		got.JSON(t, test.status, &p)
		var faults []string
		for _, f := range p.Errors {
			faults = append(faults, f.Pointer+" "+f.Code)
		}
		if strings.Join(faults, ", ") != test.faults || strings.Contains(strings.ToLower(got.Body), "secret") {
			t.Errorf("%s: %q, %s", name, faults, got.Body)
		}
	}
	if n := h.Rows.Total() - before; n != 0 || *h.row(x.ID).Target != board {
		t.Errorf("%d calls of the store", n)
	}
	if logged := h.Logged.Take(); strings.Contains(strings.ToLower(logged), "secret") {
		t.Errorf("logged: %s", logged)
	}
}

// Both changes answer the same 404 for another owner's task, an unknown one and
// an invalid id; a new target also for a deleted task.
func TestChangeNotFound(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	bobs, gone := h.addRow("bob", h.succeeded), h.addRow("ada", h.deleted)
	unknown := task.NewID("nobody", "nothing")
	for _, change := range []struct{ method, path, body string }{{"PUT", "/target", showcase}, {"DELETE", "", ""}} {
		want := h.send(change.method, "/v1/tasks/"+unknown+change.path, change.body).Problem(t, 404, task.CodeNotFound)
		ids := []string{bobs.ID, strings.ToUpper(bobs.ID), bobs.ID[1:], "%00", "x", strings.Repeat("a", 5000), "..%2F..%2FQUOTA%23bob"}
		if change.method == "PUT" {
			ids = append(ids, gone.ID)
		}
		for _, id := range ids {
			if got := h.send(change.method, "/v1/tasks/"+id+change.path, change.body).Problem(t, 404, task.CodeNotFound); got != want {
				t.Errorf("%s of %.40s: %s, want %s", change.method, id, got, want)
			}
		}
	}
	if n := h.Rows.Count("put"); n != 0 {
		t.Errorf("%d puts", n)
	}
	if x := h.row(bobs.ID); x.Deleted() || len(x.Images) != 1 || x.Target != nil {
		t.Errorf("bob's task is %+v", x)
	}
}

// A store that fails before or after its write is answered 503 without detail;
// a retry succeeds. The row of a newer release is left alone.
func TestChangeStoreFails(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	for _, change := range []struct {
		method, path, body string
		status             int
	}{{"PUT", "/target", showcase, 200}, {"DELETE", "", "", 204}} {
		for failing, fail := range map[string]func(hook func(string, *task.Task) error){
			"task": func(hook func(string, *task.Task) error) { h.Rows.Fail(hook, nil) },
			"put":  func(hook func(string, *task.Task) error) { h.Rows.Fail(nil, hook) }, // its answer is lost
		} {
			for _, err := range []error{lifecycletest.ErrStore, task.ErrBusy} {
				x := h.addRow("ada", h.succeeded)
				fail(lifecycletest.On(failing, err))
				if body := h.send(change.method, "/v1/tasks/"+x.ID+change.path, change.body).Problem(t, 503, task.CodeUnavailable); strings.Contains(body, "store") {
					t.Errorf("%s: %s", failing, body)
				}
				h.Rows.Fail(nil, nil)
				if got := h.send(change.method, "/v1/tasks/"+x.ID+change.path, change.body); got.Status != change.status {
					t.Errorf("%s again: %d %s", change.method, got.Status, got.Body)
				}
				if n := h.row(x.ID).Version - x.Version; n != 1 {
					t.Errorf("%s, %s failing: %d writes", change.method, failing, n)
				}
			}
		}
		newer := h.addRow("ada", func(x *task.Task) error { x.Schema = task.Schema + 1; return nil })
		h.send(change.method, "/v1/tasks/"+newer.ID+change.path, change.body).Problem(t, 503, task.CodeUnavailable)
		if got := h.row(newer.ID); got.Version != newer.Version {
			t.Errorf("%s wrote a newer release's row", change.method)
		}
	}
}

// Neither change answers or logs internals or what users wrote.
func TestChangesLeakNothing(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	var answers strings.Builder
	for _, life := range h.statuses() {
		x := h.addRow("ada", life)
		answers.WriteString(h.send("PUT", "/v1/tasks/"+x.ID+"/target", `{"kind":"secret-kind","id":"secret-id"}`).Body)
		answers.WriteString(h.send("DELETE", "/v1/tasks/"+x.ID, "").Body)
	}
	for _, internal := range []string{providerID, resultURL, `"version"`, `"owner"`, `"ada"`, `"work"`, `"dueAt"`, h.token} {
		if strings.Contains(answers.String(), internal) {
			t.Errorf("an answer has %q", internal)
		}
	}
	logged := h.Logged.Take()
	if strings.Count(logged, `"route":"DELETE /v1/tasks/{id}"`) != 7 || strings.Count(logged, `"route":"PUT /v1/tasks/{id}/target"`) != 7 {
		t.Errorf("logged: %s", logged)
	}
	for _, secret := range []string{h.token, "secret-", "lighthouse", providerID, "tempfile", "/v1/images/"} {
		if strings.Contains(logged, secret) {
			t.Errorf("the log has %q: %s", secret, logged)
		}
	}
}
