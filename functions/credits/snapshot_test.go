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

// found is what a check on another machine kept, a while ago.
func (s *site) found(credits float64, ago time.Duration) (asOf time.Time) {
	s.t.Helper()
	asOf = s.Now().Add(-ago)
	if err := s.Store.SetBalance(s.t.Context(), task.Balance{Credits: credits, AsOf: asOf, Level: task.LevelFine}); err != nil {
		s.t.Fatal(err)
	}
	return asOf
}

// A look at the credits costs the provider nothing while checks come: what
// the last one found is shown, with its age, and read once in 30 s.
func TestSnapshot(t *testing.T) {
	t.Parallel()
	s := serve(t)
	asOf := s.found(77, 6*time.Minute)
	for range 5 {
		if c := s.credits(); c.Balance != 77 || !c.AsOf.Equal(asOf) || !c.Low || !c.CanGenerate {
			t.Errorf("%+v", c)
		}
	}
	if n, reads := s.Rows.Count("balance"), s.Sim.CreditReads(); n != 1 || reads != 0 {
		t.Errorf("the row was read %d times, the provider asked %d times", n, reads)
	}
	s.Clock.Add(30 * time.Second)
	asOf = s.found(78, 0)
	if c := s.credits(); c.Balance != 78 || !c.AsOf.Equal(asOf) || !c.CanGenerate {
		t.Errorf("after another check: %+v", c)
	}
	if n, reads := s.Rows.Count("balance"), s.Sim.CreditReads(); n != 2 || reads != 0 {
		t.Errorf("the row was read %d times, the provider asked %d times", n, reads)
	}
}

// A balance that is not enough for a picture is asked for afresh, once in 30 s: a
// top-up shows within 40 s, though the next check is minutes away.
func TestTopUp(t *testing.T) {
	t.Parallel()
	s := serve(t)
	s.Sim.SetBalance(3)
	s.found(3, time.Minute)
	no := func(reads int) {
		t.Helper()
		if c := s.credits(); c.Balance != 3 || c.CanGenerate || c.Reason != task.CodeInsufficientCredits || s.Sim.CreditReads() != reads {
			t.Errorf("%+v after %d reads, want %d", c, s.Sim.CreditReads(), reads)
		}
	}
	no(1)
	s.Sim.SetBalance(500) // as soon as that
	s.Clock.Add(30*time.Second - time.Millisecond)
	for range 5 {
		no(1)
	}
	s.Clock.Add(time.Millisecond)
	if c := s.credits(); c.Balance != 500 || !c.CanGenerate || s.Sim.CreditReads() != 2 {
		t.Errorf("after the top-up: %+v, %d reads", c, s.Sim.CreditReads())
	}
	s.Clock.Add(time.Minute)
	if c := s.credits(); c.Balance != 500 || !c.CanGenerate || s.Sim.CreditReads() != 2 {
		t.Errorf("a minute later: %+v, %d reads", c, s.Sim.CreditReads())
	}
}

// While the provider cannot say, it is not asked more often than that, either.
func TestTopUpWhileTheProviderCannotSay(t *testing.T) {
	t.Parallel()
	s := serve(t)
	s.Sim.SetKnobs(func(k *nanobananatest.Knobs) {
		k.Credit = nanobananatest.Fault{Kind: nanobananatest.FaultStatus, Code: 500}
	})
	asOf := s.found(3, time.Minute)
	for n := range 61 {
		if c := s.credits(); c.Balance != 3 || !c.AsOf.Equal(asOf) || c.CanGenerate || s.Sim.CreditReads() != 1+n/30 {
			t.Errorf("after %d s: %+v, %d reads", n, c, s.Sim.CreditReads())
		}
		s.Clock.Add(time.Second)
	}
}

// After a 402 the gate is shut for a minute, in this process: a balance that has
// grown meanwhile opens it, one that is merely enough does not.
func TestTopUpAfter402(t *testing.T) {
	t.Parallel()
	s := serve(t)
	s.Sim.SetBalance(10)
	refuses := func() {
		s.Sim.SetKnobs(func(k *nanobananatest.Knobs) {
			k.Submit = nanobananatest.Fault{Kind: nanobananatest.FaultStatus, Code: 402, Times: 1}
		})
	}
	refuses()
	if x := s.Submitted(t, "ada", 1); x.Failure != task.CodeInsufficientCredits {
		t.Fatalf("it is %s %s", x.Status, x.Failure)
	}
	refused := func() {
		t.Helper()
		_, _, err := s.Submit(t.Context(), lifecycle.Order{Owner: "ada", Request: task.Request{Prompt: lifecycletest.Prompt, NumImages: 1}})
		if e, ok := errors.AsType[*task.Error](err); !ok || e.Code != task.CodeInsufficientCredits {
			t.Errorf("a submit got %v", err)
		}
		if c := s.credits(); c.CanGenerate || c.Reason != task.CodeInsufficientCredits {
			t.Errorf("%+v", c)
		}
	}
	refused()
	s.Clock.Add(31 * time.Second)
	refused() // asked again: it is 10 still
	s.Clock.Add(28 * time.Second)
	refused() // in the last second of the minute
	s.Clock.Add(time.Second)
	refuses()
	if x := s.Submitted(t, "ada", 1); x.Failure != task.CodeInsufficientCredits {
		t.Fatalf("it is %s %s", x.Status, x.Failure)
	}
	s.Sim.SetBalance(500)
	s.Clock.Add(31 * time.Second)
	if c := s.credits(); c.Balance != 500 || !c.CanGenerate {
		t.Errorf("after the top-up: %+v", c)
	}
	if x := s.Submitted(t, "ada", 1); x.Status != task.Generating {
		t.Errorf("after the top-up it is %s %s", x.Status, x.Failure)
	}
}

// A snapshot is shown for 7 minutes. If no check has come for longer, the
// provider is asked, and what is old is shown only if he cannot say.
func TestSnapshotOld(t *testing.T) {
	t.Parallel()
	s := serve(t)
	asOf := s.found(77, 7*time.Minute-time.Millisecond)
	if c := s.credits(); c.Balance != 77 || s.Sim.CreditReads() != 0 {
		t.Errorf("just before: %+v", c)
	}
	s.Sim.SetKnobs(func(k *nanobananatest.Knobs) {
		k.Credit = nanobananatest.Fault{Kind: nanobananatest.FaultStatus, Code: 500, Times: 1}
	})
	s.Clock.Add(time.Millisecond)
	if c := s.credits(); c.Balance != 77 || !c.AsOf.Equal(asOf) || s.Sim.CreditReads() != 1 {
		t.Errorf("while the provider cannot say: %+v", c)
	}
	s.Clock.Add(5 * time.Second)
	if c := s.credits(); c.Balance != 1000 || !c.AsOf.Equal(s.Now()) || s.Sim.CreditReads() != 2 {
		t.Errorf("once he can: %+v", c)
	}
}

// An older snapshot does not replace what this process knows itself.
func TestSnapshotOlderThanMemory(t *testing.T) {
	t.Parallel()
	s := serve(t)
	asked := s.Now()
	s.credits()
	s.found(77, time.Minute)
	s.Clock.Add(time.Minute)
	if c := s.credits(); c.Balance != 1000 || !c.AsOf.Equal(asked) || s.Sim.CreditReads() != 1 {
		t.Errorf("%+v", c)
	}
}

// The snapshot is no ground to refuse a submit, nor to let it through: the
// gate asks the provider.
func TestSnapshotAndGate(t *testing.T) {
	t.Parallel()
	s := serve(t)
	s.found(0, time.Minute)
	s.credits()
	if x := s.Submitted(t, "ada", 1); x.Status != task.Generating || s.Sim.CreditReads() != 1 {
		t.Errorf("it is %s", x.Status)
	}
	s.Sim.SetBalance(0)
	s.Clock.Add(time.Minute)
	s.found(1000, 0)
	s.credits()
	s.Clock.Add(31 * time.Second)
	_, _, err := s.Submit(t.Context(), lifecycle.Order{Owner: "ada", Request: task.Request{Prompt: lifecycletest.Prompt, NumImages: 1}})
	if e, ok := errors.AsType[*task.Error](err); !ok || e.Code != task.CodeInsufficientCredits {
		t.Errorf("got %v", err)
	}
}

// With the row out of reach the provider is asked.
func TestSnapshotAway(t *testing.T) {
	t.Parallel()
	s := serve(t)
	s.found(77, time.Minute)
	s.Rows.Fail(lifecycletest.On("balance", lifecycletest.ErrStore), nil)
	if c := s.credits(); c.Balance != 1000 || s.Sim.CreditReads() != 1 {
		t.Errorf("%+v", c)
	}
	if line := s.Logged.Take(); !strings.Contains(line, "last check of the credits could not be read") {
		t.Errorf("logged %s", line)
	}
}
