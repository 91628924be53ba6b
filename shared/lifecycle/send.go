package lifecycle

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"golang.org/x/time/rate"

	"github.com/preset/nanobanana-functions/shared/config"
	"github.com/preset/nanobanana-functions/shared/task"
)

const (
	maxPosts     = 32               // POSTs that a sweep has under way at once
	postsBackoff = 10 * time.Second // for how long a refusal without Retry-After pauses POSTs
)

// postPace returns the limiter that spreads a sweep's POSTs evenly: a provider that
// counts the last ten seconds counts the sweep before this one, too. The pace leaves
// a tenth unused, since POSTs do not all take equally long to arrive.
func postPace(r config.Rate) *rate.Limiter {
	if r.Count == 0 {
		return nil
	}
	return rate.NewLimiter(rate.Every(PostInterval(r)), 1)
}

// PostInterval returns the time from one of a sweep's POSTs to the next; 0 without a limit.
func PostInterval(r config.Rate) time.Duration {
	if r.Count == 0 {
		return 0
	}
	return r.Per / time.Duration(r.Count) * 11 / 10
}

// send submits what waits for another attempt, the oldest order first, for as long as
// the sweep may start POSTs.
func (w *sweep) send(ctx context.Context) {
	var wg sync.WaitGroup
	defer wg.Wait()
	room := make(chan struct{}, maxPosts)
	for w.posts.length() > 0 {
		room <- struct{}{}
		if !w.waitToPost(ctx) {
			return
		}
		wg.Go(func() {
			defer func() { <-room }()
			w.sendOne(ctx)
		})
	}
}

// waitToPost waits until another POST may start, and reports whether that came within
// the sweep's time.
func (w *sweep) waitToPost(ctx context.Context) bool {
	for {
		left := w.PostTime - w.Now().Sub(w.begun)
		if left <= 0 || !timeLeft(ctx, minPostTime) || ctx.Err() != nil || !w.waitForPace(ctx, left) {
			return false
		}
		// Read it each time: another process may have had the POST that was refused, and a
		// hold keeps everything at once.
		p, known := w.pauses(ctx)
		if w.holdsPosts(p, known) {
			return false
		}
		wait := p.Posts.Sub(w.Now())
		if wait <= 0 {
			return true
		}
		if wait >= w.PostTime-w.Now().Sub(w.begun) || w.Sleep(ctx, wait) != nil {
			return false
		}
	}
}

// holdsPosts reports whether all POSTs are held, or may be.
func (w *sweep) holdsPosts(p task.Pauses, known bool) bool {
	_, _, held := p.InForce(w.Now())
	return held || !known
}

// waitForPace waits until the pace allows another POST, and reports whether that came
// within timeout.
func (w *sweep) waitForPace(ctx context.Context, timeout time.Duration) bool {
	if w.Posts == nil {
		return true
	}
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	return w.Posts.Wait(ctx) == nil
}

// sendOne submits the first task that still waits: another sweep may have been faster.
func (w *sweep) sendOne(ctx context.Context) {
	for sent := false; !sent; {
		id, ok := w.posts.take()
		if !ok {
			return
		}
		sent = true // an unreadable row uses the turn, too
		w.safely(ctx, id, func(t *task.Task) (err error) {
			if sent = t.Next(w.Now()) == task.NextResubmit; sent {
				err = w.resubmit(ctx, t)
			}
			return err
		})
	}
}

// sleep waits for d, or until ctx ends.
func sleep(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// resubmit begins another attempt. It makes the POST only if its own write began the
// attempt.
func (s *Sweeper) resubmit(ctx context.Context, t *task.Task) error {
	ins, faults, err := s.inputs(ctx, t.Owner, t.PublicURL, t.ImageURLs)
	if err != nil {
		return err
	}
	unusable := invalidEntries(faults)
	if !timeLeft(ctx, minPostTime) {
		return nil // the next sweep finds it
	}
	for i := range ins {
		ins[i].contentType = t.InputTypes[t.ImageURLs[i]]
	}
	var begun bool
	t, err = s.update(ctx, t, nil, func(x *task.Task) error {
		begun = x.Next(s.Now()) == task.NextResubmit
		if !begun {
			return nil
		}
		return x.Resubmit(s.Now())
	})
	if err != nil || !begun {
		return err // another process's attempt, or nobody knows whose: never POST
	}
	if unusable != nil {
		s.log(ctx, slog.LevelInfo, t, "an input image is gone")
		attempt := t.Attempt
		_, err = s.saveAnswer(ctx, t, nil, func(x *task.Task) error {
			return x.Refused(s.Rules, s.Now(), attempt, task.Refusal{Code: task.CodeInputImageUnusable})
		})
		return err
	}
	secret, err := s.Secrets.Current(ctx)
	if err != nil {
		s.log(ctx, slog.LevelError, t, "no POST: the secret cannot be read; will retry", "error", err)
		_, err = s.notPosted(ctx, t)
		return err
	}
	_, err = s.post(ctx, t, ins, secret)
	return err
}
