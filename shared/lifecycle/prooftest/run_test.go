package prooftest

import (
	"context"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/preset/nanobanana-functions/shared/lifecycle"
	"github.com/preset/nanobanana-functions/shared/media"
	"github.com/preset/nanobanana-functions/shared/nanobanana/nanobananatest"
	"github.com/preset/nanobanana-functions/shared/task"
)

// outcome is the result of a history.
type outcome struct {
	broken *violation // nil: none
	trace  []string
	counts map[string]int // how often each thing happened
}

func (o outcome) String() string { return strings.Join(o.trace, "\n") }

// runHistory runs a history with a mutant built in, and then a phase without faults, in a
// synctest bubble.
func runHistory(t *testing.T, h history, m mutant, open func() task.Store) (got outcome) {
	t.Helper()
	synctest.Test(t, func(*testing.T) {
		sim := newSimulation(h, m, open())
		defer func() {
			sim.end()
			got = outcome{broken: sim.broken, trace: sim.trace, counts: sim.counts}
		}()
		for _, s := range h.Steps {
			sim.step(s)
			sim.checkAll()
			if sim.broken != nil {
				return
			}
		}
		if sim.settleDown(h); sim.broken == nil {
			sim.checkEnd()
		}
	})
	return got
}

func newSimulation(h history, m mutant, rows task.Store) *simulation {
	sim := &simulation{
		mutant: m, rows: rows, rules: task.DefaultRules(), quota: h.Quota, ledger: newLedger(), begun: time.Now(), counts: map[string]int{}, mustSucceed: map[string]bool{}, late: map[string]bool{},
		bucket:     &bucket{objects: map[string]string{}},
		conditions: conditions{secretKey: nanobananatest.DefaultKey, validKey: nanobananatest.DefaultKey, balance: 100},
		dir:        scratch, reads: h.Reads, forgets: h.Forget, holds: h.Hold,
	}
	sim.provider = &provider{sim: sim}
	sim.rules.Notify = h.Notify
	sim.rules.ResultHosts = func(url string) bool { return !h.Blind && strings.HasPrefix(url, "http://"+pictureHost+"/") }
	return sim
}

// settleDown runs the time after all faults: everything under way ends, and sweeps come.
// There are no callbacks, and no stream messages besides those of the sweep's own puts.
func (sim *simulation) settleDown(h history) {
	sim.mu.Lock()
	sim.note("no more faults from here on")
	sim.inFlight = nil
	sim.conditions = conditions{secretKey: sim.conditions.validKey, validKey: sim.conditions.validKey, balance: 100}
	for _, o := range sim.provider.orders {
		o.record = ""                            // echo stays as it is
		o.stale = o.stale && sim.hasLiveLinks(o) // its links stay dead if others are live
	}
	sim.mu.Unlock()
	sim.release(task.HeldByOperator) // a hold of the budget ends by itself
	sim.runAll()
	sim.forgetAgain()
	sim.noteExpected(h)
	redriven, rescued := false, false
	for range 1500 {
		for _, o := range sim.provider.orders {
			if !h.Never {
				sim.finish(o, 0)
			}
		}
		next, left := sim.nextDue()
		switch {
		case sim.broken != nil:
			return
		case !left && redriven && rescued:
			return
		case !left && redriven: // as an operator does in the end
			rescued = true
			sim.rescueAll()
			continue
		case !left: // as an operator does after the alarm
			redriven = true
			sim.redrive()
			continue
		}
		time.Sleep(max(0, time.Until(next)) + skew)
		synctest.Wait()
		sim.sweepAlone()
		sim.checkAll()
	}
	sim.mu.Lock()
	defer sim.mu.Unlock()
	for _, id := range sim.ledger.ids {
		if t := sim.ledger.row(id); !t.Due().IsZero() {
			sim.violate("I7", "%s never ends: it is %s", short(id), state(t))
		}
	}
}

// sweepAlone sweeps, and delivers the stream messages of the sweep's own puts.
func (sim *simulation) sweepAlone() {
	before := map[string]int64{}
	for _, id := range sim.ledger.ids {
		before[id] = sim.ledger.row(id).Version
	}
	sim.sweep()
	sim.runAll()
	for _, id := range sim.ledger.ids {
		t := sim.ledger.row(id)
		if t.Version == before[id] {
			continue
		}
		for _, m := range t.Messages() {
			sim.consume(consumerOf(m), id)
			sim.runAll()
		}
	}
}

// nextDue returns when the sweep has work next; left is false if it never has.
func (sim *simulation) nextDue() (next time.Time, left bool) {
	until, ever := sim.ledger.heldUntil()
	for _, id := range sim.ledger.ids {
		t := sim.ledger.row(id)
		at := t.Due()
		switch {
		case t.AwaitsPost() && ever:
			continue // the sweep does nothing for it
		case t.AwaitsPost() && at.Before(until.Add(skew)):
			at = until.Add(skew)
		}
		if !at.IsZero() && (!left || at.Before(next)) {
			next, left = at, true
		}
	}
	return next, left
}

// redrive takes up given-up notices again.
func (sim *simulation) redrive() {
	var ids []string
	for _, id := range sim.ledger.ids {
		if !sim.ledger.row(id).NoticeGivenUpAt.IsZero() {
			ids = append(ids, id)
		}
	}
	sim.start("sweep", 50*time.Second, func(ctx context.Context, a *actor) {
		s := a.process.sweeper
		for _, id := range ids {
			if t, err := s.Store.Task(ctx, id); err == nil {
				_, _ = lifecycle.Redrive(ctx, s.Store, t, s.Now()) // the history goes on after a fault, as the operator does
			}
		}
	})
	sim.runAll()
}

// noteExpected notes the tasks that must succeed, now that there are no more faults.
func (sim *simulation) noteExpected(h history) {
	sim.mu.Lock()
	defer sim.mu.Unlock()
	for _, id := range sim.ledger.ids {
		t, heard := sim.ledger.row(id), sim.ledger.callbacksOf(id)
		ahead := time.Until(t.Deadline) > 10*time.Minute
		switch {
		case len(heard.foreignIDs)+len(heard.foreignURLs) > 0:
		case t.Status == task.Storing:
			o := sim.provider.byID(t.ProviderID)
			sim.count("stored by a callback's links alone", o != nil && o.stale && !o.lasting)
			sim.mustSucceed[id] = !t.LastWake && o != nil && o.flag == nanobananatest.FlagSucceeded && findable(t, o) &&
				(sim.hasLiveLinks(o) && t.RescuedFrom == "" || o.shownAlive())
		case h.Never:
		case t.Status == task.Generating && t.Hint != nil && t.Hint.Failure != "": // it may still be believed
		case t.Status == task.Generating:
			o := sim.provider.byID(t.ProviderID)
			sim.mustSucceed[id] = ahead && o.flag != nanobananatest.FlagFailed && findable(t, o) && sim.hasLiveLinks(o)
		case t.Status == task.Waiting && !t.EraseAtEnd:
			sim.mustSucceed[id] = ahead && t.Refusals < 8 && t.Deadline.Sub(t.DueAt) > time.Minute && len(t.ImageURLs) == 0 && t.Barred != t.Attempt
		}
	}
}

// findable reports whether a task's record is recognized as its own.
func findable(t *task.Task, o *order) bool {
	return echoes[o.echo].proof != contradicts || t.Proved()
}

// shownAlive reports whether the order's record shows live links: a rescued task has no
// others, since a callback lends its links to the task that it names.
func (o *order) shownAlive() bool { return !o.stale || o.lasting }

// hasLiveLinks reports whether live links to an order's pictures can be known.
func (sim *simulation) hasLiveLinks(o *order) bool {
	lent := o.vouched == o.links && sim.rules.ResultHosts(o.urls()[0])
	return o.shownAlive() || lent
}

// checkEnd checks the state in which nothing is left to do.
func (sim *simulation) checkEnd() {
	sim.mu.Lock()
	defer sim.mu.Unlock()
	sim.checkIndex()
	for _, id := range sim.ledger.ids {
		t := sim.ledger.row(id)
		if !t.Done() || len(t.Messages()) > 0 {
			sim.violate("I7", "%s has left the index, and is %s", short(id), state(t))
		}
		if left := sim.bucket.under(media.Prefix(id)); t.Deleted() && len(left) > 0 {
			sim.violate("P2", "%s is deleted, and %v is still in the bucket", short(id), left)
		}
		sim.count("task "+string(t.Status)+" "+string(t.Failure), true)
		if sim.mustSucceed[id] && t.Status != task.Succeeded {
			sim.violate("no image is lost", "%s could have succeeded, and is %s", short(id), state(t))
		}
		sim.count("all went well in the end", sim.mustSucceed[id])
		end := sim.ledger.ends[id]
		sim.count("an end not logged: its process died", end != nil && !end.said && end.by.process.dead)
		sim.checkNotices(t)
		sim.checkPromise(t)
		sim.checkForgotten(t)
	}
}

// checkPromise checks P1.
func (sim *simulation) checkPromise(t *task.Task) {
	h := sim.ledger.callbacksOf(t.ID)
	if h.promised == 0 || t.Status == task.Succeeded || len(h.foreignIDs)+len(h.foreignURLs) > 0 {
		return
	}
	o := sim.ledger.attempt(t.ID, h.promised).order
	spoilt := o.lied || t.Failure == task.CodeImageUnavailable                                 // its pictures could not be downloaded during the faults
	blind := (o.unreadable || o.useless || sim.keyless) && !sim.rules.ResultHosts(o.urls()[0]) // and no callback counts
	if !spoilt && !blind && !o.disowned {
		sim.violate("P1", "a callback reported success for %s, and it is %s", short(t.ID), state(t))
	}
}
