package lifecycle

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/time/rate"

	"github.com/preset/nanobanana-functions/shared/task"
)

const (
	sweepTime    = 40 * time.Second // after which a sweep takes no more work,
	postTime     = time.Minute      // and starts no more POSTs: then the next sweep does
	sweepWorkers = 8
)

// Sweeper does what is due. Its fields are set before use; its methods may be
// called from many goroutines.
type Sweeper struct {
	*Poster

	// Rate bounds how fast a sweep reads records, and Posts how fast it sends
	// what waits. Nil: as fast as it can.
	Rate, Posts *rate.Limiter
	// PostTime is how long a sweep starts POSTs, and waits to do so. 0: a minute, after
	// which the next sweep does. Where sweeps come sooner, it is the time between them.
	PostTime time.Duration
	// Sleep waits while POSTs are paused. Nil: by a timer.
	Sleep func(context.Context, time.Duration) error
}

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

// sweep is a sweep under way.
type sweep struct {
	*Sweeper
	begun   time.Time
	reading func() bool // no 429 has paused the reading of records
	posts   *queue      // of tasks that wait for another attempt, by the age of the order
	others  *queue      // of all other tasks, by the time they are due

	done, failed atomic.Int64
	oldest       oldest
}

// Sweep does what is due, the oldest first, until nothing is or 40 s are over. For
// 60 s it starts the POSTs of what waits. Sweeps may overlap. One task's fault stops
// neither the sweep nor the others. The error is that of reading the index.
func (s *Sweeper) Sweep(ctx context.Context) (Swept, error) {
	w := &sweep{Sweeper: s, begun: s.Now(), posts: newQueue(), others: newQueue()}
	// The pause row is read only if there is a record to read.
	w.reading = sync.OnceValue(func() bool { return !s.Now().Before(s.paused(ctx).Reads) })
	var wg sync.WaitGroup
	for range sweepWorkers {
		wg.Go(func() { w.work(ctx) })
	}
	err := w.look(ctx)
	w.others.close()
	w.send(ctx)
	wg.Wait()
	return Swept{Done: int(w.done.Load()), Failed: int(w.failed.Load()), Oldest: w.oldest.at}, err
}

// over reports whether so much time has passed since the sweep began.
func (w *sweep) over(d time.Duration) bool { return w.Now().Sub(w.begun) >= d }

// look looks at every task that is due, and queues it: POSTs and reads of records
// keep to paces of their own, and neither is to hold up the other.
func (w *sweep) look(ctx context.Context) (err error) {
	var wg sync.WaitGroup
	defer wg.Wait()
	ids := make(chan string)
	defer close(ids)
	for range sweepWorkers {
		wg.Go(func() {
			for id := range ids {
				w.done.Add(1)
				w.safely(ctx, id, w.sort)
			}
		})
	}
	for id, e := range w.Store.Due(ctx, w.begun) {
		if err = e; err != nil || w.over(sweepTime) || ctx.Err() != nil {
			break
		}
		ids <- id
	}
	return err
}

func (w *sweep) sort(t *task.Task) error {
	w.oldest.see(t)
	switch t.Next(w.Now()) {
	case task.NextNothing: // another sweep was faster, or it is a newer release's row
	case task.NextResubmit:
		w.posts.add(t.ID, t.CreatedAt)
	default:
		w.others.add(t.ID, t.DueAt)
	}
	return nil
}

// work does what is no POST, until there is nothing left or the time is over.
func (w *sweep) work(ctx context.Context) {
	for w.others.wait() && !w.over(sweepTime) {
		if id, ok := w.others.take(); ok {
			w.safely(ctx, id, func(t *task.Task) error { return w.refresh(ctx, t, w.reading) })
		}
	}
}

// paused returns until when the provider has asked for no calls.
func (s *Sweeper) paused(ctx context.Context) task.Pauses {
	p, err := s.Store.Paused(ctx)
	if err != nil {
		s.Log.ErrorContext(ctx, "the pause row could not be read", "error", err)
		return task.Pauses{} // each call is claimed anyway
	}
	return p
}

// safely reads a task's row and does something for the task, whatever became of it
// since the index named it. A fault, or a panic, is logged and counted, and the task
// comes again a minute later.
func (w *sweep) safely(ctx context.Context, id string, do func(*task.Task) error) {
	err := func() (err error) {
		defer func() {
			if p := recover(); p != nil {
				err = fmt.Errorf("panic: %v\n%s", p, debug.Stack())
			}
		}()
		t, err := w.Store.Task(ctx, id)
		if err == nil {
			err = do(t)
		}
		return err
	}()
	if err != nil && !errors.Is(err, task.ErrNotFound) {
		w.failed.Add(1)
		w.Log.ErrorContext(ctx, "a due task failed", "task", id, "error", err)
		w.postpone(ctx, id)
	}
}

func (s *Sweeper) postpone(ctx context.Context, id string) {
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
