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

// bubble runs do in a synctest bubble, where time passes only while all
// goroutines wait. The harness stays outside, since sockets never count as
// waiting; one request beforehand caches the signing keys.
func (h *harness) bubble(do func(*testing.T)) {
	h.t.Helper()
	h.get("/v1/tasks?ids=x")
	synctest.Test(h.t.(*testing.T), do)
}

// What a waiting client gets, when, and after how many reads.
func TestWait(t *testing.T) {
	t.Parallel()
	const now = time.Duration(0)
	claim := func(h *harness) func(*task.Task) error {
		return func(x *task.Task) error { _, _ = x.Claim(h.Rules, h.Now()); return nil }
	}
	tests := map[string]struct {
		waitMax time.Duration                         // 0: 20 s; -1: none
		wait    string                                //
		has     string                                // If-None-Match; ETAG is the current one
		row     func(*harness) func(*task.Task) error // nil: one that is submitting
		change  func(*harness) func(*task.Task) error // after 3.5 s; nil: none
		read    time.Duration                         // what a read of the store takes
		took    time.Duration                         //
		status  int                                   //
		shown   task.Status                           // of a 200
		reads   int                                   //
	}{
		"nothing changes":                {wait: "5", took: 5 * time.Second, status: 200, shown: task.Submitting, reads: 6},
		"the longest wait":               {wait: "20", took: 20 * time.Second, status: 200, shown: task.Submitting, reads: 21},
		"a change":                       {wait: "20", change: accepted, took: 4 * time.Second, status: 200, shown: task.Generating, reads: 5},
		"a change in the last second":    {wait: "4", change: accepted, took: 4 * time.Second, status: 200, shown: task.Generating, reads: 5},
		"an invisible change":            {wait: "6", row: accepted, change: claim, took: 6 * time.Second, status: 200, shown: task.Generating, reads: 7},
		"it is deleted":                  {wait: "20", row: waiting, change: deleted, took: 4 * time.Second, status: 404, reads: 5},
		"it has ended":                   {wait: "20", row: succeeded, took: now, status: 200, shown: task.Succeeded, reads: 1},
		"it has failed":                  {wait: "20", row: failed, took: now, status: 200, shown: task.Failed, reads: 1},
		"no wait":                        {took: now, status: 200, shown: task.Submitting, reads: 1},
		"capped":                         {waitMax: 3 * time.Second, wait: "20", took: 3 * time.Second, status: 200, shown: task.Submitting, reads: 4},
		"capped above the client's wait": {waitMax: 3 * time.Second, wait: "2", took: 2 * time.Second, status: 200, shown: task.Submitting, reads: 3},
		"waiting switched off":           {waitMax: -1, wait: "20", took: now, status: 200, shown: task.Submitting, reads: 1},
		"the client has an older one":    {wait: "20", has: `"older"`, took: now, status: 200, shown: task.Submitting, reads: 1},
		"the client has an invalid tag":  {wait: "20", has: `rubbish, ,"`, took: now, status: 200, shown: task.Submitting, reads: 1},
		"the client has it":              {wait: "5", has: "ETAG", took: 5 * time.Second, status: 304, reads: 6},
		"the client has it, weakly":      {wait: "5", has: `"older", W/ETAG`, took: 5 * time.Second, status: 304, reads: 6},
		"the client has it, no wait":     {has: "ETAG", took: now, status: 304, reads: 1},
		"the client has it, it ended":    {wait: "20", row: succeeded, has: "ETAG", took: now, status: 304, reads: 1},
		"the client had it":              {wait: "20", has: "ETAG", change: accepted, took: 4 * time.Second, status: 200, shown: task.Generating, reads: 5},
		"the client has any":             {wait: "5", has: "*", took: 5 * time.Second, status: 304, reads: 6},
		"the client has any, a change":   {wait: "20", has: "*", change: accepted, took: 4 * time.Second, status: 304, reads: 5},
		"the store is slow":              {wait: "5", read: 700 * time.Millisecond, took: 5700 * time.Millisecond, status: 200, shown: task.Submitting, reads: 6},
		"the store is slower":            {wait: "5", read: 1500 * time.Millisecond, took: 6 * time.Second, status: 200, shown: task.Submitting, reads: 4},
	}
	h := newHarness(t)
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			h.t = t
			h.function.WaitMax = 20 * time.Second
			if test.waitMax != 0 {
				h.function.WaitMax = max(test.waitMax, 0)
			}
			h.handler = tasks.New(h.function)
			h.Rows.Fail(nil, nil)
			var changes []func(*task.Task) error
			if test.row != nil {
				changes = append(changes, test.row(h))
			}
			x := h.addRow("ada", changes...)
			path := "/v1/tasks/" + x.ID
			has := strings.ReplaceAll(test.has, "ETAG", h.get(path).Header.Get("Etag"))
			if test.wait != "" {
				path += "?wait=" + test.wait
			}
			before := h.Rows.Count("task")
			h.bubble(func(t *testing.T) {
				h.Rows.Fail(func(string, *task.Task) error { time.Sleep(test.read); return nil }, nil)
				if test.change != nil {
					time.AfterFunc(3500*time.Millisecond, func() { h.change(x.ID, test.change(h)) })
				}
				begun := time.Now()
				got := h.serve(t.Context(), path, "If-None-Match", has)
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
			if n := h.Rows.Count("task") - before; n != test.reads {
				t.Errorf("%d reads of the store, want %d", n, test.reads)
			}
		})
	}
}

// After five minutes of an unknown outcome the status text changes, although
// nothing is written: the tag changes, and a waiting client is answered.
func TestWaitForDoubt(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	x := h.addRow("ada", h.unanswered)
	h.Clock.Add(5*time.Minute - time.Second)
	for _, path := range []string{"/v1/tasks/" + x.ID, "/v1/tasks?ids=" + x.ID} {
		before := h.get(path)
		h.bubble(func(t *testing.T) {
			time.AfterFunc(3500*time.Millisecond, func() { h.Clock.Add(time.Second) })
			begun := time.Now()
			got := h.serve(t.Context(), path+map[bool]string{true: "&", false: "?"}[strings.Contains(path, "?")]+"wait=20", "If-None-Match", before.Header.Get("Etag"))
			if took := time.Since(begun); took != 4*time.Second || got.Status != 200 || !strings.Contains(got.Body, "You may order again") {
				t.Errorf("%s: %d after %v: %.300s", path, got.Status, took, got.Body)
			}
			if tag := got.Header.Get("Etag"); tag == before.Header.Get("Etag") || got.Header.Get("Retry-After") != "3" {
				t.Errorf("%s: %v", path, got.Header)
			}
		})
		h.Clock.Add(-time.Second)
	}
	h.Clock.Add(time.Hour)
	tag := h.get("/v1/tasks/" + x.ID).Header.Get("Etag")
	h.Clock.Add(time.Minute)
	if got := h.get("/v1/tasks/"+x.ID, "If-None-Match", tag); got.Status != 304 {
		t.Errorf("another minute changed the answer: %d", got.Status)
	}
	if after := h.row(x.ID); after.Version != x.Version || !after.UpdatedAt.Equal(x.UpdatedAt) {
		t.Errorf("it was written: %+v", after)
	}
}

// The changes, for use in a table.
func accepted(h *harness) func(*task.Task) error  { return h.accepted }
func succeeded(h *harness) func(*task.Task) error { return h.succeeded }
func failed(h *harness) func(*task.Task) error {
	return h.refused(task.CodeProviderRejected, task.RetryNever)
}
func waiting(h *harness) func(*task.Task) error { return h.refused(task.CodePaused, task.RetryLater) }
func deleted(h *harness) func(*task.Task) error {
	return func(x *task.Task) error { return x.Delete(h.Rules, h.Now()) }
}

// A wait for several tasks ends with the first that changes.
func TestWaitForSeveral(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	done, one, other := h.addRow("ada", h.succeeded), h.addRow("ada"), h.addRow("ada")
	bobs := h.addRow("bob")
	tests := map[string]struct {
		ids    []string
		change string // the task that is accepted after 3.5 s
		took   time.Duration
	}{
		"one of them changes":     {[]string{done.ID, one.ID, other.ID}, other.ID, 4 * time.Second},
		"all have ended":          {[]string{done.ID}, "", 0},
		"none exists":             {[]string{bobs.ID, "x"}, bobs.ID, 0},
		"somebody else's changes": {[]string{bobs.ID, one.ID}, bobs.ID, 6 * time.Second},
		"nothing changes":         {[]string{done.ID, one.ID}, "", 6 * time.Second},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			before := h.Rows.Count("tasks")
			h.t = t
			h.bubble(func(t *testing.T) {
				if test.change != "" {
					time.AfterFunc(3500*time.Millisecond, func() {
						h.change(test.change, func(x *task.Task) error { x.UpdatedAt = x.UpdatedAt.Add(time.Minute); return nil })
					})
				}
				begun := time.Now()
				got := h.serve(t.Context(), "/v1/tasks?wait=6&ids="+strings.Join(test.ids, ","))
				if took := time.Since(begun); took != test.took || got.Status != 200 {
					t.Errorf("%d after %v: %.200s; want it after %v", got.Status, took, got.Body, test.took)
				}
				time.Sleep(10 * time.Second) // until the change is written
			})
			if n, most := h.Rows.Count("tasks")-before-1, int(test.took/time.Second)+1; n > most {
				t.Errorf("%d reads of the store, want at most %d", n, most)
			}
		})
	}
}

// A wait ends in time before Lambda's timeout, and when the client is gone.
func TestWaitCutShort(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	x := h.addRow("ada")
	h.bubble(func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), 2500*time.Millisecond) // Lambda's, less a moment
		defer cancel()
		begun := time.Now()
		got := h.serve(ctx, "/v1/tasks/"+x.ID+"?wait=20")
		if took := time.Since(begun); took != 2500*time.Millisecond || got.task(t).Status != task.Submitting {
			t.Errorf("%d after %v: %.200s", got.Status, took, got.Body)
		}
	})
}

// A store that fails while a client waits is answered 503 with Retry-After.
func TestWaitStoreFails(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	x := h.addRow("ada")
	h.bubble(func(t *testing.T) {
		time.AfterFunc(3500*time.Millisecond, func() {
			h.Rows.Fail(func(string, *task.Task) error { return lifecycletest.ErrStore }, nil)
		})
		got := h.serve(t.Context(), "/v1/tasks/"+x.ID+"?wait=20")
		got.Problem(t, http.StatusServiceUnavailable, task.CodeUnavailable)
	})
}
