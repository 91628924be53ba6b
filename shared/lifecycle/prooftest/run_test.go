package prooftest

import (
	"context"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/preset/nanobanana-functions/shared/media"
	"github.com/preset/nanobanana-functions/shared/nanobanana/nanobananatest"
	"github.com/preset/nanobanana-functions/shared/task"
)

// outcome is what came of a history.
type outcome struct {
	broken *violation // nil: nothing
	trace  []string
	counts map[string]int // how often what happened
}

func (o outcome) String() string { return strings.Join(o.trace, "\n") }

// happen has a history happen, to a service that a mutant is built into, and
// then a quiet phase, in a bubble of its own whose clock is the world's.
func happen(t *testing.T, h history, m mutant, open func() task.Store) (got outcome) {
	t.Helper()
	synctest.Test(t, func(*testing.T) {
		w := newWorld(h, m, open())
		defer func() {
			w.end()
			got = outcome{broken: w.broken, trace: w.trace, counts: w.counts}
		}()
		for _, s := range h.Steps {
			w.step(s)
			w.checkAll()
			if w.broken != nil {
				return
			}
		}
		if w.quiet(h); w.broken == nil {
			w.checkEnd()
		}
	})
	return got
}

func newWorld(h history, m mutant, rows task.Store) *world {
	w := &world{
		mutant: m, rows: rows, rules: task.DefaultRules(), quota: h.Quota, book: newBook(), begun: time.Now(), counts: map[string]int{}, wanted: map[string]bool{},
		bucket:  &bucket{objects: map[string]string{}},
		weather: conditions{held: nanobananatest.DefaultKey, good: nanobananatest.DefaultKey, balance: 100},
		dir:     scratch, reads: h.Reads,
	}
	w.provider = &provider{w: w}
	w.rules.Notify = h.Notify
	w.rules.ResultHosts = func(url string) bool { return !h.Blind && strings.HasPrefix(url, "http://"+pictureHost+"/") }
	return w
}

// quiet is the time after all faults: what is under way ends, and the sweep
// comes. There are no callbacks, and no stream records but those of its own puts.
func (w *world) quiet(h history) {
	w.mu.Lock()
	w.note("from here on all is well")
	w.flight = nil
	w.weather = conditions{held: w.weather.good, good: w.weather.good, balance: 100}
	for _, o := range w.provider.orders {
		o.record = ""                  // it repeats what was ordered as it did,
		o.stale = o.stale && w.live(o) // and keeps its links where others live
	}
	w.mu.Unlock()
	w.runAll()
	w.expect(h)
	redriven := false
	for range 1500 {
		for _, o := range w.provider.orders {
			if !h.Never {
				w.finish(o, 0)
			}
		}
		next, left := w.nextDue()
		switch {
		case w.broken != nil:
			return
		case !left && redriven:
			return
		case !left: // as the alarm would have somebody do
			redriven = true
			w.redrive()
			continue
		}
		time.Sleep(max(0, time.Until(next)) + skew)
		synctest.Wait()
		w.sweepAlone()
		w.checkAll()
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, id := range w.book.ids {
		if t := w.book.row(id); !t.DueAt.IsZero() {
			w.violate("I7", "%s never ends: it is %s", short(id), state(t))
		}
	}
}

// sweepAlone sweeps, and hands on the stream records of the sweep's own puts.
func (w *world) sweepAlone() {
	before := map[string]int64{}
	for _, id := range w.book.ids {
		before[id] = w.book.row(id).Version
	}
	w.sweep()
	w.runAll()
	for _, id := range w.book.ids {
		t := w.book.row(id)
		if t.Work == "" || t.Version == before[id] {
			continue
		}
		kind := "ingest"
		if t.Work == task.Notify {
			kind = "notify"
		}
		w.consume(kind, id)
		w.runAll()
	}
}

// nextDue says when the sweep has something to do next, if ever.
func (w *world) nextDue() (next time.Time, left bool) {
	for _, id := range w.book.ids {
		if t := w.book.row(id); !t.DueAt.IsZero() && (!left || t.DueAt.Before(next)) {
			next, left = t.DueAt, true
		}
	}
	return next, left
}

// redrive takes up again the notices that were given up.
func (w *world) redrive() {
	var ids []string
	for _, id := range w.book.ids {
		if !w.book.row(id).NoticeGivenUpAt.IsZero() {
			ids = append(ids, id)
		}
	}
	w.start("sweep", 50*time.Second, func(ctx context.Context, a *actor) { a.process.sweeper.Redrive(ctx, ids) })
	w.runAll()
}

// expect says of the tasks that all could go well for, now that all is well, that it has to.
func (w *world) expect(h history) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, id := range w.book.ids {
		t, heard := w.book.row(id), w.book.hearing(id)
		ahead := time.Until(t.Deadline) > 10*time.Minute
		switch {
		case len(heard.ids)+len(heard.urls) > 0:
		case t.Status == task.Storing:
			o := w.provider.byID(t.ProviderID)
			w.count("stored by a callback's links alone", o != nil && o.stale && !o.lasting)
			w.wanted[id] = !t.LastWake && o != nil && o.flag == nanobananatest.FlagSucceeded && findable(t, o) && w.live(o)
		case h.Never:
		case t.Status == task.Generating && t.Hint != nil && t.Hint.Failure != "": // it may be believed yet
		case t.Status == task.Generating:
			o := w.provider.byID(t.ProviderID)
			w.wanted[id] = ahead && o.flag != nanobananatest.FlagFailed && findable(t, o) && w.live(o)
		case t.Status == task.Waiting:
			w.wanted[id] = ahead && t.Refusals < 8 && t.Deadline.Sub(t.DueAt) > time.Minute && len(t.ImageURLs) == 0 && t.Barred != t.Attempt
		}
	}
}

// findable reports whether a task's record is taken for its own.
func findable(t *task.Task, o *order) bool {
	return echoes[o.echo].proof != contradicts || t.Proved()
}

// live reports whether links to an order's pictures can be known that lead there.
func (w *world) live(o *order) bool {
	lent := o.vouched == o.links && w.rules.ResultHosts(o.urls()[0])
	return !o.stale || o.lasting || lent
}

// checkEnd holds the world in which nothing is left to do against what it was to come to.
func (w *world) checkEnd() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.checkIndex()
	for _, id := range w.book.ids {
		t := w.book.row(id)
		if !t.Done() || t.Work != "" {
			w.violate("I7", "%s rests, and is %s", short(id), state(t))
		}
		if left := w.bucket.under(media.Prefix(id)); t.Deleted() && len(left) > 0 {
			w.violate("P2", "%s is deleted, and %v is in the bucket", short(id), left)
		}
		w.count("task "+string(t.Status)+" "+string(t.Failure), true)
		if w.wanted[id] && t.Status != task.Succeeded {
			w.violate("no image is lost", "%s could have succeeded, and is %s", short(id), state(t))
		}
		w.count("all went well in the end", w.wanted[id])
		end := w.book.ends[id]
		w.count("an end not logged: its process died", end != nil && !end.said && end.by.process.dead)
		w.checkTold(t)
		w.checkPromise(t)
	}
}

// checkTold holds what Preset was told against I10.
func (w *world) checkTold(t *task.Task) {
	told := w.book.told[t.ID]
	if !w.rules.Notify {
		return
	}
	if len(told) == 0 {
		w.violate("I10", "%s is %s, and nobody was told", short(t.ID), state(t))
	}
	for _, id := range told {
		if id != t.ID+"-"+string(t.Status) {
			w.violate("I10", "%s is %s, and was told as %s", short(t.ID), state(t), id)
		}
	}
}

// checkPromise holds what a true success callback was answered with 200 against P1.
func (w *world) checkPromise(t *task.Task) {
	h := w.book.hearing(t.ID)
	if h.promised == 0 || t.Status == task.Succeeded || len(h.ids)+len(h.urls) > 0 {
		return
	}
	o := w.book.attempt(t.ID, h.promised).order
	spoilt := o.lied || t.Failure == task.CodeImageUnavailable                             // its pictures could not be had while faults were
	blind := (o.unreadable || o.useless || w.keyless) && !w.rules.ResultHosts(o.urls()[0]) // and no callback is believed
	if !spoilt && !blind && !o.disowned {
		w.violate("P1", "%s was called back as made, and is %s", short(t.ID), state(t))
	}
}
