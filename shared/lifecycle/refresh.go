package lifecycle

import (
	"context"
	"log/slog"

	"github.com/preset/nanobanana-functions/shared/task"
)

// refresh does for one task what is due, except another POST. reading, which is asked
// only where a record is to be read, reports whether that is allowed.
func (s *Sweeper) refresh(ctx context.Context, t *task.Task, reading func() bool) (err error) {
	switch next := t.Next(s.Now()); next {
	case task.NextNothing:
		return nil // another sweep was faster, or it is a newer release's row
	case task.NextRead:
		if !s.mayRead(ctx, reading) {
			return nil // the next sweep finds it
		}
		_, err = s.read(ctx, t)
	case task.NextWake:
		_, err = s.wake(ctx, t, reading)
	default:
		_, err = s.update(ctx, t, nil, func(x *task.Task) error {
			switch x.Next(s.Now()) {
			case task.NextUnanswered:
				return x.Unanswered(s.Rules, s.Now(), x.Attempt)
			case task.NextExpire:
				return x.Expire(s.Rules, s.Now())
			}
			return nil
		})
	}
	return err
}

// mayRead waits for a turn to read a record, and reports whether that came in time.
func (s *Sweeper) mayRead(ctx context.Context, reading func() bool) bool {
	return reading() && (s.Rate == nil || s.Rate.Wait(ctx) == nil) && timeLeft(ctx, readTime)
}

// wake hands a task's work to the stream again, and looks for fresh result
// links where it may.
func (s *Sweeper) wake(ctx context.Context, t *task.Task, reading func() bool) (*task.Task, error) {
	var givenUp bool
	fresh := t.Status == task.Storing && s.mayRead(ctx, reading)
	t, err := s.claimed(ctx, t, sweepRead, func(x *task.Task) (task.Claim, bool, error) {
		notice, before := x.Work == task.Notify, x.ReadAt
		c, ok, err := x.Wake(s.Rules, s.Now())
		givenUp = notice && x.Work == ""
		if ok && !fresh {
			x.Unclaim(before)
			ok = false
		}
		return c, ok, err
	})
	if err == nil && givenUp {
		s.log(ctx, slog.LevelError, t, NoticeGivenUp)
	}
	return t, err
}

// NoticeGivenUp is what the log says of a task whose end Preset could not be
// told of in all its time. `make redrive` finds the tasks by it.
const NoticeGivenUp = "a notice was given up"

// Redrive takes up the notices of these tasks again that were given up. One
// task's fault does not stop the others.
func (s *Sweeper) Redrive(ctx context.Context, ids []string) (done Swept) {
	for _, id := range ids {
		done.Done++
		t, err := s.Store.Task(ctx, id)
		if err == nil {
			_, err = task.Update(ctx, s.Store, t, func(x *task.Task) error {
				x.Redrive(s.Now())
				return nil
			})
		}
		if err != nil {
			done.Failed++
			s.Log.ErrorContext(ctx, "a notice could not be taken up again", "task", id, "error", err)
		}
	}
	return done
}
