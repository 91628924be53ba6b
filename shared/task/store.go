package task

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"time"
)

// Store keeps tasks, one row each. Every write is conditional. Every implementation
// passes tasktest.TestStore. If a lower layer repeats a write because its first answer
// was lost, the Store recognises it by its Writer, and it succeeds.
//
// Besides the errors that it names, a method may return an error of its transport.
// After that a write may or may not have happened.
type Store interface {
	// Create writes a new row if none has its id. If t.Quota is set, the same
	// transaction raises the used images of t.Quota.Day, up to limit. It returns
	// t, or with ErrExists the row that exists. A full quota is ErrQuota;
	// ErrExists comes first.
	Create(ctx context.Context, t *Task, limit int) (*Task, error)

	// Rescue writes a new row if none has its id and the row of origin is still of
	// origin's version and not deleted, in one transaction. It returns t, or with
	// ErrExists the row that exists. Without origin's row it returns ErrNotFound,
	// ErrDeleted if that is deleted, and ErrConflict if it has another version;
	// ErrExists comes first.
	Rescue(ctx context.Context, t, origin *Task) (*Task, error)

	// Put writes t if the row's version is still t.Version-1, and returns
	// t.Refund images to the quota in the same transaction. With ErrConflict it
	// returns the stored row. A missing row is ErrNotFound. A row that fails
	// Check is ErrStuck and is not written. Change rows through Update, not
	// through Put.
	Put(ctx context.Context, t *Task) (*Task, error)

	// Task returns one row, read consistently, or ErrNotFound.
	Task(ctx context.Context, id string) (*Task, error)

	// Tasks returns up to 100 rows, in the order of ids. It leaves out missing
	// ones; an id that comes twice is returned once.
	Tasks(ctx context.Context, ids []string) ([]*Task, error)

	// List returns a page of ids, newest first, and a cursor for the next page,
	// empty at the end. Deleted tasks are not among them, except ones that a
	// release before November 2026 deleted. A page may be short and still have a
	// cursor. A cursor that List did not return for this owner and target is
	// ErrCursor; Since may differ from page to page.
	List(ctx context.Context, q Query) (ids []string, next string, err error)

	// Due returns the ids of tasks whose DueAt is not after now, the one that has
	// waited longest first. It reads the index page by page while the caller
	// ranges over it; an error ends it.
	Due(ctx context.Context, now time.Time) iter.Seq2[string, error]

	// DuePage returns up to limit entries of the index that Due reads, in its order,
	// whatever their time: of every task with something left to do. They follow the
	// entry after; a zero one starts at the beginning. Fewer than limit are the last.
	DuePage(ctx context.Context, after DueEntry, limit int) ([]DueEntry, error)

	// UsedImages returns how many images the owner's tasks of a day have used.
	UsedImages(ctx context.Context, owner, day string) (int, error)

	// CountUpload adds one to the owner's uploads of a day, up to limit; 0 is no
	// limit. A full count is ErrQuota. After an error of the transport it may count
	// one upload twice.
	CountUpload(ctx context.Context, owner, day string, limit int) error

	// SetBalance stores what a check found, unless the stored balance is as new or
	// newer: of two checks at once the later one wins. That is no error.
	SetBalance(ctx context.Context, b Balance) error

	// Balance returns the stored balance, read consistently, or a zero one.
	Balance(ctx context.Context) (Balance, error)

	// Pause asks all sweeps to make no calls of a kind before until. It replaces
	// the kind's earlier time and leaves the other kind alone.
	Pause(ctx context.Context, kind Calls, until time.Time) error

	// ChangeHolds applies change to the stored holds, as one step that nobody else's
	// write comes between. It may call change several times, each time with the holds as
	// they are by then.
	ChangeHolds(ctx context.Context, change func(*Holds)) error

	// Hold keeps all POSTs in the name of a holder. See Holds.Put.
	Hold(ctx context.Context, by Holder, h Hold) error

	// Release ends a holder's hold at at, if there is one. See Holds.Drop.
	Release(ctx context.Context, by Holder, at time.Time) error

	// Forget refuses an owner's orders for ForgottenFor, counted anew by each call:
	// Pauses.Forgotten has the owner. A full list is ErrFull.
	Forget(ctx context.Context, owner string, now time.Time) error

	// Paused returns the time of the last Pause of each kind, or zero, the holds and the
	// forgotten owners. Pause, Hold, Release and Forget leave what the others wrote alone.
	Paused(ctx context.Context) (Pauses, error)

	// SetTiming stores a timing in its slot, in place of an earlier one.
	SetTiming(ctx context.Context, x Timing) error

	// Timings returns the stored seconds by kind, in no order.
	Timings(ctx context.Context) (map[string][]int, error)
}

// Query asks for a page of an owner's tasks.
type Query struct {
	Owner  string
	Target *Target   // nil: all tasks, with any target and with none
	Since  time.Time // created then or later, in whole milliseconds; zero: at any time
	Limit  int       // at most so many ids; at least 1, because an empty page would never make progress
	Cursor string    // of the page before; empty: the first page
}

// DueEntry is an entry of the index of due tasks.
type DueEntry struct {
	At time.Time // when the task is due, in milliseconds
	ID string
}

// Calls is a kind of calls to the provider, which has a separate limit for each.
type Calls string

// The kinds of calls that sweeps pause.
const (
	Reads Calls = "reads" // of records
	Posts Calls = "posts" // of waiting tasks
)

// Pauses holds what all processes must keep from doing.
type Pauses struct {
	Reads, Posts time.Time // before it sweeps make no such calls; zero: no pause
	Holds                  // of all POSTs
	Forgotten    Forgotten // owners whose orders are refused
}

// Of returns the time of one kind, to read or set.
func (p *Pauses) Of(kind Calls) *time.Time {
	if kind == Posts {
		return &p.Posts
	}
	return &p.Reads
}

// updateTries bounds how often Update starts again from a fresh copy. Each conflict
// means that another writer succeeded, so the limit cannot block a row.
const updateTries = 16

// Update is the only way to change a row. It applies change to a copy of t and writes
// it if the stored row is still t; otherwise it applies change to the stored row. A
// change that changes nothing writes nothing. Update returns the stored row. With an
// error, which is change's own, ErrForeign, ErrBusy or the Store's, it returns the
// last row it knows. See docs/decisions/versioned-puts.md.
func Update(ctx context.Context, s Store, t *Task, change func(*Task) error) (*Task, error) {
	for range updateTries {
		if !t.Known() {
			return t, fmt.Errorf("%w: status %q, schema %d", ErrForeign, t.Status, t.Schema)
		}
		next := t.Clone()
		if err := change(next); err != nil {
			return t, err
		}
		if next.sameRow(t) {
			return t, nil
		}
		next.Version++
		next.Writer = randomID()
		stands, err := s.Put(ctx, next)
		switch {
		case err == nil:
			return next, nil
		case !errors.Is(err, ErrConflict):
			return t, err
		}
		t = stands
	}
	return t, fmt.Errorf("%w: %d conflicts in a row", ErrBusy, updateTries)
}
