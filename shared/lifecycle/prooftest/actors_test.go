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

// submit does what functions/submit does.
func (sim *simulation) submit(o lifecycle.Order) {
	sim.start("submit", 28*time.Second, func(ctx context.Context, a *actor) {
		id := task.NewID(o.Owner, o.IdempotencyKey)
		sim.mu.Lock()
		before := sim.ledger.row(id)
		sim.mu.Unlock()
		t, replayed, err := sim.mutant.submit(a.process.submitter)(ctx, o)
		sim.mu.Lock()
		defer sim.mu.Unlock()
		if !a.lives() {
			return // its answer reached nobody
		}
		sim.note("    submit #%d answers %v, replayed %v", a.n, err, replayed)
		sim.checkSubmitted(a, id, before, o, t, replayed, err)
	})
}

// checkSubmitted checks the answer to a submit: I12, P5 and P7.
func (sim *simulation) checkSubmitted(a *actor, id string, before *task.Task, o lifecycle.Order, t *task.Task, replayed bool, err error) {
	var refused *task.Error
	switch {
	case errors.As(err, &refused) && refused.Code == task.CodeUnavailable:
	case errors.As(err, &refused):
		o.Request.Normalize()
		stood := before != nil && before.Fingerprint == o.Request.Fingerprint() && !sim.ledger.row(id).Deleted()
		if a.wrote[id] || stood {
			sim.violate("P7", "%s is refused with %s, while its row exists", short(id), refused.Code)
		}
	case err != nil:
		sim.violate("P7", "a submit failed with %v, which is not a *task.Error", err)
	case sim.ledger.row(id) == nil || t.ID != id:
		sim.violate("no task is lost", "a submit is answered, and no row exists")
	case replayed && a.posts > 0:
		sim.violate("I12", "a replay of %s has posted", short(id))
	case !replayed && !a.wrote[id]:
		sim.violate("P6", "another process wrote %s, and it is not answered as a replay", short(id))
	}
	sim.checkAnswers(a)
}

// checkAnswers checks P5 for the attempts whose answers reached an actor, unless its store
// failed for long after that.
func (sim *simulation) checkAnswers(a *actor) {
	for _, got := range a.answered {
		if a.faults > got.faults+3 || a.gaveUp || sim.conditions.storeDown {
			continue
		}
		t := sim.ledger.row(got.task)
		if t.Charges[got.n-1] != task.ChargeSure && !t.Done() {
			sim.violate("P5", "%s/%d was accepted, and is marked %s", short(t.ID), got.n, t.Charges[got.n-1])
		}
		if t.Attempt == got.n && t.Status == task.Generating && t.ProviderID != got.order.id {
			sim.violate("P5", "%s generates as %q, and was accepted as %q", short(t.ID), t.ProviderID, got.order.id)
		}
	}
}

// sweep does what functions/sweep does.
func (sim *simulation) sweep() {
	sim.start("sweep", 90*time.Second, func(ctx context.Context, a *actor) {
		_, _ = a.process.sweeper.Sweep(ctx) // an error of the index, which is part of the history
		sim.mu.Lock()
		defer sim.mu.Unlock()
		if a.lives() {
			sim.checkAnswers(a)
		}
	})
}

// wait does what functions/tasks does with an overdue task that a client waits for.
func (sim *simulation) wait(id string) {
	sim.start("wait", 25*time.Second, func(ctx context.Context, a *actor) {
		t, err := a.process.reader.Store.Task(ctx, id)
		if err != nil {
			return
		}
		read := a.process.reader.ReadOverdue
		if sim.mutant.wait != nil {
			read = sim.mutant.wait(a.process.reader)
		}
		tried := read(ctx, t, task.TypicalSeconds(t.Model))
		sim.mu.Lock()
		defer sim.mu.Unlock()
		sim.count("a waiting client's turn", tried)
	})
}

// consume does what functions/ingest or functions/notify does with a stream message.
func (sim *simulation) consume(kind, id string) {
	if kind == "ingest" {
		sim.start(kind, 15*time.Minute, func(ctx context.Context, a *actor) {
			_ = a.process.ingester.Ingest(ctx, id) // its error is only for the log
		})
		return
	}
	sim.start(kind, 30*time.Second, func(ctx context.Context, a *actor) { _ = sim.notify(ctx, a, id) })
}

// change makes a change by the owner as functions/tasks does.
func (sim *simulation) change(kind, id string, change func(*lifecycle.Service, *task.Task) error, done func(*task.Task) bool) {
	sim.start(kind, 25*time.Second, func(ctx context.Context, a *actor) {
		s := a.process.submitter.Service
		t, err := s.Store.Task(ctx, id)
		if err != nil {
			return
		}
		_, err = lifecycle.Update(ctx, s.Log, s.Store, t, func(x *task.Task) error { return change(s, x) })
		sim.mu.Lock()
		defer sim.mu.Unlock()
		if err == nil && a.lives() && !done(sim.ledger.row(id)) {
			sim.violate("what is answered is done", "the %s of %s was answered as done, and is not", kind, short(id))
		}
	})
}

// callback does what functions/callback does after it has verified the token. content
// describes the body.
func (sim *simulation) callback(id string, n int, body []byte, content callbackContent) {
	sim.start("callback", 15*time.Second, func(ctx context.Context, a *actor) {
		sim.mu.Lock()
		before := sim.ledger.row(id)
		h := sim.ledger.callbacksOf(id)
		for _, other := range content.ids {
			h.foreignIDs[other] = true
		}
		for _, url := range content.urls {
			h.foreignURLs[lasting(url)] = true
		}
		if cb, err := nanobanana.ParseCallback(body); err == nil {
			h.note(cb)
			defer h.noted(cb) // before the lock is released
		}
		a.said = body
		sim.mu.Unlock()
		err := a.process.submitter.Settle(ctx, id, n, body)
		sim.mu.Lock()
		defer sim.mu.Unlock()
		if !a.lives() || err != nil {
			return // the provider must send it again
		}
		current := before.Attempt == n && sim.ledger.row(id).Attempt == n
		if current && content.of != nil && keepsLinks(before, content.of) && keepsLinks(sim.ledger.row(id), content.of) {
			content.of.vouched = content.links
		}
		ended := sim.ledger.row(id).Status == task.Failed && !a.wrote[id] // before this callback
		inTime := before.Status == task.Submitting || time.Now().Before(before.Deadline.Add(-skew))
		switch {
		case current && content.success && inTime && !before.Done() && !ended:
			sim.count("promise", true)
			sim.count("promise before the answer", before.Status == task.Submitting || before.Status == task.Unconfirmed)
			h.promised = n
		case current && content.policy && sim.counts400(before, sim.ledger.row(id), content):
			h.barred = n
		}
	})
}

// note notes which links a callback names, and with which id. Without an id they count for
// all ids named before, since the token is the attempt's, and for those named until noted:
// of two callbacks at once either may be written first.
func (h *callbackFacts) note(cb nanobanana.Callback) {
	if cb.TaskID != "" {
		h.ids[cb.TaskID] = true
	} else {
		for _, url := range cb.URLs {
			h.underway[url]++
		}
	}
	for id := range h.ids {
		for url, n := range h.underway {
			h.links[id+" "+url] = h.links[id+" "+url] || n > 0
		}
	}
	for _, url := range cb.URLs {
		h.links[cb.TaskID+" "+url] = true
	}
}

// noted ends a callback that was noted. One whose process dies never ends.
func (h *callbackFacts) noted(cb nanobanana.Callback) {
	if cb.TaskID == "" {
		for _, url := range cb.URLs {
			h.underway[url]--
		}
	}
}

// keepsLinks reports whether a row keeps links that a callback names for an order.
func keepsLinks(t *task.Task, o *order) bool {
	return t.ProviderID == o.id && (t.Status == task.Generating || t.Status == task.Storing)
}

// counts400 reports whether a 400 counts for the attempt: not if the attempt was refused
// meanwhile, nor if it names another order while the attempt's own is known.
func (sim *simulation) counts400(before, after *task.Task, content callbackContent) bool {
	if len(content.ids) > 0 {
		return after.ProviderID == "" && (after.Status == task.Submitting || after.Status == task.Unconfirmed)
	}
	return before.ProviderID != "" || before.Status != task.Waiting && after.Status != task.Waiting
}

// lasting returns what all links to one picture have in common.
func lasting(url string) string {
	url, _, _ = strings.Cut(url, "?")
	return url
}

// callbackContent describes a callback's body.
type callbackContent struct {
	success bool     // the order's own success, complete
	policy  bool     // 400, for the order itself
	ids     []string // ids besides the order's own
	urls    []string // URLs besides the order's own
	of      *order   // the order whose success and id it has
	links   int      // which of the order's links it has; see order.links
}
