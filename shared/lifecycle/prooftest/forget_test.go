package prooftest

import (
	"context"
	"time"

	"github.com/preset/nanobanana-functions/shared/lifecycle"
	"github.com/preset/nanobanana-functions/shared/task"
)

// forgetStep forgets an owner, if the history has that: at some time, or while an order is
// under way, which then ends in some way.
func (sim *simulation) forgetStep(s step) {
	switch o, is := pick(sim.provider.orders, s.A); {
	case !sim.forgets:
	case s.B < 4 || !is:
		sim.forget([]string{"ada", "ada", "ada", "bob"}[s.B%4])
	default:
		sim.forgetInFlight(s, o)
	}
}

func (sim *simulation) forgetInFlight(s step, o *order) {
	if o.done() {
		var is bool
		if o, is = sim.open(s); !is {
			return
		}
	}
	sim.forget(sim.ledger.owners[o.task])
	sim.later(45 * time.Second)
	sim.runAll()
	if s.B < 8 {
		sim.finish(o, 2) // another generation might succeed
	}
	sim.callBack(o, 0)
	sim.runAll()
	if s.A%2 == 0 {
		sim.nextSweeps(2)
	}
}

// forget does what bin/ops forget does once its question is answered.
func (sim *simulation) forget(owner string) {
	sim.logStep("forget %s", owner)
	sim.start("forget", time.Hour, func(ctx context.Context, a *actor) {
		s := a.process.submitter.Service
		f := lifecycle.Forgetter{Store: s.Store, Rules: s.Rules, Now: s.Now, Log: s.Log, Sleep: func(_ context.Context, d time.Duration) error {
			time.Sleep(d)
			return nil
		}}
		from, err := f.Refuse(ctx, owner)
		var e lifecycle.Erased
		if err == nil {
			e, err = f.Erase(ctx, owner, from, nil)
		}
		sim.mu.Lock()
		defer sim.mu.Unlock()
		if !a.lives() {
			return
		}
		sim.note("    forget #%d: %+v, %v", a.n, e, err)
		if err == nil && len(e.Failed)+len(e.Foreign) == 0 {
			sim.checkDone(a, owner)
		}
	})
}

// checkDone checks what an end of the command says: each of the owner's tasks is deleted,
// or will be at its end. A row whose write arrives late may be an exception: so the command
// is repeated.
func (sim *simulation) checkDone(a *actor, owner string) {
	for _, id := range sim.ledger.ids {
		t := sim.ledger.row(id)
		if sim.ledger.owners[id] == owner && !t.Deleted() && !t.EraseAtEnd && !sim.late[id] {
			sim.violate("P10", "%s was forgotten by #%d, and %s is %s", owner, a.n, short(id), state(t))
		}
	}
}

// forgotten reports whether the owner's orders are refused.
func (b *ledger) forgotten(owner string) bool { return !b.refused[owner].IsZero() }

// forgetAgain repeats what was begun, as an operator does.
func (sim *simulation) forgetAgain() {
	for _, owner := range sortedKeys(sim.ledger.refused) {
		sim.forget(owner)
		sim.runAll()
	}
}

// orderTime is for how long after Store.Forget an order may be accepted: by a process that
// does not know, until the end of submit.
const orderTime = task.PausesTTL + 28*time.Second + skew

// checkOrder checks the creation of a task. A process that cannot read the pauses lets
// orders pass, as it does with an unknown balance.
func (sim *simulation) checkOrder(by *actor, t *task.Task) {
	sim.ledger.owners[t.ID] = t.Owner
	refused := sim.ledger.refused[t.Owner]
	if refused.IsZero() {
		return
	}
	timely := by.lives() && !by.gaveUp && !by.process.blind
	sim.late[t.ID] = !timely
	sim.count("ordered while it is being forgotten", true)
	if after := time.Since(refused); timely && after > orderTime {
		sim.violate("P10", "an order of %s is accepted %v after it was forgotten", t.Owner, after)
	}
}

// checkErased checks what a write does to the row of a forgotten owner, and to a deleted
// one: it loses its owner when nobody needs that any more.
func (sim *simulation) checkErased(by *actor, old, new *task.Task) {
	id := short(new.ID)
	if by.kind == "forget" && new.EraseAtEnd {
		sim.count("marked while "+string(new.Status), !sim.ledger.marked[new.ID])
		sim.ledger.marked[new.ID] = true
	}
	marked := sim.ledger.marked[new.ID]
	if marked && new.Done() && !new.Deleted() {
		sim.violate("P10", "%s ends as %s, and is not deleted", id, state(new))
	}
	if marked && old.Status == task.Waiting && new.Status == task.Submitting {
		sim.violate("P10", "%s is sent again, though its owner is forgotten", id)
	}
	sim.count("erased at its end", marked && new.Done() && !old.Done())
	needed := !new.Deleted() || new.Work != "" || new.Notice != ""
	switch {
	case (new.Owner == "") == needed && old.Owner != "":
		sim.violate("P9", "%s is %s, and its owner is %q", id, state(new), new.Owner)
	case new.Owner == "" && (new.ProviderID != "" || new.NoticeTarget != nil):
		sim.violate("P9", "%s has lost its owner, and has %q and %v", id, new.ProviderID, new.NoticeTarget)
	case old.Owner == "" && new.Owner != "":
		sim.violate("P9", "%s has an owner again", id)
	}
	if untold := old.Owner != "" && new.Owner == "" && !new.NoticeGivenUpAt.IsZero(); untold {
		sim.count("lost its owner with a notice given up", true)
		sim.ledger.presetOf(new.ID).target = targetOf(nil) // a later notice does not have it
	}
}

// checkForgotten checks, in the end, that nothing of a forgotten owner is left, and
// nobody's name is on a deleted row.
func (sim *simulation) checkForgotten(t *task.Task) {
	owner := sim.ledger.owners[t.ID]
	if sim.ledger.forgotten(owner) && !t.Deleted() {
		sim.violate("P10", "%s is %s, and its owner is forgotten", short(t.ID), state(t))
	}
	if t.Deleted() && t.Owner != "" {
		sim.violate("P9", "%s is %s in the end, and its owner is %s", short(t.ID), state(t), t.Owner)
	}
	sim.count("forgotten in the end", sim.ledger.forgotten(owner))
}
