package lifecycle

import (
	"cmp"
	"context"
	"errors"
	"log/slog"
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
	hint := s.readHint(t, body)
	t, err = s.claimed(ctx, t, settleRead, func(x *task.Task) (c task.Claim, ok bool, err error) {
		woken, err := x.CalledBack(s.Rules, s.Now(), attempt, hint)
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

// settleRead is how long a callback waits for the record that it is about: the
// provider gives a callback up after 15 s, and a read that failed comes again.
const settleRead = 5 * time.Second

// readHint puts a callback's body in our terms.
func (s *Service) readHint(t *task.Task, body []byte) task.Hint {
	cb, err := nanobanana.ParseCallback(body)
	if err != nil {
		return task.Hint{}
	}
	h := task.Hint{ProviderID: cb.TaskID, Bars: cb.Code == 400 || cb.Reason == nanobanana.Policy}
	switch {
	case cb.Success:
		h.URLs = s.notOurs(t, cb.URLs)
		h.Success = len(h.URLs) > 0
	case cb.Final:
		h.Failure = failureCode(t, cb.Reason)
	}
	return h
}

// readTime is what a function must have left to read a record and write down
// what it said.
const readTime = 12 * time.Second

// claimed writes a change that may claim a read of the task's record, and if
// it did, reads it, for as long as wait, and writes down what it said.
func (s *Service) claimed(ctx context.Context, t *task.Task, wait time.Duration, change func(*task.Task) (task.Claim, bool, error)) (*task.Task, error) {
	var claim task.Claim
	var ok bool
	t, err := s.update(ctx, t, nil, func(x *task.Task) (err error) {
		claim, ok, err = change(x)
		return err
	})
	if err != nil || !ok {
		return t, err
	}
	if s.Now().Sub(claim.At) >= task.ClaimLife {
		return t, nil // too late to be sure that nobody else reads: the next claim does
	}
	record, said := s.record(ctx, t, claim, wait)
	var was task.Doubt
	t, err = s.update(ctx, t, said, func(x *task.Task) error {
		was = x.Doubt
		return x.ApplyRecord(s.Rules, s.Now(), claim, record)
	})
	if doubt := t.Doubt; err == nil && doubt != "" && doubt != was {
		s.log(ctx, slog.LevelError, t, "a record came that cannot be used; the task waits for a better one, or for a callback's word",
			"event", EventDoubt, "doubt", doubt, "providerCode", said.code, "recordShape", said.shape)
	}
	return t, err
}

// EventDoubt is the attribute "event" of the log line about a record that came
// and cannot be used.
const EventDoubt = "record_unusable"

// sweepRead is how long a sweep waits for a record: as long as the client does.
const sweepRead = 0

// read reads the task's record, if it may be read now.
func (s *Service) read(ctx context.Context, t *task.Task) (*task.Task, error) {
	return s.claimed(ctx, t, sweepRead, func(x *task.Task) (task.Claim, bool, error) {
		c, ok := x.Claim(s.Rules, s.Now())
		return c, ok, nil
	})
}

// record asks the provider and puts its word in our terms.
func (s *Service) record(ctx context.Context, t *task.Task, c task.Claim, wait time.Duration) (task.Record, *word) {
	secret, err := s.Secrets.Current(ctx)
	if err != nil {
		s.log(ctx, slog.LevelError, t, "no record: the secret cannot be read", "error", err)
		return task.Record{}, &word{}
	}
	asking := ctx
	if wait > 0 {
		var cancel context.CancelFunc
		asking, cancel = context.WithTimeout(ctx, wait)
		defer cancel()
	}
	r, err := s.Provider.Record(asking, string(secret.APIKey), c.ProviderID)
	if err != nil {
		return s.unreadable(ctx, t, err)
	}
	record := task.Record{Match: match(t, c.ProviderID, r, secret.CallbackKeys)}
	record.URLs, record.Guessed = s.links(t, r)
	if r.Dropped > 0 {
		s.log(ctx, slog.LevelWarn, t, "the record has more links, or longer ones, than a row has room for", "dropped", r.Dropped)
	}
	switch r.State {
	case nanobanana.Succeeded:
		record.State = task.RecordMade
	case nanobanana.Failed:
		record.State, record.Code, record.Retry = task.RecordFailed, failureCode(t, r.Reason), r.Retryable
	case nanobanana.Running:
		record.State = task.RecordRunning
	case nanobanana.Unstated:
		record.State = task.RecordUnclear
		if len(record.URLs) > 0 && !record.Guessed {
			record.State = task.RecordUnstated
		}
	default:
		record.State = task.RecordUnclear
	}
	return record, &word{code: r.ErrorCode, text: r.Words, shape: r.Shape}
}

// keyTTL is how old a secret may be that was read after a refused key, where
// the next read comes by itself.
const keyTTL = 5 * time.Second

// readsBackoff is for how long a 429 without Retry-After pauses the reading of records.
const readsBackoff = time.Minute

// unreadable does what a failed read asks for beside the task. An answer that
// was none of the provider's is as good as no answer; one that was, and is no
// record that anybody can read, is in doubt.
func (s *Service) unreadable(ctx context.Context, t *task.Task, err error) (task.Record, *word) {
	s.log(ctx, slog.LevelWarn, t, "the record could not be read", "error", err)
	var e *nanobanana.Error
	if !errors.As(err, &e) {
		return task.Record{}, &word{}
	}
	switch e.Reason {
	case nanobanana.RateLimited:
		s.pause(ctx, task.Reads, cmp.Or(e.RetryAfter, readsBackoff))
	case nanobanana.Unauthorized:
		// The next read uses what this finds; two reads of one record stay apart.
		if _, err := s.Secrets.Reload(ctx, s.Now().Add(-keyTTL)); err != nil {
			s.Log.ErrorContext(ctx, "the secret could not be read again", "error", err)
		}
	}
	if e.Reason == nanobanana.Unreadable && e.Shape != "" {
		return task.Record{State: task.RecordUnclear}, wordOf(err)
	}
	return task.Record{}, wordOf(err)
}

const (
	maxPause     = 5 * time.Minute // for so long one refusal keeps sweeps from calling the provider, at most
	pauseTimeout = 2 * time.Second // of one write of the pause row
)

// pause keeps all sweeps from making calls of a kind for a while.
func (s *Service) pause(ctx context.Context, kind task.Calls, d time.Duration) {
	ctx, cancel := context.WithTimeout(ctx, pauseTimeout)
	defer cancel()
	if err := s.Store.Pause(ctx, kind, s.Now().Add(min(d, maxPause))); err != nil {
		s.Log.ErrorContext(ctx, "the pause could not be written", "calls", kind, "error", err)
	}
}
