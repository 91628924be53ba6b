package prooftest

import (
	"slices"
	"time"

	"github.com/preset/nanobanana-functions/shared/task"
)

// observed is what an actor has learned. Guarded by simulation.mu.
type observed struct {
	found    *task.Task            // the last row it read
	failed   int                   // failed downloads
	rows     map[string]*task.Task // rows as it last wrote them
	read     map[string]view       // records, by the provider's id
	proofs   map[*order]bool       // orders proved by records it read
	doubts   map[*order]int        // unusable records it read, with its store errors by then
	unheard  map[string]bool       // tasks whose rows it wrote without an answer
	moved    []*moving             // the changes of status that it wrote
	stranger bool                  // it read a record for an order that a callback of another task named
}

func newObserved() observed {
	return observed{
		rows: map[string]*task.Task{}, read: map[string]view{}, proofs: map[*order]bool{},
		doubts: map[*order]int{}, unheard: map[string]bool{},
	}
}

// put notes an actor's write and its answer.
func (a *actor) put(t *task.Task, wrote bool, fault error) {
	if fault == nil {
		a.rows[t.ID] = t
	} else if wrote {
		a.unheard[t.ID] = true
	}
}

// proved reports whether an actor knows that an order is its task's.
func (a *actor) proved(o *order) bool {
	for _, t := range a.rows {
		sure := t.RescuedFrom != "" || t.ChargeOf(t.Attempt) == task.ChargeSure
		if a.process.sim.ledger.maker(t).order == o && (t.ProviderID == o.id && sure || a.rescues == t.ID && answeredWith(t, o)) {
			return true
		}
	}
	return false
}

// saw notes an answer about an order's record.
func (a *actor) saw(o *order, as view, proof bool) {
	if o == nil {
		return
	}
	a.read[o.id] = as
	a.proofs[o] = a.proofs[o] || proof
	a.stranger = a.stranger || o.foreign
	if as == unusable || as == strange {
		a.doubts[o] = a.faults
	}
}

// proof reports whether an actor has proof that an attempt was accepted.
func (a *actor) proof(of *attempt) bool {
	return slices.Contains(a.answered, of) || of.order != nil && a.proofs[of.order]
}

// recordID returns the id of the order whose record decides about a task.
func recordID(t *task.Task) string {
	if t.ProviderID == "" && t.Hint != nil {
		return t.Hint.ProviderID
	}
	return t.ProviderID
}

// doubt is what is known of unusable records of an order.
type doubt struct {
	last view   // of the last record read
	by   *actor // the first actor to write that a record was unusable, since the last usable one
	said bool   // it was logged
}

// noteRecord notes since when a task's record has been unreadable or unusable, from what an
// actor read and wrote.
func (sim *simulation) noteRecord(by *actor, old, new *task.Task) {
	if o := sim.provider.byID(recordID(old)); o != nil && recordID(new) != recordID(old) {
		o.doubt = doubt{} // the hint was dropped or names another order: forget its record
		delete(by.read, o.id)
	}
	o := sim.provider.byID(recordID(new))
	as := unread
	if o != nil && !o.foreign { // it may have been read for the other task
		as = by.read[o.id]
		delete(by.read, o.id)
	}
	switch as {
	case usable:
		sim.ledger.unusableSince[new.ID], o.doubt = time.Time{}, doubt{last: usable}
		return
	case unusable, strange:
		if o.doubt.by == nil {
			o.doubt.by = by
		}
		o.doubt.last = as
	}
	if !new.UnreadableSince.IsZero() && !new.UnreadableSince.Equal(old.UnreadableSince) {
		sim.ledger.unusableSince[new.ID] = new.UnreadableSince
	}
}

// lastOf returns the last view of an order's record, for a write by the actor by.
func (o *order) lastOf(by *actor) view {
	if as := by.read[o.id]; as != unread {
		return as
	}
	return o.doubt.last
}
