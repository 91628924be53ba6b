package lifecycle

import (
	"context"
	"log/slog"
	"time"

	"github.com/preset/nanobanana-functions/shared/task"
)

// refresh does what is due for one task, except a POST.
func (w *sweep) refresh(ctx context.Context, t *task.Task) (err error) {
	switch next := t.Next(w.Now()); next {
	case task.NextNothing:
		return nil // another sweep was faster, or a newer release wrote the row
	case task.NextRead:
		if !w.waitToRead(ctx) {
			return nil // the next sweep finds it
		}
		_, err = w.readRecord(ctx, t, sweepReadTimeout)
	case task.NextWake:
		err = w.wake(ctx, t)
	case task.NextUnanswered:
		_, err = w.update(ctx, t, nil, func(x *task.Task) error {
			if x.Next(w.Now()) != task.NextUnanswered {
				return nil
			}
			return x.Unanswered(w.Rules, w.Now(), x.Attempt)
		})
	default:
		err = w.expire(ctx, t)
	}
	return err
}

// expire ends a task for time. A task that waits is judged by the holds as they are now.
func (w *sweep) expire(ctx context.Context, t *task.Task) error {
	now := w.Now() // before they are read: a later hold is no reason to go on waiting
	var holds task.Holds
	if t.AwaitsPost() {
		p, known := w.pauses(ctx)
		if !known {
			return nil // the next sweep finds it
		}
		holds = p.Holds
	}
	_, err := w.update(ctx, t, nil, func(x *task.Task) error {
		if x.AwaitsPost() != t.AwaitsPost() {
			return nil
		}
		return x.Expire(w.Rules, holds, now)
	})
	return err
}

// waitToRead waits for a turn to read a record, and reports whether it came in time.
func (w *sweep) waitToRead(ctx context.Context) bool {
	p, _ := w.pausesOnce()
	return !w.Now().Before(p.Reads) && (w.Rate == nil || w.Rate.Wait(ctx) == nil) && timeLeft(ctx, minReadTime)
}

// wake hands a task's work or notice to the stream again, and reads the record for fresh
// result links if that is allowed.
func (w *sweep) wake(ctx context.Context, t *task.Task) error {
	var givenUp bool
	fresh := t.Status == task.Storing && w.waitToRead(ctx)
	t, err := w.claimAndRead(ctx, t, sweepReadTimeout, func(x *task.Task) (task.Claim, bool, error) {
		givenUpBefore, before := x.NoticeGivenUpAt, x.ReadAt
		c, ok, err := x.Wake(w.Rules, w.Now())
		givenUp = x.NoticeGivenUpAt != givenUpBefore
		if ok && !fresh {
			x.Unclaim(before)
			ok = false
		}
		return c, ok, err
	})
	if err == nil && givenUp {
		w.log(ctx, slog.LevelError, t, "a notice was given up; bin/ops redrive sends it again", "event", EventNoticeGivenUp)
	}
	return err
}

// EventNoticeGivenUp is the attribute "event" of the log line for a notice that could
// not be delivered in time. The command redrive finds the tasks by it.
const EventNoticeGivenUp = "notice_given_up"

// Redrive takes a notice that was given up up again: the write hands it to its consumer.
func Redrive(ctx context.Context, s task.Store, t *task.Task, now time.Time) (*task.Task, error) {
	return task.Update(ctx, s, t, func(x *task.Task) error {
		x.Redrive(now)
		return nil
	})
}
