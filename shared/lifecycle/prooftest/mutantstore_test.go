package prooftest

import (
	"context"
	"errors"
	"time"

	"github.com/preset/nanobanana-functions/shared/task"
)

// faultyStore is a store with a built-in fault.
type faultyStore struct {
	task.Store
	anyWriter bool // a refused write is answered as done
	noWriter  bool // a resent write is refused
	noClaim   bool // does not store ReadAt
	noVersion bool // a put ignores the version
	unbarred  bool // does not store Barred
	noDoubt   bool // does not store Doubt while nothing proves whose the record is
	noSpares  bool // does not store Spares
	eager     bool // returns tasks in Storing as if their record had been read again
	noRefund  bool // returns nothing to the quota
	early     bool // returns deadlines an eighth as far away
	unmarked  bool // returns waiting tasks as if their owner was not forgotten
	welcomes  bool // returns no forgotten owners

	undeleted bool // a rescue does not look whether its origin is deleted

	// change changes a row before it is written in place of old.
	change func(old, new *task.Task)
	// rescue changes a row before it is written for a rescue.
	rescue func(*task.Task)
}

func faulty(fault func(*faultyStore)) func(task.Store) task.Store {
	return func(s task.Store) task.Store {
		d := faultyStore{Store: s}
		fault(&d)
		return d
	}
}

// again reports whether this write is the present row.
func (d faultyStore) again(ctx context.Context, t *task.Task) bool {
	stands, err := d.Store.Task(ctx, t.ID)
	return d.noWriter && err == nil && stands.Version == t.Version && stands.Writer == t.Writer
}

func (d faultyStore) Create(ctx context.Context, t *task.Task, limit int) (*task.Task, error) {
	if d.again(ctx, t) {
		stands, _ := d.Store.Task(ctx, t.ID)
		return stands, task.ErrExists
	}
	stands, err := d.Store.Create(ctx, d.kept(t), limit)
	if d.anyWriter && errors.Is(err, task.ErrExists) {
		return stands, nil
	}
	return stands, err
}

func (d faultyStore) Rescue(ctx context.Context, t, origin *task.Task) (*task.Task, error) {
	if d.rescue != nil {
		t = t.Clone()
		d.rescue(t)
	}
	if d.undeleted {
		return d.Store.Create(ctx, t, 0)
	}
	return d.Store.Rescue(ctx, t, origin)
}

func (d faultyStore) Put(ctx context.Context, t *task.Task) (*task.Task, error) {
	if d.again(ctx, t) {
		stands, _ := d.Store.Task(ctx, t.ID)
		return stands, task.ErrConflict
	}
	t = d.kept(t)
	if old, err := d.Store.Task(ctx, t.ID); d.change != nil && err == nil && old.Version == t.Version-1 {
		d.change(old, t)
	}
	stands, err := d.Store.Put(ctx, t)
	switch {
	case !errors.Is(err, task.ErrConflict):
	case d.anyWriter:
		return t, nil
	case d.noVersion:
		t = t.Clone()
		t.Version = stands.Version + 1
		return d.Store.Put(ctx, t)
	}
	return stands, err
}

func (d faultyStore) Task(ctx context.Context, id string) (*task.Task, error) {
	t, err := d.Store.Task(ctx, id)
	if err == nil && d.early && !t.Deadline.IsZero() {
		t.Deadline = t.Since.Add(t.Deadline.Sub(t.Since) / 8)
		if t.DueAt.After(t.Deadline) {
			t.DueAt = t.Deadline
		}
	}
	if err == nil && d.unmarked && t.Status == task.Waiting {
		t.EraseAtEnd = false
	}
	if err == nil && d.eager && t.Status == task.Storing && t.Reread.IsZero() {
		t.Reread = t.Since
	}
	return t, err
}

func (d faultyStore) Paused(ctx context.Context) (task.Pauses, error) {
	p, err := d.Store.Paused(ctx)
	if d.welcomes {
		p.Forgotten = task.Forgotten{}
	}
	return p, err
}

// kept returns what the store keeps of t.
func (d faultyStore) kept(t *task.Task) *task.Task {
	kept, refund := t.Clone(), t.Refund
	if kept.Refund = refund; d.noRefund {
		kept.Refund = 0
	}
	if d.noClaim {
		kept.ReadAt = time.Time{}
	}
	if d.noDoubt && kept.Status == task.Unconfirmed {
		kept.Doubt = ""
	}
	if d.noSpares {
		kept.Spares = nil
	}
	if d.eager && kept.Reread.Equal(kept.Since) {
		kept.Reread = time.Time{}
	}
	if d.unbarred {
		kept.Barred = 0
	}
	return kept
}
