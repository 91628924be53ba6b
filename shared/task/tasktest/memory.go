package tasktest

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/preset/nanobanana-functions/shared/task"
)

// Memory is a task.Store in memory that passes TestStore, for tests that would spend
// most of their time waiting for a disk. It has no stream.
type Memory struct {
	mu      sync.Mutex // guards what follows
	rows    map[string]row
	used    map[[2]string]int // by owner and day
	uploads map[[2]string]int // by owner and day
	pauses  task.Pauses       // without the holds
	holds   string            // as every store keeps them
	balance task.Balance
	timings map[string]map[int]int
}

// row is a stored task: one that was written as JSON and read again, as in every store.
type row struct{ stored *task.Task }

// NewMemory returns an empty Memory.
func NewMemory() *Memory {
	return &Memory{rows: map[string]row{}, used: map[[2]string]int{}, uploads: map[[2]string]int{}, timings: map[string]map[int]int{}}
}

func (s *Memory) lock(ctx context.Context) (unlock func(), err error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	s.mu.Lock()
	return s.mu.Unlock, nil
}

func newRow(text []byte) (row, error) {
	var t task.Task
	err := json.Unmarshal(text, &t)
	return row{&t}, err
}

func (r row) task() *task.Task { return r.stored.Clone() }

// write stores t unless refuse, called with the present row if there is one, returns
// an error.
func (s *Memory) write(ctx context.Context, t *task.Task, refuse func(present row, exists bool) error) (*task.Task, error) {
	if err := t.Check(); err != nil {
		return nil, err
	}
	text, err := json.Marshal(t)
	if err != nil {
		return nil, err
	}
	unlock, err := s.lock(ctx)
	if err != nil {
		return nil, err
	}
	defer unlock()
	present, exists := s.rows[t.ID]
	if exists && present.stored.Version == t.Version && present.stored.Writer == t.Writer {
		return present.task(), nil // this write came before, and its answer was lost
	}
	if err := refuse(present, exists); err != nil {
		if !exists {
			return nil, err
		}
		return present.task(), err
	}
	written, err := newRow(text)
	if err != nil {
		return nil, err
	}
	s.rows[t.ID] = written
	return written.task(), nil
}

func (s *Memory) Create(ctx context.Context, t *task.Task, limit int) (*task.Task, error) {
	return s.write(ctx, t, func(_ row, exists bool) error {
		switch {
		case exists:
			return task.ErrExists
		case t.Quota == nil:
			return nil
		}
		day := [2]string{t.Owner, t.Quota.Day}
		if limit > 0 && s.used[day]+t.Quota.Images > limit {
			return task.ErrQuota
		}
		s.used[day] += t.Quota.Images
		return nil
	})
}

func (s *Memory) Rescue(ctx context.Context, t, origin *task.Task) (*task.Task, error) {
	return s.write(ctx, t, func(_ row, exists bool) error {
		from, there := s.rows[origin.ID]
		switch {
		case exists:
			return task.ErrExists
		case !there:
			return task.ErrNotFound
		case from.stored.Deleted():
			return task.ErrDeleted
		case from.stored.Version != origin.Version:
			return task.ErrConflict
		}
		return nil
	})
}

func (s *Memory) Put(ctx context.Context, t *task.Task) (*task.Task, error) {
	return s.write(ctx, t, func(present row, exists bool) error {
		switch {
		case !exists:
			return task.ErrNotFound
		case present.stored.Version != t.Version-1:
			return task.ErrConflict
		case t.Quota != nil:
			day := [2]string{t.Owner, t.Quota.Day}
			s.used[day] = max(0, s.used[day]-t.Refund)
		}
		return nil
	})
}

func (s *Memory) Task(ctx context.Context, id string) (*task.Task, error) {
	unlock, err := s.lock(ctx)
	if err != nil {
		return nil, err
	}
	defer unlock()
	r, ok := s.rows[id]
	if !ok {
		return nil, task.ErrNotFound
	}
	return r.task(), nil
}

func (s *Memory) Tasks(ctx context.Context, ids []string) (found []*task.Task, err error) {
	unlock, err := s.lock(ctx)
	if err != nil {
		return nil, err
	}
	defer unlock()
	for i, id := range ids {
		if r, ok := s.rows[id]; ok && !slices.Contains(ids[:i], id) {
			found = append(found, r.task())
		}
	}
	return found, nil
}

// sortKey sorts ids by time. Cursors are made of it.
func sortKey(id string, made time.Time) string { return fmt.Sprintf("%016x", made.UnixMilli()) + id }

// sealOf returns a hash that ties a cursor to its list.
func sealOf(words ...string) string {
	h := sha256.Sum256(fmt.Appendf(nil, "%q", words))
	return hex.EncodeToString(h[:8])
}

func (s *Memory) List(ctx context.Context, q task.Query) (ids []string, next string, err error) {
	unlock, err := s.lock(ctx)
	if err != nil {
		return nil, "", err
	}
	defer unlock()
	list := []string{q.Owner}
	if q.Target != nil {
		list = append(list, q.Target.String())
	}
	seal, after, _ := strings.Cut(q.Cursor, ".")
	if q.Cursor != "" && seal != sealOf(append(list, after)...) {
		return nil, "", task.ErrCursor
	}
	var keys []string
	for id, r := range s.rows {
		t := r.stored
		placed := q.Target == nil || t.Target != nil && *t.Target == *q.Target
		if t.Owner == q.Owner && placed && !t.Deleted() && !t.CreatedAt.Before(q.Since.Truncate(time.Millisecond)) {
			keys = append(keys, sortKey(id, t.CreatedAt))
		}
	}
	slices.Sort(keys)
	slices.Reverse(keys)
	last := ""
	for _, key := range keys {
		switch {
		case q.Cursor != "" && key >= after:
		case len(ids) == max(1, q.Limit):
			return ids, sealOf(append(list, last)...) + "." + last, nil
		default:
			last = key
			ids = append(ids, key[16:])
		}
	}
	return ids, "", nil
}

func (s *Memory) UsedImages(ctx context.Context, owner, day string) (int, error) {
	unlock, err := s.lock(ctx)
	if err != nil {
		return 0, err
	}
	defer unlock()
	return s.used[[2]string{owner, day}], nil
}

func (s *Memory) CountUpload(ctx context.Context, owner, day string, limit int) error {
	unlock, err := s.lock(ctx)
	if err != nil {
		return err
	}
	defer unlock()
	if n := s.uploads[[2]string{owner, day}]; limit > 0 && n >= limit {
		return task.ErrQuota
	}
	s.uploads[[2]string{owner, day}]++
	return nil
}

func (s *Memory) SetBalance(ctx context.Context, b task.Balance) error {
	unlock, err := s.lock(ctx)
	if err != nil {
		return err
	}
	defer unlock()
	if b.AsOf.After(s.balance.AsOf) {
		s.balance = b
	}
	return nil
}

func (s *Memory) Balance(ctx context.Context) (task.Balance, error) {
	unlock, err := s.lock(ctx)
	if err != nil {
		return task.Balance{}, err
	}
	defer unlock()
	return s.balance, nil
}

func (s *Memory) Pause(ctx context.Context, kind task.Calls, until time.Time) error {
	unlock, err := s.lock(ctx)
	if err != nil {
		return err
	}
	defer unlock()
	*s.pauses.Of(kind) = until
	return nil
}

func (s *Memory) Forget(ctx context.Context, owner string, now time.Time) error {
	unlock, err := s.lock(ctx)
	if err != nil {
		return err
	}
	defer unlock()
	if s.pauses.Forgotten.Salt == "" {
		s.pauses.Forgotten.Salt = task.NewSalt()
	}
	_, _, err = s.pauses.Forgotten.Add(owner, now)
	return err
}

func (s *Memory) Paused(ctx context.Context) (task.Pauses, error) {
	unlock, err := s.lock(ctx)
	if err != nil {
		return task.Pauses{}, err
	}
	defer unlock()
	p := s.pauses
	p.Forgotten.Until = maps.Clone(p.Forgotten.Until)
	p.Holds, err = task.DecodeHolds(s.holds)
	return p, err
}

func (s *Memory) Hold(ctx context.Context, by task.Holder, x task.Hold) error {
	return s.ChangeHolds(ctx, func(h *task.Holds) { h.Put(by, x) })
}

func (s *Memory) Release(ctx context.Context, by task.Holder, at time.Time) error {
	return s.ChangeHolds(ctx, func(h *task.Holds) { h.Drop(by, at) })
}

func (s *Memory) ChangeHolds(ctx context.Context, change func(*task.Holds)) error {
	unlock, err := s.lock(ctx)
	if err != nil {
		return err
	}
	defer unlock()
	h, err := task.DecodeHolds(s.holds)
	if err != nil {
		return err
	}
	change(&h)
	s.holds, err = h.Encode()
	return err
}

func (s *Memory) SetTiming(ctx context.Context, x task.Timing) error {
	unlock, err := s.lock(ctx)
	if err != nil {
		return err
	}
	defer unlock()
	if s.timings[x.Kind] == nil {
		s.timings[x.Kind] = map[int]int{}
	}
	s.timings[x.Kind][x.Slot] = x.Seconds
	return nil
}

func (s *Memory) Timings(ctx context.Context) (map[string][]int, error) {
	unlock, err := s.lock(ctx)
	if err != nil {
		return nil, err
	}
	defer unlock()
	all := map[string][]int{}
	for kind, slots := range s.timings {
		all[kind] = slices.Collect(maps.Values(slots))
	}
	return all, nil
}

// attributes returns a row as a JSON object.
func (s *Memory) attributes(id string) (all map[string]any, err error) {
	text, err := json.Marshal(s.rows[id].stored)
	if err == nil {
		err = json.Unmarshal(text, &all)
	}
	return all, err
}

// SetAttribute is [Harness.SetAttribute].
func (s *Memory) SetAttribute(_ context.Context, id, name string, value any) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	all, err := s.attributes(id)
	if err != nil {
		return err
	}
	if all[name] = value; value == nil {
		delete(all, name)
	}
	text, err := json.Marshal(all)
	if err == nil {
		s.rows[id], err = newRow(text)
	}
	return err
}

// Attribute is [Harness.Attribute].
func (s *Memory) Attribute(_ context.Context, id, name string) (value any, ok bool, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	all, err := s.attributes(id)
	value, ok = all[name]
	return value, ok, err
}
