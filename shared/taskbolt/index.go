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
type entry struct{ bucket, key string }

// entries are what the indexes hold of a row; nothing, of none.
func entries(t *task.Task) []entry {
	var es []entry
	if t != nil && t.Target != nil {
		prefix := listPrefix(t.Owner, *t.Target)
		es = append(es, entry{string(bucketList), string(prefix) + stampedID(t.CreatedAt, t.ID)})
	}
	if t != nil && !t.DueAt.IsZero() {
		es = append(es, entry{string(bucketDue), stampedID(t.DueAt, t.ID)})
	}
	return es
}

// stampedID sorts by time, in milliseconds, then id.
func stampedID(at time.Time, id string) string { return string(stamp(at)) + id }

const stampLength = 8

// stamp sorts as times do. What was before 1970 is all the same.
func stamp(at time.Time) []byte { return big(max(0, at.UnixMilli())) }

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

const numberLength = 8

// big writes n so that bytes sort as numbers do, where it is not negative.
func big(n int64) []byte { return binary.BigEndian.AppendUint64(nil, uint64(n)) }

// number reads what big wrote; nothing is 0.
func number(b []byte) int64 {
	if b == nil {
		return 0
	}
	return int64(binary.BigEndian.Uint64(b))
}

// List implements task.Store.
func (s *Store) List(ctx context.Context, owner string, target task.Target, limit int, cursor string) (ids []string, next string, err error) {
	prefix := listPrefix(owner, target)
	last := bytes.Repeat([]byte{0xff}, stampLength+1) // past every time
	if cursor != "" {
		var ok bool
		if last, ok = readCursor(prefix, cursor); !ok {
			return nil, "", task.ErrCursor
		}
	}
	limit = max(limit, 1) // a page of nothing would lead nowhere
	err = s.read(ctx, func(tx *bbolt.Tx) error {
		c := tx.Bucket(bucketList).Cursor()
		key, _ := c.Seek(append(bytes.Clone(prefix), last...))
		if key == nil {
			key, _ = c.Last()
		} else {
			key, _ = c.Prev()
		}
		for ; key != nil && bytes.HasPrefix(key, prefix); key, _ = c.Prev() {
			if len(ids) == limit {
				next = newCursor(prefix, last)
				return nil
			}
			last = bytes.Clone(key[len(prefix):])
			ids = append(ids, string(last[stampLength:]))
		}
		return nil
	})
	return ids, next, err
}

// A cursor is the time and id that a page ended with, and a sum that ties them
// to their list. The sum is no secret: who makes one up can but begin somewhere
// else in a list that is his anyway.
const sumLength = 8

func cursorSum(prefix, last []byte) []byte {
	return digest("cursor", string(prefix), string(last))[:sumLength]
}

func newCursor(prefix, last []byte) string {
	return base64.RawURLEncoding.EncodeToString(append(cursorSum(prefix, last), last...))
}

func readCursor(prefix []byte, cursor string) (last []byte, ok bool) {
	b, err := base64.RawURLEncoding.Strict().DecodeString(cursor)
	if err != nil || len(b) < sumLength+stampLength {
		return nil, false
	}
	last = b[sumLength:]
	return last, bytes.Equal(b[:sumLength], cursorSum(prefix, last))
}

// duePage is how many ids one read transaction gives: between pages others
// may write, the caller too.
const duePage = 100

// Due implements task.Store.
func (s *Store) Due(ctx context.Context, now time.Time) iter.Seq2[string, error] {
	return func(yield func(string, error) bool) {
		var last []byte
		seen := map[string]bool{} // a row that is written meanwhile may be due again
		for {
			page, err := s.duePage(ctx, last, now)
			if err != nil {
				yield("", err)
				return
			}
			for _, key := range page {
				id := string(key[stampLength:])
				if seen[id] {
					continue
				}
				seen[id] = true
				if !yield(id, nil) {
					return
				}
			}
			if len(page) < duePage {
				return
			}
			last = page[len(page)-1]
		}
	}
}

// duePage gives the next keys of the index of due tasks, after last.
func (s *Store) duePage(ctx context.Context, last []byte, now time.Time) (page [][]byte, err error) {
	err = s.read(ctx, func(tx *bbolt.Tx) error {
		c := tx.Bucket(bucketDue).Cursor()
		key, _ := c.Seek(last)
		if bytes.Equal(key, last) {
			key, _ = c.Next()
		}
		for ; key != nil && bytes.Compare(key[:stampLength], stamp(now)) <= 0 && len(page) < duePage; key, _ = c.Next() {
			page = append(page, bytes.Clone(key))
		}
		return nil
	})
	return page, err
}
