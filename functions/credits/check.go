package credits

import (
	"context"
	"encoding/json"
	"log/slog"

	"github.com/aws/aws-lambda-go/events"

	"github.com/preset/nanobanana-functions/shared/httpapi"
	"github.com/preset/nanobanana-functions/shared/task"
)

// Checked is what a check found, for the schedule's log.
type Checked struct {
	Balance float64   `json:"balance"`
	Low     bool      `json:"low"`
	News    task.News `json:"news,omitempty"` // since the last check
}

// Check asks for the balance, whether or not anybody looks at it, says in the
// log what it is, tells Preset if there is news, and keeps it for those who
// look. The template's alarms go by the event of these lines, which stand there
// even if it cannot be kept. Where nobody could be told, the next check tells.
func (f Function) Check(ctx context.Context) (Checked, error) {
	balance, news, err := f.Account.Check(ctx, float64(f.LowBelow), f.cheapest())
	if balance.AsOf.IsZero() {
		f.Log.ErrorContext(ctx, "credits are not known", "error", err)
		return Checked{}, err
	}
	checked := Checked{Balance: balance.Credits, Low: balance.Credits < float64(f.LowBelow), News: news}
	level, text, event := slog.LevelInfo, "credits", "credits_checked"
	if checked.Low {
		level, text, event = slog.LevelWarn, "credits are low", "credits_low"
	}
	args := []any{"event", event, "balance", checked.Balance, "lowBelow", f.LowBelow}
	if news != "" {
		args = append(args, "news", news)
	}
	f.Log.Log(ctx, level, text, args...)
	if news != "" {
		balance = f.tell(ctx, balance, news)
	}
	if err == nil {
		err = f.Account.Keep(ctx, balance)
	}
	if err != nil {
		f.Log.ErrorContext(ctx, "the balance is not kept", "error", err)
	}
	return checked, err
}

// OnLambda gives the function for both who call it: the gateway, and the
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
