package lifecycle

import (
	"context"
	"errors"
	"net/http"
	"time"

	"github.com/preset/nanobanana-functions/shared/config"
	"github.com/preset/nanobanana-functions/shared/moderation"
	"github.com/preset/nanobanana-functions/shared/task"
)

// Order asks for pictures.
type Order struct {
	Owner          string
	IdempotencyKey string // empty: none
	Request        task.Request
	PublicURL      string // the address that the order came to; used where Service.PublicURL is empty
}

// Submitter turns orders into tasks. Its fields are set before use; its methods
// may be called from many goroutines.
type Submitter struct {
	*Poster
	HTTP   *http.Client // reads uploads, by our own links
	Filter *moderation.Filter
	Prices config.Prices
	Quota  int // images per owner and UTC day; 0: no quota
}

// Submit makes a task of an order and submits it to the provider, once. If the owner
// has sent the order before, under the same idempotency key, Submit returns that task
// as replayed. Every error is a *task.Error and means that no task exists under this
// key, except CodeUnavailable: after that the same order may be sent again.
func (s *Submitter) Submit(ctx context.Context, o Order) (t *task.Task, replayed bool, err error) {
	ctx, cancel := detached(ctx)
	defer cancel()

	c := s.check(o, s.Log)
	if err := c.refusal(ctx); err != nil {
		return c.refuse(ctx, err)
	}
	estimate, _ := c.estimate()
	t = task.New(task.Draft{
		Owner: c.Owner, IdempotencyKey: c.IdempotencyKey, Request: c.Request,
		Parent: c.ins.parent(), SourceType: c.ins.sourceType(), PublicURL: c.PublicURL,
		Estimate: estimate, InputTypes: c.ins.types(c.Request.ImageURLs),
		CountQuota: s.Quota > 0,
	}, s.Now())
	row, err := s.Store.Create(ctx, t, s.Quota)
	switch {
	case errors.Is(err, task.ErrExists):
		return c.replay(row)
	case errors.Is(err, task.ErrQuota):
		return nil, false, quotaExceeded(s.Now())
	case err != nil:
		return nil, false, unavailable(err)
	}
	rowWriter{s.Store, s.Log}.logMove(ctx, row, task.Ordered)
	defer s.Account.renew(ctx)()
	t, err = s.post(ctx, row, c.ins, c.secret)
	if err != nil {
		// The row exists and the sweep finds it, so the order is not refused.
		s.Log.ErrorContext(ctx, "the answer to a submit could not be written", "task", t.ID, "error", err)
	}
	if woken := t.Hint != nil && !t.DueAt.After(s.Now()); woken && timeLeft(ctx, minReadTime) {
		// The callback came before the provider's answer, and will not come again.
		if after, err := s.readRecord(ctx, t, sweepReadTimeout); err == nil {
			t = after
		}
	}
	return t, false, nil
}

// refuse refuses the order, unless a task exists under its idempotency key: then it
// returns that task, whatever has changed since.
func (c *check) refuse(ctx context.Context, refusal error) (*task.Task, bool, error) {
	t, err := c.existing(ctx)
	switch {
	case err != nil:
		return nil, false, err
	case t == nil:
		return nil, false, refusal
	}
	return c.replay(t)
}

// existing returns the task that exists under the order's idempotency key, or nil.
func (c *check) existing(ctx context.Context) (*task.Task, error) {
	if c.IdempotencyKey == "" {
		return nil, nil
	}
	t, err := c.Store.Task(ctx, task.NewID(c.Owner, c.IdempotencyKey))
	switch {
	case errors.Is(err, task.ErrNotFound):
		return nil, nil
	case err != nil:
		return nil, unavailable(err)
	}
	return t, nil
}

// replay answers the order with the task that exists under its idempotency key, if it is
// of the same order.
func (c *check) replay(t *task.Task) (*task.Task, bool, error) {
	if t.Deleted() || t.Fingerprint != c.Request.Fingerprint() {
		return nil, false, &task.Error{Code: task.CodeIdempotencyKeyReused}
	}
	return t, true, nil
}

func quotaExceeded(now time.Time) *task.Error {
	return &task.Error{Code: task.CodeQuotaExceeded, RetryAfter: task.NextDay(now).Sub(now)}
}

func unavailable(err error) error {
	return &task.Error{Code: task.CodeUnavailable, RetryAfter: 5 * time.Second, Err: err}
}
