package ops

import (
	"context"
	"flag"
	"maps"
	"slices"
	"time"

	"github.com/preset/nanobanana-functions/shared/config"
	"github.com/preset/nanobanana-functions/shared/lifecycle"
	"github.com/preset/nanobanana-functions/shared/task"
)

var pauseCommand = Command{
	Name: "pause", Short: "hold all orders, new ones and those that wait", Writes: true,
	Rights: []string{"dynamodb:Query", "dynamodb:UpdateItem"},
	Setup: func(f *flag.FlagSet) Run {
		reason := f.String("reason", "", "`TEXT` that users read, one line; required")
		return func(ctx context.Context, e *Env, _ []string) (Result, error) {
			hold := task.Hold{Reason: *reason, Since: e.Now()}
			if *reason == "" {
				return Result{}, Usagef("-reason is missing: users read it. bin/ops pause -reason \"We are replacing a key.\"")
			}
			if err := hold.Check(); err != nil {
				return Result{}, Usagef("-reason: %v", err)
			}
			return changeHold(ctx, e, func(h *task.Holds) { h.Put(task.HeldByOperator, hold) })
		}
	},
}

var resumeCommand = Command{
	Name: "resume", Short: "end the hold of pause; what waits is sent", Writes: true,
	Rights: []string{"dynamodb:Query", "dynamodb:UpdateItem"},
	Setup: func(*flag.FlagSet) Run {
		return func(ctx context.Context, e *Env, _ []string) (Result, error) {
			return changeHold(ctx, e, func(h *task.Holds) { h.Drop(task.HeldByOperator, e.Now()) })
		}
	},
}

// holdReport is what is held, before and after a change.
type holdReport struct {
	Was     *task.Hold `json:"was"` // the operator's hold before; null: none
	Holds   []hold     `json:"holds"`
	Waiting int        `json:"waiting"` // orders that the hold keeps, of the page
	More    bool       `json:"more"`    // there are more unfinished tasks than were counted
	Seconds int        `json:"seconds"` // that POST_RATE needs for those

	rate   config.Rate
	budget int
}

// changeHold changes the operator's hold, and counts what waits.
func changeHold(ctx context.Context, e *Env, change func(*task.Holds)) (Result, error) {
	now := e.Now()
	var was, is task.Holds
	err := e.Store.ChangeHolds(ctx, func(h *task.Holds) {
		was = task.Holds{By: maps.Clone(h.By)}
		change(h)
		is = *h
	})
	if err != nil {
		return Result{}, err
	}
	r := holdReport{Holds: holds(task.Pauses{Holds: is}, now), rate: e.Settings.PostRate, budget: e.Settings.DailyBudget}
	if before, held := was.By[task.HeldByOperator]; held {
		r.Was = &before
	}
	if err := r.count(ctx, e); err != nil {
		return Result{}, err
	}
	result := Result{Report: &r, Next: "stuck"}
	if r.byOperator() != nil {
		result.Next = "resume"
	}
	return result, nil
}

// count counts the orders that wait among the unfinished tasks that are due first.
func (r *holdReport) count(ctx context.Context, e *Env) error {
	entries, err := e.Store.DuePage(ctx, task.DueEntry{}, stuckLimit)
	if err != nil || len(entries) == 0 {
		return err
	}
	r.More = len(entries) == stuckLimit
	ids := make([]string, len(entries))
	for i, x := range entries {
		ids[i] = x.ID
	}
	tasks, err := e.Store.Tasks(ctx, ids)
	if err != nil {
		return err
	}
	for _, t := range tasks {
		if t.AwaitsPost() {
			r.Waiting++
		}
	}
	r.Seconds = int(time.Duration(r.Waiting) * lifecycle.PostInterval(r.rate) / time.Second)
	return nil
}

func (r *holdReport) byOperator() *hold {
	i := slices.IndexFunc(r.Holds, func(h hold) bool { return h.By == task.HeldByOperator })
	if i < 0 {
		return nil
	}
	return &r.Holds[i]
}

// Print prints what is held, and what that means.
func (r *holdReport) Print(p *Page) {
	switch h := r.byOperator(); {
	case h != nil && r.Was != nil:
		p.Line("All orders have been held for %s. Users read, within 10 s:", p.Ago(h.Since))
		p.Item("%s", h.Reason)
	case h != nil:
		p.Line("All orders are held. New ones are refused within 10 s. Users read:")
		p.Item("%s", h.Reason)
	case r.Was != nil && len(r.Holds) > 0:
		p.Line("Your hold has ended after %s.", p.Ago(r.Was.Since))
	case r.Was != nil:
		p.Line("The hold has ended after %s. Within 10 s new orders are accepted.", p.Ago(r.Was.Since))
	default:
		p.Line("No hold of yours was in force; nothing was changed.")
	}
	for _, h := range r.Holds {
		if h.By == task.HeldByBudget {
			r.printBudget(p, h)
		}
	}
	r.printWaiting(p)
}

func (r *holdReport) printBudget(p *Page, h hold) {
	p.Blank()
	budget := "the daily budget"
	if r.budget > 0 { // else it has changed since, or a stopped run does not know it
		budget += " of " + Count(r.budget, "credit")
	}
	p.Line("STILL HELD: %s is spent. This hold ends by itself at 00:00 UTC, in %s.", budget, p.In(h.Until))
	p.Line("To end it sooner, set a larger DailyBudget (0: no limit) and deploy; DAILY_BUDGET in a local run. The next check of the credits, within 5 minutes, sees it.")
}

func (r *holdReport) printWaiting(p *Page) {
	p.Blank()
	among := ""
	if r.More {
		among = " among the unfinished tasks that are due first; there are more"
	}
	if r.Waiting == 0 {
		p.Line("No order waits to be sent again%s.", among)
		return
	}
	p.Line("%s to be sent again%s.", map[bool]string{true: "1 order waits", false: Count(r.Waiting, "order") + " wait"}[r.Waiting == 1], among)
	switch sending := len(r.Holds) == 0; {
	case r.rate.Count == 0 && sending:
		p.Line("The next sweep sends them, within a minute, all at once: POST_RATE is 0.")
	case sending:
		p.Line("The next sweep begins with the oldest, within a minute. At POST_RATE (%s) it takes %s to send them.", r.rate, Span(time.Duration(r.Seconds)*time.Second))
	default:
		p.Line("The time of a hold does not count against their 6 hours. After it, at POST_RATE (%s), it takes %s to send them.", r.rate, Span(time.Duration(r.Seconds)*time.Second))
	}
}
