package prooftest

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"iter"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/preset/nanobanana-functions/shared/task"
	"github.com/preset/nanobanana-functions/shared/task/tasktest"
)

// memory is the cheapest store that does what every task.Store must: twenty
// thousand histories would wait for a disk most of their time.
type memory struct {
	mu      sync.Mutex // guards what follows
	rows    map[string]row
	used    map[[2]string]int // by owner and day
	pauses  task.Pauses
	balance task.Balance
	timings map[string]map[int]int
}

// row is a task as it is stored: what has been to JSON and back, as with every store.
type row struct{ stored *task.Task }

func newMemory() *memory {
	return &memory{rows: map[string]row{}, used: map[[2]string]int{}, timings: map[string]map[int]int{}}
}

func TestMemory(t *testing.T) {
	tasktest.TestStore(t, func(*testing.T) tasktest.Harness {
		s := newMemory()
		return tasktest.Harness{Store: s, SetAttribute: s.setAttribute, Attribute: s.attribute}
	})
}

func (s *memory) enter(ctx context.Context) (leave func(), err error) {
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

// write puts t in its row if refused, which knows the row that stands, or a
// zero one, has nothing against it.
func (s *memory) write(ctx context.Context, t *task.Task, refused func(stands row, is bool) error) (*task.Task, error) {
	if err := t.Check(); err != nil {
		return nil, err
	}
	text, err := json.Marshal(t)
	if err != nil {
		return nil, err
	}
	leave, err := s.enter(ctx)
	if err != nil {
		return nil, err
	}
	defer leave()
	stands, is := s.rows[t.ID]
	if is && stands.stored.Version == t.Version && stands.stored.Writer == t.Writer {
		return stands.task(), nil // this very write, whose answer was lost
	}
	if err := refused(stands, is); err != nil {
		if !is {
			return nil, err
		}
		return stands.task(), err
	}
	written, err := newRow(text)
	if err != nil {
		return nil, err
	}
	s.rows[t.ID] = written
	return written.task(), nil
}

func (s *memory) Create(ctx context.Context, t *task.Task, limit int) (*task.Task, error) {
	return s.write(ctx, t, func(_ row, is bool) error {
		switch {
		case is:
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

func (s *memory) Put(ctx context.Context, t *task.Task) (*task.Task, error) {
	return s.write(ctx, t, func(stands row, is bool) error {
		switch {
		case !is:
			return task.ErrNotFound
		case stands.stored.Version != t.Version-1:
			return task.ErrConflict
		case t.Quota != nil:
			day := [2]string{t.Owner, t.Quota.Day}
			s.used[day] = max(0, s.used[day]-t.Refund)
		}
		return nil
	})
}

func (s *memory) Task(ctx context.Context, id string) (*task.Task, error) {
	leave, err := s.enter(ctx)
	if err != nil {
		return nil, err
	}
	defer leave()
	r, is := s.rows[id]
	if !is {
		return nil, task.ErrNotFound
	}
	return r.task(), nil
}

func (s *memory) Tasks(ctx context.Context, ids []string) (found []*task.Task, err error) {
	leave, err := s.enter(ctx)
	if err != nil {
		return nil, err
	}
	defer leave()
	for i, id := range ids {
		if r, is := s.rows[id]; is && !slices.Contains(ids[:i], id) {
			found = append(found, r.task())
		}
	}
	return found, nil
}

// place sorts rows by age, and is what cursors are made of.
func place(id string, made time.Time) string { return fmt.Sprintf("%016x", made.UnixMilli()) + id }

func sum(words ...string) string {
	h := sha256.Sum256(fmt.Appendf(nil, "%q", words))
	return hex.EncodeToString(h[:8])
}

func (s *memory) List(ctx context.Context, owner string, target task.Target, limit int, cursor string) (ids []string, next string, err error) {
	leave, err := s.enter(ctx)
	if err != nil {
		return nil, "", err
	}
	defer leave()
	seal, after, _ := strings.Cut(cursor, ".")
	if cursor != "" && seal != sum(owner, target.String(), after) {
		return nil, "", task.ErrCursor
	}
	var places []string
	for id, r := range s.rows {
		if t := r.stored; t.Owner == owner && t.Target != nil && *t.Target == target {
			places = append(places, place(id, t.CreatedAt))
		}
	}
	slices.Sort(places)
	slices.Reverse(places)
	last := ""
	for _, at := range places {
		switch {
		case cursor != "" && at >= after:
		case len(ids) == max(1, limit):
			return ids, sum(owner, target.String(), last) + "." + last, nil
		default:
			last = at
			ids = append(ids, at[16:])
		}
	}
	return ids, "", nil
}

func (s *memory) Due(ctx context.Context, now time.Time) iter.Seq2[string, error] {
	return func(yield func(string, error) bool) {
		leave, err := s.enter(ctx)
		if err != nil {
			yield("", err)
			return
		}
		var due []string
		for id, r := range s.rows {
			if at := r.stored.DueAt; !at.IsZero() && !at.After(now) {
				due = append(due, place(id, at))
			}
		}
		leave()
		for _, at := range slices.Sorted(slices.Values(due)) {
			if !yield(at[16:], nil) {
				return
			}
		}
	}
}

func (s *memory) UsedImages(ctx context.Context, owner, day string) (int, error) {
	leave, err := s.enter(ctx)
	if err != nil {
		return 0, err
	}
	defer leave()
	return s.used[[2]string{owner, day}], nil
}

func (s *memory) SetBalance(ctx context.Context, b task.Balance) error {
	leave, err := s.enter(ctx)
	if err != nil {
		return err
	}
	defer leave()
	if b.AsOf.After(s.balance.AsOf) {
		s.balance = b
	}
	return nil
}

func (s *memory) Balance(ctx context.Context) (task.Balance, error) {
	leave, err := s.enter(ctx)
	if err != nil {
		return task.Balance{}, err
	}
	defer leave()
	return s.balance, nil
}

func (s *memory) Pause(ctx context.Context, kind task.Calls, until time.Time) error {
	leave, err := s.enter(ctx)
	if err != nil {
		return err
	}
	defer leave()
	*s.pauses.Of(kind) = until
	return nil
}

func (s *memory) Paused(ctx context.Context) (task.Pauses, error) {
	leave, err := s.enter(ctx)
	if err != nil {
		return task.Pauses{}, err
	}
	defer leave()
	return s.pauses, nil
}

func (s *memory) SetTiming(ctx context.Context, x task.Timing) error {
	leave, err := s.enter(ctx)
	if err != nil {
		return err
	}
	defer leave()
	if s.timings[x.Kind] == nil {
		s.timings[x.Kind] = map[int]int{}
	}
	s.timings[x.Kind][x.Slot] = x.Seconds
	return nil
}

func (s *memory) Timings(ctx context.Context) (map[string][]int, error) {
	leave, err := s.enter(ctx)
	if err != nil {
		return nil, err
	}
	defer leave()
	all := map[string][]int{}
	for kind, slots := range s.timings {
		all[kind] = slices.Collect(maps.Values(slots))
	}
	return all, nil
}

// attributes gives a row as the JSON object that it is.
func (s *memory) attributes(id string) (all map[string]any, err error) {
	text, err := json.Marshal(s.rows[id].stored)
	if err == nil {
		err = json.Unmarshal(text, &all)
	}
	return all, err
}

func (s *memory) setAttribute(_ context.Context, id, name string, value any) error {
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

func (s *memory) attribute(_ context.Context, id, name string) (value any, ok bool, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	all, err := s.attributes(id)
	value, ok = all[name]
	return value, ok, err
}
