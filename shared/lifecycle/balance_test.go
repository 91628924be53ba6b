package lifecycle_test

import (
	"testing"
	"time"

	"github.com/preset/nanobanana-functions/shared/lifecycle"
	"github.com/preset/nanobanana-functions/shared/nanobanana/nanobananatest"
	"github.com/preset/nanobanana-functions/shared/task"
)

// A balance that cannot be read lets the submit through; one 402 closes the
// gate for a minute.
func TestBalanceGate(t *testing.T) {
	w := newWorld(t)
	w.Sim.SetKnobs(func(k *nanobananatest.Knobs) { k.Credit = nanobananatest.Fault{Kind: nanobananatest.FaultHTML} })
	w.submit()
	w.posted(1)

	w.Sim.SetKnobs(func(k *nanobananatest.Knobs) { k.OutOfCredits = true })
	if got := w.submit(); got.Status != task.Failed || got.Failure != task.CodeInsufficientCredits || got.Charges[0] != task.ChargeNone {
		t.Errorf("after a 402 the task is %s %s %v", got.Status, got.Failure, got.Charges)
	}
	w.posted(2)
	w.Sim.SetKnobs(func(k *nanobananatest.Knobs) { k.OutOfCredits = false })
	w.Clock.Add(59 * time.Second)
	if e := w.refused(); e.Code != task.CodeInsufficientCredits {
		t.Errorf("within the minute: %v", e)
	}
	w.posted(2)
	w.Clock.Add(time.Second)
	if got := w.submit(); got.Status != task.Generating {
		t.Errorf("after the minute the task is %s", got.Status)
	}
	w.posted(3)
}

// The balance is asked for once in 30 s, by however many submits.
func TestBalanceIsRemembered(t *testing.T) {
	w := newWorld(t)
	for range 5 {
		w.submit()
	}
	w.Clock.Add(29 * time.Second)
	w.submit()
	if got := w.Sim.CreditReads(); got != 1 {
		t.Errorf("the balance was read %d times within 30 s, want once", got)
	}
	w.Clock.Add(time.Second)
	w.submit()
	if got := w.Sim.CreditReads(); got != 2 {
		t.Errorf("the balance was read %d times in all, want twice", got)
	}
}

// A balance that has just become too old is asked for beside the order, which does
// not wait for it; one that is older, or is not enough, is asked for first.
func TestBalanceIsRenewed(t *testing.T) {
	for name, test := range map[string]struct {
		before, after float64 // the balance
		age           time.Duration
		reads         int
		passes        bool // the gate
	}{
		"young":                       {1000, 0, 30*time.Second - time.Millisecond, 0, true},
		"a little too old":            {1000, 0, 30 * time.Second, 1, true},
		"at the end of that":          {1000, 0, 35*time.Second - time.Millisecond, 1, true},
		"too old":                     {1000, 0, 35 * time.Second, 1, false},
		"not enough, a little old":    {6, 1000, 30 * time.Second, 1, true},
		"not enough, and still is so": {6, 3, 30 * time.Second, 1, false},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			w.Sim.SetBalance(test.before)
			w.submit()
			posts, reads := w.Sim.Posts(), w.Sim.CreditReads()
			w.Clock.Add(test.age)
			w.Sim.SetBalance(test.after)
			two := func(o *lifecycle.Order) { o.Request.NumImages = 2 } // 8 credits
			_, _, err := w.Submit(t.Context(), order(two))
			if passed := w.Sim.Posts() > posts; passed != test.passes || passed != (err == nil) {
				t.Errorf("it was sent: %v, %v; want %v", passed, err, test.passes)
			}
			if n := w.Sim.CreditReads() - reads; n != test.reads {
				t.Errorf("the balance was read %d times, want %d", n, test.reads)
			}
		})
	}
}
