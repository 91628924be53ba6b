package tasks_test

import (
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/preset/nanobanana-functions/shared/httpapi"
	"github.com/preset/nanobanana-functions/shared/lifecycle/lifecycletest"
	"github.com/preset/nanobanana-functions/shared/task"
)

const showcase = `{"kind":"showcase","id":"7"}`

// lives are all statuses, and how a task comes there.
func (s *site) lives() map[task.Status]func(*task.Task) error {
	return map[task.Status]func(*task.Task) error{
		task.Submitting: func(*task.Task) error { return nil }, task.Waiting: s.refused(task.CodePaused, task.RetryLater),
		task.Unconfirmed: s.silence, task.Generating: s.accepted, task.Storing: s.made,
		task.Succeeded: s.succeeded, task.Failed: s.refused(task.CodeProviderRejected, task.RetryNever),
	}
}

// A task in whatever status goes to another target, and nothing else of it
// changes: it is in the new list, at its age, and not in the old.
func TestTarget(t *testing.T) {
	t.Parallel()
	s := serve(t)
	older := s.rows("ada", task.Target{Kind: "showcase", ID: "7"}, 1)
	var moved []string
	for status, life := range s.lives() {
		s.Clock.Add(time.Second)
		before := s.row("ada", func(x *task.Task) error { x.Target = &board; return life(x) })
		s.Clock.Add(time.Second)
		got := s.send("PUT", "/v1/tasks/"+before.ID+"/target", showcase)
		shown := got.task(t)
		if shown.ID != before.ID || shown.Status != status || *shown.Target != (task.Target{Kind: "showcase", ID: "7"}) || !shown.UpdatedAt.Equal(s.Now()) {
			t.Errorf("%s: %s", status, got.Body)
		}
		if cached, again := got.Header.Get("Cache-Control"), got.Header.Get("Retry-After"); cached != "no-store" || (again == "") != shown.Done {
			t.Errorf("%s: Cache-Control %q, Retry-After %q", status, cached, again)
		}
		after := s.stored(before.ID)
		if after.Version != before.Version+1 {
			t.Errorf("%s: version %d after %d", status, after.Version, before.Version)
		}
		after.Target, after.UpdatedAt, after.Version, after.Writer = before.Target, before.UpdatedAt, before.Version, before.Writer
		if !reflect.DeepEqual(after, before) {
			t.Errorf("%s:\ngot  %+v\nwant %+v", status, after, before)
		}
		moved = append(moved, before.ID)
	}
	newer := s.rows("ada", task.Target{Kind: "showcase", ID: "7"}, 1)
	slices.Reverse(moved)
	if got, _ := s.get("/v1/tasks?target=showcase:7").list(t); !slices.Equal(got, slices.Concat(newer, moved, older)) {
		t.Errorf("the new list: %v", got)
	}
	if got, _ := s.get("/v1/tasks?target=moodboard:42").list(t); len(got) != 0 {
		t.Errorf("the old list: %v", got)
	}
}

// Repeated, it is answered again and writes nothing. A task without a target
// gets one, and who waits for the task is told.
func TestTargetAgain(t *testing.T) {
	t.Parallel()
	s := serve(t)
	x := s.row("ada", s.succeeded)
	etag := s.get("/v1/tasks/" + x.ID).Header.Get("Etag")
	first := s.send("PUT", "/v1/tasks/"+x.ID+"/target", showcase)
	puts := s.Rows.Count("put")
	s.Clock.Add(time.Minute)
	if again := s.send("PUT", "/v1/tasks/"+x.ID+"/target", `{"id": "7", "kind": "showcase"}`); again.Body != first.Body || first.task(t).Target == nil {
		t.Errorf("%s, and again %s", first.Body, again.Body)
	}
	if n := s.Rows.Count("put") - puts; n != 0 || puts != 1 {
		t.Errorf("%d puts, and %d by the repeated one", puts, n)
	}
	if got := s.get("/v1/tasks/"+x.ID, "If-None-Match", etag); got.Status != 200 || got.Body != first.Body {
		t.Errorf("with the old ETag: %d %s", got.Status, got.Body)
	}
}

// What is no target is refused, with a pointer to what is wrong and nothing of
// what was sent; the store is not asked.
func TestTargetBody(t *testing.T) {
	t.Parallel()
	s := serve(t)
	x := s.row("ada", func(x *task.Task) error { x.Target = &board; return nil })
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
	before := s.Rows.Total()
	for name, test := range tests {
		got := s.send("PUT", "/v1/tasks/"+x.ID+"/target", test.body, test.headers...)
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
	if n := s.Rows.Total() - before; n != 0 || *s.stored(x.ID).Target != board {
		t.Errorf("%d calls of the store", n)
	}
	if logged := s.Logged.Take(); strings.Contains(strings.ToLower(logged), "secret") {
		t.Errorf("logged: %s", logged)
	}
}

// Another's task, an unknown one and what is no id are one and the same 404 to
// both changes; so is a deleted one to a new target.
func TestChangeOfWhatIsNotYours(t *testing.T) {
	t.Parallel()
	s := serve(t)
	bobs, gone := s.row("bob", s.succeeded), s.row("ada", s.deleted)
	unknown := task.NewID("nobody", "nothing")
	for _, change := range []struct{ method, path, body string }{{"PUT", "/target", showcase}, {"DELETE", "", ""}} {
		want := s.send(change.method, "/v1/tasks/"+unknown+change.path, change.body).Problem(t, 404, task.CodeNotFound)
		ids := []string{bobs.ID, strings.ToUpper(bobs.ID), bobs.ID[1:], "%00", "x", strings.Repeat("a", 5000), "..%2F..%2FQUOTA%23bob"}
		if change.method == "PUT" {
			ids = append(ids, gone.ID)
		}
		for _, id := range ids {
			if got := s.send(change.method, "/v1/tasks/"+id+change.path, change.body).Problem(t, 404, task.CodeNotFound); got != want {
				t.Errorf("%s of %.40s: %s, want %s", change.method, id, got, want)
			}
		}
	}
	if n := s.Rows.Count("put"); n != 0 {
		t.Errorf("%d puts", n)
	}
	if x := s.stored(bobs.ID); x.Deleted() || len(x.Images) != 1 || x.Target != nil {
		t.Errorf("bob's task is %+v", x)
	}
}

// The store's failing, before its write or after, is 503 and says no more; the
// same again is done, or was done. A newer release's row is left alone.
func TestChangeWithTheStoreAway(t *testing.T) {
	t.Parallel()
	s := serve(t)
	for _, change := range []struct {
		method, path, body string
		status             int
	}{{"PUT", "/target", showcase, 200}, {"DELETE", "", "", 204}} {
		for failing, fail := range map[string]func(hook func(string, *task.Task) error){
			"task": func(h func(string, *task.Task) error) { s.Rows.Fail(h, nil) },
			"put":  func(h func(string, *task.Task) error) { s.Rows.Fail(nil, h) }, // its answer is lost
		} {
			for _, err := range []error{lifecycletest.ErrStore, task.ErrBusy} {
				x := s.row("ada", s.succeeded)
				fail(lifecycletest.On(failing, err))
				if body := s.send(change.method, "/v1/tasks/"+x.ID+change.path, change.body).Problem(t, 503, task.CodeUnavailable); strings.Contains(body, "store") {
					t.Errorf("%s: %s", failing, body)
				}
				s.Rows.Fail(nil, nil)
				if got := s.send(change.method, "/v1/tasks/"+x.ID+change.path, change.body); got.Status != change.status {
					t.Errorf("%s again: %d %s", change.method, got.Status, got.Body)
				}
				if n := s.stored(x.ID).Version - x.Version; n != 1 {
					t.Errorf("%s, %s failing: %d writes", change.method, failing, n)
				}
			}
		}
		newer := s.row("ada", func(x *task.Task) error { x.Schema = task.Schema + 1; return nil })
		s.send(change.method, "/v1/tasks/"+newer.ID+change.path, change.body).Problem(t, 503, task.CodeUnavailable)
		if got := s.stored(newer.ID); got.Version != newer.Version {
			t.Errorf("%s has written a newer release's row", change.method)
		}
	}
}

// Neither change says or logs what is nobody's business.
func TestChangesLeakNothing(t *testing.T) {
	t.Parallel()
	s := serve(t)
	var answers strings.Builder
	for _, life := range s.lives() {
		x := s.row("ada", life)
		answers.WriteString(s.send("PUT", "/v1/tasks/"+x.ID+"/target", `{"kind":"secret-kind","id":"secret-id"}`).Body)
		answers.WriteString(s.send("DELETE", "/v1/tasks/"+x.ID, "").Body)
	}
	for _, internal := range []string{providerID, resultURL, `"version"`, `"owner"`, `"ada"`, `"work"`, `"dueAt"`, s.token} {
		if strings.Contains(answers.String(), internal) {
			t.Errorf("an answer has %q", internal)
		}
	}
	logged := s.Logged.Take()
	if strings.Count(logged, `"route":"DELETE /v1/tasks/{id}"`) != 7 || strings.Count(logged, `"route":"PUT /v1/tasks/{id}/target"`) != 7 {
		t.Errorf("logged: %s", logged)
	}
	for _, secret := range []string{s.token, "secret-", "lighthouse", providerID, "tempfile", "/v1/images/"} {
		if strings.Contains(logged, secret) {
			t.Errorf("the log has %q: %s", secret, logged)
		}
	}
}
