package prooftest

import (
	"context"
	"encoding/hex"
	"errors"
	"strings"
	"time"

	"github.com/preset/nanobanana-functions/shared/lifecycle"
	"github.com/preset/nanobanana-functions/shared/nanobanana"
	"github.com/preset/nanobanana-functions/shared/task"
)

func hexDigest(b []byte) string {
	sum := digest(b)
	return hex.EncodeToString(sum[:])
}

// submit is functions/submit.
func (w *world) submit(o lifecycle.Order) {
	w.start("submit", 28*time.Second, func(ctx context.Context, a *actor) {
		id := task.NewID(o.Owner, o.IdempotencyKey)
		w.mu.Lock()
		before := w.book.row(id)
		w.mu.Unlock()
		t, replayed, err := w.mutant.submit(a.process.submitter)(ctx, o)
		w.mu.Lock()
		defer w.mu.Unlock()
		if !a.lives() {
			return // nobody had its answer
		}
		w.note("    submit #%d answers %v, replayed %v", a.n, err, replayed)
		w.checkSubmitted(a, id, before, o, t, replayed, err)
	})
}

// checkSubmitted holds the answer to a submit against I12, P5 and P7.
func (w *world) checkSubmitted(a *actor, id string, before *task.Task, o lifecycle.Order, t *task.Task, replayed bool, err error) {
	var refused *task.Error
	switch {
	case errors.As(err, &refused) && refused.Code == task.CodeUnavailable:
	case errors.As(err, &refused):
		o.Request.Normalize()
		stood := before != nil && before.Fingerprint == o.Request.Fingerprint() && !w.book.row(id).Deleted()
		if a.wrote[id] || stood {
			w.violate("P7", "%s is refused with %s, while its row stands", short(id), refused.Code)
		}
	case err != nil:
		w.violate("P7", "a submit failed with %v, which is no answer", err)
	case w.book.row(id) == nil || t.ID != id:
		w.violate("no task is lost", "a submit is answered, and there is no row")
	case replayed && a.posts > 0:
		w.violate("I12", "a replay of %s has posted", short(id))
	case !replayed && !a.wrote[id]:
		w.violate("P6", "%s is somebody else's row, and not answered as a replay", short(id))
	}
	w.checkAnswers(a)
}

// checkAnswers holds the rows of the attempts whose answers reached an actor,
// which went on to its end and whose store did not fail for long since, against P5.
func (w *world) checkAnswers(a *actor) {
	for _, got := range a.answered {
		if a.faults > got.faults+3 || a.gaveUp || w.weather.storeAway {
			continue
		}
		t := w.book.row(got.task)
		if t.Charges[got.n-1] != task.ChargeSure && !t.Done() {
			w.violate("P5", "%s/%d was accepted, and is marked %s", short(t.ID), got.n, t.Charges[got.n-1])
		}
		if t.Attempt == got.n && t.Status == task.Generating && t.ProviderID != got.order.id {
			w.violate("P5", "%s generates as %q, and was accepted as %q", short(t.ID), t.ProviderID, got.order.id)
		}
	}
}

// sweep is functions/sweep.
func (w *world) sweep() {
	w.start("sweep", 90*time.Second, func(ctx context.Context, a *actor) {
		_, _ = a.process.sweeper.Sweep(ctx) // its error is the index's, which the weather made
		w.mu.Lock()
		defer w.mu.Unlock()
		if a.lives() {
			w.checkAnswers(a)
		}
	})
}

// consume is functions/ingest or functions/notify, on a stream record of a task.
func (w *world) consume(kind, id string) {
	if kind == "ingest" {
		w.start(kind, 15*time.Minute, func(ctx context.Context, a *actor) {
			_ = a.process.ingester.Ingest(ctx, id) // its error is for the log
		})
		return
	}
	w.start(kind, 30*time.Second, func(ctx context.Context, a *actor) { _ = w.tell(ctx, a, id) })
}

// tell does what functions/notify does, which this package may not import.
func (w *world) tell(ctx context.Context, a *actor, id string) error {
	s := a.process.submitter.Service
	t, err := s.Store.Task(ctx, id)
	if err != nil || t.Work != task.Notify || !t.Known() {
		return err
	}
	err = w.call(ctx, a, "notice", id, false, func() error {
		if w.weather.receiverAway {
			return errLost
		}
		w.book.told[id] = append(w.book.told[id], id+"-"+string(t.Status))
		return nil
	})
	if err != nil {
		return err
	}
	_, err = task.Update(ctx, s.Store, t, func(x *task.Task) error {
		x.Notified(s.Now())
		return nil
	})
	return err
}

// change is a change by the owner, as functions/tasks makes it.
func (w *world) change(kind, id string, change func(*lifecycle.Service, *task.Task) error, done func(*task.Task) bool) {
	w.start(kind, 25*time.Second, func(ctx context.Context, a *actor) {
		s := a.process.submitter.Service
		t, err := s.Store.Task(ctx, id)
		if err != nil {
			return
		}
		_, err = task.Update(ctx, s.Store, t, func(x *task.Task) error { return change(s, x) })
		w.mu.Lock()
		defer w.mu.Unlock()
		if err == nil && a.lives() && !done(w.book.row(id)) {
			w.violate("what is answered stands", "the %s of %s was answered as done", kind, short(id))
		}
	})
}

// callback is functions/callback once the token has been found true. said is
// what it says, if that is true and all.
func (w *world) callback(id string, n int, body []byte, said said) {
	w.start("callback", 15*time.Second, func(ctx context.Context, a *actor) {
		w.mu.Lock()
		before := w.book.row(id)
		h := w.book.hearing(id)
		for _, other := range said.ids {
			h.ids[other] = true
		}
		for _, url := range said.urls {
			h.urls[lasting(url)] = true
		}
		if cb, err := nanobanana.ParseCallback(body); err == nil {
			h.speaks(cb)
		}
		a.said = body
		w.mu.Unlock()
		err := a.process.submitter.Settle(ctx, id, n, body)
		w.mu.Lock()
		defer w.mu.Unlock()
		if !a.lives() || err != nil {
			return // it has to come again
		}
		current := before.Attempt == n && w.book.row(id).Attempt == n
		if current && said.of != nil && keepsLinks(before, said.of) && keepsLinks(w.book.row(id), said.of) {
			said.of.vouched = said.links
		}
		ended := w.book.row(id).Status == task.Failed && !a.wrote[id] // before it was heard
		inTime := before.Status == task.Submitting || time.Now().Before(before.Deadline.Add(-skew))
		switch {
		case current && said.success && inTime && !before.Done() && !ended:
			w.count("promise", true)
			w.count("promise before the answer", before.Status == task.Submitting || before.Status == task.Unconfirmed)
			h.promised = n
		case current && said.policy && w.counts400(before, w.book.row(id), said):
			h.barred = n
		}
	})
}

// speaks notes which links a callback names, and with which id: one without an
// id counts as of those that others have named, since its token is the attempt's.
func (h *heard) speaks(cb nanobanana.Callback) {
	if cb.TaskID != "" {
		h.spoken[cb.TaskID] = true
	}
	for id := range h.spoken {
		for _, url := range cb.URLs {
			if cb.TaskID == "" || cb.TaskID == id {
				h.named[id+" "+url] = true
			}
		}
	}
}

// keepsLinks reports whether what a callback names of an order is kept in a row.
func keepsLinks(t *task.Task, o *order) bool {
	return t.ProviderID == o.id && (t.Status == task.Generating || t.Status == task.Storing)
}

// counts400 says whether a 400 is one of the attempt: not if it was refused
// meanwhile, nor if it named an order while the attempt's own was known.
func (w *world) counts400(before, after *task.Task, said said) bool {
	if len(said.ids) > 0 {
		return after.ProviderID == "" && (after.Status == task.Submitting || after.Status == task.Unconfirmed)
	}
	return before.ProviderID != "" || before.Status != task.Waiting && after.Status != task.Waiting
}

// lasting is what all links to one picture have in common.
func lasting(url string) string {
	url, _, _ = strings.Cut(url, "?")
	return url
}

// said is what there is to remember of a callback.
type said struct {
	success bool     // the order's own success, whole
	policy  bool     // 400, of the order itself
	ids     []string // ids beside the order's own
	urls    []string // URLs beside the order's own
	of      *order   // whose success it is, by its id,
	links   int      // and its links, by how often they had been replaced
}
