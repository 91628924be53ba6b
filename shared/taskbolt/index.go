package taskbolt

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"iter"
	"time"

	"go.etcd.io/bbolt"

	"github.com/preset/nanobanana-functions/shared/task"
)

// entry is one key of an index.
type entry struct{ bucket, key []byte }

// entries are what the indexes hold of a row.
func entries(t *task.Task) []entry {
	var es []entry
	if t.Target != nil {
		es = append(es, entry{bucketList, append(listPrefix(t.Owner, *t.Target), stampedID(t.CreatedAt, t.ID)...)})
	}
	if !t.DueAt.IsZero() {
		es = append(es, entry{bucketDue, stampedID(t.DueAt, t.ID)})
	}
	return es
}

// stampedID sorts by time, then id.
func stampedID(at time.Time, id string) []byte { return append(big(at.UnixMilli()), id...) }

// listPrefix is the same length for every owner and target, so that none is
// the beginning of another.
func listPrefix(owner string, target task.Target) []byte {
	return digest(owner, target.Kind, target.ID)
}

func usedKey(owner, day string) []byte { return digest(owner, day) }

// digest hashes words so that their borders count.
func digest(words ...string) []byte {
	h := sha256.New()
	for _, w := range words {
		h.Write(big(int64(len(w))))
		h.Write([]byte(w))
	}
	return h.Sum(nil)
}

// big writes n so that bytes sort as numbers do; n is not negative.
func big(n int64) []byte { return binary.BigEndian.AppendUint64(nil, uint64(n)) }

// number reads what big wrote; nothing is 0.
func number(b []byte) int {
	if len(b) != 8 {
		return 0
	}
	return int(binary.BigEndian.Uint64(b))
}

// List implements task.Store.
func (s *Store) List(ctx context.Context, owner string, target task.Target, limit int, cursor string) (ids []string, next string, err error) {
	prefix := listPrefix(owner, target)
	before := append(bytes.Clone(prefix), bytes.Repeat([]byte{0xff}, 9)...) // past every time
	if cursor != "" {
		last, ok := readCursor(cursor)
		if !ok {
			return nil, "", task.ErrCursor
		}
		before = append(bytes.Clone(prefix), last...)
	}
	err = s.read(ctx, func(tx *bbolt.Tx) error {
		c := tx.Bucket(bucketList).Cursor()
		key, _ := c.Seek(before)
		if key == nil {
			key, _ = c.Last()
		} else {
			key, _ = c.Prev()
		}
		for ; key != nil && bytes.HasPrefix(key, prefix); key, _ = c.Prev() {
			if len(ids) == limit {
				next = base64.RawURLEncoding.EncodeToString(before[len(prefix):])
				return nil
			}
			before = bytes.Clone(key)
			ids = append(ids, string(key[len(prefix)+8:]))
		}
		return nil
	})
	return ids, next, err
}

// readCursor reads the time and id that a page ended with.
func readCursor(cursor string) (last []byte, ok bool) {
	last, err := base64.RawURLEncoding.Strict().DecodeString(cursor)
	return last, err == nil && len(last) > 8 && task.ValidID(string(last[8:]))
}

// duePage is how many ids one read transaction gives: between pages others
// may write, the caller too.
const duePage = 100

// Due implements task.Store.
func (s *Store) Due(ctx context.Context, now time.Time) iter.Seq2[string, error] {
	return func(yield func(string, error) bool) {
		end := big(now.UnixMilli() + 1)
		var after []byte
		for {
			page, err := s.duePage(ctx, after, end)
			if err != nil {
				yield("", err)
				return
			}
			for _, key := range page {
				if !yield(string(key[8:]), nil) {
					return
				}
			}
			if len(page) < duePage {
				return
			}
			// Only what is due later than this page is read on: a row that was
			// written again meanwhile waits for the next sweep.
			after = page[len(page)-1]
		}
	}
}

// duePage gives the next keys of the index after one key, and before another.
func (s *Store) duePage(ctx context.Context, after, end []byte) (page [][]byte, err error) {
	err = s.read(ctx, func(tx *bbolt.Tx) error {
		c := tx.Bucket(bucketDue).Cursor()
		key, _ := c.Seek(after)
		if key != nil && bytes.Equal(key, after) {
			key, _ = c.Next()
		}
		for ; key != nil && bytes.Compare(key, end) < 0 && len(page) < duePage; key, _ = c.Next() {
			page = append(page, bytes.Clone(key))
		}
		return nil
	})
	return page, err
}
