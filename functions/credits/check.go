package credits

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"

	"github.com/aws/aws-lambda-go/events"

	"github.com/preset/nanobanana-functions/shared/httpapi"
	"github.com/preset/nanobanana-functions/shared/task"
)

// Checked is what a check found: the answer to the schedule.
type Checked struct {
	Balance float64   `json:"balance"`
	Low     bool      `json:"low"`
	News    task.News `json:"news,omitempty"` // since the last check
	Spent   float64   `json:"spent"`          // credits since 00:00 UTC, by everybody
}

// Check asks the provider for the balance, logs it, holds or releases all orders as the
// day's budget demands, notifies Preset if there is news, and stores the balance for GET
// /v1/credits. The template's alarms match the event field of the log lines, which are
// written even if the balance cannot be stored. What fails, the next check does.
func (f Function) Check(ctx context.Context) (Checked, error) {
	balance, news, err := f.Account.Check(ctx, float64(f.LowBelow), f.cheapest())
	if balance.AsOf.IsZero() {
		f.Log.ErrorContext(ctx, "credits check failed", "error", err)
		return Checked{}, err
	}
	checked := Checked{Balance: balance.Credits, Low: balance.Credits < float64(f.LowBelow), News: news, Spent: balance.Spend.Today}
	known := err == nil // what was kept; without it nobody knows the spend
	f.logCheck(ctx, checked, balance.Spend, known)
	var budgetErr error
	if known {
		budgetErr = f.enforceBudget(ctx, balance)
	}
	if news != "" {
		balance = f.notify(ctx, balance, news)
	}
	if known {
		err = f.Account.Keep(ctx, balance)
	}
	if err != nil {
		f.Log.ErrorContext(ctx, "balance not stored; the next check retries", "error", err)
	}
	return checked, errors.Join(err, budgetErr)
}

// logCheck writes the one line of each check, with the spend if that is known.
func (f Function) logCheck(ctx context.Context, checked Checked, s task.Spend, known bool) {
	level, text, event := slog.LevelInfo, "credits checked", "credits_checked"
	if checked.Low {
		level, text, event = slog.LevelWarn, "credits are low", "credits_low"
	}
	args := []any{"event", event, "balance", checked.Balance, "lowBelow", f.LowBelow}
	if known {
		args = append(args, "spentToday", s.Today, "spentHour", s.Hour(), "budget", f.Budget)
	}
	if known && f.Budget > 0 {
		args = append(args, "budgetPercent", f.percent(s.Today), "hourPercent", f.percent(s.Hour()))
	}
	if checked.News != "" {
		args = append(args, "news", checked.News)
	}
	f.Log.Log(ctx, level, text, args...)
}

// percent returns how much of the day's budget so many credits are, rounded down. Alarms
// go off at 80 and 100 for the day, and at 25 for an hour.
func (f Function) percent(credits float64) int { return int(credits * 100 / float64(f.Budget)) }

// The attributes "event" of the log lines for a budget that has just been spent, and for
// one that no longer holds orders before its day is over.
const (
	EventBudgetSpent = "budget_spent"
	EventBudgetFree  = "budget_free"
)

// enforceBudget holds or releases all orders, and logs a change.
func (f Function) enforceBudget(ctx context.Context, b task.Balance) error {
	changed, err := f.Account.EnforceBudget(ctx, b, f.Budget)
	level, text, event := slog.LevelInfo, "the daily budget holds orders no longer", EventBudgetFree
	if b.Spend.Reached(f.Budget) {
		level, text, event = slog.LevelWarn, "the daily budget is spent; all orders are held until 00:00 UTC, or until DAILY_BUDGET is larger", EventBudgetSpent
	}
	switch {
	case err != nil:
		f.Log.ErrorContext(ctx, "the budget's hold could not be judged; the next check retries", "error", err)
	case changed:
		f.Log.Log(ctx, level, text, "event", event, "spentToday", b.Spend.Today, "budget", f.Budget)
	}
	return err
}

// OnLambda returns the function for both of its callers: the gateway, and the
// schedule, whose event is {"check":"credits"}.
func OnLambda(f Function) func(context.Context, json.RawMessage) (any, error) {
	serve := httpapi.Gateway(New(f))
	return func(ctx context.Context, event json.RawMessage) (any, error) {
		var scheduled struct {
			Check string `json:"check"`
		}
		if err := json.Unmarshal(event, &scheduled); err == nil && scheduled.Check == "credits" {
			return f.Check(ctx)
		}
		var request events.APIGatewayV2HTTPRequest
		if err := json.Unmarshal(event, &request); err != nil {
			return nil, err
		}
		return serve(ctx, request)
	}
}
