// Package lifecycle is what the functions do with tasks: Submit, Settle (a callback
// came), Sweep (something is due), Ingest, and the Account's balance. Package task
// decides about a task's life; this package brings together the store, the provider
// and the bucket, in the one order in which nothing is lost or paid twice.
package lifecycle

import (
	"cmp"
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

// Service reads records and writes rows. Its fields are set before use; its methods
// may be called from many goroutines.
type Service struct {
	Store    task.Store
	Provider *nanobanana.Client
	Secrets  *config.Secrets
	Rules    task.Rules
	Now      func() time.Time
	Log      *slog.Logger

	// PublicURL is where callbacks and image links go, such as
	// https://api.example.com. Empty: the address that the task was submitted to.
	PublicURL string
}

// Poster makes the POST of an attempt, with links to the images it edits.
type Poster struct {
	*Service
	Account *Account // learns of each refusal for lack of credits
	Links   media.Linker
}

// minPostTime is the time that a function must have left to start a POST: 20 s for the
// POST, and 2 s to write its answer.
const minPostTime = 22 * time.Second

// timeLeft reports whether ctx leaves at least d.
func timeLeft(ctx context.Context, d time.Duration) bool {
	deadline, ok := ctx.Deadline()
	return !ok || time.Until(deadline) >= d
}

// detached returns a context with ctx's deadline that does not end when the caller
// hangs up: what has begun for a task is finished.
func detached(ctx context.Context) (context.Context, context.CancelFunc) {
	deadline, ok := ctx.Deadline()
	ctx = context.WithoutCancel(ctx)
	if !ok {
		return ctx, func() {}
	}
	return context.WithDeadline(ctx, deadline)
}

// CallbackMessage returns the text that the token in a callback URL signs.
func CallbackMessage(id string, attempt int) string {
	return "callback|" + id + "|" + strconv.Itoa(attempt)
}

// nowhere is the base of callback URLs if the provider cannot reach us: it requires some
// URL, and RFC 2606 reserves this name.
const nowhere = "https://callbacks.invalid"

// callbacksPath begins the path of every callback URL.
const callbacksPath = "/v1/callbacks/"

// base returns the base of callback URLs and image links of a task that was submitted
// to publicURL.
func (s *Service) base(publicURL string) string {
	return cmp.Or(s.PublicURL, publicURL)
}

// callbackURL returns where the provider reports the end of the task's current attempt.
func (s *Poster) callbackURL(t *task.Task, keys token.Keys) string {
	base := s.base(t.PublicURL)
	if !s.Rules.Callbacks {
		base = nowhere
	}
	return base + callbacksPath + t.ID + "/" + strconv.Itoa(t.Attempt) + "/" + keys.Sign(CallbackMessage(t.ID, t.Attempt))
}

func (s *Service) log(ctx context.Context, level slog.Level, t *task.Task, text string, args ...any) {
	s.Log.Log(ctx, level, text, append(args, "task", t.ID, "status", t.Status, "attempt", t.Attempt)...)
}

// update writes a change of a row; see [rowWriter].
func (s *Service) update(ctx context.Context, t *task.Task, last *reply, change func(*task.Task) error) (*task.Task, error) {
	return rowWriter{s.Store, s.Log}.update(ctx, t, last, change)
}
