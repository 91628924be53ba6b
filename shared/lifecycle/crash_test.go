package lifecycle_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/preset/nanobanana-functions/shared/nanobanana/nanobananatest"
	"github.com/preset/nanobanana-functions/shared/task"
)

// died returns a hook that fails all calls from the first one on for which is holds: the
// process is gone.
func died(is func(call string, t *task.Task) bool) func(string, *task.Task) error {
	dead := false
	return func(call string, t *task.Task) error {
		if dead = dead || is(call, t); dead {
			return errStore
		}
		return nil
	}
}

// A submit is killed at each of its steps. Nothing is posted twice, what the provider
// accepted is completed, and the rest fails.
func TestSubmitKilled(t *testing.T) {
	t.Parallel() // it waits for timeouts
	t.Run("before the row", func(t *testing.T) {
		h := newHarness(t)
		h.Rows.Fail(died(func(call string, _ *task.Task) bool { return call == "create" }), nil)
		if e := h.refused(key("k")); e.Code != task.CodeUnavailable || e.RetryAfter <= 0 {
			t.Errorf("got %v", e)
		}
		h.posted(0)
		h.Rows.Fail(nil, nil)
		got := h.submit(key("k")) // as the error tells the caller
		h.until(got.ID, task.Succeeded, time.Hour)
		h.posted(1)
	})
	t.Run("the answer to its row's write is lost", func(t *testing.T) {
		h := newHarness(t)
		h.Rows.Fail(nil, died(func(call string, _ *task.Task) bool { return call == "create" }))
		if e := h.refused(key("k")); e.Code != task.CodeUnavailable {
			t.Errorf("got %v", e)
		}
		h.Rows.Fail(nil, nil)
		got := h.submit(key("k")) // the row exists, and another process wrote it
		h.posted(0)
		h.until(got.ID, task.Unconfirmed, 2*time.Minute)
		for range 121 {
			h.sweep(time.Minute)
		}
		h.expect(got.ID, task.Failed, task.CodeOutcomeUnknown)
		h.posted(0)
	})
	for name, lost := range map[string]bool{"its callback comes": false, "its callback is lost": true} {
		t.Run("after the POST, "+name, func(t *testing.T) {
			t.Parallel()
			h := newHarness(t)
			h.Quota = 5
			h.Rows.Fail(died(func(call string, x *task.Task) bool { return call == "put" && x.Status == task.Generating }), nil)
			got := h.submit(key("k"))
			h.Rows.Fail(nil, nil)
			h.expect(got.ID, task.Submitting, "")
			made := h.generated(0)
			if lost {
				for range 125 {
					h.sweep(time.Minute)
				}
				end := h.expect(got.ID, task.Failed, task.CodeOutcomeUnknown)
				if used, _ := h.Rows.UsedImages(t.Context(), owner, end.Quota.Day); used != 0 {
					t.Errorf("used is %d, want it returned", used)
				}
			} else {
				h.settle(got.ID, callbackBody(made.ID, 200, made.URLs...)) // while the task is submitting
				h.until(got.ID, task.Succeeded, 10*time.Minute)
			}
			h.posted(1)
		})
	}
	t.Run("after the provider's answer is stored", func(t *testing.T) {
		t.Parallel()
		h := newHarness(t)
		h.Rows.Fail(nil, died(func(call string, x *task.Task) bool { return call == "put" && x.Status == task.Generating }))
		got := h.submit(key("k"))
		h.Rows.Fail(nil, nil)
		h.until(got.ID, task.Succeeded, 10*time.Minute)
		h.posted(1)
	})
}

// The store fails for a moment as the answer comes: the answer is saved.
func TestAnswerIsSaved(t *testing.T) {
	h := newHarness(t)
	failures := 0
	h.Rows.Fail(func(call string, x *task.Task) error {
		if call == "put" && failures < 3 {
			failures++
			return errStore
		}
		return nil
	}, nil)
	if got := h.submit(); got.Status != task.Generating {
		t.Errorf("task is %s after %d failures", got.Status, failures)
	}
}

// The sweep begins another attempt and the answer to its write is lost: a process that
// does not know that the write was its own never posts.
func TestResubmitKilled(t *testing.T) {
	h := newHarness(t, fault(nanobananatest.Fault{Kind: nanobananatest.FaultStatus, Code: 455, Times: 1}))
	got := h.submit()
	h.Rows.Fail(nil, died(func(call string, x *task.Task) bool { return call == "put" && x.Status == task.Submitting }))
	h.Clock.Add(2 * time.Minute)
	if swept, err := h.Sweep(t.Context()); err != nil || swept.Failed != 1 {
		t.Errorf("swept %+v, %v", swept, err)
	}
	h.Rows.Fail(nil, nil)
	h.posted(1)
	h.expect(got.ID, task.Submitting, "")
	for range 125 {
		h.sweep(time.Minute)
	}
	h.expect(got.ID, task.Failed, task.CodeOutcomeUnknown)
	h.posted(1)
}

// Overlapping sweeps begin an attempt once.
func TestResubmitOnce(t *testing.T) {
	h := newHarness(t, fault(nanobananatest.Fault{Kind: nanobananatest.FaultStatus, Code: 455, Times: 1}))
	got := h.submit()
	h.Clock.Add(2 * time.Minute)
	done := make(chan error)
	for range 8 {
		go func() { _, err := h.Sweep(context.Background()); done <- err }()
	}
	var err error
	for range 8 {
		err = errors.Join(err, <-done)
	}
	if err != nil {
		t.Error(err)
	}
	h.expect(got.ID, task.Generating, "")
	h.posted(2)
}
