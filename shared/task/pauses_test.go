package task_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/preset/nanobanana-functions/shared/task"
	"github.com/preset/nanobanana-functions/shared/task/tasktest"
)

// countingStore counts the reads of the pauses, and fails them with err.
type countingStore struct {
	task.Store
	reads int
	err   error
}

func (s *countingStore) Paused(ctx context.Context) (task.Pauses, error) {
	s.reads++
	if s.err != nil {
		return task.Pauses{}, s.err
	}
	return s.Store.Paused(ctx)
}

// A process reads the pauses every 10 s at most; while it cannot, what it knew stays so.
func TestPausesMemory(t *testing.T) {
	s := &countingStore{Store: tasktest.NewMemory()}
	now := time.Date(2026, 3, 14, 12, 0, 0, 0, time.UTC)
	begun := now
	clock := func() time.Time { return now }
	var m task.PausesMemory
	if err := m.Prepare(t.Context(), s, clock); err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(s.Forget(t.Context(), "ada", now), s.Hold(t.Context(), task.HeldByOperator, task.Hold{Reason: "a test", Since: now})); err != nil {
		t.Fatal(err)
	}
	down := errors.New("down")
	for _, c := range []struct {
		at              time.Duration
		err             error
		forgotten, held bool
		reads           int
	}{
		{9 * time.Second, nil, false, false, 1},
		{10 * time.Second, nil, true, true, 2},
		{19 * time.Second, down, true, true, 2},
		{20 * time.Second, down, true, true, 3},
		{24 * time.Second, nil, true, true, 3},
		{25 * time.Second, nil, true, true, 4},
		{-time.Hour, nil, true, true, 5}, // the clock was set back
	} {
		now, s.err = begun.Add(c.at), c.err
		p, err := m.Known(t.Context(), s, clock)
		tried := s.reads == c.reads && c.err != nil && c.at == 20*time.Second
		if _, _, held := p.InForce(begun); held != c.held || p.Forgotten.Has("ada", begun) != c.forgotten || s.reads != c.reads || (err != nil) != tried {
			t.Errorf("after %v: %+v, %v, %d reads; want %+v", c.at, p, err, s.reads, c)
		}
	}
}
