package task

import (
	"crypto/sha256"
	"slices"
	"time"
)

// AttemptRef names one attempt of a task.
type AttemptRef struct {
	Task    string `json:"task"`
	Attempt int    `json:"attempt"`
}

// Maker returns the attempt that made the task's pictures: the task's own, or that of the
// task which it was rescued from.
func (t *Task) Maker() AttemptRef {
	if t.MadeBy != nil {
		return *t.MadeBy
	}
	return AttemptRef{t.ID, t.Attempt}
}

// RescueID returns the id of the task that a rescue of the task id makes. So there is one
// at most.
func RescueID(id string) string {
	sum := sha256.Sum256([]byte("rescue|" + id))
	return idAlphabet.EncodeToString(sum[:16])
}

// lost are the codes of tasks whose pictures the provider may have made all the same.
var lost = map[Code]bool{CodeImageUnavailable: true, CodeTimedOut: true, CodeOutcomeUnknown: true}

// MayBeRescued reports whether the task ended without its pictures although the provider
// may have made them: its record was no help, or a callback's word alone ended it. Of a
// task that an older release ended, the row does not tell which.
func (t *Task) MayBeRescued() bool {
	switch {
	case t.Status != Failed || t.Deleted():
		return false
	case lost[t.Failure]:
		return true
	}
	last := t.lastNote()
	if last.Entered[Failed].IsZero() {
		return t.ProviderID != ""
	}
	return last.ByCallback
}

// lastNote returns the note of the current attempt, or an empty one.
func (t *Task) lastNote() AttemptNote {
	if n := len(t.Notes); n > 0 && t.Notes[n-1].Attempt == t.Attempt {
		return t.Notes[n-1]
	}
	return AttemptNote{}
}

// rescueID returns the provider id of the attempt that made the task's pictures, as far as
// it is known. Proved reports whether it certainly belongs to that attempt.
func (t *Task) rescueID() (id string, proved bool) {
	switch last := t.lastNote(); {
	case last.Outcome == OutcomeAccepted && last.ProviderID != "":
		return last.ProviderID, true
	case t.ProviderID != "":
		return t.ProviderID, t.Proved()
	default:
		return last.ProviderID, false // only a callback named it
	}
}

// ClaimRescue claims a read of the record of a task that may be rescued, by its own
// provider id, or by id if that is not empty. Nothing else of the row changes. If
// c.ProviderID is empty, no id is known. Otherwise wait is zero, or how long the last
// claim is still too recent; nothing is claimed then.
func (t *Task) ClaimRescue(r Rules, now time.Time, id string) (c Claim, wait time.Duration) {
	now = stamp(now)
	own, proved := t.rescueID()
	if id == "" {
		id = own
	}
	c = Claim{Attempt: t.Attempt, ProviderID: id, Proved: proved && id == own, At: now}
	if id == "" {
		return c, 0
	}
	if wait = t.earliestRead(r, now).Sub(now); wait == 0 {
		t.ReadAt = now
	}
	return c, wait
}

// Rescue returns the task that takes over the pictures of origin, which ended without
// them: its record, read by the claim c, has links to them. The new task begins in Storing
// and never POSTs. See docs/decisions/rescue.md.
func Rescue(origin *Task, c Claim, rec Record, now time.Time) *Task {
	now = stamp(now)
	from, maker := origin.Clone(), origin.Maker()
	t := &Task{
		ID: RescueID(origin.ID), Owner: origin.Owner, Schema: schemaRescued, Version: 1, Writer: randomID(),
		Request: from.Request, Parent: from.Parent, SourceType: from.SourceType, PublicURL: from.PublicURL,
		InputTypes: from.InputTypes, RescuedFrom: origin.ID, MadeBy: &maker,
		CreatedAt: now, ProviderID: c.ProviderID, ReadAt: c.At,
		URLs: slices.Clone(rec.URLs), Guessed: rec.Guessed,
	}
	t.enter(Storing, now, storingWindow)
	t.setWork(Ingest, now)
	return t
}

// postless are the only statuses of a task without an attempt. No attempt means no POST.
var postless = map[Status]bool{Storing: true, Succeeded: true, Failed: true}
