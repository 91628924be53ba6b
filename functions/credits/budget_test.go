package credits_test

import (
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/preset/nanobanana-functions/shared/lifecycle/lifecycletest"
	"github.com/preset/nanobanana-functions/shared/task"
)

// checkAt runs a check after d, with this balance, and returns its log.
func (h *harness) checkAt(d time.Duration, balance float64) string {
	h.t.Helper()
	h.Clock.Add(d)
	h.Sim.SetBalance(balance)
	if _, err := h.function.Check(h.t.Context()); err != nil {
		h.t.Fatal(err)
	}
	return h.Logged.Take()
}

// budgetHold returns the budget's hold, if it is in force.
func (h *harness) budgetHold() (hold task.Hold, held bool) {
	h.t.Helper()
	p, err := h.Rows.Store.Paused(h.t.Context())
	if err != nil {
		h.t.Fatal(err)
	}
	by, hold, held := p.InForce(h.Now())
	if held && by != task.HeldByBudget {
		h.t.Errorf("held by %s", by)
	}
	return hold, held
}

// expectHeld fails the test unless the budget holds, or does not.
func (h *harness) expectHeld(want bool) {
	h.t.Helper()
	if hold, held := h.budgetHold(); held != want {
		h.t.Errorf("at %v: held is %v: %+v", h.Now(), held, hold)
	}
}

// Each check logs what was spent, once. At the budget it holds all orders until the day
// is over.
func TestBudget(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	h.function.Budget = 100
	midnight := time.Date(2026, 3, 15, 0, 0, 0, 0, time.UTC)
	for n, step := range []struct {
		after   time.Duration
		balance float64
		fields  string
		held    bool
	}{
		{0, 1000, `"spentToday":0,"spentHour":0,"budget":100,"budgetPercent":0,"hourPercent":0`, false},
		{5 * time.Minute, 976, `"spentToday":24,"spentHour":24,"budget":100,"budgetPercent":24,"hourPercent":24`, false},
		{5 * time.Minute, 975, `"spentToday":25,"spentHour":25,"budget":100,"budgetPercent":25,"hourPercent":25`, false},
		{time.Hour, 5920.5, `"spentToday":25,"spentHour":0,"budget":100,"budgetPercent":25,"hourPercent":0`, false}, // a top-up
		{5 * time.Minute, 5865.5, `"spentToday":80,"spentHour":55,"budget":100,"budgetPercent":80,"hourPercent":55`, false},
		{5 * time.Minute, 5845.6, `"spentToday":99.9,"spentHour":74.9,"budget":100,"budgetPercent":99,"hourPercent":74`, false},
		{5 * time.Minute, 5845.5, `"spentToday":100,"spentHour":75,"budget":100,"budgetPercent":100,"hourPercent":75`, true},
		{5 * time.Minute, 5837.5, `"spentToday":108,"spentHour":83,"budget":100,"budgetPercent":108,"hourPercent":83`, true}, // billed late
	} {
		line := h.checkAt(step.after, step.balance)
		if strings.Count(line, `"event":"credits_checked"`) != 1 || !strings.Contains(line, step.fields) {
			t.Errorf("check %d logged %s", n, line)
		}
		if spent := strings.Contains(line, `"event":"budget_spent"`); spent != (n == 6) {
			t.Errorf("check %d logged %s", n, line)
		}
		h.expectHeld(step.held)
	}
	if hold, _ := h.budgetHold(); hold.Reason != "the daily budget is spent" || !hold.Until.Equal(midnight) {
		t.Errorf("%+v", hold)
	}
	if c := h.credits(); c.CanGenerate || c.Reason != task.CodePaused {
		t.Errorf("%+v", c)
	}
	h.Clock.Add(midnight.Sub(h.Now()))
	h.expectHeld(false) // by itself
	h.Clock.Add(10 * time.Second)
	if c := h.credits(); !c.CanGenerate || c.Reason != "" {
		t.Errorf("%+v", c)
	}
	if line := h.checkAt(time.Minute, 5833.5); !strings.Contains(line, `"spentToday":4,`) || strings.Contains(line, "budget_free") {
		t.Errorf("the first check of the day logged %s", line)
	}
	if p, err := h.Store.Paused(t.Context()); err != nil || len(p.By) != 0 || len(p.Past) != 1 || !p.Past[0].To.Equal(midnight) {
		t.Errorf("after it: %+v, %v", p, err)
	}
}

// A larger budget, or none, ends the hold with the next check.
func TestBudgetIsRaised(t *testing.T) {
	t.Parallel()
	for _, budget := range []int{200, 0} {
		h := newHarness(t)
		h.function.Budget = 100
		h.checkAt(0, 1000)
		h.checkAt(time.Minute, 850)
		h.expectHeld(true)
		h.function.Budget = budget
		if line := h.checkAt(time.Minute, 850); strings.Count(line, `"event":"budget_free"`) != 1 {
			t.Errorf("logged %s", line)
		}
		h.expectHeld(false)
		if line := h.checkAt(time.Minute, 850); strings.Contains(line, "budget_free") {
			t.Errorf("logged again: %s", line)
		}
	}
}

// The operator's hold is not the budget's: neither ends the other.
func TestBudgetAndOperator(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	h.function.Budget = 100
	h.checkAt(0, 1000)
	if err := h.Store.Hold(t.Context(), task.HeldByOperator, task.Hold{Reason: "r", Since: h.Now()}); err != nil {
		t.Fatal(err)
	}
	h.checkAt(time.Minute, 1000)
	h.checkAt(time.Minute, 850)
	h.function.Budget = 0
	h.checkAt(time.Minute, 850)
	p, err := h.Store.Paused(t.Context())
	if by, hold, _ := p.InForce(h.Now()); err != nil || by != task.HeldByOperator || hold.Reason != "r" || len(p.By) != 1 {
		t.Errorf("%+v, %v", p, err)
	}
}

// What a check could not do, the next one does: it judges what is, not what has changed.
func TestBudgetAfterFailures(t *testing.T) {
	t.Parallel()
	for name, fails := range map[string]string{
		"killed between the hold and keeping the balance": "setBalance",
		"the hold was not written":                        "hold",
		"the pauses could not be read":                    "paused",
	} {
		t.Run(name, func(t *testing.T) {
			h := newHarness(t)
			h.function.Budget = 100
			h.checkAt(0, 1000)
			h.Rows.Fail(lifecycletest.On(fails, lifecycletest.ErrStore), nil)
			h.Clock.Add(5 * time.Minute)
			h.Sim.SetBalance(850)
			if _, err := h.function.Check(t.Context()); err == nil {
				t.Error("the failure is hidden from the schedule")
			}
			h.expectHeld(fails == "setBalance")
			h.Rows.Fail(nil, nil)
			if line := h.checkAt(5*time.Minute, 850); !strings.Contains(line, `"spentToday":150,`) {
				t.Errorf("the next check logged %s", line)
			}
			h.expectHeld(true)
		})
	}
	// While nobody knows what was spent, the hold stays as it is.
	h := newHarness(t)
	h.function.Budget = 100
	h.checkAt(0, 1000)
	h.checkAt(time.Minute, 850)
	h.Rows.Fail(lifecycletest.On("balance", lifecycletest.ErrStore), nil)
	h.Clock.Add(time.Minute)
	if _, err := h.function.Check(t.Context()); err == nil {
		t.Error("no error")
	}
	if line := h.Logged.Take(); strings.Contains(line, "spentToday") {
		t.Errorf("logged %s", line)
	}
	h.expectHeld(true)
}

// Checks that overlap, in any order, count every fall once, and the later one decides.
func TestBudgetOverlappingChecks(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	h.function.Budget = 100
	h.checkAt(0, 1000)
	h.Clock.Add(time.Minute)
	h.Sim.SetBalance(850)
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			if _, err := h.function.Check(t.Context()); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if b, err := h.Store.Balance(t.Context()); err != nil || b.Spend.Today != 150 {
		t.Errorf("%+v, %v", b, err)
	}
	h.expectHeld(true)

	// An older check that comes late, and has seen less, does not end the hold.
	late := task.Balance{Credits: 950, AsOf: h.Now().Add(-time.Second), Spend: task.Spend{Day: task.Day(h.Now()), Today: 50}}
	if changed, err := h.Account.EnforceBudget(t.Context(), late, 100); changed || err != nil {
		t.Errorf("changed: %v, %v", changed, err)
	}
	h.expectHeld(true)
}

// A check that began before midnight holds no order of the new day.
func TestBudgetAtMidnight(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	midnight := time.Date(2026, 3, 15, 0, 0, 0, 0, time.UTC)
	for asOf, held := range map[time.Time]bool{midnight.Add(-time.Millisecond): false, midnight: true} {
		h.Clock.Add(midnight.Sub(h.Now()))
		spent := task.Balance{AsOf: asOf, Spend: task.Spend{Day: task.Day(asOf), Today: 100}}
		if _, err := h.Account.EnforceBudget(t.Context(), spent, 100); err != nil {
			t.Fatal(err)
		}
		h.expectHeld(held)
		if err := h.Store.Release(t.Context(), task.HeldByBudget, h.Now()); err != nil {
			t.Fatal(err)
		}
	}
}
