package lifecycle_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/preset/nanobanana-functions/shared/nanobanana/nanobananatest"
	"github.com/preset/nanobanana-functions/shared/task"
)

// died is a process that is gone: it writes nothing more.
func died(is func(call string, t *task.Task) bool) func(string, *task.Task) error {
	dead := false
	return func(call string, t *task.Task) error {
		if dead = dead || is(call, t); dead {
			return errStore
		}
		return nil
	}
}

// A submit is killed at each point of its way. Nothing is posted twice, what
// the provider took is completed, and what it did not take ends.
func TestSubmitKilled(t *testing.T) {
	t.Parallel() // it waits until a function gives up
	t.Run("before the row", func(t *testing.T) {
		w := newWorld(t)
		w.Rows.Fail(died(func(call string, _ *task.Task) bool { return call == "create" }), nil)
		if e := w.refused(key("k")); e.Code != task.CodeUnavailable || e.RetryAfter <= 0 {
			t.Errorf("got %v", e)
		}
		w.posted(0)
		w.Rows.Fail(nil, nil)
		got := w.submit(key("k")) // as its caller is told to
		w.until(got.ID, task.Succeeded, time.Hour)
		w.posted(1)
	})
	t.Run("its row's answer lost", func(t *testing.T) {
		w := newWorld(t)
		w.Rows.Fail(nil, died(func(call string, _ *task.Task) bool { return call == "create" }))
		if e := w.refused(key("k")); e.Code != task.CodeUnavailable {
			t.Errorf("got %v", e)
		}
		w.Rows.Fail(nil, nil)
		got := w.submit(key("k")) // the row stands, and this is not its writer
		w.posted(0)
		w.until(got.ID, task.Unconfirmed, 2*time.Minute)
		for range 121 {
			w.sweep(time.Minute)
		}
		w.expect(got.ID, task.Failed, task.CodeOutcomeUnknown)
		w.posted(0)
	})
	for name, lost := range map[string]bool{"its callback comes": false, "its callback is lost": true} {
		t.Run("after the POST, "+name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			w.Quota = 5
			w.Rows.Fail(died(func(call string, x *task.Task) bool { return call == "put" && x.Status == task.Generating }), nil)
			got := w.submit(key("k"))
			w.Rows.Fail(nil, nil)
			w.expect(got.ID, task.Submitting, "")
			made := w.generated(0)
			if lost {
				for range 125 {
					w.sweep(time.Minute)
				}
				end := w.expect(got.ID, task.Failed, task.CodeOutcomeUnknown)
				if used, _ := w.Rows.UsedImages(t.Context(), owner, end.Quota.Day); used != 0 {
					t.Errorf("used is %d, want it given back", used)
				}
			} else {
				w.settle(got.ID, said(made.ID, 200, made.URLs...)) // while it is submitting
				w.until(got.ID, task.Succeeded, 10*time.Minute)
			}
			w.posted(1)
		})
	}
	t.Run("after its answer is stored", func(t *testing.T) {
		t.Parallel()
		w := newWorld(t)
		w.Rows.Fail(nil, died(func(call string, x *task.Task) bool { return call == "put" && x.Status == task.Generating }))
		got := w.submit(key("k"))
		w.Rows.Fail(nil, nil)
		w.until(got.ID, task.Succeeded, 10*time.Minute)
		w.posted(1)
	})
}

// The store is away for a moment as the answer comes: the answer is kept.
func TestAnswerIsKept(t *testing.T) {
	w := newWorld(t)
	failures := 0
	w.Rows.Fail(func(call string, x *task.Task) error {
		if call == "put" && failures < 3 {
			failures++
			return errStore
		}
		return nil
	}, nil)
	if got := w.submit(); got.Status != task.Generating {
		t.Errorf("task is %s after %d failures", got.Status, failures)
	}
}

// The sweep begins another attempt and its write's answer is lost: whoever
// does not know that the write was his never posts.
func TestResubmitKilled(t *testing.T) {
	w := newWorld(t, fault(nanobananatest.Fault{Kind: nanobananatest.FaultStatus, Code: 455, Times: 1}))
	got := w.submit()
	w.Rows.Fail(nil, died(func(call string, x *task.Task) bool { return call == "put" && x.Status == task.Submitting }))
	w.Clock.Add(2 * time.Minute)
	if swept, err := w.Sweep(t.Context()); err != nil || swept.Failed != 1 {
		t.Errorf("swept %+v, %v", swept, err)
	}
	w.Rows.Fail(nil, nil)
	w.posted(1)
	w.expect(got.ID, task.Submitting, "")
	for range 125 {
		w.sweep(time.Minute)
	}
	w.expect(got.ID, task.Failed, task.CodeOutcomeUnknown)
	w.posted(1)
}

// Sweeps that overlap begin an attempt once.
func TestResubmitOnce(t *testing.T) {
	w := newWorld(t, fault(nanobananatest.Fault{Kind: nanobananatest.FaultStatus, Code: 455, Times: 1}))
	got := w.submit()
	w.Clock.Add(2 * time.Minute)
	done := make(chan error)
	for range 8 {
		go func() { _, err := w.Sweep(context.Background()); done <- err }()
	}
	var err error
	for range 8 {
		err = errors.Join(err, <-done)
	}
	if err != nil {
		t.Error(err)
	}
	w.expect(got.ID, task.Generating, "")
	w.posted(2)
}
