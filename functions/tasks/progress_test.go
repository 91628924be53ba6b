package tasks_test

import (
	"strings"
	"testing"
	"time"

	"github.com/preset/nanobanana-functions/shared/httpapi"
	"github.com/preset/nanobanana-functions/shared/task"
)

// A running task says how long it runs and how long such take, by what others
// took lately; one that has ended says nothing of it.
func TestProgress(t *testing.T) {
	t.Parallel()
	s := serve(t)
	shown := func(x *task.Task) *httpapi.Progress {
		t.Helper()
		return answer{s.contract.Serve(t, s.handler, s.request("GET", "/v1/tasks/"+x.ID))}.task(t).Progress
	}
	want := func(x *task.Task, elapsed, expected int) {
		t.Helper()
		if got := shown(x); got == nil || *got != (httpapi.Progress{ElapsedSeconds: elapsed, ExpectedSeconds: expected}) {
			t.Errorf("progress is %+v, want %d of %d s", got, elapsed, expected)
		}
	}
	x := s.row("ada", s.accepted)
	want(x, 0, 20)
	for slot, seconds := range []int{44, 33, 600} {
		if err := s.Rows.SetTiming(t.Context(), task.Timing{Kind: x.Model, Slot: slot, Seconds: seconds}); err != nil {
			t.Fatal(err)
		}
	}
	s.Clock.Add(59999 * time.Millisecond)
	want(x, 59, 20) // what it knows is not a minute old
	s.Clock.Add(time.Millisecond)
	want(x, 60, 44) // more than expected, and still not done
	s.change(x.ID, func(x *task.Task) error { x.CreatedAt = s.Now().Add(time.Hour); return nil })
	want(x, 0, 44) // by another's clock
	for _, done := range []*task.Task{s.row("ada", s.succeeded), s.row("ada", s.refused(task.CodeProviderRejected, task.RetryNever))} {
		if got := shown(done); got != nil {
			t.Errorf("a task that is %s has the progress %+v", done.Status, got)
		}
	}
}

// That time passes is no change: the tag stays, and whoever waits is not woken
// by it, for one task and for several.
func TestProgressIsNoNews(t *testing.T) {
	t.Parallel()
	s := serve(t)
	x := s.row("ada", s.accepted)
	for _, path := range []string{"/v1/tasks/" + x.ID, "/v1/tasks?ids=" + x.ID} {
		first := s.ask(t.Context(), path)
		s.Clock.Add(7 * time.Second)
		later := s.ask(t.Context(), path)
		if tag := first.Header.Get("Etag"); tag != later.Header.Get("Etag") || first.Body == later.Body {
			t.Errorf("7 s later the tag was %s, is %s; the body was\n%s, is\n%s", tag, later.Header.Get("Etag"), first.Body, later.Body)
		}
		if got := s.ask(t.Context(), path, "If-None-Match", first.Header.Get("Etag")); got.Status != 304 {
			t.Errorf("%s: %d, want 304", path, got.Status)
		}
		s.bubble(func(t *testing.T) {
			time.AfterFunc(1500*time.Millisecond, func() { s.Clock.Add(time.Minute) })
			sep := "?"
			if strings.Contains(path, "?") {
				sep = "&"
			}
			begun := time.Now()
			s.ask(t.Context(), path+sep+"wait=5")
			if took := time.Since(begun); took != 5*time.Second {
				t.Errorf("%s: answered after %v, want 5s", path, took)
			}
		})
	}
}
