package lifecycle

import (
	"context"
	"errors"
	"log/slog"

	"github.com/preset/nanobanana-functions/shared/task"
)

// Refresh does for one task what is due, whatever became of it since the index
// named it. It reads no record if reading, asked only where a record is to be
// read, says so. It shows the row to seen as it is at first.
func (s *Service) Refresh(ctx context.Context, id string, reading func() bool, seen func(*task.Task)) error {
	t, err := s.Store.Task(ctx, id)
	if errors.Is(err, task.ErrNotFound) {
		return nil
	}
	if err != nil {
		return err
	}
	seen(t)
	switch next := t.Next(s.Now()); next {
	case task.NextNothing:
		return nil // another sweep was faster, or it is a newer release's row
	case task.NextRead:
		if reading() && timeLeft(ctx, readTime) {
			_, err = s.paced(ctx, func() (*task.Task, error) { return s.read(ctx, t) })
		}
	case task.NextResubmit:
		_, err = s.resubmit(ctx, t)
	case task.NextWake:
		_, err = s.wake(ctx, t, reading)
	default:
		_, err = s.update(ctx, t, nil, func(x *task.Task) error {
			switch x.Next(s.Now()) {
			case task.NextSilence:
				return x.Silence(s.Rules, s.Now(), x.Attempt)
			case task.NextExpire:
				return x.Expire(s.Rules, s.Now())
			}
			return nil
		})
	}
	return err
}

// paced keeps a sweep's calls to the provider within its rate.
func (s *Service) paced(ctx context.Context, call func() (*task.Task, error)) (*task.Task, error) {
	if s.Rate != nil {
		if err := s.Rate.Wait(ctx); err != nil {
			return nil, nil // no time left for its turn: the next sweep finds it
		}
	}
	return call()
}

// resubmit begins another attempt and makes its POST, if it is this process
// whose write began it.
func (s *Service) resubmit(ctx context.Context, t *task.Task) (*task.Task, error) {
	ins, err := s.inputs(ctx, t.Owner, t.PublicURL, t.ImageURLs)
	var unusable *task.Error
	if gone := errors.As(err, &unusable) && unusable.Code == task.CodeInvalidRequest; err != nil && !gone {
		return t, err
	}
	return s.paced(ctx, func() (*task.Task, error) {
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
	})
}

// wake hands a task's work to the stream again, and looks for fresh result
// links where it may.
func (s *Service) wake(ctx context.Context, t *task.Task, reading func() bool) (*task.Task, error) {
	var givenUp bool
	t, err := s.claimed(ctx, t, sweepRead, func(x *task.Task) (task.Claim, bool, error) {
		notice := x.Work == task.Notify
		c, ok, err := x.Wake(s.Rules, s.Now())
		givenUp = notice && x.Work == ""
		return c, ok && reading() && timeLeft(ctx, readTime), err
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
func (s *Service) Redrive(ctx context.Context, ids []string) (done Swept) {
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
