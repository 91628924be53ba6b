package taskbolt

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"iter"
	"math"
	"time"

	"go.etcd.io/bbolt"

	"github.com/preset/nanobanana-functions/shared/task"
)

// indexEntry is one key of an index.
type indexEntry struct{ bucket, key string }

// indexEntries returns what the indexes hold for a row; nothing for nil.
func indexEntries(t *task.Task) []indexEntry {
	if t == nil {
		return nil
	}
	es := []indexEntry{{string(bucketOwned), string(ownedKey(t))}}
	if t.Target != nil {
		prefix := listPrefix(t.Owner, *t.Target)
		es = append(es, indexEntry{string(bucketList), string(prefix) + stampedID(t.CreatedAt, t.ID)})
	}
	if !t.Due().IsZero() {
		es = append(es, indexEntry{string(bucketDue), stampedID(t.Due(), t.ID)})
	}
	return es
}

// ownedKey returns the row's key in the index of all tasks. Each row has exactly one,
// so the number of keys shows whether the index is complete.
func ownedKey(t *task.Task) []byte {
	prefix := ownedPrefix(t.Owner)
	if t.Deleted() {
		prefix = digest() // no owner's
	}
	return append(prefix, stampedID(t.CreatedAt, t.ID)...)
}

// stampedID sorts by time, in milliseconds, then id.
func stampedID(at time.Time, id string) string { return string(stamp(at)) + id }

const stampLength = 8

// stamp encodes a time so that bytes sort as times do. Times before 1970 are all equal.
func stamp(at time.Time) []byte { return encodeInt(max(0, at.UnixMilli())) }

// The prefixes of lists have the same length for every owner and target, so that none
// is a prefix of another.
const prefixLength = sha256.Size

func ownedPrefix(owner string) []byte { return digest(owner) }

func listPrefix(owner string, target task.Target) []byte {
	return digest(owner, target.Kind, target.ID)
}

func usedKey(owner, day string) []byte { return digest(owner, day) }

// digest hashes words together with their lengths, so that "ab","c" differs from "a","bc".
func digest(words ...string) []byte {
	h := sha256.New()
	for _, w := range words {
		h.Write(encodeInt(int64(len(w))))
		h.Write([]byte(w))
	}
	return h.Sum(nil)
}

const intLength = 8

// encodeInt encodes n, which is not negative, so that bytes sort as numbers do.
func encodeInt(n int64) []byte { return binary.BigEndian.AppendUint64(nil, uint64(n)) }

// decodeInt reverses encodeInt; nil is 0.
func decodeInt(b []byte) int64 {
	if b == nil {
		return 0
	}
	return int64(binary.BigEndian.Uint64(b))
}

// List implements task.Store.
func (s *Store) List(ctx context.Context, q task.Query) (ids []string, next string, err error) {
	bucket, prefix := bucketOwned, ownedPrefix(q.Owner)
	if q.Target != nil {
		bucket, prefix = bucketList, listPrefix(q.Owner, *q.Target)
	}
	last := bytes.Repeat([]byte{0xff}, stampLength+1) // after every time
	if q.Cursor != "" {
		var ok bool
		if last, ok = readCursor(prefix, q.Cursor); !ok {
			return nil, "", task.ErrCursor
		}
	}
	limit := max(q.Limit, 1)
	first := append(bytes.Clone(prefix), stamp(q.Since)...)
	err = s.read(ctx, func(tx *bbolt.Tx) error {
		c := tx.Bucket(bucket).Cursor()
		key, _ := c.Seek(append(bytes.Clone(prefix), last...))
		if key == nil {
			key, _ = c.Last()
		} else {
			key, _ = c.Prev()
		}
		for ; bytes.HasPrefix(key, prefix) && bytes.Compare(key, first) >= 0; key, _ = c.Prev() {
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

// indexOwned builds the index of all tasks from the rows. It leaves out rows that
// cannot be read: no list could show them.
func indexOwned(tx *bbolt.Tx) error {
	if err := tx.DeleteBucket(bucketOwned); err != nil {
		return err
	}
	owned, err := tx.CreateBucket(bucketOwned)
	if err != nil {
		return err
	}
	return tx.Bucket(bucketTasks).ForEach(func(_, row []byte) error {
		var t task.Task
		if json.Unmarshal(row, &t) != nil {
			return nil
		}
		return owned.Put(ownedKey(&t), nil)
	})
}

// A cursor holds the time and id that a page ended with, and a checksum that ties
// them to their list. The checksum needs no key: a forged cursor can only start
// elsewhere in the caller's own list.
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

// duePageSize is how many ids one read transaction returns: between pages others
// can write, and so can the caller.
const duePageSize = 100

// Due implements task.Store.
func (s *Store) Due(ctx context.Context, now time.Time) iter.Seq2[string, error] {
	return func(yield func(string, error) bool) {
		var last []byte
		seen := map[string]bool{} // a row that is written in between may be due again
		for {
			page, err := s.duePage(ctx, last, now, duePageSize)
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
			if len(page) < duePageSize {
				return
			}
			last = page[len(page)-1]
		}
	}
}

// DuePage implements task.Store.
func (s *Store) DuePage(ctx context.Context, after task.DueEntry, limit int) (entries []task.DueEntry, err error) {
	var last []byte
	if after != (task.DueEntry{}) {
		last = []byte(stampedID(after.At, after.ID))
	}
	page, err := s.duePage(ctx, last, endOfTime, limit)
	for _, key := range page {
		at := time.UnixMilli(decodeInt(key[:stampLength])).UTC()
		entries = append(entries, task.DueEntry{At: at, ID: string(key[stampLength:])})
	}
	return entries, err
}

// endOfTime is later than all times that are stored.
var endOfTime = time.UnixMilli(math.MaxInt64)

// duePage returns up to limit keys after last in the index of due tasks, of times that
// are not after now.
func (s *Store) duePage(ctx context.Context, last []byte, now time.Time, limit int) (page [][]byte, err error) {
	err = s.read(ctx, func(tx *bbolt.Tx) error {
		c := tx.Bucket(bucketDue).Cursor()
		key, _ := c.Seek(last)
		if bytes.Equal(key, last) {
			key, _ = c.Next()
		}
		for ; key != nil && bytes.Compare(key[:stampLength], stamp(now)) <= 0 && len(page) < limit; key, _ = c.Next() {
			page = append(page, bytes.Clone(key))
		}
		return nil
	})
	return page, err
}
