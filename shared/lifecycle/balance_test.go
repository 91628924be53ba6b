package lifecycle_test

import (
	"context"
	"testing"
	"time"

	"github.com/preset/nanobanana-functions/shared/lifecycle"
	"github.com/preset/nanobanana-functions/shared/nanobanana/nanobananatest"
	"github.com/preset/nanobanana-functions/shared/task"
)

// A submit passes if the balance cannot be read. A 402 closes the gate for a minute.
func TestBalanceGate(t *testing.T) {
	h := newHarness(t)
	h.Sim.SetKnobs(func(k *nanobananatest.Knobs) { k.Credit = nanobananatest.Fault{Kind: nanobananatest.FaultHTML} })
	h.submit()
	h.posted(1)

	h.Sim.SetKnobs(func(k *nanobananatest.Knobs) { k.OutOfCredits = true })
	if got := h.submit(); got.Status != task.Failed || got.Failure != task.CodeInsufficientCredits || got.Charges[0] != task.ChargeNone {
		t.Errorf("after a 402 the task is %s %s %v", got.Status, got.Failure, got.Charges)
	}
	h.posted(2)
	h.Sim.SetKnobs(func(k *nanobananatest.Knobs) { k.OutOfCredits = false })
	h.Clock.Add(59 * time.Second)
	if e := h.refused(); e.Code != task.CodeInsufficientCredits {
		t.Errorf("within the minute: %v", e)
	}
	h.posted(2)
	h.Clock.Add(time.Second)
	if got := h.submit(); got.Status != task.Generating {
		t.Errorf("after the minute the task is %s", got.Status)
	}
	h.posted(3)
}

// All submits together ask for the balance once in 30 s.
func TestBalanceIsRemembered(t *testing.T) {
	h := newHarness(t)
	for range 5 {
		h.submit()
	}
	h.Clock.Add(29 * time.Second)
	h.submit()
	if got := h.Sim.CreditReads(); got != 1 {
		t.Errorf("the balance was read %d times within 30 s, want once", got)
	}
	h.Clock.Add(time.Second)
	h.submit()
	if got := h.Sim.CreditReads(); got != 2 {
		t.Errorf("the balance was read %d times in all, want twice", got)
	}
}

// While the balance is in its grace, a submit renews it without waiting. If it is older,
// or not enough, the submit asks first.
func TestBalanceIsRenewed(t *testing.T) {
	for name, test := range map[string]struct {
		before, after float64 // the balance
		age           time.Duration
		reads         int
		passes        bool
	}{
		"young":                    {1000, 0, 30*time.Second - time.Millisecond, 0, true},
		"in its grace":             {1000, 0, 30 * time.Second, 1, true},
		"at the end of the grace":  {1000, 0, 35*time.Second - time.Millisecond, 1, true},
		"too old":                  {1000, 0, 35 * time.Second, 1, false},
		"not enough, in its grace": {6, 1000, 30 * time.Second, 1, true},
		"still not enough":         {6, 3, 30 * time.Second, 1, false},
	} {
		t.Run(name, func(t *testing.T) {
			h := newHarness(t)
			h.Sim.SetBalance(test.before)
			h.submit()
			posts, reads := h.Sim.Posts(), h.Sim.CreditReads()
			h.Clock.Add(test.age)
			h.Sim.SetBalance(test.after)
			two := func(o *lifecycle.Order) { o.Request.NumImages = 2 } // 8 credits
			_, _, err := h.Submit(t.Context(), order(two))
			if passed := h.Sim.Posts() > posts; passed != test.passes || passed != (err == nil) {
				t.Errorf("it was sent: %v, %v; want %v", passed, err, test.passes)
			}
			if n := h.Sim.CreditReads() - reads; n != test.reads {
				t.Errorf("the balance was read %d times, want %d", n, test.reads)
			}
		})
	}
}

// What was asked at the start is as old as any other balance: a process that was frozen
// since asks again.
func TestPreparedBalanceServesTheFirstOrder(t *testing.T) {
	for age, reads := range map[time.Duration]int{0: 1, 35 * time.Second: 2} {
		h := newHarness(t)
		if err := h.Account.Prepare(t.Context()); err != nil {
			t.Fatal(err)
		}
		h.Clock.Add(age)
		h.submit()
		if n := h.Sim.CreditReads(); n != reads {
			t.Errorf("after %v the balance was read %d times, want %d", age, n, reads)
		}
		h.posted(1)
	}
}

// A start that does not get the balance leaves the first order as it would be without.
func TestBalanceIsNotPrepared(t *testing.T) {
	for name, fault := range map[string]nanobananatest.Fault{
		"the provider answers with a page": {Kind: nanobananatest.FaultHTML},
		"the provider hangs":               {Kind: nanobananatest.FaultHang},
		"the key is refused":               {Kind: nanobananatest.FaultStatus, Code: 401},
		"the provider is in maintenance":   {Kind: nanobananatest.FaultCode, Code: 455},
	} {
		t.Run(name, func(t *testing.T) {
			h := newHarness(t)
			h.Sim.SetKnobs(func(k *nanobananatest.Knobs) { k.Credit = fault })
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			if fault.Kind == nanobananatest.FaultHang {
				go func() {
					for h.Sim.CreditReads() == 0 && ctx.Err() == nil {
						time.Sleep(time.Millisecond)
					}
					cancel()
				}()
			}
			if err := h.Account.Prepare(ctx); err == nil {
				t.Error("it was prepared")
			}
			if n := h.Sim.CreditReads(); n != 1 {
				t.Errorf("the balance was read %d times by the start, want once", n)
			}
			h.Sim.SetKnobs(func(k *nanobananatest.Knobs) { k.Credit = nanobananatest.Fault{} })
			h.submit()
			if n := h.Sim.CreditReads(); n != 2 {
				t.Errorf("the balance was read %d times in all, want once more", n)
			}
			h.posted(1)
		})
	}
}
