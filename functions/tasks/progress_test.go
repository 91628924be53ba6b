package tasks_test

import (
	"strings"
	"testing"
	"time"

	"github.com/preset/nanobanana-functions/shared/httpapi"
	"github.com/preset/nanobanana-functions/shared/task"
)

// A running task shows how long it has run and how long such tasks took lately;
// an ended one does not.
func TestProgress(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	shown := func(x *task.Task) *httpapi.Progress {
		t.Helper()
		return answer{h.contract.Serve(t, h.handler, h.request("GET", "/v1/tasks/"+x.ID))}.task(t).Progress
	}
	want := func(x *task.Task, elapsed, expected int) {
		t.Helper()
		if got := shown(x); got == nil || *got != (httpapi.Progress{ElapsedSeconds: elapsed, ExpectedSeconds: expected}) {
			t.Errorf("progress is %+v, want %d of %d s", got, elapsed, expected)
		}
	}
	x := h.addRow("ada", h.accepted)
	want(x, 0, 20)
	for slot, seconds := range []int{44, 33, 600} {
		if err := h.Rows.SetTiming(t.Context(), task.Timing{Kind: x.Model, Slot: slot, Seconds: seconds}); err != nil {
			t.Fatal(err)
		}
	}
	h.Clock.Add(59999 * time.Millisecond)
	want(x, 59, 20) // the timings are cached for a minute
	h.Clock.Add(time.Millisecond)
	want(x, 60, 44) // more than expected, and still not done
	h.change(x.ID, func(x *task.Task) error { x.CreatedAt = h.Now().Add(time.Hour); return nil })
	want(x, 0, 44) // created by a clock that is ahead
	for _, done := range []*task.Task{h.addRow("ada", h.succeeded), h.addRow("ada", h.refused(task.CodeProviderRejected, task.RetryNever))} {
		if got := shown(done); got != nil {
			t.Errorf("a task that is %s has the progress %+v", done.Status, got)
		}
	}
}

// Passing time alone changes neither the tag nor ends a wait, for one task and
// for several.
func TestProgressIsNoChange(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	x := h.addRow("ada", h.accepted)
	for _, path := range []string{"/v1/tasks/" + x.ID, "/v1/tasks?ids=" + x.ID} {
		first := h.serve(t.Context(), path)
		h.Clock.Add(7 * time.Second)
		later := h.serve(t.Context(), path)
		if tag := first.Header.Get("Etag"); tag != later.Header.Get("Etag") || first.Body == later.Body {
			t.Errorf("7 s later the tag was %s, is %s; the body was\n%s, is\n%s", tag, later.Header.Get("Etag"), first.Body, later.Body)
		}
		if got := h.serve(t.Context(), path, "If-None-Match", first.Header.Get("Etag")); got.Status != 304 {
			t.Errorf("%s: %d, want 304", path, got.Status)
		}
		h.bubble(func(t *testing.T) {
			time.AfterFunc(1500*time.Millisecond, func() { h.Clock.Add(time.Minute) })
			sep := "?"
			if strings.Contains(path, "?") {
				sep = "&"
			}
			begun := time.Now()
			h.serve(t.Context(), path+sep+"wait=5")
			if took := time.Since(begun); took != 5*time.Second {
				t.Errorf("%s: answered after %v, want 5s", path, took)
			}
		})
	}
}
