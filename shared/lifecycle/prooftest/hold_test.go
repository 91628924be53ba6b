package prooftest

import (
	"cmp"
	"context"
	"slices"
	"time"

	"github.com/preset/nanobanana-functions/shared/task"
)

// heldSpan is when a holder held all POSTs.
type heldSpan struct {
	by       task.Holder
	from, to time.Time // to is zero while the operator has not released it
}

// holdStep holds, releases, or lets a task wait through a hold, if the history has holds.
func (sim *simulation) holdStep(s step) {
	by := []task.Holder{task.HeldByOperator, task.HeldByBudget}[s.A%2]
	switch {
	case !sim.holds:
	case s.B < 5:
		sim.hold(by)
	case s.B < 8:
		sim.release(by)
	default:
		sim.waitThroughHold(s, by)
	}
}

// waitThroughHold refuses a POST, holds for some hours, and refuses the POSTs after that.
func (sim *simulation) waitThroughHold(s step, by task.Holder) {
	refuse := func() {
		sim.conditions.answer = []string{"429", "455", "not connected"}[s.A%3]
		sim.runAll()
	}
	sim.submitOrder(s.A, 9*(s.B%2))
	refuse()
	sim.later(time.Duration(s.B%3) * time.Hour)
	sim.hold(by)
	for range 1 + s.A%3 {
		sim.later(3 * time.Hour)
		sim.sweep()
		refuse()
	}
	sim.release(by)
	for range 2 + s.B%4*2 {
		sim.sweep()
		refuse()
		sim.later(2 * time.Hour)
	}
	sim.conditions.answer = ""
}

// hold holds all POSTs: as the command pause does, or the check of a spent budget.
func (sim *simulation) hold(by task.Holder) {
	sim.mu.Lock()
	defer sim.mu.Unlock()
	now := time.Now()
	x := task.Hold{Reason: "r", Since: now}
	if by == task.HeldByBudget {
		x.Until = task.NextDay(now)
	}
	if err := sim.rows.Hold(context.Background(), by, x); err != nil {
		panic(err)
	}
	sim.note("held by the %s", by)
	for _, h := range sim.ledger.held {
		if h.by == by && (h.to.IsZero() || now.Before(h.to)) {
			return // it goes on
		}
	}
	sim.ledger.held = append(sim.ledger.held, heldSpan{by, now, x.Until})
}

func (sim *simulation) release(by task.Holder) {
	sim.mu.Lock()
	defer sim.mu.Unlock()
	now := time.Now()
	if err := sim.rows.Release(context.Background(), by, now); err != nil {
		panic(err)
	}
	sim.note("released by the %s", by)
	for i, h := range sim.ledger.held {
		if h.by == by && (h.to.IsZero() || now.Before(h.to)) {
			sim.ledger.held[i].to = now
		}
	}
}

// union returns when anybody held until now, in order and without overlaps.
func (b *ledger) union(now time.Time) (all []heldSpan) {
	spans := slices.Clone(b.held)
	for i, h := range spans {
		if h.to.IsZero() || h.to.After(now) {
			spans[i].to = now
		}
	}
	slices.SortFunc(spans, func(a, b heldSpan) int { return cmp.Or(a.from.Compare(b.from), a.to.Compare(b.to)) })
	for _, h := range spans {
		if n := len(all) - 1; n >= 0 && !h.from.After(all[n].to) {
			all[n].to = h.to.Add(max(0, all[n].to.Sub(h.to)))
			continue
		}
		all = append(all, h)
	}
	return all
}

// heldFor returns for how much of the time since from anybody held.
func (b *ledger) heldFor(from time.Time) (sum time.Duration) {
	for _, h := range b.union(time.Now()) {
		sum += max(0, min(h.to.Sub(h.from), h.to.Sub(from)))
	}
	return sum
}

// heldUntil returns until when somebody holds; the zero time if nobody does, and ever is
// true if nothing ends it but a release.
func (b *ledger) heldUntil() (until time.Time, ever bool) {
	for _, h := range b.held {
		switch now := time.Now(); {
		case h.to.IsZero():
			ever = true
		case now.Before(h.to) && h.to.After(until):
			until = h.to
		}
	}
	return until, ever
}

// checkHeld checks P11 of a POST as it begins: not in a hold that its process could know.
func (sim *simulation) checkHeld(by *actor, a *attempt) {
	until, ever := sim.ledger.heldUntil()
	if by.process.blind || !ever && time.Until(until) < skew {
		return
	}
	all := sim.ledger.union(time.Now())
	if since := all[len(all)-1].from; since.Before(by.begun.Add(-task.PausesTTL - skew)) {
		sim.violate("P11", "%s/%d is posted by a %s, %v after a hold began", short(a.task), a.n, by.kind, time.Since(since))
	}
}

// checkPatience checks P11: that a waiting task does not end for time before it has waited for
// 6 h besides the holds.
func (sim *simulation) checkPatience(old, new *task.Task) {
	if old.Status != task.Waiting || new.Status != task.Failed || new.Failure != old.Setback {
		return
	}
	from := waitsFrom(old)
	waited := time.Since(from) - sim.ledger.heldFor(from)
	if waited < 6*time.Hour-2*skew {
		sim.violate("P11", "%s ends after %v of waiting besides the holds", short(new.ID), waited)
	}
	sim.count("waiting failed after a hold", sim.ledger.heldFor(from) > 0)
}

// waitsFrom returns from when a task's 6 h count.
func waitsFrom(t *task.Task) time.Time {
	if t.FirstRefusal.IsZero() {
		return t.Since // its generation failed
	}
	return t.FirstRefusal
}

// The mutants about holds.

// sweepIgnoresHolds shows the sweep no hold in force.
func sweepIgnoresHolds(kind string, p task.Pauses) task.Pauses {
	if kind == "sweep" {
		p.By = nil
	}
	return p
}

// submitIgnoresHolds shows a submit none.
func submitIgnoresHolds(kind string, p task.Pauses) task.Pauses {
	if kind == "submit" {
		p.By = nil
	}
	return p
}

// holdsCount forgets holds as they end, so that their time counts as waiting.
func holdsCount(_ string, p task.Pauses) task.Pauses {
	p.Past = nil
	return p
}

// countedAnew forgets until when holds are counted.
func countedAnew(_, new *task.Task) { new.HeldUntil = time.Time{} }
