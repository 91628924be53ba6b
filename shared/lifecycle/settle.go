package lifecycle

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"time"

	"github.com/preset/nanobanana-functions/shared/nanobanana"
	"github.com/preset/nanobanana-functions/shared/task"
)

// Settle acts on a callback for an attempt, whose token the caller has
// verified. The callback is a wake-up: the provider's record decides. body is
// what it brought, or nil if that was too large. An error means that the
// callback must come again.
func (s *Service) Settle(ctx context.Context, id string, attempt int, body []byte) error {
	ctx, cancel := detached(ctx)
	defer cancel()
	t, err := s.Store.Task(ctx, id)
	switch {
	case errors.Is(err, task.ErrNotFound):
		return &task.Error{Code: task.CodeNotFound}
	case err != nil:
		return unavailable(err)
	}
	hint := readHint(body)
	t, err = s.claimed(ctx, t, func(x *task.Task) (c task.Claim, ok bool, err error) {
		woken, err := x.Heard(s.Rules, s.Now(), attempt, hint)
		if err != nil || !woken {
			return task.Claim{}, false, err
		}
		c, ok = x.Claim(s.Rules, s.Now())
		return c, ok, nil
	})
	switch {
	case err != nil:
		return unavailable(err)
	case attempt != t.Attempt:
		s.log(ctx, slog.LevelInfo, t, "a callback of an earlier attempt", "callback", attempt)
	case hint.ProviderID == "" && !t.Findable():
		return unavailable(errors.New("a callback without a provider id, and no other way to know it"))
	}
	return nil
}

// readHint puts a callback's body in our terms.
func readHint(body []byte) task.Hint {
	cb, err := nanobanana.ParseCallback(body)
	if err != nil {
		return task.Hint{}
	}
	h := task.Hint{ProviderID: cb.TaskID}
	switch {
	case cb.Success:
		h.Success, h.URLs = true, cb.URLs
	case cb.Final:
		h.Failure = failureCode(cb.Reason)
		h.Bars = cb.Code == 400 || cb.Reason == nanobanana.Policy
	}
	return h
}

// readTime is what a function must have left to read a record and write down
// what it said.
const readTime = 12 * time.Second

// claimed writes a change that may claim a read of the task's record, and if
// it did, reads it and writes down what it said.
func (s *Service) claimed(ctx context.Context, t *task.Task, change func(*task.Task) (task.Claim, bool, error)) (*task.Task, error) {
	var claim task.Claim
	var ok bool
	t, err := task.Update(ctx, s.Store, t, func(x *task.Task) (err error) {
		claim, ok, err = change(x)
		return err
	})
	if err != nil || !ok {
		return t, err
	}
	if s.Now().Sub(claim.At) >= task.ClaimLife {
		return t, nil // too late to be sure that nobody else reads: the next claim does
	}
	record := s.record(ctx, t, claim)
	return task.Update(ctx, s.Store, t, func(x *task.Task) error {
		return x.Learn(s.Rules, s.Now(), claim, record)
	})
}

// read reads the task's record, if it may be read now.
func (s *Service) read(ctx context.Context, t *task.Task) (*task.Task, error) {
	return s.claimed(ctx, t, func(x *task.Task) (task.Claim, bool, error) {
		c, ok := x.Claim(s.Rules, s.Now())
		return c, ok, nil
	})
}

// record asks the provider and puts its word in our terms.
func (s *Service) record(ctx context.Context, t *task.Task, c task.Claim) task.Record {
	secret, err := s.Secrets.Current(ctx)
	if err != nil {
		s.log(ctx, slog.LevelError, t, "no record: the secret cannot be read", "error", err)
		return task.Record{}
	}
	r, err := s.Provider.Record(ctx, string(secret.APIKey), c.ProviderID)
	if err != nil {
		s.unreadable(ctx, t, err)
		return task.Record{}
	}
	record := task.Record{Match: match(t, r.Params), URLs: r.URLs}
	switch r.State {
	case nanobanana.Succeeded:
		record.State = task.Made
	case nanobanana.Failed:
		record.State, record.Code, record.Retry = task.Broken, failureCode(r.Reason), r.Retryable
	default:
		record.State = task.Running
	}
	return record
}

// keyRest is how old a secret may be that was read after a refused key, where
// the next read comes by itself.
const keyRest = 5 * time.Second

// maxPause bounds how long one 429 keeps sweeps from reading records.
const maxPause = 5 * time.Minute

// unreadable does what a failed read asks for beside the task.
func (s *Service) unreadable(ctx context.Context, t *task.Task, err error) {
	s.log(ctx, slog.LevelWarn, t, "the record could not be read", "error", err)
	var e *nanobanana.Error
	if !errors.As(err, &e) {
		return
	}
	switch e.Reason {
	case nanobanana.RateLimited:
		pause := e.RetryAfter
		if pause <= 0 {
			pause = time.Minute
		}
		if err := s.Store.Pause(ctx, s.Now().Add(min(pause, maxPause))); err != nil {
			s.Log.ErrorContext(ctx, "the pause could not be written", "error", err)
		}
	case nanobanana.Unauthorized:
		// The next read uses what this finds; two reads of one record stay apart.
		if _, err := s.Secrets.Reload(ctx, s.Now().Add(-keyRest)); err != nil {
			s.Log.ErrorContext(ctx, "the secret could not be read again", "error", err)
		}
	}
}

// match compares the request that a record repeats with the task's attempt.
func match(t *task.Task, p nanobanana.Params) task.Match {
	_, path, found := strings.Cut(p.CallbackURL, "/v1/callbacks/")
	ours := strings.HasPrefix("/v1/callbacks/"+path, callbackPath(t.ID, t.Attempt))
	switch {
	case p.CallbackURL != "" && (!found || !ours):
		return task.Contradicts
	case p.Prompt != "" && strings.TrimSpace(p.Prompt) != t.Prompt:
		return task.Contradicts
	case p.CallbackURL != "":
		return task.Names
	}
	return task.Silent
}
