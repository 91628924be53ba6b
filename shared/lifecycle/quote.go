package lifecycle

import (
	"context"
	"errors"
	"log/slog"
	"slices"

	"github.com/preset/nanobanana-functions/shared/task"
)

// Quote is what a submit of an order would cost, and why it would be refused.
type Quote struct {
	Estimate  float64 // credits
	Priced    bool    // Estimate is known
	Allowance task.Allowance
	// Task is the owner's task under the order's idempotency key, or nil. A submit of the
	// same order returns it.
	Task     *task.Task
	Problems []*task.Error // at most one of each code; the first is that of a submit
}

// Quote returns what Submit would do with an order at this moment, but makes no task,
// writes nothing and logs nothing. It finds everything that speaks against the order. An
// error is that of a submit, too: CodeUnavailable.
func (s *Submitter) Quote(ctx context.Context, o Order) (Quote, error) {
	ctx, cancel := detached(ctx) // the balance is of use to others
	defer cancel()
	c := s.check(o, slog.New(slog.DiscardHandler))
	var q Quote
	q.Estimate, q.Priced = c.estimate()
	t, err := c.existing(ctx)
	if err == nil {
		q.Allowance, err = s.Allowance(ctx, o.Owner)
	}
	if err != nil {
		return Quote{}, err
	}
	if t != nil {
		_, _, reused := c.replay(t)
		if !t.Deleted() {
			q.Task = t
		}
		if reused == nil {
			q.Estimate, q.Priced = t.Estimate, true
			return q, nil
		}
		q.add(reused)
	}
	c.run(ctx, func(objection error) bool {
		found := q.add(objection)
		if !found && len(q.Problems) == 0 { // otherwise a submit is refused before
			err = objection
		}
		return found
	})
	images := 1
	if q.Priced {
		images = c.Request.NumImages
	}
	if !q.Allowance.Allows(images) {
		q.add(quotaExceeded(s.Now()))
	}
	return q, err
}

// add adds an objection to the problems, unless it is a fault of ours.
func (q *Quote) add(objection error) bool {
	e, ok := errors.AsType[*task.Error](objection)
	if !ok || e.Code == task.CodeUnavailable {
		return false
	}
	for _, p := range q.Problems {
		if p.Code == e.Code {
			p.Fields = slices.Concat(p.Fields, e.Fields)
			return true
		}
	}
	q.Problems = append(q.Problems, e)
	return true
}

// Allowance returns what an owner may order today.
func (s *Submitter) Allowance(ctx context.Context, owner string) (task.Allowance, error) {
	a, err := task.ReadAllowance(ctx, s.Store, owner, s.Quota, s.Now())
	if err != nil {
		return a, unavailable(err)
	}
	return a, nil
}
