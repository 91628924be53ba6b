package taskbolt

import (
	"context"
	"time"

	"go.etcd.io/bbolt"

	"github.com/preset/nanobanana-functions/shared/task"
)

// pauseKeys are the keys of the pauses.
var pauseKeys = map[task.Calls][]byte{task.Reads: []byte("until"), task.Posts: []byte("postsUntil")}

var holdsKey = []byte("holds")

// Pause implements task.Store.
func (s *Store) Pause(ctx context.Context, kind task.Calls, until time.Time) error {
	return s.write(ctx, func(tx *bbolt.Tx) error {
		return tx.Bucket(bucketPause).Put(pauseKeys[kind], encodeInt(until.UnixMilli()))
	})
}

// Hold implements task.Store.
func (s *Store) Hold(ctx context.Context, by task.Holder, x task.Hold) error {
	return s.ChangeHolds(ctx, func(h *task.Holds) { h.Put(by, x) })
}

// Release implements task.Store.
func (s *Store) Release(ctx context.Context, by task.Holder, at time.Time) error {
	return s.ChangeHolds(ctx, func(h *task.Holds) { h.Drop(by, at) })
}

// ChangeHolds implements task.Store.
func (s *Store) ChangeHolds(ctx context.Context, change func(*task.Holds)) error {
	return s.write(ctx, func(tx *bbolt.Tx) error {
		h, err := holds(tx)
		if err != nil {
			return err
		}
		change(&h)
		text, err := h.Encode()
		switch {
		case err != nil:
			return err
		case text == "":
			return tx.Bucket(bucketHolds).Delete(holdsKey)
		}
		return tx.Bucket(bucketHolds).Put(holdsKey, []byte(text))
	})
}

func holds(tx *bbolt.Tx) (task.Holds, error) {
	return task.DecodeHolds(string(tx.Bucket(bucketHolds).Get(holdsKey)))
}

// Paused implements task.Store.
func (s *Store) Paused(ctx context.Context) (p task.Pauses, err error) {
	err = s.read(ctx, func(tx *bbolt.Tx) (err error) {
		for kind, key := range pauseKeys {
			if b := tx.Bucket(bucketPause).Get(key); b != nil {
				*p.Of(kind) = time.UnixMilli(decodeInt(b)).UTC()
			}
		}
		p.Forgotten = forgotten(tx)
		p.Holds, err = holds(tx)
		return err
	})
	return p, err
}
