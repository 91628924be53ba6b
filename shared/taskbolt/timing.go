package taskbolt

import (
	"bytes"
	"context"
	"fmt"

	"go.etcd.io/bbolt"

	"github.com/preset/nanobanana-functions/shared/task"
)

// SetTiming implements task.Store.
func (s *Store) SetTiming(ctx context.Context, x task.Timing) error {
	return s.write(ctx, func(tx *bbolt.Tx) error {
		return tx.Bucket(bucketTimings).Put(fmt.Appendf(nil, "%s#%d", x.Kind, x.Slot), encodeInt(int64(x.Seconds)))
	})
}

// Timings implements task.Store.
func (s *Store) Timings(ctx context.Context) (map[string][]int, error) {
	timings := map[string][]int{}
	err := s.read(ctx, func(tx *bbolt.Tx) error {
		return tx.Bucket(bucketTimings).ForEach(func(name, seconds []byte) error {
			kind, _, _ := bytes.Cut(name, []byte("#"))
			timings[string(kind)] = append(timings[string(kind)], int(decodeInt(seconds)))
			return nil
		})
	})
	return timings, err
}
