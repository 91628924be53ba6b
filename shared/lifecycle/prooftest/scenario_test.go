package prooftest

import (
	"slices"
	"time"

	"github.com/preset/nanobanana-functions/shared/task"
)

// plot does several steps in a row, since by chance alone they would seldom
// follow each other so. What is under way may get in between.
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

// usual is a task's life as it mostly is: until the provider has it, until its
// pictures are to be had, or to its end.
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

// again has an order made in vain, and another attempt begun: some of these
// without a clear answer.
func (sim *simulation) secondTry(s step, o *order) {
	if s.B == 4 { // a callback says that it was against the policy, while another's read is too young for its own
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
		sim.callBack(o, s.B) // late
		sim.runAll()
	}
}

// darken has an order called back, once or twice, while its record cannot be
// read, or used, and lets sweeps try for a while.
func (sim *simulation) hideRecord(s step, o *order, record string) {
	o.record = record
	sim.logStep("the record of %s is %q from now on", o.id[30:], record)
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

// lead submits, nobody knows with what success, and calls back about that with
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
			sim.logStep("called back about %s: it is %s", short(id), o.id[30:])
			o.foreign = true
			sim.callback(t.ID, t.Attempt, good(o.id, o.urls()), callbackContent{ids: []string{o.id}, urls: o.urls()})
			sim.runAll()
		}
	}
	sim.nextSweeps(2)
}

// open picks an order that is still to be made, or places one.
func (sim *simulation) open(s step) (*order, bool) {
	open := slices.DeleteFunc(slices.Clone(sim.provider.orders), (*order).done)
	if len(open) == 0 {
		sim.submitOrder(s.A, 9+2*(s.B%2))
		sim.runAll()
		open = sim.provider.orders
	}
	return pick(open, 0)
}

// lendLinks has the links in an order's record die, before it is asked for or as
// its pictures are being stored, and callbacks name others that live.
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

// doubt has the record of an order that is still to be made come, and be of no
// use, as it is called back: mostly as made.
func (sim *simulation) uselessRecord(s step) {
	if o, is := sim.open(s); is {
		s.B = []int{0, 10, 6, 2, 8, 7, 0, 10, 6, 0, 6, 10}[s.B]
		sim.hideRecord(s, o, doubtful[(s.A+6*s.B)%len(doubtful)])
	}
}

// guess submits, without a clear answer, and calls back: whose the order is
// only its record can prove, if it is of any use.
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
	sim.logStep("the record of %s is %q, %q, from now on", o.id[30:], o.record, o.echo)
	sim.finish(o, []int{0, 2, 0}[s.A%3])
	sim.callBack(o, []int{0, 0, 0, 8, 10, 11}[s.B%6])
	sim.runAll()
	sim.nextSweeps(1 + s.B%2*3)
	if s.B < 4 {
		o.record = ""
	}
	sim.nextSweeps(1)
}

// overtake submits, and calls back before the answer is there: with another
// order's id, or with a 400. Some of the answers then are refusals.
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
			for range 4 { // it is faster than the answer
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

// besiege has every POST refused for as long as a task bears it.
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

// nextSweeps sweeps when something is due next, and then again.
func (sim *simulation) nextSweeps(times int) {
	for range times {
		if next, left := sim.nextDue(); left {
			sim.later(max(0, time.Until(next)) + skew)
			sim.sweep()
			sim.runAll()
		}
	}
}
