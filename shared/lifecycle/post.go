package lifecycle

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"github.com/preset/nanobanana-functions/shared/config"
	"github.com/preset/nanobanana-functions/shared/nanobanana"
	"github.com/preset/nanobanana-functions/shared/task"
)

// post makes the POST of t's current attempt, which belongs to the caller, and writes
// the provider's answer to the row. It returns the task as it stands then, and an
// error if the answer could not be written.
func (s *Poster) post(ctx context.Context, t *task.Task, ins inputs, secret config.Secret) (*task.Task, error) {
	urls, err := s.urls(ctx, ins)
	if err != nil {
		s.log(ctx, slog.LevelError, t, "no POST: an input image cannot be linked; will retry", "error", err)
		return s.notPosted(ctx, t)
	}
	if !timeLeft(ctx, minPostTime) {
		s.log(ctx, slog.LevelWarn, t, "no POST: too little time left; will retry")
		return s.notPosted(ctx, t)
	}
	attempt := t.Attempt
	id, err := s.Provider.Submit(ctx, string(secret.APIKey), nanobanana.Request{
		Model: t.Model, Prompt: t.Prompt, ImageURLs: urls, NumImages: t.NumImages,
		AspectRatio: t.AspectRatio, Resolution: t.Resolution, Watermark: t.Watermark,
		CallbackURL: s.callbackURL(t, secret.CallbackKeys),
	})
	if err == nil {
		return s.saveAnswer(ctx, t, nil, func(x *task.Task) error { return x.Accepted(s.Rules, s.Now(), attempt, id) })
	}
	refusal, certain := s.refusal(ctx, t, err, string(secret.APIKey))
	s.log(ctx, slog.LevelWarn, t, "provider did not accept the submit", "certain", certain, "error", err)
	if !certain {
		return s.saveAnswer(ctx, t, nil, func(x *task.Task) error { return x.Unanswered(s.Rules, s.Now(), attempt) })
	}
	reply := replyOf(err)
	t, err = s.saveAnswer(ctx, t, reply, func(x *task.Task) error { return x.Refused(s.Rules, s.Now(), attempt, refusal) })
	if reply.backoff > 0 {
		s.pause(ctx, task.Posts, reply.backoff) // after the answer, which the provider does not repeat
	}
	return t, err
}

// notPosted gives t's current attempt back: no POST was started for it.
func (s *Poster) notPosted(ctx context.Context, t *task.Task) (*task.Task, error) {
	attempt := t.Attempt
	return s.saveAnswer(ctx, t, nil, func(x *task.Task) error { return x.NotPosted(s.Now(), attempt) })
}

// refusal translates the error of a POST. certain reports whether the provider
// certainly did not accept it.
func (s *Poster) refusal(ctx context.Context, t *task.Task, err error, key string) (r task.Refusal, certain bool) {
	e, ok := errors.AsType[*nanobanana.Error](err)
	if !ok || !e.Certain() {
		return task.Refusal{}, false
	}
	r = task.Refusal{Code: failureCode(t, e.Reason), RetryAfter: e.RetryAfter}
	switch e.Reason {
	case nanobanana.NotConnected, nanobanana.RateLimited, nanobanana.Maintenance:
		r.Retry = task.RetryLater
	case nanobanana.Blocked:
		r.Retry = task.RetryLater // a challenge passes
		s.log(ctx, slog.LevelError, t, "something in front of the provider refuses us: a challenge passes by itself, a blocked address does not",
			"event", EventRefused, "httpStatus", e.HTTPStatus)
	case nanobanana.NoSuchPath:
		s.log(ctx, slog.LevelError, t, "the provider's address has no such path: is NANOBANANA_BASE_URL right?", "event", EventRefused, "httpStatus", e.HTTPStatus)
	case nanobanana.Unauthorized:
		fresh, err := s.Secrets.Reload(ctx, s.Now())
		switch {
		case err != nil:
			r.Retry = task.RetryLater // there may be another key
		case string(fresh.APIKey) != key:
			r.Retry = task.RetryNow
		}
	case nanobanana.NoCredits:
		s.Account.memory.shut(s.Now())
	}
	return r, true
}

// EventRefused is the attribute "event" of the log line for a POST that something in
// front of the API refused. The operator must look at it.
const EventRefused = "provider_refuses"

// failureCode returns our code for the provider's reason to fail t.
func failureCode(t *task.Task, r nanobanana.Reason) task.Code {
	if r == nanobanana.InputImage && len(t.ImageURLs) == 0 {
		r = nanobanana.GenerationFailed // t has none: the provider means its own
	}
	switch r {
	case nanobanana.Policy:
		return task.CodeContentPolicy
	case nanobanana.InputImage:
		return task.CodeInputImageUnusable
	case nanobanana.NoCredits:
		return task.CodeInsufficientCredits
	case nanobanana.Unauthorized:
		return task.CodeProviderUnauthorized
	case nanobanana.RateLimited:
		return task.CodeRateLimited
	case nanobanana.Maintenance:
		return task.CodePaused
	case nanobanana.NotConnected, nanobanana.Transport, nanobanana.Blocked:
		return task.CodeProviderUnavailable
	case nanobanana.GenerationFailed, nanobanana.ServerError, nanobanana.Unreadable:
		return task.CodeGenerationFailed
	}
	return task.CodeProviderRejected
}

// saveTimeout bounds the tries to write an answer: longer than a store is usually
// unavailable, and less than a function has left after a POST.
const saveTimeout = 5 * time.Second

// saveAnswer writes what the provider answered, and tries again if that fails: the
// provider does not repeat its answer.
func (s *Poster) saveAnswer(ctx context.Context, t *task.Task, last *reply, answer func(*task.Task) error) (*task.Task, error) {
	ctx, cancel := context.WithTimeout(ctx, saveTimeout)
	defer cancel()
	for wait := 50 * time.Millisecond; ; wait *= 2 {
		row, err := s.update(ctx, t, last, answer)
		if err == nil || errors.Is(err, task.ErrForeign) {
			return row, err
		}
		select {
		case <-ctx.Done():
			return row, err
		case <-time.After(wait):
		}
	}
}
