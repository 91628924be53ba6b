package lifecycle

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"github.com/preset/nanobanana-functions/shared/nanobanana"
	"github.com/preset/nanobanana-functions/shared/task"
)

// post makes the POST of t's current attempt, which belongs to the caller, and
// writes down its answer. It returns the task as it stands, with an error if
// the answer could not be written.
func (s *Poster) post(ctx context.Context, t *task.Task, ins inputs) (*task.Task, error) {
	attempt := t.Attempt
	answer, said, ok := s.submit(ctx, t, ins)
	if !ok {
		answer = func(x *task.Task) error { return x.NotPosted(s.Now(), attempt) }
	}
	t, err := s.keep(ctx, t, said, answer)
	if said != nil && said.rest > 0 {
		s.pause(ctx, task.Posts, said.rest) // after the answer, which nobody will say again
	}
	return t, err
}

// submit makes the POST, and returns what to write of its answer, with what
// the provider said. ok is false if none was started.
func (s *Poster) submit(ctx context.Context, t *task.Task, ins inputs) (answer func(*task.Task) error, said *word, ok bool) {
	attempt := t.Attempt
	secret, err := s.Secrets.Current(ctx)
	if err != nil {
		s.log(ctx, slog.LevelError, t, "no attempt: the secret cannot be read", "error", err)
		return nil, nil, false
	}
	urls, err := s.urls(ctx, ins)
	if err != nil {
		s.log(ctx, slog.LevelError, t, "no attempt: an input image cannot be linked", "error", err)
		return nil, nil, false
	}
	if !timeLeft(ctx, submitTime) {
		s.log(ctx, slog.LevelWarn, t, "no attempt: too little time left")
		return nil, nil, false
	}
	id, err := s.Provider.Submit(ctx, string(secret.APIKey), nanobanana.Request{
		Model: t.Model, Prompt: t.Prompt, ImageURLs: urls, NumImages: t.NumImages,
		AspectRatio: t.AspectRatio, Resolution: t.Resolution, Watermark: t.Watermark,
		CallbackURL: s.callbackURL(t, secret.CallbackKeys),
	})
	if err == nil {
		return func(x *task.Task) error { return x.Accepted(s.Rules, s.Now(), attempt, id) }, nil, true
	}
	refusal, certain := s.refusal(ctx, t, err, string(secret.APIKey))
	s.log(ctx, slog.LevelWarn, t, "the provider did not take it", "certain", certain, "error", err)
	if !certain {
		return func(x *task.Task) error { return x.Unanswered(s.Rules, s.Now(), attempt) }, nil, true
	}
	return func(x *task.Task) error { return x.Refused(s.Rules, s.Now(), attempt, refusal) }, wordOf(err), true
}

// refusal reads a failed POST. It is certain only where the provider certainly
// did not accept it.
func (s *Poster) refusal(ctx context.Context, t *task.Task, err error, key string) (r task.Refusal, certain bool) {
	var e *nanobanana.Error
	if !errors.As(err, &e) || !e.Certain() {
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
			r.Retry = task.RetryLater // whether there is another key nobody can tell
		case string(fresh.APIKey) != key:
			r.Retry = task.RetryNow
		}
	case nanobanana.NoCredits:
		s.Account.memory.shut(s.Now())
	}
	return r, true
}

// EventRefused is the attribute "event" of the log line about a POST that
// something in front of the API refused: the operator's to look at.
const EventRefused = "provider_refuses"

// failureCode is what a reason of the provider's is called here, where it is
// about t.
func failureCode(t *task.Task, r nanobanana.Reason) task.Code {
	if r == nanobanana.InputImage && len(t.ImageURLs) == 0 {
		r = nanobanana.GenerationFailed // it has none: the provider speaks of its own
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

// keepFor is how long an answer is worth more tries: longer than a store is
// usually away, and less than a function has left after a POST.
const keepFor = 5 * time.Second

// keep writes what the provider answered, which nobody will say again.
func (s *Poster) keep(ctx context.Context, t *task.Task, said *word, answer func(*task.Task) error) (*task.Task, error) {
	ctx, cancel := context.WithTimeout(ctx, keepFor)
	defer cancel()
	for wait := 50 * time.Millisecond; ; wait *= 2 {
		stands, err := s.update(ctx, t, said, answer)
		if err == nil || errors.Is(err, task.ErrForeign) {
			return stands, err
		}
		select {
		case <-ctx.Done():
			return stands, err
		case <-time.After(wait):
		}
	}
}
