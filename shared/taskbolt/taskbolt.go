// Package taskbolt is the embedded Store: every task in one file, for the
// local run and the tests. What a method has answered survives kill -9.
//
// Changed rows that have work are handed on by Consume as DynamoDB's stream
// does, again after a restart if they were not acknowledged.
package taskbolt

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"time"

	"go.etcd.io/bbolt"
	bolterrors "go.etcd.io/bbolt/errors"

	"github.com/preset/nanobanana-functions/shared/task"
)

// The buckets of the file. Those after tasks are indexes, written in the same
// transaction as the row.
var (
	bucketTasks  = []byte("tasks")  // id -> row
	bucketList   = []byte("list")   // owner and target, time, id -> nothing
	bucketDue    = []byte("due")    // time, id -> nothing
	bucketUsed   = []byte("used")   // owner and day -> images
	bucketStream = []byte("stream") // work -> bucket of sequence -> id
	bucketPause  = []byte("pause")  // until
)

const (
	lockTime = time.Second // how long Open waits for another process
	// Writes that arrive together share a commit, and with it the one wait for
	// the disk.
	batchDelay = time.Millisecond
)

// Store is a task.Store. It may be used by many goroutines of one process.
type Store struct {
	db *bbolt.DB

	mu    sync.Mutex
	woken map[task.Work]chan struct{} // of the consumer of that work
}

var _ task.Store = (*Store)(nil)

// Open opens the file at path, or makes it. One process at a time can have it.
func Open(path string) (*Store, error) {
	db, err := bbolt.Open(path, 0o600, &bbolt.Options{Timeout: lockTime, FreelistType: bbolt.FreelistMapType})
	if errors.Is(err, bolterrors.ErrTimeout) {
		return nil, fmt.Errorf("taskbolt: another process has %s open: stop it first", path)
	}
	if err != nil {
		return nil, fmt.Errorf("taskbolt: %w", err)
	}
	db.MaxBatchDelay = batchDelay
	s := &Store{db: db, woken: map[task.Work]chan struct{}{}}
	err = db.Update(func(tx *bbolt.Tx) error {
		for _, name := range [][]byte{bucketTasks, bucketList, bucketDue, bucketUsed, bucketStream, bucketPause} {
			if _, err := tx.CreateBucketIfNotExists(name); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return nil, errors.Join(fmt.Errorf("taskbolt: %w", err), db.Close())
	}
	return s, nil
}

// Close closes the file, after the calls that are under way.
func (s *Store) Close() error { return s.db.Close() }

// Create implements task.Store.
func (s *Store) Create(ctx context.Context, t *task.Task, limit int) (*task.Task, error) {
	if err := t.Check(); err != nil {
		return nil, err
	}
	return s.write(ctx, t, func(tx *bbolt.Tx, stands *task.Task) error {
		switch {
		case stands != nil && stands.Writer == t.Writer:
			return errOurs
		case stands != nil:
			return task.ErrExists
		case t.Quota == nil:
			return nil
		}
		return addUsed(tx, t.Owner, t.Quota.Day, t.Quota.Images, limit)
	})
}

// Put implements task.Store.
func (s *Store) Put(ctx context.Context, t *task.Task) (*task.Task, error) {
	if err := t.Check(); err != nil {
		return nil, err
	}
	return s.write(ctx, t, func(tx *bbolt.Tx, stands *task.Task) error {
		switch {
		case stands == nil:
			return task.ErrNotFound
		case stands.Version == t.Version && stands.Writer == t.Writer:
			return errOurs
		case stands.Version != t.Version-1:
			return task.ErrConflict
		case t.Refund == 0 || t.Quota == nil:
			return nil
		}
		return addUsed(tx, t.Owner, t.Quota.Day, -t.Refund, 0)
	})
}

// errOurs says that the row is what this very write has made of it before.
var errOurs = errors.New("taskbolt: written already")

// write writes t if judge, given the row that stands, has nothing against it.
// What judge returns is a verdict, not a fault: others in the commit go on.
func (s *Store) write(ctx context.Context, t *task.Task, judge func(*bbolt.Tx, *task.Task) error) (*task.Task, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	row, err := json.Marshal(t)
	if err != nil {
		return nil, err
	}
	var stands *task.Task
	var verdict error
	err = s.db.Batch(func(tx *bbolt.Tx) (err error) {
		// A batch may begin anew, so nothing is kept from the run before.
		if stands, err = get(tx, t.ID); err != nil {
			return err
		}
		if verdict = judge(tx, stands); verdict != nil {
			return nil
		}
		return put(tx, stands, t, row)
	})
	switch {
	case err != nil:
		return nil, fmt.Errorf("taskbolt: %w", err)
	case errors.Is(verdict, errOurs):
		return stands, nil
	case verdict != nil:
		return stands, verdict
	}
	if t.Work != "" {
		s.wake(t.Work)
	}
	var written task.Task
	return &written, json.Unmarshal(row, &written)
}

// get reads a row; nil if there is none.
func get(tx *bbolt.Tx, id string) (*task.Task, error) {
	row := tx.Bucket(bucketTasks).Get([]byte(id))
	if row == nil {
		return nil, nil
	}
	var t task.Task
	if err := json.Unmarshal(row, &t); err != nil {
		return nil, fmt.Errorf("row %s: %w", id, err)
	}
	return &t, nil
}

// put writes a row in place of old, nil for none, with its indexes and, if it
// has work, its stream record.
func put(tx *bbolt.Tx, old, t *task.Task, row []byte) error {
	if old != nil {
		for _, e := range entries(old) {
			if err := tx.Bucket(e.bucket).Delete(e.key); err != nil {
				return err
			}
		}
	}
	for _, e := range entries(t) {
		if err := tx.Bucket(e.bucket).Put(e.key, nil); err != nil {
			return err
		}
	}
	if t.Work != "" {
		if err := appendRecord(tx, t); err != nil {
			return err
		}
	}
	return tx.Bucket(bucketTasks).Put([]byte(t.ID), row)
}

// addUsed raises, or lowers, the images used on a day, to at most limit if
// there is one, and never below zero.
func addUsed(tx *bbolt.Tx, owner, day string, images, limit int) error {
	b, key := tx.Bucket(bucketUsed), usedKey(owner, day)
	used := max(0, number(b.Get(key))+images)
	if limit > 0 && used > limit {
		return task.ErrQuota
	}
	return b.Put(key, big(int64(used)))
}

// Task implements task.Store.
func (s *Store) Task(ctx context.Context, id string) (*task.Task, error) {
	found, err := s.Tasks(ctx, []string{id})
	if err == nil && len(found) == 0 {
		return nil, task.ErrNotFound
	}
	if err != nil {
		return nil, err
	}
	return found[0], nil
}

// Tasks implements task.Store.
func (s *Store) Tasks(ctx context.Context, ids []string) ([]*task.Task, error) {
	var found []*task.Task
	err := s.read(ctx, func(tx *bbolt.Tx) error {
		for _, id := range ids {
			t, err := get(tx, id)
			if err != nil {
				return err
			}
			if t != nil {
				found = append(found, t)
			}
		}
		return nil
	})
	return found, err
}

// Used implements task.Store.
func (s *Store) Used(ctx context.Context, owner, day string) (used int, err error) {
	err = s.read(ctx, func(tx *bbolt.Tx) error {
		used = number(tx.Bucket(bucketUsed).Get(usedKey(owner, day)))
		return nil
	})
	return used, err
}

var pauseKey = []byte("until")

// Pause implements task.Store.
func (s *Store) Pause(ctx context.Context, until time.Time) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	return s.db.Batch(func(tx *bbolt.Tx) error {
		return tx.Bucket(bucketPause).Put(pauseKey, big(until.UnixMilli()))
	})
}

// Paused implements task.Store.
func (s *Store) Paused(ctx context.Context) (until time.Time, err error) {
	err = s.read(ctx, func(tx *bbolt.Tx) error {
		if b := tx.Bucket(bucketPause).Get(pauseKey); b != nil {
			until = time.UnixMilli(int64(number(b))).UTC()
		}
		return nil
	})
	return until, err
}

func (s *Store) read(ctx context.Context, do func(*bbolt.Tx) error) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if err := s.db.View(do); err != nil {
		return fmt.Errorf("taskbolt: %w", err)
	}
	return nil
}
