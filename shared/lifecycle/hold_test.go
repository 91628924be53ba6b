package lifecycle_test

import (
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/preset/nanobanana-functions/shared/nanobanana/nanobananatest"
	"github.com/preset/nanobanana-functions/shared/task"
)

// hold holds all POSTs from now on, and waits until every process knows.
func (h *harness) hold(by task.Holder, until time.Time) {
	h.t.Helper()
	if err := h.Rows.Hold(h.t.Context(), by, task.Hold{Reason: "a new key", Since: h.Now(), Until: until}); err != nil {
		h.t.Fatal(err)
	}
	h.Clock.Add(10 * time.Second)
}

// release ends it, and waits until every process knows.
func (h *harness) release(by task.Holder) {
	h.t.Helper()
	if err := h.Rows.Release(h.t.Context(), by, h.Now()); err != nil {
		h.t.Fatal(err)
	}
	h.Clock.Add(10 * time.Second)
}

// While anybody holds, orders are refused with the reason; what exists is answered.
func TestHoldRefusesOrders(t *testing.T) {
	h := newHarness(t)
	first := h.submit(key("k"))
	h.hold(task.HeldByOperator, time.Time{})
	refused := func(reason string, after time.Duration) {
		t.Helper()
		for _, k := range []string{"", "other"} {
			e := h.refused(key(k))
			if e.Code != task.CodePaused || e.Reason != reason || e.RetryAfter != after {
				t.Errorf("key %q: %+v", k, e)
			}
		}
		if again, replayed, err := h.Submit(t.Context(), order(key("k"))); err != nil || !replayed || again.ID != first.ID {
			t.Errorf("a replay: %v, %v, %v", again, replayed, err)
		}
		h.posted(1)
	}
	refused("a new key", 5*time.Minute)
	h.hold(task.HeldByBudget, h.Now().Add(2*time.Hour))
	h.release(task.HeldByOperator)
	refused("a new key", time.Hour)
	h.Clock.Add(90 * time.Minute)
	refused("a new key", 30*time.Minute-20*time.Second)
	h.Clock.Add(30 * time.Minute) // it ends by itself
	h.submit(key("other"))
	h.posted(2)
}

// A process reads the pause row at most once in 10 s, for however many orders.
func TestPausesAreRemembered(t *testing.T) {
	h := newHarness(t)
	if err := h.Account.PreparePauses(t.Context()); err != nil {
		t.Fatal(err)
	}
	reads := func(want int) {
		t.Helper()
		if n := h.Rows.Count("paused"); n != want {
			t.Errorf("%d reads, want %d", n, want)
		}
	}
	reads(1)
	var wg sync.WaitGroup
	for range 20 {
		wg.Go(func() { h.submit() })
	}
	wg.Wait()
	h.Clock.Add(10*time.Second - time.Millisecond)
	h.submit()
	reads(1)
	h.Clock.Add(time.Millisecond)
	for range 20 {
		wg.Go(func() { h.submit() })
	}
	wg.Wait()
	reads(2)
	h.Clock.Add(-time.Hour) // a clock that was put right
	h.submit()
	reads(3)
}

// If the pause row cannot be read, orders pass in a process that has never read it, with a
// log line; it is asked for again after 5 s. A hold that the process knows stays in force.
func TestUnreadablePausesLetOrdersPass(t *testing.T) {
	h := newHarness(t)
	h.hold(task.HeldByOperator, time.Time{})
	h.Rows.Fail(func(call string, _ *task.Task) error {
		if call == "paused" {
			return errStore
		}
		return nil
	}, nil)
	for range 3 {
		h.submit()
		h.Clock.Add(time.Second)
	}
	if n := h.Rows.Count("paused"); n != 1 {
		t.Errorf("%d reads, want 1", n)
	}
	if line := h.Logged.Take(); strings.Count(line, "without that orders pass") != 1 || !strings.Contains(line, `"level":"ERROR"`) {
		t.Errorf("logged %s", line)
	}
	h.Rows.Fail(nil, nil)
	h.Clock.Add(2 * time.Second)
	if e := h.refused(); e.Code != task.CodePaused {
		t.Errorf("%+v", e)
	}
	h.Rows.Fail(func(string, *task.Task) error { return errStore }, nil)
	h.Clock.Add(time.Minute)
	if e := h.refused(); e.Code != task.CodePaused {
		t.Errorf("a hold that is known is lost with the row: %+v", e)
	}
}

// While anybody holds, the sweep sends nothing, and costs a waiting task one read and no
// write. It does everything else.
func TestSweepHolds(t *testing.T) {
	h := newHarness(t)
	runs := h.submit()
	h.generated(0)
	h.Sim.SetKnobs(fault(nanobananatest.Fault{Kind: nanobananatest.FaultReset, Times: 1}))
	lost := h.submit()
	h.Sim.SetKnobs(fault(nanobananatest.Fault{Kind: nanobananatest.FaultStatus, Code: 429}))
	var waiting []string
	for range 3 {
		waiting = append(waiting, h.submit().ID)
	}
	h.Sim.SetKnobs(fault(nanobananatest.Fault{}))
	h.expect(lost.ID, task.Unconfirmed, "")
	h.hold(task.HeldByOperator, time.Time{})
	h.sweep(2 * time.Minute)
	h.expect(runs.ID, task.Storing, "")
	h.until(runs.ID, task.Succeeded, time.Hour)
	before := h.Rows.Count("paused")
	for n := range 3 {
		tasks, puts := h.Rows.Count("task"), h.Rows.Count("put")
		h.sweep(5 * time.Minute)
		if reads, writes := h.Rows.Count("task")-tasks, h.Rows.Count("put")-puts; n < 2 && (reads != len(waiting) || writes != 0) {
			t.Errorf("%d reads and %d writes for %d tasks that wait", reads, writes, len(waiting))
		}
	}
	if n := h.Rows.Count("paused") - before; n != 3 {
		t.Errorf("%d reads of the pause row in 3 sweeps", n)
	}
	for range 30 {
		h.sweep(time.Hour)
	}
	h.expect(lost.ID, task.Failed, task.CodeOutcomeUnknown)
	for _, id := range waiting {
		h.expect(id, task.Waiting, "")
	}
	h.posted(5)
	h.release(task.HeldByOperator)
	h.sweep(0)           // without the hold their deadlines have passed
	h.sweep(time.Minute) // and now they are sent
	for _, id := range waiting {
		h.expect(id, task.Generating, "")
	}
	h.posted(8)
}

// A hold that begins during a sweep keeps the POSTs that it has not begun.
func TestHoldDuringASweep(t *testing.T) {
	h := newHarness(t, fault(nanobananatest.Fault{Kind: nanobananatest.FaultStatus, Code: 429, Times: 4}))
	for range 4 {
		h.submit()
	}
	h.posted(4)
	reads := 0 // one for all, then one for each POST
	h.Rows.Fail(func(call string, _ *task.Task) error {
		if call != "paused" {
			return nil
		}
		if reads++; reads == 3 {
			return h.Rows.Store.Hold(t.Context(), task.HeldByBudget, task.Hold{Reason: "spent", Since: h.Now()})
		}
		return nil
	}, nil)
	h.sweep(2 * time.Minute)
	h.posted(5)
}

// A sweep that cannot read the pause row neither sends nor ends what waits: a hold may be
// in force, or may have been.
func TestSweepWithoutThePauses(t *testing.T) {
	h := newHarness(t, fault(nanobananatest.Fault{Kind: nanobananatest.FaultStatus, Code: 429, Times: 1}))
	x := h.submit()
	unreadable := func(call string, _ *task.Task) error {
		if call == "paused" {
			return errors.New("no")
		}
		return nil
	}
	h.Rows.Fail(unreadable, nil)
	h.sweep(2 * time.Minute)
	h.sweep(6 * time.Hour)
	h.expect(x.ID, task.Waiting, "")
	h.posted(1)
	if line := h.Logged.Take(); !strings.Contains(line, "the sweep sends nothing again until it can") {
		t.Errorf("logged %s", line)
	}
	h.Rows.Fail(nil, nil)
	h.sweep(0)
	h.expect(x.ID, task.Failed, task.CodeRateLimited)
	h.posted(1)
}
