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

const (
	// EventDoubt is the attribute "event" of the log line for a record that arrived and
	// cannot be used.
	EventDoubt = "record_unusable"

	// minReadTime is the time that a function must have left to read a record and write
	// what it said.
	minReadTime = 12 * time.Second
	// settleReadTimeout bounds the read by a callback, which the provider gives up after
	// 15 s, and the read for a client that waits. The sweep repeats a failed read.
	settleReadTimeout = 5 * time.Second
	// sweepReadTimeout adds nothing to the provider client's own timeout.
	sweepReadTimeout = 0

	// keyTTL is how long a secret that was read after a refused key is used, where the
	// call is repeated by itself.
	keyTTL = 5 * time.Second
	// readsBackoff is for how long a 429 without Retry-After pauses reads of records.
	readsBackoff = time.Minute
	// maxPause is the longest that one refusal keeps sweeps from calling the provider.
	maxPause = 5 * time.Minute
	// pauseTimeout bounds one write of the pause row.
	pauseTimeout = 2 * time.Second
)

// Settle acts on a callback for an attempt; the caller has verified its token. The
// callback only wakes the task: the provider's record decides. body is nil if it was
// too large. After an error the provider must send the callback again.
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
	hint := s.hintOf(t, body)
	contradicts := contradicted(t, attempt, hint)
	t, err = s.claimAndRead(ctx, t, settleReadTimeout, func(x *task.Task) (c task.Claim, ok bool, err error) {
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
	case contradicts != "":
		s.logContradiction(ctx, t, contradicts, attempt)
	case attempt != t.Attempt:
		s.log(ctx, slog.LevelInfo, t, "ignored a callback of an earlier attempt", "callback", attempt)
	case hint.ProviderID == "" && !t.Findable():
		return unavailable(errors.New("a callback without a provider id, for a task whose id is not known"))
	}
	return nil
}

// hintOf translates a callback's body.
func (s *Service) hintOf(t *task.Task, body []byte) task.Hint {
	cb, err := nanobanana.ParseCallback(body)
	if err != nil {
		return task.Hint{}
	}
	h := task.Hint{ProviderID: cb.TaskID, Bars: cb.Code == 400 || cb.Reason == nanobanana.Policy}
	switch {
	case cb.Success:
		h.URLs = s.withoutOurs(t, cb.URLs)
		h.Success = len(h.URLs) > 0
	case cb.Final:
		h.Failure = failureCode(t, cb.Reason)
	}
	return h
}

// claimAndRead writes a change that may claim a read of the task's record. If it did,
// claimAndRead reads the record within timeout (0: the client's), and writes what it said.
func (s *Service) claimAndRead(ctx context.Context, t *task.Task, timeout time.Duration, change func(*task.Task) (task.Claim, bool, error)) (*task.Task, error) {
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
		return t, nil // another process may have claimed a read since; the next claim reads
	}
	record, reply := s.fetchRecord(ctx, t, claim, timeout)
	var before task.Doubt
	var dropped bool // the id that a callback had named
	t, err = s.update(ctx, t, reply, func(x *task.Task) error {
		before = x.Doubt
		named := x.ProviderID == "" && x.Hint != nil
		err := x.ApplyRecord(s.Rules, s.Now(), claim, record)
		dropped = named && x.Hint == nil && record.Match == task.MatchForeign
		return err
	})
	if err == nil && dropped {
		s.logContradiction(ctx, t, "id", claim.Attempt)
	}
	if doubt := t.Doubt; err == nil && doubt != "" && doubt != before {
		s.log(ctx, slog.LevelError, t, "the record cannot be used; waiting for a better one, or for a callback",
			"event", EventDoubt, "doubt", doubt, "providerCode", reply.code, "recordShape", reply.shape)
	}
	return t, err
}

// readRecord reads the task's record within timeout, if a read may be claimed now.
func (s *Service) readRecord(ctx context.Context, t *task.Task, timeout time.Duration) (*task.Task, error) {
	return s.claimAndRead(ctx, t, timeout, func(x *task.Task) (task.Claim, bool, error) {
		c, ok := x.Claim(s.Rules, s.Now())
		return c, ok, nil
	})
}

// fetchRecord asks the provider for a record, and translates it.
func (s *Service) fetchRecord(ctx context.Context, t *task.Task, c task.Claim, timeout time.Duration) (task.Record, *reply) {
	secret, err := s.Secrets.Current(ctx)
	if err != nil {
		s.log(ctx, slog.LevelError, t, "record not read: the secret cannot be read; will retry", "error", err)
		return task.Record{}, &reply{}
	}
	callCtx := ctx
	if timeout > 0 {
		var cancel context.CancelFunc
		callCtx, cancel = context.WithTimeout(ctx, timeout)
		defer cancel()
	}
	r, err := s.Provider.Record(callCtx, string(secret.APIKey), c.ProviderID)
	if err != nil {
		return s.unreadable(ctx, t, err)
	}
	record := task.Record{Match: match(t, c, r, secret.CallbackKeys)}
	record.URLs, record.Guessed = s.resultLinks(t, r)
	if r.Dropped > 0 {
		s.log(ctx, slog.LevelWarn, t, "the record has more links, or longer ones, than a row can hold", "dropped", r.Dropped)
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
	return record, &reply{code: r.ErrorCode, text: r.Message, shape: r.Shape, id: r.TaskID}
}

// unreadable handles a failed read: it pauses reads or reloads the secret if the error
// asks for that. An answer that is not the provider's counts as none; one that is, but
// cannot be read as a record, is unclear.
func (s *Service) unreadable(ctx context.Context, t *task.Task, err error) (task.Record, *reply) {
	s.log(ctx, slog.LevelWarn, t, "the record could not be read", "error", err)
	e, ok := errors.AsType[*nanobanana.Error](err)
	if !ok {
		return task.Record{}, &reply{}
	}
	switch e.Reason {
	case nanobanana.RateLimited:
		s.pause(ctx, task.Reads, cmp.Or(e.RetryAfter, readsBackoff))
	case nanobanana.Unauthorized:
		// The next read uses the new key. Reading again now would be too soon.
		if _, err := s.Secrets.Reload(ctx, s.Now().Add(-keyTTL)); err != nil {
			s.Log.ErrorContext(ctx, "the secret could not be read again", "error", err)
		}
	}
	if e.Reason == nanobanana.Unreadable && e.Shape != "" {
		return task.Record{State: task.RecordUnclear}, replyOf(err)
	}
	return task.Record{}, replyOf(err)
}

// pause keeps all sweeps from making calls of a kind for d, or for maxPause.
func (s *Service) pause(ctx context.Context, kind task.Calls, d time.Duration) {
	ctx, cancel := context.WithTimeout(ctx, pauseTimeout)
	defer cancel()
	if err := s.Store.Pause(ctx, kind, s.Now().Add(min(d, maxPause))); err != nil {
		s.Log.ErrorContext(ctx, "the pause could not be written", "calls", kind, "error", err)
	}
}

// pauses returns what all processes must keep from doing. known is false if it could not
// be read: reads go on, since each is claimed, and a sweep's POSTs do not.
func (s *Service) pauses(ctx context.Context) (p task.Pauses, known bool) {
	p, err := s.Store.Paused(ctx)
	if err != nil {
		s.Log.ErrorContext(ctx, "the pause row could not be read; the sweep sends nothing again until it can", "error", err)
	}
	return p, err == nil
}
