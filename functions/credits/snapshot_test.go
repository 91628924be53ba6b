package credits_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/preset/nanobanana-functions/shared/lifecycle"
	"github.com/preset/nanobanana-functions/shared/lifecycle/lifecycletest"
	"github.com/preset/nanobanana-functions/shared/nanobanana/nanobananatest"
	"github.com/preset/nanobanana-functions/shared/task"
)

// storeBalance stores the balance of an earlier check on another machine.
func (h *harness) storeBalance(credits float64, ago time.Duration) (asOf time.Time) {
	h.t.Helper()
	asOf = h.Now().Add(-ago)
	if err := h.Store.SetBalance(h.t.Context(), task.Balance{Credits: credits, AsOf: asOf, Level: task.LevelFine}); err != nil {
		h.t.Fatal(err)
	}
	return asOf
}

// While checks run, reading the credits costs the provider nothing: the balance
// of the last check is shown with its age, and its row is read once in 30 s.
func TestSnapshot(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	asOf := h.storeBalance(77, 6*time.Minute)
	for range 5 {
		if c := h.credits(); c.Balance != 77 || !c.AsOf.Equal(asOf) || !c.Low || !c.CanGenerate {
			t.Errorf("%+v", c)
		}
	}
	if n, reads := h.Rows.Count("balance"), h.Sim.CreditReads(); n != 1 || reads != 0 {
		t.Errorf("the row was read %d times, the provider asked %d times", n, reads)
	}
	h.Clock.Add(30 * time.Second)
	asOf = h.storeBalance(78, 0)
	if c := h.credits(); c.Balance != 78 || !c.AsOf.Equal(asOf) || !c.CanGenerate {
		t.Errorf("after another check: %+v", c)
	}
	if n, reads := h.Rows.Count("balance"), h.Sim.CreditReads(); n != 2 || reads != 0 {
		t.Errorf("the row was read %d times, the provider asked %d times", n, reads)
	}
}

// A balance too small for a picture is read from the provider, once in 30 s, so
// that a top-up shows within 40 s although the next check is minutes away.
func TestTopUp(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	h.Sim.SetBalance(3)
	h.storeBalance(3, time.Minute)
	no := func(reads int) {
		t.Helper()
		if c := h.credits(); c.Balance != 3 || c.CanGenerate || c.Reason != task.CodeInsufficientCredits || h.Sim.CreditReads() != reads {
			t.Errorf("%+v after %d reads, want %d", c, h.Sim.CreditReads(), reads)
		}
	}
	no(1)
	h.Sim.SetBalance(500) // right after that
	h.Clock.Add(30*time.Second - time.Millisecond)
	for range 5 {
		no(1)
	}
	h.Clock.Add(time.Millisecond)
	if c := h.credits(); c.Balance != 500 || !c.CanGenerate || h.Sim.CreditReads() != 2 {
		t.Errorf("after the top-up: %+v, %d reads", c, h.Sim.CreditReads())
	}
	h.Clock.Add(time.Minute)
	if c := h.credits(); c.Balance != 500 || !c.CanGenerate || h.Sim.CreditReads() != 2 {
		t.Errorf("a minute later: %+v, %d reads", c, h.Sim.CreditReads())
	}
}

// While the provider fails it is not asked more often, either.
func TestTopUpProviderFails(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	h.Sim.SetKnobs(func(k *nanobananatest.Knobs) {
		k.Credit = nanobananatest.Fault{Kind: nanobananatest.FaultStatus, Code: 500}
	})
	asOf := h.storeBalance(3, time.Minute)
	for n := range 61 {
		if c := h.credits(); c.Balance != 3 || !c.AsOf.Equal(asOf) || c.CanGenerate || h.Sim.CreditReads() != 1+n/30 {
			t.Errorf("after %d s: %+v, %d reads", n, c, h.Sim.CreditReads())
		}
		h.Clock.Add(time.Second)
	}
}

// After a 402 this process refuses tasks for a minute. A balance that has grown
// ends that; one that is merely enough does not.
func TestTopUpAfter402(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	h.Sim.SetBalance(10)
	refuses := func() {
		h.Sim.SetKnobs(func(k *nanobananatest.Knobs) {
			k.Submit = nanobananatest.Fault{Kind: nanobananatest.FaultStatus, Code: 402, Times: 1}
		})
	}
	refuses()
	if x := h.Submitted(t, "ada", 1); x.Failure != task.CodeInsufficientCredits {
		t.Fatalf("it is %s %s", x.Status, x.Failure)
	}
	refused := func() {
		t.Helper()
		_, _, err := h.Submit(t.Context(), lifecycle.Order{Owner: "ada", Request: task.Request{Prompt: lifecycletest.Prompt, NumImages: 1}})
		if e, ok := errors.AsType[*task.Error](err); !ok || e.Code != task.CodeInsufficientCredits {
			t.Errorf("a submit got %v", err)
		}
		if c := h.credits(); c.CanGenerate || c.Reason != task.CodeInsufficientCredits {
			t.Errorf("%+v", c)
		}
	}
	refused()
	h.Clock.Add(31 * time.Second)
	refused() // the balance is read again and still 10
	h.Clock.Add(28 * time.Second)
	refused() // in the last second of the minute
	h.Clock.Add(time.Second)
	refuses()
	if x := h.Submitted(t, "ada", 1); x.Failure != task.CodeInsufficientCredits {
		t.Fatalf("it is %s %s", x.Status, x.Failure)
	}
	h.Sim.SetBalance(500)
	h.Clock.Add(31 * time.Second)
	if c := h.credits(); c.Balance != 500 || !c.CanGenerate {
		t.Errorf("after the top-up: %+v", c)
	}
	if x := h.Submitted(t, "ada", 1); x.Status != task.Generating {
		t.Errorf("after the top-up it is %s %s", x.Status, x.Failure)
	}
}

// A stored balance is shown for 7 minutes. If no check came for longer, the
// provider is asked, and the old balance is shown only if that fails.
func TestSnapshotOld(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	asOf := h.storeBalance(77, 7*time.Minute-time.Millisecond)
	if c := h.credits(); c.Balance != 77 || h.Sim.CreditReads() != 0 {
		t.Errorf("just before: %+v", c)
	}
	h.Sim.SetKnobs(func(k *nanobananatest.Knobs) {
		k.Credit = nanobananatest.Fault{Kind: nanobananatest.FaultStatus, Code: 500, Times: 1}
	})
	h.Clock.Add(time.Millisecond)
	if c := h.credits(); c.Balance != 77 || !c.AsOf.Equal(asOf) || h.Sim.CreditReads() != 1 {
		t.Errorf("while the provider fails: %+v", c)
	}
	h.Clock.Add(5 * time.Second)
	if c := h.credits(); c.Balance != 1000 || !c.AsOf.Equal(h.Now()) || h.Sim.CreditReads() != 2 {
		t.Errorf("when the provider works again: %+v", c)
	}
}

// An older stored balance does not replace a newer one in memory.
func TestSnapshotOlderThanMemory(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	asked := h.Now()
	h.credits()
	h.storeBalance(77, time.Minute)
	h.Clock.Add(time.Minute)
	if c := h.credits(); c.Balance != 1000 || !c.AsOf.Equal(asked) || h.Sim.CreditReads() != 1 {
		t.Errorf("%+v", c)
	}
}

// A submit does not rely on the stored balance: it asks the provider.
func TestSnapshotAndGate(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	h.storeBalance(0, time.Minute)
	h.credits()
	if x := h.Submitted(t, "ada", 1); x.Status != task.Generating || h.Sim.CreditReads() != 1 {
		t.Errorf("it is %s", x.Status)
	}
	h.Sim.SetBalance(0)
	h.Clock.Add(time.Minute)
	h.storeBalance(1000, 0)
	h.credits()
	h.Clock.Add(31 * time.Second)
	_, _, err := h.Submit(t.Context(), lifecycle.Order{Owner: "ada", Request: task.Request{Prompt: lifecycletest.Prompt, NumImages: 1}})
	if e, ok := errors.AsType[*task.Error](err); !ok || e.Code != task.CodeInsufficientCredits {
		t.Errorf("got %v", err)
	}
}

// If the row cannot be read, the provider is asked.
func TestSnapshotUnreadable(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	h.storeBalance(77, time.Minute)
	h.Rows.Fail(lifecycletest.On("balance", lifecycletest.ErrStore), nil)
	if c := h.credits(); c.Balance != 1000 || h.Sim.CreditReads() != 1 {
		t.Errorf("%+v", c)
	}
	if line := h.Logged.Take(); !strings.Contains(line, "last check of the credits could not be read") {
		t.Errorf("logged %s", line)
	}
}
