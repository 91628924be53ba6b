package taskbolt

import (
	"context"
	"encoding/json"
	"slices"

	"go.etcd.io/bbolt"

	"github.com/preset/nanobanana-functions/shared/task"
)

// Create implements task.Store.
func (s *Store) Create(ctx context.Context, t *task.Task, limit int) (*task.Task, error) {
	return s.writeRow(ctx, t, func(tx *bbolt.Tx, current *task.Task) (verdict, error) {
		switch {
		case current != nil && current.Writer == t.Writer:
			return verdict{ours: true}, nil
		case current != nil:
			return verdict{refusal: task.ErrExists}, nil
		case t.Quota == nil:
			return verdict{}, nil
		}
		used := used(tx, t) + t.Quota.Images
		if limit > 0 && used > limit {
			return verdict{refusal: task.ErrQuota}, nil
		}
		return verdict{}, setUsed(tx, t, used)
	})
}

// Rescue implements task.Store.
func (s *Store) Rescue(ctx context.Context, t, origin *task.Task) (*task.Task, error) {
	return s.writeRow(ctx, t, func(tx *bbolt.Tx, current *task.Task) (verdict, error) {
		switch {
		case current != nil && current.Writer == t.Writer:
			return verdict{ours: true}, nil
		case current != nil:
			return verdict{refusal: task.ErrExists}, nil
		}
		switch from, err := get(tx, origin.ID); {
		case err != nil:
			return verdict{}, err
		case from == nil:
			return verdict{refusal: task.ErrNotFound}, nil
		case from.Deleted():
			return verdict{refusal: task.ErrDeleted}, nil
		case from.Version != origin.Version:
			return verdict{refusal: task.ErrConflict}, nil
		}
		return verdict{}, nil
	})
}

// Put implements task.Store.
func (s *Store) Put(ctx context.Context, t *task.Task) (*task.Task, error) {
	return s.writeRow(ctx, t, func(tx *bbolt.Tx, current *task.Task) (verdict, error) {
		switch {
		case current == nil:
			return verdict{refusal: task.ErrNotFound}, nil
		case current.Version == t.Version && current.Writer == t.Writer:
			return verdict{ours: true}, nil
		case current.Version != t.Version-1:
			return verdict{refusal: task.ErrConflict}, nil
		case t.Quota == nil || t.Refund == 0:
			return verdict{}, nil
		}
		return verdict{}, setUsed(tx, t, max(0, used(tx, t)-t.Refund))
	})
}

// verdict is why a write is not carried out; the zero verdict carries it out.
// It is not an error of the transaction, which other writes share.
type verdict struct {
	refusal error // one that task.Store names
	ours    bool  // an earlier try of this write has already written the row
}

// writeRow writes t unless decide, which gets the current row or nil, has a
// verdict against it. It returns the row that is then current.
func (s *Store) writeRow(ctx context.Context, t *task.Task, decide func(*bbolt.Tx, *task.Task) (verdict, error)) (*task.Task, error) {
	if err := t.Check(); err != nil {
		return nil, err
	}
	row, err := json.Marshal(t)
	if err != nil {
		return nil, err
	}
	var current *task.Task
	var v verdict
	err = s.write(ctx, func(tx *bbolt.Tx) (err error) {
		if current, err = get(tx, t.ID); err != nil {
			return err
		}
		if v, err = decide(tx, current); err != nil || v != (verdict{}) {
			return err
		}
		return put(tx, current, t, row)
	})
	switch {
	case err != nil:
		return nil, err
	case v != (verdict{}):
		return current, v.refusal
	}
	for _, m := range t.Messages() {
		s.wake(m)
	}
	var written task.Task
	return &written, json.Unmarshal(row, &written)
}

// put replaces the row old, which may be nil, with t, and writes its index entries
// and its stream records.
func put(tx *bbolt.Tx, old, t *task.Task, row []byte) error {
	before, after := indexEntries(old), indexEntries(t)
	for _, e := range before {
		if !slices.Contains(after, e) {
			if err := tx.Bucket([]byte(e.bucket)).Delete([]byte(e.key)); err != nil {
				return err
			}
		}
	}
	for _, e := range after {
		if !slices.Contains(before, e) {
			if err := tx.Bucket([]byte(e.bucket)).Put([]byte(e.key), nil); err != nil {
				return err
			}
		}
	}
	if err := appendRecords(tx, t); err != nil {
		return err
	}
	return tx.Bucket(bucketTasks).Put([]byte(t.ID), row)
}

// used returns the images that the owner of t has used on the day of its quota.
func used(tx *bbolt.Tx, t *task.Task) int {
	return int(decodeInt(tx.Bucket(bucketUsed).Get(usedKey(t.Owner, t.Quota.Day))))
}

func setUsed(tx *bbolt.Tx, t *task.Task, images int) error {
	return tx.Bucket(bucketUsed).Put(usedKey(t.Owner, t.Quota.Day), encodeInt(int64(images)))
}
