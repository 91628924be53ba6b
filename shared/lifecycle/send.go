package lifecycle

import (
	"cmp"
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"

	"golang.org/x/time/rate"

	"github.com/preset/nanobanana-functions/shared/config"
	"github.com/preset/nanobanana-functions/shared/task"
)

const (
	postsAtOnce  = 32               // POSTs that a sweep has on their way at most
	postsBackoff = 10 * time.Second // for how long a refusal without Retry-After pauses POSTs
)

// postPace returns the limiter that spreads a sweep's POSTs evenly: a provider that
// counts what came in the last ten seconds counts the sweep before this one, too.
// A tenth is to spare, since not every POST takes equally long to arrive.
func postPace(r config.Rate) *rate.Limiter {
	if r.Count == 0 {
		return nil
	}
	return rate.NewLimiter(rate.Every(r.Per/time.Duration(r.Count)*11/10), 1)
}

// send begins another attempt for what waits, the oldest order first, for as long as
// the sweep may start POSTs.
func (w *sweep) send(ctx context.Context) {
	var wg sync.WaitGroup
	defer wg.Wait()
	room := make(chan struct{}, postsAtOnce)
	for w.posts.some() {
		room <- struct{}{}
		if !w.turn(ctx) {
			return
		}
		wg.Go(func() {
			defer func() { <-room }()
			w.sendOne(ctx)
		})
	}
}

// turn waits until another POST may start, and reports whether that is in the
// sweep's time.
func (w *sweep) turn(ctx context.Context) bool {
	for {
		left := w.postTime() - w.Now().Sub(w.begun)
		if left <= 0 || !timeLeft(ctx, submitTime) || ctx.Err() != nil || !w.paced(ctx, left) {
			return false
		}
		// Read each time: the POST that was refused may be another process's.
		wait := w.paused(ctx).Posts.Sub(w.Now())
		if wait <= 0 {
			return true
		}
		if wait >= w.postTime()-w.Now().Sub(w.begun) || w.sleep(ctx, wait) != nil {
			return false
		}
	}
}

func (s *Sweeper) postTime() time.Duration { return cmp.Or(s.PostTime, postTime) }

// paced waits until the pace allows another POST, if that is within a time.
func (w *sweep) paced(ctx context.Context, within time.Duration) bool {
	if w.Posts == nil {
		return true
	}
	ctx, cancel := context.WithTimeout(ctx, within)
	defer cancel()
	return w.Posts.Wait(ctx) == nil
}

// sendOne sends the first of those that still wait: another sweep may have been faster.
func (w *sweep) sendOne(ctx context.Context) {
	for sent := false; !sent; {
		id, ok := w.posts.take()
		if !ok {
			return
		}
		sent = true // if its row cannot be read, too: the turn is used
		w.safely(ctx, id, func(t *task.Task) (err error) {
			if sent = t.Next(w.Now()) == task.NextResubmit; sent {
				_, err = w.resubmit(ctx, t)
			}
			return err
		})
	}
}

// sleep waits for d, or as long as ctx lives.
func (s *Sweeper) sleep(ctx context.Context, d time.Duration) error {
	if s.Sleep != nil {
		return s.Sleep(ctx, d)
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// resubmit begins another attempt and makes its POST, if it is this process
// whose write began it.
func (s *Sweeper) resubmit(ctx context.Context, t *task.Task) (*task.Task, error) {
	ins, err := s.inputs(ctx, t.Owner, t.PublicURL, t.ImageURLs)
	var unusable *task.Error
	if gone := errors.As(err, &unusable) && unusable.Code == task.CodeInvalidRequest; err != nil && !gone {
		return t, err
	}
	if !timeLeft(ctx, submitTime) {
		return t, nil // it stays waiting, for the next sweep
	}
	var mine bool
	begun, err := task.Update(ctx, s.Store, t, func(x *task.Task) error {
		mine = x.Next(s.Now()) == task.NextResubmit
		if !mine {
			return nil
		}
		return x.Resubmit(s.Now())
	})
	switch {
	case err != nil || !mine:
		return begun, err // not ours, or nobody knows: never POST
	case unusable != nil:
		// A picture of the owner's that the edit starts from is gone.
		s.log(ctx, slog.LevelInfo, begun, "an input image is gone")
		attempt := begun.Attempt
		return s.keep(ctx, begun, nil, func(x *task.Task) error {
			return x.Refused(s.Rules, s.Now(), attempt, task.Refusal{Code: task.CodeInputImageUnusable})
		})
	}
	return s.post(ctx, begun, ins)
}
