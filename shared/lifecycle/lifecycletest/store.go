package lifecycletest

import (
	"context"
	"errors"
	"iter"
	"sync"
	"time"

	"github.com/preset/nanobanana-functions/shared/task"
)

// ErrStore is the error of a store that is unavailable.
var ErrStore = errors.New("the store is unavailable")

// Store is a store whose calls a test can count, and let fail before or after
// they take effect.
type Store struct {
	task.Store
	mu     sync.Mutex
	calls  map[string]int
	before func(call string, t *task.Task) error
	after  func(call string, t *task.Task) error
}

// Fail lets calls fail with the errors of before, which is called before a call takes
// effect, and after. Nil hooks end that. t is the row of a create or put.
func (s *Store) Fail(before, after func(call string, t *task.Task) error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.before, s.after = before, after
}

// On returns a hook for Fail that fails one kind of call.
func On(call string, err error) func(string, *task.Task) error {
	return func(made string, _ *task.Task) error {
		if made == call {
			return err
		}
		return nil
	}
}

// Count returns how often a call was made: create, rescue, put, task, tasks, list, used,
// paused, hold, release, balance, setBalance, due.
func (s *Store) Count(call string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.calls[call]
}

// Total returns how many calls were made.
func (s *Store) Total() (n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, c := range s.calls {
		n += c
	}
	return n
}

// enter counts a call and returns the error of the before hook.
func (s *Store) enter(call string, t *task.Task) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.calls[call]++
	return try(s.before, call, t)
}

// leave returns the error of the after hook.
func (s *Store) leave(call string, t *task.Task) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return try(s.after, call, t)
}

func try(hook func(string, *task.Task) error, call string, t *task.Task) error {
	if hook == nil {
		return nil
	}
	return hook(call, t)
}

func around[T any](s *Store, call string, t *task.Task, do func() (T, error)) (v T, err error) {
	if err := s.enter(call, t); err != nil {
		return v, err
	}
	made, err := do()
	if lost := s.leave(call, t); lost != nil {
		return v, lost
	}
	return made, err
}

func (s *Store) Create(ctx context.Context, t *task.Task, limit int) (*task.Task, error) {
	return around(s, "create", t, func() (*task.Task, error) { return s.Store.Create(ctx, t, limit) })
}

func (s *Store) Rescue(ctx context.Context, t, origin *task.Task) (*task.Task, error) {
	return around(s, "rescue", t, func() (*task.Task, error) { return s.Store.Rescue(ctx, t, origin) })
}

func (s *Store) Put(ctx context.Context, t *task.Task) (*task.Task, error) {
	return around(s, "put", t, func() (*task.Task, error) { return s.Store.Put(ctx, t) })
}

func (s *Store) Task(ctx context.Context, id string) (*task.Task, error) {
	return around(s, "task", nil, func() (*task.Task, error) { return s.Store.Task(ctx, id) })
}

func (s *Store) Tasks(ctx context.Context, ids []string) ([]*task.Task, error) {
	return around(s, "tasks", nil, func() ([]*task.Task, error) { return s.Store.Tasks(ctx, ids) })
}

func (s *Store) List(ctx context.Context, q task.Query) (ids []string, next string, err error) {
	ids, err = around(s, "list", nil, func() (ids []string, err error) {
		ids, next, err = s.Store.List(ctx, q)
		return ids, err
	})
	if err != nil {
		return nil, "", err
	}
	return ids, next, nil
}

func (s *Store) UsedImages(ctx context.Context, owner, day string) (int, error) {
	return around(s, "used", nil, func() (int, error) { return s.Store.UsedImages(ctx, owner, day) })
}

func (s *Store) CountUpload(ctx context.Context, owner, day string, limit int) error {
	_, err := around(s, "countUpload", nil, func() (struct{}, error) { return struct{}{}, s.Store.CountUpload(ctx, owner, day, limit) })
	return err
}

func (s *Store) Paused(ctx context.Context) (task.Pauses, error) {
	return around(s, "paused", nil, func() (task.Pauses, error) { return s.Store.Paused(ctx) })
}

func (s *Store) Hold(ctx context.Context, by task.Holder, h task.Hold) error {
	_, err := around(s, "hold", nil, func() (struct{}, error) { return struct{}{}, s.Store.Hold(ctx, by, h) })
	return err
}

func (s *Store) Release(ctx context.Context, by task.Holder, at time.Time) error {
	_, err := around(s, "release", nil, func() (struct{}, error) { return struct{}{}, s.Store.Release(ctx, by, at) })
	return err
}

func (s *Store) Balance(ctx context.Context) (task.Balance, error) {
	return around(s, "balance", nil, func() (task.Balance, error) { return s.Store.Balance(ctx) })
}

func (s *Store) SetBalance(ctx context.Context, b task.Balance) error {
	_, err := around(s, "setBalance", nil, func() (struct{}, error) { return struct{}{}, s.Store.SetBalance(ctx, b) })
	return err
}

func (s *Store) Due(ctx context.Context, now time.Time) iter.Seq2[string, error] {
	return func(yield func(string, error) bool) {
		if err := s.enter("due", nil); err != nil {
			yield("", err)
			return
		}
		s.Store.Due(ctx, now)(yield)
	}
}
