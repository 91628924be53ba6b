package submit

import (
	"errors"
	"net/http"

	"github.com/preset/nanobanana-functions/shared/httpapi"
	"github.com/preset/nanobanana-functions/shared/lifecycle"
	"github.com/preset/nanobanana-functions/shared/task"
)

// Quote is the answer of POST /v1/quotes.
type Quote struct {
	Estimate *float64          `json:"estimate,omitempty"` // credits; nil: unknown, because no model makes what is ordered
	Left     *int              `json:"left,omitempty"`     // images today; nil: there is no quota
	Quota    httpapi.Quota     `json:"quota"`
	Task     *QuotedTask       `json:"task,omitempty"`
	Problems []httpapi.Problem `json:"problems"`
}

// QuotedTask is the task that the request's Idempotency-Key already has.
type QuotedTask struct {
	ID     string      `json:"id"`
	Status task.Status `json:"status"`
}

// quote answers what a submit of the same request would. Only a request that cannot be
// understood is an error, as are faults of ours.
func (f Function) quote(r *http.Request, owner string) (httpapi.Answer, error) {
	var q lifecycle.Quote
	o, err := order(r, owner)
	if unfit, ok := errors.AsType[*task.Error](err); ok && unfit.Code == task.CodeInvalidRequest && !unfit.Malformed {
		q.Problems = []*task.Error{unfit}
		q.Allowance, err = f.Submitter.Allowance(r.Context(), owner)
	} else if err == nil {
		q, err = f.Submitter.Quote(r.Context(), o)
	}
	if err != nil {
		return httpapi.Answer{}, err
	}
	a := Quote{Quota: httpapi.Quota(q.Allowance)}
	if q.Priced {
		a.Estimate = &q.Estimate
	}
	if q.Allowance.Limit > 0 {
		left := q.Allowance.Left()
		a.Left = &left
	}
	if q.Task != nil {
		a.Task = &QuotedTask{ID: q.Task.ID, Status: q.Task.Status}
	}
	for _, p := range q.Problems {
		a.Problems = append(a.Problems, httpapi.ProblemOf(r, p))
	}
	return httpapi.Answer{Body: a}, nil
}
