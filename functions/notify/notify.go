// Package notify is the function that the table's stream calls for notices: a
// notice is a signed webhook to Preset: a task has ended, and how; it was moved, or
// it was deleted. Its form is that of Standard Webhooks
// (https://www.standardwebhooks.com). It is sent until the receiver has answered
// 2xx, always with the same webhook-id, so the receiver may get it more than once.
package notify

import (
	"context"
	"errors"
	"log/slog"
	"net/http"

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
	View  httpapi.View // how a notice shows the task
	Log   *slog.Logger
}

// FromSettings returns the Function that the settings describe.
func FromSettings(c config.Settings, store task.Store, secrets *config.Secrets, client *http.Client, log *slog.Logger) Function {
	return Function{
		Sender: webhook.FromSettings(c, secrets, client), Store: store,
		View: httpapi.View{PublicURL: c.PublicURL, Secrets: secrets}, Log: log,
	}
}

// New returns the function for DynamoDB's stream.
func New(f Function) func(context.Context, events.DynamoDBEvent) error {
	return stream.Each(f.Log, f.Task)
}

// Task delivers one task's notice. It only logs errors and panics. Faulty keys are
// logged as an error, since they fail every notice; an unreachable receiver is a
// warning until the notice is given up.
func (f Function) Task(ctx context.Context, id string) {
	defer stream.Recover(ctx, f.Log, id)
	if err := f.deliver(ctx, id); err != nil {
		f.Log.Log(ctx, webhook.LogLevel(err), "notice not delivered; will retry", "task", id, "error", err)
	}
}

var errNoURL = errors.New("NOTIFY_URL is no longer set")

// deliver sends a task's notice if it is still due. On failure it writes nothing,
// and the sweep wakes the task again.
func (f Function) deliver(ctx context.Context, id string) error {
	t, err := f.Store.Task(ctx, id)
	switch {
	case err != nil:
		return err
	case t.Notice == "" || !t.Known():
		return nil // delivered already, or a row of a newer release
	case f.URL == "":
		return errNoURL
	}
	body, err := encodeNotice(ctx, f.View, t)
	if err != nil {
		return err
	}
	if err := f.Send(ctx, messageID(t), body); err != nil {
		return err
	}
	// A change meanwhile keeps the notice pending. Its own write calls this function again.
	_, err = task.Update(ctx, f.Store, t, func(x *task.Task) error {
		x.Notified(f.Now(), t.NoticeVersion())
		return nil
	})
	return err
}
