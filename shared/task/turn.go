package task

import (
	"fmt"
	"time"
)

// Turn is when the sweep next sees to something that is left to do: a status, or what
// a stream consumer does.
type Turn struct {
	DueAt    time.Time `json:"dueAt,omitzero"`     // zero: never
	Deadline time.Time `json:"deadline,omitzero"`  // when it is given up; zero: never
	Tries    int       `json:"tries,omitempty"`    // runs of the consumer that began
	LastWake bool      `json:"lastWake,omitempty"` // the one wake after the deadline has happened
}

// pace is the waits between the runs of a consumer: they double from the first to the
// longest.
type pace struct{ first, longest time.Duration }

// due reports whether the sweep should see to it at now.
func (x *Turn) due(now time.Time) bool { return !x.DueAt.IsZero() && !x.DueAt.After(now) }

// late reports whether the deadline has passed.
func (x *Turn) late(now time.Time) bool { return !x.Deadline.IsZero() && !now.Before(x.Deadline) }

// setDue makes it due at at, or at its deadline if that is earlier.
func (x *Turn) setDue(at time.Time) {
	if !x.Deadline.IsZero() && at.After(x.Deadline) {
		at = x.Deadline
	}
	x.DueAt = at
}

// hand counts a run, which the write of the row starts.
func (x *Turn) hand(now time.Time, p pace) {
	x.Tries++
	x.setDue(now.Add(backoff(p.first, p.longest, x.Tries)))
}

// wake hands it to its consumer again, at the deadline for the last time. It returns
// false after that: it is to be given up.
func (x *Turn) wake(now time.Time, p pace) bool {
	late := x.late(now)
	if late && x.LastWake {
		return false
	}
	if late {
		x.LastWake = true
		x.Deadline = now.Add(lastWakeWindow)
	}
	x.hand(now, p)
	if late {
		x.DueAt = x.Deadline // the next due time ends it
	}
	return true
}

// check returns ErrStuck if something is left to do and not due by the deadline, or
// nothing is and it is due.
func (x *Turn) check(left bool) error {
	switch {
	case left && x.DueAt.IsZero():
		return fmt.Errorf("%w: it is never due", ErrStuck)
	case !left && !x.DueAt.IsZero():
		return fmt.Errorf("%w: nothing is left to do, but it is due", ErrStuck)
	case !x.Deadline.IsZero() && x.DueAt.After(x.Deadline):
		return fmt.Errorf("%w: it is due after its deadline", ErrStuck)
	}
	return nil
}

// Due returns when the sweep next handles the task: when its status or Work is due, or
// its notice, whichever comes first. Zero means never. The stores' index is by it.
func (t *Task) Due() time.Time {
	own, notice := t.DueAt, t.NoticeTurn.DueAt
	if own.IsZero() || !notice.IsZero() && notice.Before(own) {
		return notice
	}
	return own
}
