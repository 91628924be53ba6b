package taskbolt

import (
	"bytes"
	"context"
	"time"

	"go.etcd.io/bbolt"

	"github.com/preset/nanobanana-functions/shared/task"
)

// saltKey is no hash of an owner, because it is shorter.
var saltKey = []byte("salt")

// Forget implements task.Store.
func (s *Store) Forget(ctx context.Context, owner string, now time.Time) error {
	var full error // not of the transaction, which other writes share
	err := s.write(ctx, func(tx *bbolt.Tx) error {
		all, f := tx.Bucket(bucketForgot), forgotten(tx)
		if f.Salt == "" {
			f.Salt = task.NewSalt()
			if err := all.Put(saltKey, []byte(f.Salt)); err != nil {
				return err
			}
		}
		hash, over, err := f.Add(owner, now)
		if full = err; err != nil {
			return nil
		}
		for _, h := range over {
			if err := all.Delete([]byte(h)); err != nil {
				return err
			}
		}
		return all.Put([]byte(hash), encodeInt(f.Until[hash].UnixMilli()))
	})
	if err != nil {
		return err
	}
	return full
}

// forgotten returns the forgotten owners.
func forgotten(tx *bbolt.Tx) (f task.Forgotten) {
	_ = tx.Bucket(bucketForgot).ForEach(func(key, value []byte) error { // only its function returns errors
		if bytes.Equal(key, saltKey) {
			f.Salt = string(value)
			return nil
		}
		if f.Until == nil {
			f.Until = map[string]time.Time{}
		}
		f.Until[string(key)] = time.UnixMilli(decodeInt(value)).UTC()
		return nil
	})
	return f
}
