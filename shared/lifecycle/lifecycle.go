// Package lifecycle is what the functions do with tasks: Submit, Settle (a
// callback came), Refresh and Sweep (something is due), Ingest, and Credits.
// It decides nothing about a task's life, which package task does; it brings
// together the store, the provider and the bucket, in the one order in which
// nothing is lost or paid twice.
package lifecycle

import (
	"context"
	"log/slog"
	"strconv"
	"time"

	"github.com/preset/nanobanana-functions/shared/auth/token"
	"github.com/preset/nanobanana-functions/shared/config"
	"github.com/preset/nanobanana-functions/shared/media"
	"github.com/preset/nanobanana-functions/shared/nanobanana"
	"github.com/preset/nanobanana-functions/shared/task"
)

// Service reads what the provider says of tasks, and writes it down. Its fields
// are set before use; its methods may be called from many goroutines.
type Service struct {
	Store    task.Store
	Provider *nanobanana.Client
	Secrets  *config.Secrets
	Rules    task.Rules
	Now      func() time.Time
	Log      *slog.Logger

	// PublicURL is where callbacks and image links go, such as
	// https://api.example.com. Empty: what the task was submitted with.
	PublicURL string
}

// Poster makes the POST of an attempt, with links to the pictures it edits.
type Poster struct {
	*Service
	Account *Account // which a 402 tells that the credits are used up
	Links   media.Linker
}

// submitTime is what a function must have left of its time when it starts a
// POST: 20 s for the POST, and 2 s to write down its answer.
const submitTime = 22 * time.Second

// timeLeft says whether ctx leaves at least d.
func timeLeft(ctx context.Context, d time.Duration) bool {
	deadline, ok := ctx.Deadline()
	return !ok || time.Until(deadline) >= d
}

// detached gives a context that lives as long as the function may, whether or
// not the caller hangs up: what has been begun for a task is finished.
func detached(ctx context.Context) (context.Context, context.CancelFunc) {
	deadline, ok := ctx.Deadline()
	ctx = context.WithoutCancel(ctx)
	if !ok {
		return ctx, func() {}
	}
	return context.WithDeadline(ctx, deadline)
}

// CallbackMessage is what the token in a callback URL signs.
func CallbackMessage(id string, attempt int) string {
	return "callback|" + id + "|" + strconv.Itoa(attempt)
}

// nowhere is where callbacks are sent that cannot arrive: the provider wants
// some URL, and RFC 2606 keeps this one from ever being anybody's.
const nowhere = "https://callbacks.invalid"

// callbacksPath is what the paths of all callback addresses begin with.
const callbacksPath = "/v1/callbacks/"

func callbackPath(id string, attempt int) string {
	return callbacksPath + id + "/" + strconv.Itoa(attempt) + "/"
}

// base is where callbacks and image links of a task go that was submitted at
// publicURL.
func (s *Service) base(publicURL string) string {
	if s.PublicURL != "" {
		return s.PublicURL
	}
	return publicURL
}

// callbackURL is where the provider reports the task's current attempt.
func (s *Poster) callbackURL(t *task.Task, keys token.Keys) string {
	base := s.base(t.PublicURL)
	if !s.Rules.Callbacks {
		base = nowhere
	}
	return base + callbackPath(t.ID, t.Attempt) + keys.Sign(CallbackMessage(t.ID, t.Attempt))
}

func (s *Service) log(ctx context.Context, level slog.Level, t *task.Task, text string, args ...any) {
	s.Log.Log(ctx, level, text, append(args, "task", t.ID, "status", t.Status, "attempt", t.Attempt)...)
}

// update is the gate through which the Service writes rows.
func (s *Service) update(ctx context.Context, t *task.Task, said *word, change func(*task.Task) error) (*task.Task, error) {
	return journal{s.Store, s.Log}.update(ctx, t, said, change)
}
