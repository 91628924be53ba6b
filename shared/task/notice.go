package task

import "time"

// Notice is whether Preset is to be sent a notice. It is a stored word, which the
// stream's filter matches.
type Notice string

// Pending means that Preset has not accepted the last notice yet. There is at most one
// notice a task: it is built from the row when it is sent.
const Pending Notice = "pending"

// NoticeKind is what a notice is about.
type NoticeKind string

// The kinds of NoticeKind.
const (
	NoticeSucceeded NoticeKind = "succeeded"
	NoticeFailed    NoticeKind = "failed"
	NoticeMoved     NoticeKind = "moved"   // the task has another target
	NoticeDeleted   NoticeKind = "deleted" // the owner has deleted the task
)

// NoticeKind returns what a notice of the task is about. Whatever else has happened, Preset
// is told of a DELETE; and if it has accepted no notice of the task yet, of how it
// ended.
func (t *Task) NoticeKind() NoticeKind {
	switch {
	case t.Deleted():
		return NoticeDeleted
	case !t.NotifiedAt.IsZero():
		return NoticeMoved
	}
	return NoticeKind(t.Status)
}

// NoticeAt returns when that happened.
func (t *Task) NoticeAt() time.Time {
	if n := t.NoticeKind(); n == NoticeMoved || n == NoticeDeleted {
		return t.UpdatedAt
	}
	return t.EndedAt
}

// NoticeVersion numbers what notices of the task have said, from 1. It grows with each
// change that Preset can see: the end, a move, DELETE.
func (t *Task) NoticeVersion() int {
	if t.Deleted() {
		return 1 + max(t.Changes, 1) // older releases did not count DELETE
	}
	return 1 + t.Changes
}

// tell hands the task's notice to its consumer, if Preset gets notices or already waits
// for this one.
func (t *Task) tell(r Rules, now time.Time) {
	if r.Notify || t.Notice != "" {
		t.setNotice(now)
	}
}

// changed counts a change of an ended task and tells Preset. The target is one that the
// row no longer has and the notice needs.
func (t *Task) changed(r Rules, now time.Time, target *Target) {
	t.Changes++
	if t.tell(r, now); t.untold() {
		t.NoticeTarget = target
	}
}

func (t *Task) setNotice(now time.Time) {
	turn := Turn{Deadline: now.Add(noticeWindow)}
	turn.hand(now, noticePace)
	t.pend(turn)
}

// pend makes a notice pending, to be handed over by turn.
func (t *Task) pend(turn Turn) {
	t.Schema, t.Notice, t.NoticeTurn = schemaNotice, Pending, turn
	t.NoticeGivenUpAt = time.Time{}
}

// untold reports whether there is something that Preset should know and has not
// accepted.
func (t *Task) untold() bool { return t.Notice != "" || !t.NoticeGivenUpAt.IsZero() }

func (t *Task) endNotice() {
	t.Schema, t.Notice, t.NoticeTurn = schemaPlain, "", Turn{}
}

// wakeNotice hands the notice to its consumer again. A notice that was not accepted
// after the last wake is given up.
func (t *Task) wakeNotice(now time.Time) {
	if !t.NoticeTurn.wake(now, noticePace) {
		t.endNotice()
		t.NoticeGivenUpAt = now
		t.anonymize()
	}
}

// Notified ends the notice: Preset has accepted one of this version. If the task has
// changed since, nothing changes: that write has handed over the next notice.
func (t *Task) Notified(now time.Time, version int) {
	if t.Notice == "" || version != t.NoticeVersion() {
		return
	}
	t.endNotice()
	t.NotifiedAt, t.NoticeTarget = stamp(now), nil
	t.anonymize()
}

// Redrive starts a notice that was given up again. It has what the row says now.
func (t *Task) Redrive(now time.Time) {
	if !t.NoticeGivenUpAt.IsZero() {
		t.setNotice(stamp(now))
	}
}
