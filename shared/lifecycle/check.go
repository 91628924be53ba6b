package lifecycle

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"strings"

	"github.com/preset/nanobanana-functions/shared/config"
	"github.com/preset/nanobanana-functions/shared/task"
)

// A check finds out what speaks against an order. Submit and Quote share it, so that a
// quote names what a submit would refuse.
type check struct {
	*Submitter
	Order               // normalized
	faults []task.Field // of its form
	log    *slog.Logger

	// What a submit needs, once all checks have passed.
	ins    inputs
	secret config.Secret
}

func (s *Submitter) check(o Order, log *slog.Logger) *check {
	o.Request.Normalize()
	return &check{Submitter: s, Order: o, faults: o.Request.Faults(), log: log}
}

// run passes each objection to the order to object, in the order in which they count for
// a submit, until object returns false. The prompt filter comes before everything that
// costs a request. The pauses and the balance are asked for while the input images are
// checked. After
// CodeUnavailable there are no more objections.
func (c *check) run(ctx context.Context, object func(error) (more bool)) {
	if len(c.faults) > 0 && !object(task.Invalid(c.faults...)) {
		return
	}
	if err := c.moderate(); err != nil && !object(err) {
		return
	}
	var err error
	if c.secret, err = c.Secrets.Current(ctx); err != nil {
		object(unavailable(err))
		return
	}
	held, affordable := make(chan error, 1), make(chan error, 1)
	go func() { held <- c.held(ctx) }()
	go func() { affordable <- c.affordable(ctx) }()
	if !slices.ContainsFunc(c.faults, ofInputs) { // a list of thousands would cost as many requests
		err = c.checkInputs(ctx)
	}
	heldErr, balanceErr := <-held, <-affordable
	if heldErr != nil && !object(heldErr) {
		return
	}
	if err != nil && !object(err) {
		return
	}
	if balanceErr != nil {
		object(balanceErr)
	}
}

func ofInputs(f task.Field) bool { return strings.HasPrefix(f.Pointer, "/imageUrls") }

// refusal returns the objection for which a submit is refused, or nil.
func (c *check) refusal(ctx context.Context) (refusal error) {
	c.run(ctx, func(err error) bool {
		refusal = err
		return false
	})
	return refusal
}

// moderate refuses an order whose prompt or watermark the filter refuses.
func (c *check) moderate() error {
	for _, written := range [...]struct{ pointer, text string }{{"/prompt", c.Request.Prompt}, {"/watermark", c.Request.Watermark}} {
		if category, refused := c.Filter.Check(written.text); refused {
			return &task.Error{Code: task.CodePromptRejected, Fields: []task.Field{{
				Pointer: written.pointer, Code: string(category), Message: category.Text(),
			}}}
		}
	}
	return nil
}

// checkInputs resolves and inspects the input images. If some cannot be used, the error is
// a *task.Error with a field for each.
func (c *check) checkInputs(ctx context.Context) error {
	ins, faults, err := c.inputs(ctx, c.Owner, c.PublicURL, c.Request.ImageURLs)
	if err != nil {
		return err
	}
	if err = c.inspect(ctx, ins, faults); err != nil {
		return err
	}
	c.ins = ins
	return invalidEntries(faults)
}

// held refuses every order of a forgotten owner, and every order while a hold is in force.
func (c *check) held(ctx context.Context) error {
	now := c.Now()
	p := c.Account.Pauses(ctx)
	if p.Forgotten.Has(c.Owner, now) {
		return task.Unwelcome()
	}
	_, hold, held := p.InForce(now)
	if !held {
		return nil
	}
	refusal := &task.Error{Code: task.CodePaused, RetryAfter: hold.RetryAfter(now)}
	if hold.Check() == nil { // else somebody wrote the row by hand
		refusal.Reason = hold.Reason
	}
	return refusal
}

// affordable refuses what the account certainly cannot pay. If the balance cannot be
// read, the order passes: the provider refuses what it is not paid for.
func (c *check) affordable(ctx context.Context) error {
	if c.secret.APIKey == "" {
		return unavailable(errors.New("the secret holds no API key yet: make set-api-key STACK=name puts it in, and submits are accepted"))
	}
	estimate, _ := c.estimate()
	b, err := c.Account.forOrder(ctx, estimate)
	if b.Shut || err == nil && !b.Covers(estimate) {
		return &task.Error{Code: task.CodeInsufficientCredits}
	}
	return nil
}

// estimate returns what the order costs. It is not known of what no model makes.
func (c *check) estimate() (credits float64, known bool) {
	for _, f := range c.faults {
		switch f.Pointer {
		case "/model", "/resolution", "/numImages":
			return 0, false
		}
	}
	r := c.Request
	return c.Prices.Credits(r.Model, r.Resolution, r.NumImages), true
}
