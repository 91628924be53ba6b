package task

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"time"
)

// Store keeps tasks: one row each, written on conditions alone. Every
// implementation passes tasktest.TestStore. A write that a lower layer
// repeats, its first answer lost, is recognised by its Writer and succeeds.
//
// A method that fails in another way than it names returns an error of its
// transport; then nothing is known of a write.
type Store interface {
	// Create writes a new row if none has its id, and raises the used images
	// of t.Quota.Day in the same transaction, where t.Quota is set, up to
	// limit. It returns the row that stands: t itself, or, with ErrExists,
	// the other; that is judged before the quota, which is ErrQuota.
	Create(ctx context.Context, t *Task, limit int) (*Task, error)

	// Put writes t if the row's version is still t.Version-1, and takes
	// t.Refund images back in the same transaction. With ErrConflict it
	// returns the row that stands. A row that is missing is ErrNotFound, one
	// that fails Check is ErrStuck, before anything is written. Rows are
	// changed through Update, not by this.
	Put(ctx context.Context, t *Task) (*Task, error)

	// Task reads one row, consistently. It can be ErrNotFound.
	Task(ctx context.Context, id string) (*Task, error)

	// Tasks reads up to 100 rows, in the order of ids. Missing ones are
	// left out; one that is named twice comes once.
	Tasks(ctx context.Context, ids []string) ([]*Task, error)

	// List gives the ids of the owner's tasks for a target, newest first, at
	// most limit of them, and a cursor for what comes after, empty at the
	// end. A page may be short and still have a cursor. A cursor that List
	// did not give is ErrCursor.
	List(ctx context.Context, owner string, target Target, limit int, cursor string) (ids []string, next string, err error)

	// Due gives the ids of tasks whose DueAt is not after now, the one that
	// has waited longest first. It reads the index page by page as it is
	// ranged over; an error ends it.
	Due(ctx context.Context, now time.Time) iter.Seq2[string, error]

	// UsedImages says how many images the owner's tasks of a day have used.
	UsedImages(ctx context.Context, owner, day string) (int, error)

	// SetBalance keeps what a check found, unless what stands is as new: of
	// two checks at once the later one's stays. That is no error.
	SetBalance(ctx context.Context, b Balance) error

	// Balance gives what stands, consistently, or a zero one.
	Balance(ctx context.Context) (Balance, error)

	// Pause asks all sweeps to make no calls of a kind before until. The last
	// time counts; the other kind keeps its own.
	Pause(ctx context.Context, kind Calls, until time.Time) error

	// Paused returns for each kind the time that Pause was last called with, or zero.
	Paused(ctx context.Context) (Pauses, error)

	// SetTiming keeps a timing, in the place of what was in its slot.
	SetTiming(ctx context.Context, x Timing) error

	// Timings gives the seconds that Time has kept, by kind, in no order.
	Timings(ctx context.Context) (map[string][]int, error)
}

// Calls is a kind of calls to the provider, which has its own limit for each.
type Calls string

// The kinds of calls that sweeps pause.
const (
	Reads Calls = "reads" // of records
	Posts Calls = "posts" // of orders that wait
)

// Pauses are the times before which sweeps make no calls. Zero: no pause.
type Pauses struct{ Reads, Posts time.Time }

// Of returns the time of one kind, to be read or set.
func (p *Pauses) Of(kind Calls) *time.Time {
	if kind == Posts {
		return &p.Posts
	}
	return &p.Reads
}

// updateTries bounds how often Update starts again from a fresh copy. Each
// conflict is another writer's success, so a row is never stuck by it.
const updateTries = 16

// Update is the one gate through which rows change: it applies change to a
// copy of t and writes it if the row is still the one in hand; if not, it
// applies change to the row that stands. A change that changes nothing writes
// nothing. It returns the row as it stands now, or as far as is known with an
// error: change's own, ErrForeign, ErrBusy or the Store's.
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
