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

	o.Request.Normalize()
	inputs, secret, err := s.admit(ctx, o)
	if err != nil {
		return s.refuse(ctx, o, err)
	}
	t = task.New(task.Draft{
		Owner: o.Owner, IdempotencyKey: o.IdempotencyKey, Request: o.Request,
		Parent: inputs.parent(), PublicURL: o.PublicURL,
		Estimate:   s.estimate(o.Request),
		CountQuota: s.Quota > 0,
	}, s.Now())
	row, err := s.Store.Create(ctx, t, s.Quota)
	switch {
	case errors.Is(err, task.ErrExists):
		return s.replay(o, row)
	case errors.Is(err, task.ErrQuota):
		now := s.Now()
		return nil, false, &task.Error{Code: task.CodeQuotaExceeded, RetryAfter: task.NextDay(now).Sub(now)}
	case err != nil:
		return nil, false, unavailable(err)
	}
	defer s.Account.renew(ctx)()
	t, err = s.post(ctx, row, inputs, secret)
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

func (s *Submitter) estimate(r task.Request) float64 {
	return s.Prices.Credits(r.Model, r.Resolution, r.NumImages)
}

// refuse refuses an order, unless a task exists under its idempotency key: then it
// returns that task, whatever has changed since.
func (s *Submitter) refuse(ctx context.Context, o Order, refusal error) (*task.Task, bool, error) {
	if o.IdempotencyKey == "" {
		return nil, false, refusal
	}
	t, err := s.Store.Task(ctx, task.NewID(o.Owner, o.IdempotencyKey))
	switch {
	case errors.Is(err, task.ErrNotFound):
		return nil, false, refusal
	case err != nil:
		return nil, false, unavailable(err)
	}
	return s.replay(o, t)
}

func (s *Submitter) replay(o Order, t *task.Task) (*task.Task, bool, error) {
	if t.Deleted() || t.Fingerprint != o.Request.Fingerprint() {
		return nil, false, &task.Error{Code: task.CodeIdempotencyKeyReused}
	}
	return t, true, nil
}

// admit checks an order and returns its inputs, with the secret to submit it with. The
// prompt filter comes before everything that costs a request. The balance is asked for
// while the input images are checked.
func (s *Submitter) admit(ctx context.Context, o Order) (ins inputs, secret config.Secret, err error) {
	if fields := o.Request.Faults(); len(fields) > 0 {
		return nil, secret, task.Invalid(fields...)
	}
	if err := s.moderate(o.Request); err != nil {
		return nil, secret, err
	}
	if secret, err = s.Secrets.Current(ctx); err != nil {
		return nil, secret, unavailable(err)
	}
	affordable := make(chan error, 1)
	go func() { affordable <- s.affordable(ctx, secret, s.estimate(o.Request)) }()
	ins, err = s.inputs(ctx, o.Owner, o.PublicURL, o.Request.ImageURLs)
	if err == nil {
		err = s.inspect(ctx, ins)
	}
	if balanceErr := <-affordable; err == nil {
		err = balanceErr
	}
	return ins, secret, err
}

// moderate refuses an order whose prompt or watermark the filter refuses.
func (s *Submitter) moderate(r task.Request) error {
	for _, written := range [...]struct{ pointer, text string }{{"/prompt", r.Prompt}, {"/watermark", r.Watermark}} {
		if category, refused := s.Filter.Check(written.text); refused {
			return &task.Error{Code: task.CodePromptRejected, Fields: []task.Field{{
				Pointer: written.pointer, Code: string(category), Message: category.Text(),
			}}}
		}
	}
	return nil
}

// affordable refuses what the account certainly cannot pay. If the balance cannot be
// read, the order passes: the provider refuses what it is not paid for.
func (s *Submitter) affordable(ctx context.Context, secret config.Secret, estimate float64) error {
	if secret.APIKey == "" {
		return unavailable(errors.New("the secret holds no API key yet: make set-api-key STACK=name puts it in, and submits are accepted"))
	}
	b, err := s.Account.forOrder(ctx, estimate)
	if b.Shut || err == nil && !b.Covers(estimate) {
		return &task.Error{Code: task.CodeInsufficientCredits}
	}
	return nil
}

func unavailable(err error) error {
	return &task.Error{Code: task.CodeUnavailable, RetryAfter: 5 * time.Second, Err: err}
}
