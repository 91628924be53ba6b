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

// Order is a wish for pictures.
type Order struct {
	Owner          string
	IdempotencyKey string // empty: none
	Request        task.Request
	PublicURL      string // the address the order came to; used where the Service has none
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

// Submit makes a task of an order and submits it to the provider, once. The
// same order again, by owner and idempotency key, is the same task: replayed.
// An error is a *task.Error, and means that no task stands under this key,
// but for CodeUnavailable: then the same order may be repeated.
func (s *Submitter) Submit(ctx context.Context, o Order) (t *task.Task, replayed bool, err error) {
	ctx, cancel := detached(ctx)
	defer cancel()

	o.Request.Normalize()
	if fields := o.Request.Faults(); len(fields) > 0 {
		return s.refuse(ctx, o, task.Invalid(fields...))
	}
	inputs, err := s.admit(ctx, o)
	if err != nil {
		return s.refuse(ctx, o, err)
	}
	t = task.New(task.Draft{
		Owner: o.Owner, IdempotencyKey: o.IdempotencyKey, Request: o.Request,
		Parent: inputs.parent(), PublicURL: o.PublicURL,
		Estimate:   s.estimate(o.Request),
		CountQuota: s.Quota > 0,
	}, s.Now())
	stands, err := s.Store.Create(ctx, t, s.Quota)
	switch {
	case errors.Is(err, task.ErrExists):
		return s.replay(o, stands)
	case errors.Is(err, task.ErrQuota):
		return nil, false, &task.Error{Code: task.CodeQuotaExceeded, RetryAfter: untilMidnight(s.Now())}
	case err != nil:
		return nil, false, unavailable(err)
	}
	defer s.Account.renew(ctx)()
	t, err = s.post(ctx, stands, inputs)
	if err != nil {
		// The row stands and the sweep knows it: this is no refusal.
		s.Log.ErrorContext(ctx, "the answer to a submit could not be written", "task", t.ID, "error", err)
	}
	if woken := t.Hint != nil && !t.DueAt.After(s.Now()); woken && timeLeft(ctx, readTime) {
		// Its callback came before the answer, and will not come again.
		if after, err := s.read(ctx, t); err == nil {
			t = after
		}
	}
	return t, false, nil
}

func (s *Submitter) estimate(r task.Request) float64 {
	return s.Prices.Credits(r.Model, r.Resolution, r.NumImages)
}

// refuse answers an order that may not become a task, unless it has become
// one before: then that is the answer, whatever has changed since.
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

// admit holds an order against everything but its form: the prompt filter first, since
// what it refuses is to cost nothing, then the images it names, and the balance, which
// is asked for meanwhile.
func (s *Submitter) admit(ctx context.Context, o Order) (inputs, error) {
	if err := s.judge(o.Request); err != nil {
		return nil, err
	}
	affordable := make(chan error, 1)
	go func() { affordable <- s.affordable(ctx, s.estimate(o.Request)) }()
	inputs, err := s.inputs(ctx, o.Owner, o.PublicURL, o.Request.ImageURLs)
	if err == nil {
		err = s.inspect(ctx, inputs)
	}
	balanceErr := <-affordable

	if err != nil {
		return nil, err
	}
	if balanceErr != nil {
		return nil, balanceErr
	}
	return inputs, nil
}

// affordable refuses what the account certainly cannot pay. If the balance cannot be
// read, the order passes: the provider itself refuses what it is not paid for.
func (s *Submitter) affordable(ctx context.Context, estimate float64) error {
	secret, err := s.Secrets.Current(ctx)
	switch {
	case err != nil:
		return unavailable(err)
	case secret.APIKey == "":
		return unavailable(errors.New("the secret holds no API key yet: make set-api-key STACK=name puts it in, and submits are accepted"))
	}
	b, err := s.Account.forOrder(ctx, estimate)
	if b.Shut || err == nil && !b.Covers(estimate) {
		return &task.Error{Code: task.CodeInsufficientCredits}
	}
	return nil
}

// judge has the filter see what people wrote that the provider gets.
func (s *Submitter) judge(r task.Request) error {
	for _, written := range [...]struct{ pointer, text string }{{"/prompt", r.Prompt}, {"/watermark", r.Watermark}} {
		if category, refused := s.Filter.Check(written.text); refused {
			return &task.Error{Code: task.CodePromptRejected, Fields: []task.Field{{
				Pointer: written.pointer, Code: string(category), Message: category.Text(),
			}}}
		}
	}
	return nil
}

func untilMidnight(now time.Time) time.Duration {
	now = now.UTC()
	return now.Truncate(24 * time.Hour).Add(24 * time.Hour).Sub(now)
}

func unavailable(err error) error {
	return &task.Error{Code: task.CodeUnavailable, RetryAfter: 5 * time.Second, Err: err}
}
