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
	return s.writeRow(ctx, t, func(tx *bbolt.Tx, stands *task.Task) (verdict, error) {
		switch {
		case stands != nil && stands.Writer == t.Writer:
			return verdict{ours: true}, nil
		case stands != nil:
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

// Put implements task.Store.
func (s *Store) Put(ctx context.Context, t *task.Task) (*task.Task, error) {
	return s.writeRow(ctx, t, func(tx *bbolt.Tx, stands *task.Task) (verdict, error) {
		switch {
		case stands == nil:
			return verdict{refusal: task.ErrNotFound}, nil
		case stands.Version == t.Version && stands.Writer == t.Writer:
			return verdict{ours: true}, nil
		case stands.Version != t.Version-1:
			return verdict{refusal: task.ErrConflict}, nil
		case t.Quota == nil || t.Refund == 0:
			return verdict{}, nil
		}
		return verdict{}, setUsed(tx, t, max(0, used(tx, t)-t.Refund))
	})
}

// verdict is what is to become of a write. It is no fault: other writes of
// the commit go on, whatever it is.
type verdict struct {
	refusal error // one that Store names
	ours    bool  // the row is what this very write has made of it before
}

// writeRow writes t if judge, given the row that stands, or nil, has nothing
// against it. It returns the row that stands then.
func (s *Store) writeRow(ctx context.Context, t *task.Task, judge func(*bbolt.Tx, *task.Task) (verdict, error)) (*task.Task, error) {
	if err := t.Check(); err != nil {
		return nil, err
	}
	row, err := json.Marshal(t)
	if err != nil {
		return nil, err
	}
	var stands *task.Task
	var v verdict
	err = s.write(ctx, func(tx *bbolt.Tx) (err error) {
		if stands, err = get(tx, t.ID); err != nil {
			return err
		}
		if v, err = judge(tx, stands); err != nil || v != (verdict{}) {
			return err
		}
		return put(tx, stands, t, row)
	})
	switch {
	case err != nil:
		return nil, err
	case v != (verdict{}):
		return stands, v.refusal
	}
	s.wake(t.Work)
	var written task.Task
	return &written, json.Unmarshal(row, &written)
}

// put writes a row in place of old, nil for none, with its indexes and, if it
// has work, its stream record.
func put(tx *bbolt.Tx, old, t *task.Task, row []byte) error {
	was, is := entries(old), entries(t)
	for _, e := range was {
		if !slices.Contains(is, e) {
			if err := tx.Bucket([]byte(e.bucket)).Delete([]byte(e.key)); err != nil {
				return err
			}
		}
	}
	for _, e := range is {
		if !slices.Contains(was, e) {
			if err := tx.Bucket([]byte(e.bucket)).Put([]byte(e.key), nil); err != nil {
				return err
			}
		}
	}
	if t.Work != "" {
		if err := appendRecord(tx, t); err != nil {
			return err
		}
	}
	return tx.Bucket(bucketTasks).Put([]byte(t.ID), row)
}

// used gives the images that t's owner has used on its quota's day.
func used(tx *bbolt.Tx, t *task.Task) int {
	return int(number(tx.Bucket(bucketUsed).Get(usedKey(t.Owner, t.Quota.Day))))
}

func setUsed(tx *bbolt.Tx, t *task.Task, images int) error {
	return tx.Bucket(bucketUsed).Put(usedKey(t.Owner, t.Quota.Day), big(int64(images)))
}
