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
	sweepTime    = 40 * time.Second // for so long a sweep takes up work other than POSTs
	sweepWorkers = 8
)

// Sweeper does what is due. Its fields are set before use; its methods may be
// called from many goroutines.
type Sweeper struct {
	*Poster

	// Rate limits reads of records, and Posts limits POSTs. Nil: no limit.
	Rate, Posts *rate.Limiter
	// PostTime is how long a sweep may start POSTs, waiting included: the time between
	// sweeps, so that the next one goes on.
	PostTime time.Duration
	// Sleep waits while POSTs are paused.
	Sleep func(context.Context, time.Duration) error
}

// Swept is what a sweep did.
type Swept struct {
	Done   int // tasks looked at
	Failed int // those whose row could not be read or written, or whose handling panicked

	Waiting int // those that still wait for a POST: the pace, a pause or a hold did not let them go
	Notices int // those with a notice that Preset has not accepted yet

	// HeldSince is when the hold began that is in force; zero: there is none, or nobody knows.
	HeldSince time.Time `json:",omitzero"`

	// Oldest is when the oldest unfinished task that the sweep read was created;
	// zero if it read none. A sweep reads only what is due, so this need not be the
	// oldest of all tasks: see [oldest].
	Oldest time.Time `json:",omitzero"`
}

// oldest is when the oldest unfinished task seen was created. The index is sorted by
// due time and holds no creation time, so a sweep learns a task's age only when the
// task is due and its row is read anyway. An unfinished task is due at least once an
// hour, with two exceptions: an unconfirmed one may be due only at its deadline, after
// two hours, and a waiting one when the provider asked to be tried again.
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
	begun      time.Time
	pausesOnce func() (p task.Pauses, known bool) // reads the row if something depends on it
	posts      *queue                             // tasks that wait for another attempt, the oldest order first
	others     *queue                             // all other tasks, by due time

	done, failed, held, notices atomic.Int64
	oldest                      oldest
}

// Sweep does what is due, the longest due first, until nothing is or 40 s have passed. It
// starts POSTs for PostTime. Sweeps may overlap. One task's error stops neither the sweep
// nor the others. The returned error is that of reading the index.
func (s *Sweeper) Sweep(ctx context.Context) (Swept, error) {
	w := &sweep{Sweeper: s, begun: s.Now(), posts: newQueue(), others: newQueue()}
	w.pausesOnce = sync.OnceValues(func() (task.Pauses, bool) { return s.pauses(ctx) })
	var wg sync.WaitGroup
	for range sweepWorkers {
		wg.Go(func() { w.work(ctx) })
	}
	err := w.queueDue(ctx)
	w.others.close()
	w.send(ctx)
	wg.Wait()
	pauses, _ := w.pausesOnce() // also if nothing is due: an alarm waits for a forgotten hold
	_, hold, _ := pauses.InForce(w.Now())
	return Swept{
		Done: int(w.done.Load()), Failed: int(w.failed.Load()), Waiting: w.posts.length() + int(w.held.Load()),
		Notices: int(w.notices.Load()), HeldSince: hold.Since, Oldest: w.oldest.at,
	}, err
}

// over reports whether the sweep has lasted d.
func (w *sweep) over(d time.Duration) bool { return w.Now().Sub(w.begun) >= d }

// queueDue reads every due task and queues it. POSTs and reads of records have limits
// of their own, so they have queues of their own: neither holds up the other.
func (w *sweep) queueDue(ctx context.Context) (err error) {
	var wg sync.WaitGroup
	defer wg.Wait()
	ids := make(chan string)
	defer close(ids)
	for range sweepWorkers {
		wg.Go(func() {
			for id := range ids {
				w.done.Add(1)
				w.safely(ctx, id, w.enqueue)
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

func (w *sweep) enqueue(t *task.Task) error {
	w.oldest.see(t)
	if t.Notice != "" {
		w.notices.Add(1)
	}
	switch next := t.Next(w.Now()); {
	case next == task.NextNothing: // another sweep was faster, or a newer release wrote the row
	case t.AwaitsPost() && w.holdsPosts(w.pausesOnce()): // its deadline is judged after the hold
		w.held.Add(1)
	case next == task.NextResubmit:
		w.posts.add(t.ID, t.CreatedAt)
	default:
		w.others.add(t.ID, t.Due())
	}
	return nil
}

// work does everything except POSTs, until nothing is left or the time is over.
func (w *sweep) work(ctx context.Context) {
	for w.others.wait() && !w.over(sweepTime) {
		if id, ok := w.others.take(); ok {
			w.safely(ctx, id, func(t *task.Task) error { return w.refresh(ctx, t) })
		}
	}
}

// safely reads a task's row and calls do with it: the row may have changed since the
// index named it. An error or a panic is logged and counted, and the task is due again
// a minute later.
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
		w.Log.ErrorContext(ctx, "a due task failed; will retry in a minute", "task", id, "error", err)
		w.postpone(ctx, id)
	}
}

func (s *Sweeper) postpone(ctx context.Context, id string) {
	t, err := s.Store.Task(ctx, id)
	if err == nil && !t.Due().IsZero() {
		_, err = task.Update(ctx, s.Store, t, func(x *task.Task) error {
			x.Postpone(s.Now())
			return nil
		})
	}
	if err != nil {
		s.Log.ErrorContext(ctx, "a due task could not be postponed", "task", id, "error", err)
	}
}
