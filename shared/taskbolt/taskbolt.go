// Package taskbolt is the embedded Store: every task in one file, for the local
// run and the tests. A write whose method has returned survives kill -9. Like
// DynamoDB's stream, Consume delivers each changed row that asks for something, and
// delivers it again after a restart until it is acknowledged. See
// docs/decisions/embedded-store.md.
package taskbolt

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"

	"go.etcd.io/bbolt"

	"github.com/preset/nanobanana-functions/shared/task"
)

// The buckets of the file. An entry about a row is written in the same
// transaction as the row.
var (
	bucketTasks   = []byte("tasks")   // id -> row
	bucketList    = []byte("list")    // owner and target, time, id -> empty
	bucketOwned   = []byte("owned")   // owner, time, id -> empty
	bucketDue     = []byte("due")     // time, id -> empty
	bucketUsed    = []byte("used")    // owner and day -> images
	bucketUploads = []byte("uploads") // owner and day -> uploads
	bucketStream  = []byte("stream")  // message -> bucket of sequence -> id
	bucketPause   = []byte("pause")   // kind of calls -> until
	bucketHolds   = []byte("holds")   // "holds" -> task.Holds as text
	bucketForgot  = []byte("forgot")  // salt, and hash of an owner -> until
	bucketBalance = []byte("balance") // "last" -> the last balance
	bucketTimings = []byte("timings") // kind#slot -> seconds
)

var buckets = [][]byte{bucketTasks, bucketList, bucketOwned, bucketDue, bucketUsed, bucketUploads, bucketStream, bucketPause, bucketHolds, bucketForgot, bucketBalance, bucketTimings}

// Store is a task.Store. It is safe for concurrent use within one process.
type Store struct {
	// Log receives the failures that are retried. Set it before use.
	Log *slog.Logger

	db      *bbolt.DB
	commits committer
	damage  damage

	mu    sync.Mutex
	wakes map[task.Message]chan struct{} // wakes the consumer of that message; guarded by mu
}

var _ task.Store = (*Store)(nil)

// Open opens the file at path, and creates it if there is none. Only one process
// at a time can open it: another one gets an error after about a second. Open
// reads the whole file to check it. A damaged one is a *DamageError and is not
// written to.
func Open(path string) (*Store, error) {
	if err := inspect(path); err != nil {
		return nil, err
	}
	s := newStore(path)
	err := s.damage.guard(func() (err error) {
		if s.db, err = bbolt.Open(path, 0o600, &bbolt.Options{Timeout: lockTimeout, FreelistType: bbolt.FreelistMapType}); err != nil {
			return openError(path, err)
		}
		return s.complete()
	})
	if err != nil && s.db != nil {
		err = errors.Join(err, s.Close())
	}
	if err != nil {
		return nil, err
	}
	return s, nil
}

func newStore(path string) *Store {
	s := &Store{Log: slog.New(slog.DiscardHandler), damage: damage{path: path, found: make(chan struct{})}, wakes: map[task.Message]chan struct{}{}}
	s.commits.update = func(do func(*bbolt.Tx) error) error {
		return s.damage.guard(func() error { return s.db.Update(do) })
	}
	return s
}

// complete creates the buckets that the file does not have yet, and the index of all
// tasks if an older release, which does not keep it, has written the file.
func (s *Store) complete() error {
	complete := true
	err := s.db.View(func(tx *bbolt.Tx) error {
		for _, name := range buckets {
			complete = complete && tx.Bucket(name) != nil
		}
		complete = complete && tx.Bucket(bucketOwned).Stats().KeyN == tx.Bucket(bucketTasks).Stats().KeyN
		return nil
	})
	if err != nil || complete {
		return err
	}
	err = s.db.Update(func(tx *bbolt.Tx) error {
		for _, name := range buckets {
			if _, err := tx.CreateBucketIfNotExists(name); err != nil {
				return err
			}
		}
		return indexOwned(tx)
	})
	if err != nil {
		return fmt.Errorf("taskbolt: completing %s: %w", s.damage.path, err)
	}
	return nil
}

// Close waits for the calls in progress and closes the file. Later calls fail,
// and so does a Consume that is still running.
func (s *Store) Close() error {
	err := s.damage.close(s.db)
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, wake := range s.wakes {
		signal(wake)
	}
	return err
}

// Empty reports whether there is no task.
func (s *Store) Empty() (empty bool, err error) {
	err = s.read(context.Background(), func(tx *bbolt.Tx) error {
		id, _ := tx.Bucket(bucketTasks).Cursor().First()
		empty = id == nil
		return nil
	})
	return empty, err
}

// Task implements task.Store.
func (s *Store) Task(ctx context.Context, id string) (*task.Task, error) {
	found, err := s.Tasks(ctx, []string{id})
	switch {
	case err != nil:
		return nil, err
	case len(found) == 0:
		return nil, task.ErrNotFound
	}
	return found[0], nil
}

// Tasks implements task.Store.
func (s *Store) Tasks(ctx context.Context, ids []string) ([]*task.Task, error) {
	var found []*task.Task
	err := s.read(ctx, func(tx *bbolt.Tx) error {
		for i, id := range ids {
			if slices.Contains(ids[:i], id) {
				continue
			}
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

// UsedImages implements task.Store.
func (s *Store) UsedImages(ctx context.Context, owner, day string) (used int, err error) {
	err = s.read(ctx, func(tx *bbolt.Tx) error {
		used = int(decodeInt(tx.Bucket(bucketUsed).Get(usedKey(owner, day))))
		return nil
	})
	return used, err
}

// CountUpload implements task.Store.
func (s *Store) CountUpload(ctx context.Context, owner, day string, limit int) error {
	return s.write(ctx, func(tx *bbolt.Tx) error {
		counts, key := tx.Bucket(bucketUploads), usedKey(owner, day)
		n := decodeInt(counts.Get(key))
		if limit > 0 && n >= int64(limit) {
			return task.ErrQuota
		}
		return counts.Put(key, encodeInt(n+1))
	})
}

// get returns a row, nil if there is none.
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

func (s *Store) read(ctx context.Context, do func(*bbolt.Tx) error) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if err := s.damage.guard(func() error { return s.db.View(do) }); err != nil {
		return fmt.Errorf("taskbolt: %w", err)
	}
	return nil
}

func (s *Store) write(ctx context.Context, do func(*bbolt.Tx) error) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if err := s.commits.commit(do); err != nil {
		return fmt.Errorf("taskbolt: %w", err)
	}
	return nil
}
