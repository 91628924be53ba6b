package prooftest

import (
	"slices"
	"time"

	"github.com/preset/nanobanana-functions/shared/task"
)

// plot does several steps in a row, since by chance alone they would seldom
// follow each other so. What is under way may get in between.
func (w *world) plot(s step) {
	o, is := pick(w.provider.orders, s.A)
	switch {
	case s.Do == usual:
		w.usual(s)
	case s.Do == siege:
		w.besiege(s)
	case s.Do == lend:
		w.lendLinks(s)
	case s.Do == unproved:
		w.guess(s)
	case s.Do == early:
		w.overtake(s)
	case !is:
	case s.Do == second:
		w.again(s, o)
	case s.Do == dark:
		w.darken(s, o, []string{"500", "HTML", "hidden"}[s.B%3])
	case s.Do == useless:
		w.doubt(s)
	case s.Do == stray:
		w.lead(s, o)
	}
}

// usual is a task's life as it mostly is: until the provider has it, until its
// pictures are to be had, or to its end.
func (w *world) usual(s step) {
	w.place(s.A, 0)
	w.runAll()
	o, is := pick(w.provider.orders, 0)
	if !is || s.B < 4 {
		return
	}
	w.called(o, 0)
	w.runAll()
	if s.B >= 8 {
		w.onTask(step{Do: consume}, o.task)
		w.runAll()
	}
}

// again has an order made in vain, and another attempt begun: some of these
// without a clear answer.
func (w *world) again(s step, o *order) {
	if s.B == 4 { // a callback says that it was against the policy, while another's read is too young for its own
		w.called(o, 10)
		w.runAll()
		w.called(o, 9)
	} else {
		w.finish(o, 2)
		w.called(o, 0)
	}
	w.runAll()
	if s.B%3 > 0 {
		w.weather.answer = []string{"", "500", "500!"}[s.B%3]
	}
	w.nextSweeps(2)
	if s.B >= 6 {
		w.called(o, s.B) // late
		w.runAll()
	}
}

// darken has an order called back, once or twice, while its record cannot be
// read, or used, and lets sweeps try for a while.
func (w *world) darken(s step, o *order, record string) {
	o.record = record
	w.said("the record of %s is %q from now on", o.id[30:], record)
	w.called(o, s.B)
	w.runAll()
	switch s.B / 3 {
	case 1:
		w.called(o, 8)
	case 2:
		w.later(95 * time.Second)
		w.sweep()
		w.runAll()
		o.record = ""
		w.nextSweeps(1)
		o.record = "500"
	case 3:
		w.called(o, 0)
	}
	w.runAll()
	for range 3 {
		w.later(80 * time.Second)
		w.sweep()
		w.runAll()
	}
}

// lead submits, nobody knows with what success, and calls back about that with
// the id of another order, whose record does not say whose it is.
func (w *world) lead(s step, o *order) {
	w.weather.answer = []string{"500", "500!"}[s.B%2]
	w.place(s.A+1, 9)
	w.runAll()
	o.record, o.echo = []string{"", "", "", "500"}[s.B/3], []string{"none", "none", "", ""}[s.B/3]
	if s.A%2 == 0 {
		w.finish(o, s.B%4)
	}
	for _, id := range w.book.ids {
		if t := w.book.row(id); t.Status == task.Unconfirmed && t.ID != o.task {
			w.said("called back about %s: it is %s", short(id), o.id[30:])
			o.foreign = true
			w.callback(t.ID, t.Attempt, good(o.id, o.urls()), said{ids: []string{o.id}, urls: o.urls()})
			w.runAll()
		}
	}
	w.nextSweeps(2)
}

// open picks an order that is still to be made, or places one.
func (w *world) open(s step) (*order, bool) {
	open := slices.DeleteFunc(slices.Clone(w.provider.orders), (*order).done)
	if len(open) == 0 {
		w.place(s.A, 9+2*(s.B%2))
		w.runAll()
		open = w.provider.orders
	}
	return pick(open, 0)
}

// lendLinks has the links in an order's record die, before it is asked for or as
// its pictures are being stored, and callbacks name others that live.
func (w *world) lendLinks(s step) {
	o, is := w.open(s)
	if !is {
		return
	}
	if s.B%2 == 0 {
		o.outdate()
		w.called(o, 0)
		w.runAll()
	}
	w.called(o, 0)
	w.runAll()
	w.consume("ingest", o.task)
	w.runAll()
	w.nextSweeps(1)
	for range []int{1, 1, 2, 6}[s.A%4] {
		o.outdate()
		w.called(o, []int{0, 0, 10}[s.B%3])
		w.runAll()
	}
	if s.B/3 == 3 {
		w.forged(w.book.row(o.task), 1)
		w.runAll()
	}
	w.consume("ingest", o.task)
	w.runAll()
	w.nextSweeps(s.B / 3)
}

// doubt has the record of an order that is still to be made come, and be of no
// use, as it is called back: mostly as made.
func (w *world) doubt(s step) {
	if o, is := w.open(s); is {
		s.B = []int{0, 10, 6, 2, 8, 7, 0, 10, 6, 0, 6, 10}[s.B]
		w.darken(s, o, doubtful[(s.A+6*s.B)%len(doubtful)])
	}
}

// guess submits, without a clear answer, and calls back: whose the order is
// only its record can prove, if it is of any use.
func (w *world) guess(s step) {
	w.weather.answer = []string{"500!", "no task id!", "half!"}[s.A%3]
	w.place(s.A, 9*(s.B%2))
	w.runAll()
	o, is := pick(w.provider.orders, 0)
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
	w.said("the record of %s is %q, %q, from now on", o.id[30:], o.record, o.echo)
	w.finish(o, []int{0, 2, 0}[s.A%3])
	w.called(o, []int{0, 0, 0, 8, 10, 11}[s.B%6])
	w.runAll()
	w.nextSweeps(1 + s.B%2*3)
	if s.B < 4 {
		o.record = ""
	}
	w.nextSweeps(1)
}

// overtake submits, and calls back before the answer is there: with another
// order's id, or with a 400. Some of the answers then are refusals.
func (w *world) overtake(s step) {
	w.runAll()
	w.place(s.A, 9*(s.B%2))
	if s.B%4 == 3 {
		w.weather.answer = "455"
	}
	for range 3 {
		for _, c := range w.waiting() {
			if c.op != "post" {
				w.proceed(c)
				continue
			}
			w.effect(c)
			w.forged(w.book.row(c.about), []int{0, 11, 3}[s.B%3])
			for range 4 { // it is faster than the answer
				for _, c := range w.waiting() {
					if c.actor.kind == "callback" {
						w.proceed(c)
					}
				}
			}
			w.runAll()
		}
	}
	if o, is := pick(w.provider.orders, 0); is && s.B >= 6 {
		w.darken(step{A: s.A, B: 6}, o, "500")
	}
}

// besiege has every POST refused for as long as a task bears it.
func (w *world) besiege(s step) {
	w.place(s.A, 0)
	for range 7 {
		w.weather.answer = []string{"455", "429", "not connected"}[s.B%3]
		w.runAll()
		w.later(time.Hour)
		w.sweep()
	}
	w.weather.answer = ""
}

// nextSweeps sweeps when something is due next, and then again.
func (w *world) nextSweeps(times int) {
	for range times {
		if next, left := w.nextDue(); left {
			w.later(max(0, time.Until(next)) + skew)
			w.sweep()
			w.runAll()
		}
	}
}
