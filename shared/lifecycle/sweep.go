package lifecycle

import (
	"context"
	"fmt"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"time"

	"github.com/preset/nanobanana-functions/shared/task"
)

const (
	sweepTime    = 40 * time.Second // after which a sweep takes no more work
	sweepWorkers = 8
)

// Swept says what a sweep did.
type Swept struct {
	Done   int // tasks looked at
	Failed int // of these, those that failed in a way that is nobody's answer
}

// Sweep does what is due, the oldest first, until nothing is or 40 s are over.
// Sweeps may overlap. One task's fault stops neither the sweep nor the others.
// The error is that of reading the index.
func (s *Service) Sweep(ctx context.Context) (Swept, error) {
	begun := s.Now()
	// The pause row is read only if there is a record to read.
	reading := sync.OnceValue(func() bool { return s.reading(ctx) })
	var done, failed atomic.Int64
	var wg sync.WaitGroup
	ids := make(chan string)
	for range sweepWorkers {
		wg.Go(func() {
			for id := range ids {
				done.Add(1)
				if err := s.safely(ctx, id, reading); err != nil {
					failed.Add(1)
					s.Log.ErrorContext(ctx, "a due task failed", "task", id, "error", err)
					s.postpone(ctx, id)
				}
			}
		})
	}
	var err error
	for id, e := range s.Store.Due(ctx, begun) {
		if err = e; err != nil || s.Now().Sub(begun) >= sweepTime || ctx.Err() != nil {
			break
		}
		ids <- id
	}
	close(ids)
	wg.Wait()
	return Swept{Done: int(done.Load()), Failed: int(failed.Load())}, err
}

// reading says whether records may be read: no 429 has paused that.
func (s *Service) reading(ctx context.Context) bool {
	until, err := s.Store.Paused(ctx)
	if err != nil {
		s.Log.ErrorContext(ctx, "the pause row could not be read", "error", err)
		return true // each read is claimed anyway
	}
	return !s.Now().Before(until)
}

// safely makes a panic of one task that task's error.
func (s *Service) safely(ctx context.Context, id string, reading func() bool) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("panic: %v\n%s", p, debug.Stack())
		}
	}()
	return s.Refresh(ctx, id, reading)
}

func (s *Service) postpone(ctx context.Context, id string) {
	t, err := s.Store.Task(ctx, id)
	if err == nil && !t.DueAt.IsZero() {
		_, err = task.Update(ctx, s.Store, t, func(x *task.Task) error {
			if !x.DueAt.IsZero() {
				x.Postpone(s.Now())
			}
			return nil
		})
	}
	if err != nil {
		s.Log.ErrorContext(ctx, "a due task could not be postponed", "task", id, "error", err)
	}
}
