// Package notify is the stream's other function: it tells Preset by a signed
// webhook how a task has ended, in the form that Standard Webhooks describes
// (https://www.standardwebhooks.com). A notice comes at least once, and again
// until the receiver has answered 2xx; its webhook-id stays the same.
package notify

import (
	"context"
	"errors"
	"log/slog"

	"github.com/aws/aws-lambda-go/events"

	"github.com/preset/nanobanana-functions/shared/aws/stream"
	"github.com/preset/nanobanana-functions/shared/config"
	"github.com/preset/nanobanana-functions/shared/httpapi"
	"github.com/preset/nanobanana-functions/shared/task"
	"github.com/preset/nanobanana-functions/shared/webhook"
)

// Function is what notify needs.
type Function struct {
	webhook.Sender
	Store task.Store
	View  httpapi.View // what is told
	Log   *slog.Logger
}

// FromSettings gives a Function by the settings.
func FromSettings(c config.Settings, store task.Store, secrets *config.Secrets, log *slog.Logger) Function {
	return Function{
		Sender: webhook.FromSettings(c, secrets), Store: store,
		View: httpapi.View{PublicURL: c.PublicURL, Secrets: secrets}, Log: log,
	}
}

// New gives the function for DynamoDB's stream.
func New(f Function) func(context.Context, events.DynamoDBEvent) error {
	return stream.Each(f.Log, f.Task)
}

// Task tells how one task has ended. It fails for the log alone, and so does a
// panic. Faulty keys are an error, since they fail every notice; a receiver
// that is away is a warning until a notice is given up.
func (f Function) Task(ctx context.Context, id string) {
	defer stream.Recover(ctx, f.Log, id)
	if err := f.tell(ctx, id); err != nil {
		f.Log.Log(ctx, webhook.LogLevel(err), "not told yet; the sweep brings it back", "task", id, "error", err)
	}
}

var errNobody = errors.New("NOTIFY_URL is not set any more")

// tell tells how a task has ended, if that is still to be told. On failure it
// writes nothing, and the sweep wakes the task again.
func (f Function) tell(ctx context.Context, id string) error {
	t, err := f.Store.Task(ctx, id)
	switch {
	case err != nil:
		return err
	case t.Work != task.Notify || !t.Known():
		return nil // told already, or somebody else's
	case f.URL == "":
		return errNobody
	}
	body, err := notice(ctx, f.View, t)
	if err != nil {
		return err
	}
	if err := f.Send(ctx, messageID(t), body); err != nil {
		return err
	}
	_, err = task.Update(ctx, f.Store, t, func(x *task.Task) error {
		x.Notified(f.Now())
		return nil
	})
	return err
}
