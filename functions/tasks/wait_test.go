package tasks_test

import (
	"context"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/preset/nanobanana-functions/functions/tasks"
	"github.com/preset/nanobanana-functions/shared/lifecycle/lifecycletest"
	"github.com/preset/nanobanana-functions/shared/task"
)

// bubble runs do where time passes only while everybody waits. The site is
// outside, since sockets never wait; signing in once makes it known.
func (s *site) bubble(do func(*testing.T)) {
	s.t.Helper()
	s.get("/v1/tasks?ids=x")
	synctest.Test(s.t.(*testing.T), do)
}

// What a waiting client gets, when, and at what price.
func TestWait(t *testing.T) {
	t.Parallel()
	const now = time.Duration(0)
	claim := func(s *site) func(*task.Task) error {
		return func(x *task.Task) error { _, _ = x.Claim(s.Rules, s.Now()); return nil }
	}
	tests := map[string]struct {
		waitMax time.Duration                      // 0: 20 s; -1: none
		wait    string                             //
		has     string                             // If-None-Match; ETAG is the current one
		row     func(*site) func(*task.Task) error // nil: one that is submitting
		change  func(*site) func(*task.Task) error // after 3.5 s; nil: none
		read    time.Duration                      // what a read of the store takes
		took    time.Duration                      //
		status  int                                //
		shown   task.Status                        // of a 200
		reads   int                                //
	}{
		"nothing changes":              {wait: "5", took: 5 * time.Second, status: 200, shown: task.Submitting, reads: 6},
		"the longest wait":             {wait: "20", took: 20 * time.Second, status: 200, shown: task.Submitting, reads: 21},
		"a change":                     {wait: "20", change: accepted, took: 4 * time.Second, status: 200, shown: task.Generating, reads: 5},
		"a change in the last second":  {wait: "4", change: accepted, took: 4 * time.Second, status: 200, shown: task.Generating, reads: 5},
		"a change nobody sees":         {wait: "6", row: accepted, change: claim, took: 6 * time.Second, status: 200, shown: task.Generating, reads: 7},
		"it is deleted":                {wait: "20", row: waiting, change: deletedNow, took: 4 * time.Second, status: 404, reads: 5},
		"it has ended":                 {wait: "20", row: succeeded, took: now, status: 200, shown: task.Succeeded, reads: 1},
		"it has failed":                {wait: "20", row: failed, took: now, status: 200, shown: task.Failed, reads: 1},
		"no wait":                      {took: now, status: 200, shown: task.Submitting, reads: 1},
		"capped":                       {waitMax: 3 * time.Second, wait: "20", took: 3 * time.Second, status: 200, shown: task.Submitting, reads: 4},
		"capped above the wish":        {waitMax: 3 * time.Second, wait: "2", took: 2 * time.Second, status: 200, shown: task.Submitting, reads: 3},
		"waiting switched off":         {waitMax: -1, wait: "20", took: now, status: 200, shown: task.Submitting, reads: 1},
		"the client has an older one":  {wait: "20", has: `"older"`, took: now, status: 200, shown: task.Submitting, reads: 1},
		"the client has rubbish":       {wait: "20", has: `rubbish, ,"`, took: now, status: 200, shown: task.Submitting, reads: 1},
		"the client has it":            {wait: "5", has: "ETAG", took: 5 * time.Second, status: 304, reads: 6},
		"the client has it, weakly":    {wait: "5", has: `"older", W/ETAG`, took: 5 * time.Second, status: 304, reads: 6},
		"the client has it, no wait":   {has: "ETAG", took: now, status: 304, reads: 1},
		"the client has it, it ended":  {wait: "20", row: succeeded, has: "ETAG", took: now, status: 304, reads: 1},
		"the client had it":            {wait: "20", has: "ETAG", change: accepted, took: 4 * time.Second, status: 200, shown: task.Generating, reads: 5},
		"the client has any":           {wait: "5", has: "*", took: 5 * time.Second, status: 304, reads: 6},
		"the client has any, a change": {wait: "20", has: "*", change: accepted, took: 4 * time.Second, status: 304, reads: 5},
		"the store is slow":            {wait: "5", read: 700 * time.Millisecond, took: 5700 * time.Millisecond, status: 200, shown: task.Submitting, reads: 6},
		"the store is slower":          {wait: "5", read: 1500 * time.Millisecond, took: 6 * time.Second, status: 200, shown: task.Submitting, reads: 4},
	}
	s := serve(t)
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			s.t = t
			s.function.WaitMax = 20 * time.Second
			if test.waitMax != 0 {
				s.function.WaitMax = max(test.waitMax, 0)
			}
			s.handler = tasks.New(s.function)
			s.Rows.Fail(nil, nil)
			var changes []func(*task.Task) error
			if test.row != nil {
				changes = append(changes, test.row(s))
			}
			x := s.row("ada", changes...)
			path := "/v1/tasks/" + x.ID
			has := strings.ReplaceAll(test.has, "ETAG", s.get(path).Header.Get("Etag"))
			if test.wait != "" {
				path += "?wait=" + test.wait
			}
			before := s.Rows.Count("task")
			s.bubble(func(t *testing.T) {
				s.Rows.Fail(func(string, *task.Task) error { time.Sleep(test.read); return nil }, nil)
				if test.change != nil {
					time.AfterFunc(3500*time.Millisecond, func() { s.change(x.ID, test.change(s)) })
				}
				begun := time.Now()
				got := s.ask(t.Context(), path, "If-None-Match", has)
				if took := time.Since(begun); took != test.took || got.Status != test.status {
					t.Errorf("%d after %v: %.200s; want %d after %v", got.Status, took, got.Body, test.status, test.took)
				}
				if test.status == 200 && got.task(t).Status != test.shown {
					t.Errorf("it is %s, want %s", got.task(t).Status, test.shown)
				}
				if test.status == 304 && got.Body != "" {
					t.Errorf("304 with a body: %s", got.Body)
				}
			})
			if n := s.Rows.Count("task") - before; n != test.reads {
				t.Errorf("%d reads of the store, want %d", n, test.reads)
			}
		})
	}
}

// Five minutes of an unknown outcome change what people read, though nothing is
// written: the tag is another, and whoever waits meanwhile is answered.
func TestWaitForDoubt(t *testing.T) {
	t.Parallel()
	s := serve(t)
	x := s.row("ada", s.silence)
	s.Clock.Add(5*time.Minute - time.Second)
	for _, path := range []string{"/v1/tasks/" + x.ID, "/v1/tasks?ids=" + x.ID} {
		before := s.get(path)
		s.bubble(func(t *testing.T) {
			time.AfterFunc(3500*time.Millisecond, func() { s.Clock.Add(time.Second) })
			begun := time.Now()
			got := s.ask(t.Context(), path+map[bool]string{true: "&", false: "?"}[strings.Contains(path, "?")]+"wait=20", "If-None-Match", before.Header.Get("Etag"))
			if took := time.Since(begun); took != 4*time.Second || got.Status != 200 || !strings.Contains(got.Body, "You may order again") {
				t.Errorf("%s: %d after %v: %.300s", path, got.Status, took, got.Body)
			}
			if tag := got.Header.Get("Etag"); tag == before.Header.Get("Etag") || got.Header.Get("Retry-After") != "3" {
				t.Errorf("%s: %v", path, got.Header)
			}
		})
		s.Clock.Add(-time.Second)
	}
	s.Clock.Add(time.Hour)
	tag := s.get("/v1/tasks/" + x.ID).Header.Get("Etag")
	s.Clock.Add(time.Minute)
	if got := s.get("/v1/tasks/"+x.ID, "If-None-Match", tag); got.Status != 304 {
		t.Errorf("a minute more is news: %d", got.Status)
	}
	if after := s.stored(x.ID); after.Version != x.Version || !after.UpdatedAt.Equal(x.UpdatedAt) {
		t.Errorf("it was written: %+v", after)
	}
}

// The changes, as a table has them.
func accepted(s *site) func(*task.Task) error  { return s.accepted }
func succeeded(s *site) func(*task.Task) error { return s.succeeded }
func failed(s *site) func(*task.Task) error {
	return s.refused(task.CodeProviderRejected, task.RetryNever)
}
func waiting(s *site) func(*task.Task) error { return s.refused(task.CodePaused, task.RetryLater) }
func deletedNow(s *site) func(*task.Task) error {
	return func(x *task.Task) error { return x.Delete(s.Rules, s.Now()) }
}

// Several tasks are waited for together: the first that changes is the answer.
func TestWaitForSeveral(t *testing.T) {
	t.Parallel()
	s := serve(t)
	done, one, other := s.row("ada", s.succeeded), s.row("ada"), s.row("ada")
	bobs := s.row("bob")
	tests := map[string]struct {
		ids    []string
		change string // the task that is accepted after 3.5 s
		took   time.Duration
	}{
		"one of them changes":     {[]string{done.ID, one.ID, other.ID}, other.ID, 4 * time.Second},
		"all have ended":          {[]string{done.ID}, "", 0},
		"none is there":           {[]string{bobs.ID, "x"}, bobs.ID, 0},
		"somebody else's changes": {[]string{bobs.ID, one.ID}, bobs.ID, 6 * time.Second},
		"nothing changes":         {[]string{done.ID, one.ID}, "", 6 * time.Second},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			before := s.Rows.Count("tasks")
			s.t = t
			s.bubble(func(t *testing.T) {
				if test.change != "" {
					time.AfterFunc(3500*time.Millisecond, func() {
						s.change(test.change, func(x *task.Task) error { x.UpdatedAt = x.UpdatedAt.Add(time.Minute); return nil })
					})
				}
				begun := time.Now()
				got := s.ask(t.Context(), "/v1/tasks?wait=6&ids="+strings.Join(test.ids, ","))
				if took := time.Since(begun); took != test.took || got.Status != 200 {
					t.Errorf("%d after %v: %.200s; want it after %v", got.Status, took, got.Body, test.took)
				}
				time.Sleep(10 * time.Second) // until the change is written
			})
			if n, most := s.Rows.Count("tasks")-before-1, int(test.took/time.Second)+1; n > most {
				t.Errorf("%d reads of the store, want at most %d", n, most)
			}
		})
	}
}

// Whoever waits too long is answered for all the same, and nobody is waited
// for who has gone.
func TestWaitCutShort(t *testing.T) {
	t.Parallel()
	s := serve(t)
	x := s.row("ada")
	s.bubble(func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), 2500*time.Millisecond) // Lambda's, less a moment
		defer cancel()
		begun := time.Now()
		got := s.ask(ctx, "/v1/tasks/"+x.ID+"?wait=20")
		if took := time.Since(begun); took != 2500*time.Millisecond || got.task(t).Status != task.Submitting {
			t.Errorf("%d after %v: %.200s", got.Status, took, got.Body)
		}
	})
}

// A store that goes away while a client waits is a 503 with Retry-After.
func TestWaitStoreGoesAway(t *testing.T) {
	t.Parallel()
	s := serve(t)
	x := s.row("ada")
	s.bubble(func(t *testing.T) {
		time.AfterFunc(3500*time.Millisecond, func() {
			s.Rows.Fail(func(string, *task.Task) error { return lifecycletest.ErrStore }, nil)
		})
		got := s.ask(t.Context(), "/v1/tasks/"+x.ID+"?wait=20")
		got.Problem(t, http.StatusServiceUnavailable, task.CodeUnavailable)
	})
}
