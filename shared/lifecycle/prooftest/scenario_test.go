package prooftest

import (
	"slices"
	"time"

	"github.com/preset/nanobanana-functions/shared/task"
)

// scenario runs several steps in a row that would seldom follow each other by chance.
// Calls under way may happen in between.
func (sim *simulation) scenario(s step) {
	o, is := pick(sim.provider.orders, s.A)
	switch {
	case s.Do == normal:
		sim.normal(s)
	case s.Do == manyRefusals:
		sim.manyRefusals(s)
	case s.Do == liveLinks:
		sim.callWithLiveLinks(s)
	case s.Do == unproved:
		sim.unproved(s)
	case s.Do == earlyCallback:
		sim.earlyCallback(s)
	case s.Do == afterEnd:
		sim.afterEnd(s)
	case s.Do == lost:
		sim.loseAndRescue(s)
	case !is:
	case s.Do == secondTry:
		sim.secondTry(s, o)
	case s.Do == unreadable:
		sim.hideRecord(s, o, []string{"500", "HTML", "hidden"}[s.B%3])
	case s.Do == uselessRecord:
		sim.uselessRecord(s)
	case s.Do == strangersID:
		sim.callWithStrangersID(s, o)
	}
}

// normal runs a task's usual life: until the provider has it, until its pictures are
// made, or to its end.
func (sim *simulation) normal(s step) {
	sim.submitOrder(s.A, 0)
	sim.runAll()
	o, is := pick(sim.provider.orders, 0)
	if !is || s.B < 4 {
		return
	}
	sim.callBack(o, 0)
	sim.runAll()
	if s.B >= 8 {
		sim.onTask(step{Do: consume}, o.task)
		sim.runAll()
	}
}

// secondTry lets an order fail, and the next attempt begin, sometimes without a clear
// answer.
func (sim *simulation) secondTry(s step, o *order) {
	if s.B == 4 { // a callback says policy, right after the read for another callback
		sim.callBack(o, 10)
		sim.runAll()
		sim.callBack(o, 9)
	} else {
		sim.finish(o, 2)
		sim.callBack(o, 0)
	}
	sim.runAll()
	if s.B%3 > 0 {
		sim.conditions.answer = []string{"", "500", "500!"}[s.B%3]
	}
	sim.nextSweeps(2)
	if s.B >= 6 {
		sim.callBack(o, s.B) // too late
		sim.runAll()
	}
}

// hideRecord sends one or two callbacks for an order while its record is unreadable or
// unusable, and lets sweeps try for a while.
func (sim *simulation) hideRecord(s step, o *order, record string) {
	o.record = record
	sim.logStep("the record of %s is now %q", o.id[30:], record)
	sim.callBack(o, s.B)
	sim.runAll()
	switch s.B / 3 {
	case 1:
		sim.callBack(o, 8)
	case 2:
		sim.later(95 * time.Second)
		sim.sweep()
		sim.runAll()
		o.record = ""
		sim.nextSweeps(1)
		o.record = "500"
	case 3:
		sim.callBack(o, 0)
	}
	sim.runAll()
	for range 3 {
		sim.later(80 * time.Second)
		sim.sweep()
		sim.runAll()
	}
}

// callWithStrangersID submits without a clear answer, and sends a callback for that with
// the id of another order, whose record does not say whose it is.
func (sim *simulation) callWithStrangersID(s step, o *order) {
	sim.conditions.answer = []string{"500", "500!"}[s.B%2]
	sim.submitOrder(s.A+1, 9)
	sim.runAll()
	o.record, o.echo = []string{"", "", "", "500"}[s.B/3], []string{"none", "none", "", ""}[s.B/3]
	if s.A%2 == 0 {
		sim.finish(o, s.B%4)
	}
	for _, id := range sim.ledger.ids {
		if t := sim.ledger.row(id); t.Status == task.Unconfirmed && t.ID != o.task {
			sim.logStep("callback for %s: it is %s", short(id), o.id[30:])
			o.foreign = true
			sim.callback(t.ID, t.Attempt, good(o.id, o.urls()), callbackContent{ids: []string{o.id}, urls: o.urls()})
			sim.runAll()
		}
	}
	sim.nextSweeps(2)
}

// open returns an order that is not finished, or submits one.
func (sim *simulation) open(s step) (*order, bool) {
	open := slices.DeleteFunc(slices.Clone(sim.provider.orders), (*order).done)
	if len(open) == 0 {
		sim.submitOrder(s.A, 9+2*(s.B%2))
		sim.runAll()
		open = sim.provider.orders
	}
	return pick(open, 0)
}

// callWithLiveLinks lets the links in an order's record die, before it is read or while its
// pictures are being stored, while callbacks name live ones.
func (sim *simulation) callWithLiveLinks(s step) {
	o, is := sim.open(s)
	if !is {
		return
	}
	if s.B%2 == 0 {
		o.outdate()
		sim.callBack(o, 0)
		sim.runAll()
	}
	sim.callBack(o, 0)
	sim.runAll()
	sim.consume("ingest", o.task)
	sim.runAll()
	sim.nextSweeps(1)
	for range []int{1, 1, 2, 6}[s.A%4] {
		o.outdate()
		sim.callBack(o, []int{0, 0, 10}[s.B%3])
		sim.runAll()
	}
	if s.B/3 == 3 {
		sim.forgeCallback(sim.ledger.row(o.task), 1)
		sim.runAll()
	}
	sim.consume("ingest", o.task)
	sim.runAll()
	sim.nextSweeps(s.B / 3)
}

// uselessRecord makes the record of an unfinished order unusable, and sends a callback for
// it, mostly of success.
func (sim *simulation) uselessRecord(s step) {
	if o, is := sim.open(s); is {
		s.B = []int{0, 10, 6, 2, 8, 7, 0, 10, 6, 0, 6, 10}[s.B]
		sim.hideRecord(s, o, doubtful[(s.A+6*s.B)%len(doubtful)])
	}
}

// unproved submits without a clear answer, and sends a callback: only the record can prove
// whose the order is, if it is usable.
func (sim *simulation) unproved(s step) {
	sim.conditions.answer = []string{"500!", "no task id!", "half!"}[s.A%3]
	sim.submitOrder(s.A, 9*(s.B%2))
	sim.runAll()
	o, is := pick(sim.provider.orders, 0)
	if !is {
		return
	}
	o.echo = sortedKeys(echoes)[(s.A+6*s.B)%len(echoes)]
	switch s.B % 4 {
	case 1:
		o.record = unclear[s.A%len(unclear)]
	case 3:
		o.record = doubtful[(s.A*5+s.B)%len(doubtful)]
	}
	sim.logStep("the record of %s is now %q, %q", o.id[30:], o.record, o.echo)
	sim.finish(o, []int{0, 2, 0}[s.A%3])
	sim.callBack(o, []int{0, 0, 0, 8, 10, 11}[s.B%6])
	sim.runAll()
	sim.nextSweeps(1 + s.B%2*3)
	if s.B < 4 {
		o.record = ""
	}
	sim.nextSweeps(1)
}

// earlyCallback submits, and sends a callback before the answer arrives: with another
// order's id, or with a 400. Some of the answers are refusals.
func (sim *simulation) earlyCallback(s step) {
	sim.runAll()
	sim.submitOrder(s.A, 9*(s.B%2))
	if s.B%4 == 3 {
		sim.conditions.answer = "455"
	}
	for range 3 {
		for _, c := range sim.waiting() {
			if c.op != "post" {
				sim.proceed(c)
				continue
			}
			sim.effect(c)
			sim.forgeCallback(sim.ledger.row(c.about), []int{0, 11, 3}[s.B%3])
			for range 4 { // the callback is faster than the answer
				for _, c := range sim.waiting() {
					if c.actor.kind == "callback" {
						sim.proceed(c)
					}
				}
			}
			sim.runAll()
		}
	}
	if o, is := pick(sim.provider.orders, 0); is && s.B >= 6 {
		sim.hideRecord(step{A: s.A, B: 6}, o, "500")
	}
}

// manyRefusals refuses every POST until the task gives up.
func (sim *simulation) manyRefusals(s step) {
	sim.submitOrder(s.A, 0)
	for range 7 {
		sim.conditions.answer = []string{"455", "429", "not connected"}[s.B%3]
		sim.runAll()
		sim.later(time.Hour)
		sim.sweep()
	}
	sim.conditions.answer = ""
}

// nextSweeps sweeps so many times, each when something is due next.
func (sim *simulation) nextSweeps(times int) {
	for range times {
		if next, left := sim.nextDue(); left {
			sim.later(max(0, time.Until(next)) + skew)
			sim.sweep()
			sim.runAll()
		}
	}
}
