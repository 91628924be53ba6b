package prooftest

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"testing/synctest"
	"time"

	"github.com/preset/nanobanana-functions/shared/auth/token"
	"github.com/preset/nanobanana-functions/shared/lifecycle"
	"github.com/preset/nanobanana-functions/shared/nanobanana/nanobananatest"
	"github.com/preset/nanobanana-functions/shared/task"
)

// The promises about rescues, by their names.
const (
	rescuedOnce = "a task is rescued once"
	staysAway   = "what its owner has deleted stays away"
	comesAfter  = "what is lost can be rescued"
)

// rescueTask does what bin/ops rescue does, for whoever types it.
func (sim *simulation) rescueTask(id, given string) {
	sim.logStep("rescue %s by %q", short(id), short(given))
	sim.start("rescue", time.Minute, func(ctx context.Context, a *actor) {
		a.rescues = id
		t, err := lifecycle.Rescuer{Service: a.process.submitter.Service}.Rescue(ctx, id, given)
		sim.mu.Lock()
		defer sim.mu.Unlock()
		if !a.lives() {
			return
		}
		its := task.RescueID(id)
		refusal, refused := errors.AsType[*lifecycle.RescueError](err)
		sim.note("    rescue #%d answers %v", a.n, err)
		switch {
		case refused:
			sim.count("a rescue is refused: "+string(refusal.Why), true)
			// Its answer was lost, and ingest or a sweep went on with the row meanwhile.
			goneOn := refusal.Why == lifecycle.RescueDone && refusal.Rescued.Version > 1
			if a.wrote[its] && !goneOn {
				sim.violate("P6", "the rescue of %s does not recognize its own write: %s", short(id), refusal.Why)
			}
		case err == nil && !a.wrote[t.ID]:
			sim.violate("P6", "the rescue of %s is answered with %s, which it did not write", short(id), short(t.ID))
		}
	})
}

// rescueAny rescues a task, mostly one that has failed: by its own id, or by one given.
func (sim *simulation) rescueAny(s step) {
	ids := sim.failed()
	if s.B == 11 || len(ids) == 0 {
		ids = sim.ledger.ids
	}
	id, ok := pick(ids, s.A)
	if !ok {
		return
	}
	sim.rescueTask(id, sim.givenID(sim.ledger.row(id), s.B))
	if s.B%4 == 3 { // somebody else does, too
		sim.rescueTask(id, "")
	}
}

// givenID returns the provider id that is given to a rescue: none, the attempt's own, or
// another's.
func (sim *simulation) givenID(t *task.Task, b int) string {
	own := sim.ledger.maker(t).order
	others := slices.DeleteFunc(slices.Clone(sim.provider.orders), func(o *order) bool { return o == own })
	other, is := pick(others, b)
	switch {
	case b >= 7 && b < 10 && is:
		return other.id
	case b == 10:
		return "nobody"
	case b >= 4 && own != nil:
		return own.id
	}
	return ""
}

// maker returns the attempt that makes, or made, a task's pictures, whatever its row says.
func (b *ledger) maker(t *task.Task) *attempt {
	if a := b.makers[t.ID]; a != nil {
		return a
	}
	return b.attempt(t.ID, t.Attempt)
}

func (sim *simulation) failed() []string {
	return slices.DeleteFunc(slices.Clone(sim.ledger.ids), func(id string) bool { return sim.ledger.row(id).Status != task.Failed })
}

// loseAndRescue lets an order end without pictures that are made all the same, and rescues
// it: with a good record or another, twice at once, while its owner deletes it, or as its
// links die again.
func (sim *simulation) loseAndRescue(s step) {
	before := len(sim.provider.orders)
	sim.conditions.answer = []string{"", "", "", "500!"}[s.B%4]
	sim.submitOrder(s.A, 9+2*(s.B%2))
	sim.runAll()
	if len(sim.provider.orders) == before {
		return // a replay, or refused
	}
	o := sim.provider.orders[before]
	sim.finish(o, 0)
	switch s.B % 4 {
	case 0: // nobody can read its record for a day
		o.record = "500"
		sim.passing(25*time.Hour, 3*time.Minute, 40*time.Minute)
	case 1: // its links are dead for three days
		sim.conditions.download = "403"
		sim.callBack(o, 0)
		sim.runAll()
		sim.passing(73*time.Hour, 20*time.Minute)
		sim.conditions.download = ""
	case 2: // a callback alone says that it failed
		o.record = "HTML"
		sim.callBack(o, 8)
		sim.runAll()
		sim.passing(80*time.Second, 80*time.Second, 80*time.Second)
	case 3: // its POST had no clear answer, and no callback comes
		sim.passing(3 * time.Hour)
	}
	o.record = ""
	sim.later(time.Minute)
	t := sim.ledger.row(o.task)
	sim.count("lost: "+string(t.Failure), t.Status == task.Failed)
	given := ""
	if s.B%4 == 3 {
		given = o.id
	}
	sim.rescueSomehow(s, t, o, given)
}

// rescueSomehow rescues a task that was lost.
func (sim *simulation) rescueSomehow(s step, t *task.Task, o *order, given string) {
	switch s.B / 4 {
	case 0:
		sim.rescueTask(t.ID, given)
		sim.runAll()
	case 1:
		sim.disturbRescue(s, t, given)
		return
	case 2: // its links die while it is stored, and the record has fresh ones
		sim.rescueTask(t.ID, given)
		sim.runAll()
		o.links++
	}
	if rescued := sim.ledger.row(task.RescueID(t.ID)); rescued != nil {
		sim.consume("ingest", rescued.ID)
		sim.runAll()
		if s.A == 4 {
			sim.onTask(step{Do: remove}, rescued.ID)
			sim.runAll()
		}
		sim.rescueTask(t.ID, given)
		sim.runAll()
	}
}

// disturbRescue begins a rescue. As it is about to write, its owner deletes the task, the
// write is sent twice, its answer is lost, the process dies, or somebody else is faster.
// What happens then is up to the steps that follow.
func (sim *simulation) disturbRescue(s step, t *task.Task, given string) {
	sim.rescueTask(t.ID, given)
	at := func() int { return slices.IndexFunc(sim.waiting(), func(c *call) bool { return c.op == "rescue" }) }
	for range 20 {
		all := sim.waiting()
		n := slices.IndexFunc(all, func(c *call) bool { return c.actor.rescues == t.ID })
		if n < 0 || at() >= 0 {
			break
		}
		sim.proceed(all[n])
	}
	if at() < 0 {
		return
	}
	switch s.A {
	case 0:
		sim.change("delete", t.ID, func(s *lifecycle.Service, x *task.Task) error { return x.Delete(s.Rules, s.Now()) }, (*task.Task).Deleted)
		if n := slices.IndexFunc(sim.waiting(), func(c *call) bool { return c.op == "put" && c.actor.kind == "delete" }); n >= 0 {
			sim.onCall(step{Do: goOn, A: n})
		}
		return
	case 4:
		sim.later(40 * time.Second)
		sim.rescueTask(t.ID, given)
		return
	}
	sim.onCall(step{Do: []action{0: goOn, 1: resend, 2: crashAfter, 3: lose, 5: crash}[s.A], A: at()})
}

// passing lets time pass, with a sweep after each span, and the work that it asks for.
func (sim *simulation) passing(spans ...time.Duration) {
	for _, d := range spans {
		sim.later(d)
		sim.sweepAlone()
	}
}

// checkRescue checks a task that a rescue wrote: whose pictures it takes over, that there is
// no other, and that its owner has not deleted the one that it comes from.
func (sim *simulation) checkRescue(from string, t *task.Task) {
	origin := sim.ledger.row(from)
	id := short(t.ID)
	sim.count("rescued", true)
	if other := sim.ledger.rescued[from]; other != "" {
		sim.violate(rescuedOnce, "%s is rescued as %s, and was as %s", short(from), id, short(other))
	}
	sim.ledger.rescued[from] = t.ID
	switch {
	case origin == nil:
		sim.violate(staysAway, "%s is rescued from a task that does not exist", id)
		return
	case origin.Deleted():
		sim.violate(staysAway, "%s is rescued from %s, which is deleted", id, short(origin.ID))
	case origin.Status != task.Failed:
		sim.violate("I2", "%s is rescued from %s, which is %s", id, short(origin.ID), state(origin))
	case origin.Owner != t.Owner || origin.Prompt != t.Prompt || targetOf(origin.Target) != targetOf(t.Target):
		sim.violate("a rescued task is its origin's", "%s is not what %s was", id, short(origin.ID))
	}
	a := sim.ledger.maker(origin)
	sim.ledger.makers[t.ID] = a
	o := sim.provider.byID(t.ProviderID)
	if o == nil || o != a.order {
		sim.violate("I5", "%s takes over what %s made, for %s", id, short(t.ProviderID), short(origin.ID))
		return
	}
	for _, url := range t.URLs {
		if !o.shown[url] && !o.unstated[url] {
			sim.violate("the record decides", "%s is to store %s, which no record had", id, url)
		}
	}
	if t.Quota != nil {
		sim.violate("I4", "%s counts toward a quota, and orders nothing", id)
	}
}

// rescueAll rescues every task that is lost at the end of a history, as an operator does,
// and notes those that must succeed.
func (sim *simulation) rescueAll() {
	for _, id := range slices.Clone(sim.ledger.ids) {
		t := sim.ledger.row(id)
		if !t.MayBeRescued() || sim.ledger.row(task.RescueID(id)) != nil {
			continue
		}
		time.Sleep(6 * time.Minute) // its record may have been read a moment ago, or all reads are paused
		synctest.Wait()
		sim.rescueTask(id, "")
		sim.runAll()
		o, rescued := sim.ledger.maker(t).order, sim.ledger.row(sim.ledger.rescued[id])
		made := o != nil && o.flag == nanobananatest.FlagSucceeded && answeredWith(t, o) && len(o.recordURLs()) > 0
		if made && rescued == nil {
			sim.mu.Lock()
			sim.violate(comesAfter, "%s is %s, and is not rescued", short(id), state(t))
			sim.mu.Unlock()
		}
		if rescued != nil {
			sim.mustSucceed[rescued.ID] = o.shownAlive()
		}
	}
}

// answeredWith reports whether a task's row has the order from its own attempt's answer.
func answeredWith(t *task.Task, o *order) bool {
	if t.RescuedFrom != "" {
		return t.ProviderID == o.id
	}
	return slices.ContainsFunc(t.Notes, func(n task.AttemptNote) bool {
		return n.Attempt == t.Attempt && n.Outcome == task.OutcomeAccepted && n.ProviderID == o.id
	})
}

// rescueMutants are faults of rescues.
var rescueMutants = []mutant{
	{name: "a rescue needs no proof", caught: []string{"I5", "the record decides"}, transport: proveAll},
	{name: "a rescue ignores a DELETE", caught: []string{staysAway}, store: faulty(func(d *faultyStore) { d.undeleted = true })},
	{name: "a rescued task has an id of its own", caught: []string{rescuedOnce}, store: faulty(func(d *faultyStore) {
		d.rescue = func(t *task.Task) { t.ID = task.NewID("another", t.CreatedAt.String()) }
	})},
	{name: "a rescued task posts", caught: []string{"I1"}, store: faulty(func(d *faultyStore) { d.rescue = orderAgain })},
	{name: "a rescued task is compared with its own record", caught: []string{"no image is lost", comesAfter}, store: faulty(func(d *faultyStore) {
		d.rescue = func(t *task.Task) { t.MadeBy = nil }
	})},
	{name: "a rescue's read is not claimed", caught: []string{"I6"}, store: faulty(func(d *faultyStore) { d.change = unclaimed })},
}

// proveAll makes every record that a rescue reads name the task that is rescued.
func proveAll(p *process, to http.RoundTripper) http.RoundTripper {
	keys := token.Keys{{ID: "k", Key: callbackKey}}
	return readAs(func(o *order, r *read) {
		if t := p.sim.ledger.row(p.actor.rescues); t != nil {
			m := t.Maker()
			r.data["taskId"] = o.id
			r.sent = map[string]any{"callBackUrl": fmt.Sprintf("%s/v1/callbacks/%s/%d/%s",
				publicURL, m.Task, m.Attempt, keys.Sign(lifecycle.CallbackMessage(m.Task, m.Attempt)))}
		}
	})(p, to)
}

// orderAgain makes a rescued task one that waits for its first POST.
func orderAgain(t *task.Task) {
	t.Attempt, t.Charges, t.Status, t.Work, t.Setback = 1, []task.Charge{task.ChargeNone}, task.Waiting, "", task.CodeRateLimited
	t.RescuedFrom, t.MadeBy = "", nil
}

// unclaimed keeps the time of the last read of a task that has ended.
func unclaimed(old, new *task.Task) {
	if old.Done() {
		new.ReadAt = old.ReadAt
	}
}
