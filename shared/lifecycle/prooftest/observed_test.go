package prooftest

import (
	"slices"
	"time"

	"github.com/preset/nanobanana-functions/shared/task"
)

// sight is what an actor has seen. Guarded by world.mu.
type observed struct {
	found    *task.Task            // the row that it read last
	failed   int                   // downloads
	rows     map[string]*task.Task // rows, as it wrote them last
	read     map[string]view       // records, by the provider's id
	proofs   map[*order]bool       // that were in them
	doubts   map[*order]int        // records of no use that it read, and how often its store had failed by then
	unheard  map[string]bool       // tasks: it wrote their rows, and the answer was lost
	stranger bool                  // it read the record of an order that a callback of another task had named
}

func newObserved() observed {
	return observed{
		rows: map[string]*task.Task{}, read: map[string]view{}, proofs: map[*order]bool{},
		doubts: map[*order]int{}, unheard: map[string]bool{},
	}
}

// put notes the answer to an actor's write.
func (a *actor) put(t *task.Task, wrote bool, fault error) {
	if fault == nil {
		a.rows[t.ID] = t
	} else if wrote {
		a.unheard[t.ID] = true
	}
}

// proved reports whether an actor knows that an order is its task's.
func (a *actor) proved(o *order) bool {
	t := a.rows[o.task]
	return t != nil && t.Attempt == o.attempt && t.ProviderID == o.id && t.Charges[o.attempt-1] == task.ChargeSure
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

// proof reports whether an actor has what proves that an attempt was accepted.
func (a *actor) proof(of *attempt) bool {
	return slices.Contains(a.answered, of) || of.order != nil && a.proofs[of.order]
}

// recordID is the id of the order whose record says what becomes of a task.
func recordID(t *task.Task) string {
	if t.ProviderID == "" && t.Hint != nil {
		return t.Hint.ProviderID
	}
	return t.ProviderID
}

// doubt is what the task's row knows of an order's record.
type doubt struct {
	last view   // of the last record that came
	by   *actor // who first wrote that a record was of no use, since the last that was usable
	said bool   // and the log has the line
}

// remember notes since when a task's record has not been readable, by what was
// read of it and came into its row.
func (sim *simulation) noteRecord(by *actor, old, new *task.Task) {
	if o := sim.provider.byID(recordID(old)); o != nil && recordID(new) != recordID(old) {
		o.doubt = doubt{} // the hint is dropped or names another, and what came of it is forgotten
		delete(by.read, o.id)
	}
	o := sim.provider.byID(recordID(new))
	as := unread
	if o != nil && !o.foreign { // else it may have been read for the other task
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

// lastOf is what came last of an order's record, for a write of by's.
func (o *order) lastOf(by *actor) view {
	if as := by.read[o.id]; as != unread {
		return as
	}
	return o.doubt.last
}
