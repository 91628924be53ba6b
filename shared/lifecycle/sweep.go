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

	// Oldest is when the oldest unfinished task that the sweep read was created;
	// zero if it read none. A sweep reads only what is due, so this is not the
	// oldest of all tasks: see [oldest].
	Oldest time.Time `json:",omitzero"`
}

// oldest is the creation of the oldest unfinished task that was seen. The index
// is in the order of due times and holds no creation, so the age of a task is
// known only when the task is due and its row is read anyway. An unfinished task
// is due at least once an hour, with two exceptions: one whose outcome is unknown
// may be due at its deadline alone, after two hours, and one that waits may be due
// when the provider asked to be tried again.
type oldest struct {
	mu sync.Mutex // guards at
	at time.Time
}

func (o *oldest) see(t *task.Task) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if !t.Done() && (o.at.IsZero() || t.CreatedAt.Before(o.at)) {
		o.at = t.CreatedAt
	}
}

// Sweep does what is due, the oldest first, until nothing is or 40 s are over.
// Sweeps may overlap. One task's fault stops neither the sweep nor the others.
// The error is that of reading the index.
func (s *Service) Sweep(ctx context.Context) (Swept, error) {
	begun := s.Now()
	// The pause row is read only if there is a record to read.
	reading := sync.OnceValue(func() bool { return s.reading(ctx) })
	var done, failed atomic.Int64
	var seen oldest
	var wg sync.WaitGroup
	ids := make(chan string)
	for range sweepWorkers {
		wg.Go(func() {
			for id := range ids {
				done.Add(1)
				if err := s.safely(ctx, id, reading, seen.see); err != nil {
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
	return Swept{Done: int(done.Load()), Failed: int(failed.Load()), Oldest: seen.at}, err
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
func (s *Service) safely(ctx context.Context, id string, reading func() bool, seen func(*task.Task)) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("panic: %v\n%s", p, debug.Stack())
		}
	}()
	return s.Refresh(ctx, id, reading, seen)
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
