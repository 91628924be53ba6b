// Package notify is the stream's other function: it tells Preset by a signed
// webhook how a task has ended, in the form that Standard Webhooks describes
// (https://www.standardwebhooks.com). A notice comes at least once, and again
// until the receiver has answered 2xx; its webhook-id stays the same.
package notify

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"runtime/debug"
	"strconv"
	"time"

	"github.com/aws/aws-lambda-go/events"

	"github.com/preset/nanobanana-functions/shared/config"
	"github.com/preset/nanobanana-functions/shared/httpapi"
	"github.com/preset/nanobanana-functions/shared/nanobanana"
	"github.com/preset/nanobanana-functions/shared/task"
)

const (
	postTime  = 10 * time.Second // of a POST; a receiver that wants more answers first and works then
	userAgent = "preset-nanobanana-functions/1"
)

// Function is what notify needs.
type Function struct {
	Store   task.Store
	Secrets *config.Secrets // signs
	View    httpapi.View    // what is told
	URL     string          // where notices go; empty: nobody is told
	HTTP    *http.Client    // follows no redirect, and has a Timeout
	Now     func() time.Time
	Log     *slog.Logger
}

// FromSettings gives a Function by the settings.
func FromSettings(c config.Settings, store task.Store, secrets *config.Secrets, log *slog.Logger) Function {
	client := nanobanana.NewHTTPClient()
	client.Timeout = postTime
	return Function{
		Store: store, Secrets: secrets, View: httpapi.View{PublicURL: c.PublicURL, Secrets: secrets},
		URL: c.NotifyURL, HTTP: client, Now: time.Now, Log: log,
	}
}

// New gives the function for DynamoDB's stream. It never fails a batch: a
// record is only a task's id, and the index of due tasks brings it back.
func New(f Function) func(context.Context, events.DynamoDBEvent) error {
	return func(ctx context.Context, e events.DynamoDBEvent) error {
		for _, record := range e.Records {
			id, ok := record.Change.Keys["id"]
			if !ok || id.DataType() != events.DataTypeString {
				f.Log.ErrorContext(ctx, "a stream record without an id", "record", record.EventID)
				continue
			}
			f.Task(ctx, id.String())
		}
		return nil
	}
}

// Task tells how one task has ended. It fails for the log alone, and so does a
// panic. Faulty keys are an error, since they fail every notice; a receiver
// that is away is a warning until a notice is given up.
func (f Function) Task(ctx context.Context, id string) {
	defer func() {
		if p := recover(); p != nil {
			f.Log.ErrorContext(ctx, "a panic; the sweep brings the notice back", "task", id, "panic", fmt.Sprint(p), "stack", string(debug.Stack()))
		}
	}()
	if err := f.tell(ctx, id); err != nil {
		level := slog.LevelWarn
		if errors.Is(err, errKeys) {
			level = slog.LevelError
		}
		f.Log.Log(ctx, level, "not told yet; the sweep brings it back", "task", id, "error", err)
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
	r, err := f.request(ctx, t)
	if err != nil {
		return err
	}
	if err := f.post(r); err != nil {
		return err
	}
	_, err = task.Update(ctx, f.Store, t, func(x *task.Task) error {
		x.Told(f.Now())
		return nil
	})
	return err
}

// request makes the POST of a notice. The body and the id are the same at
// every try; the time is the try's own, since receivers refuse an old one.
func (f Function) request(ctx context.Context, t *task.Task) (*http.Request, error) {
	body, err := notice(ctx, f.View, t)
	if err != nil {
		return nil, err
	}
	secret, err := f.Secrets.Current(ctx)
	if err != nil {
		return nil, err
	}
	id, now := messageID(t), f.Now()
	signatures, err := sign(secret.NotifyKeys, id, now, body)
	if err != nil {
		return nil, err
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, f.URL, bytes.NewReader(body))
	if err != nil {
		return nil, unquoted(err)
	}
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("User-Agent", userAgent)
	r.Header.Set("Webhook-Id", id)
	r.Header.Set("Webhook-Timestamp", strconv.FormatInt(now.Unix(), 10))
	r.Header.Set("Webhook-Signature", signatures)
	return r, nil
}

// post sends a notice. Of the answer the status is all that counts: its body
// is not read.
func (f Function) post(r *http.Request) error {
	resp, err := f.HTTP.Do(r)
	if err != nil {
		return fmt.Errorf("the receiver of notices: %w", unquoted(err))
	}
	_ = resp.Body.Close()
	if resp.StatusCode < 200 || resp.StatusCode > 299 {
		return fmt.Errorf("the receiver of notices answered %d", resp.StatusCode)
	}
	return nil
}

// unquoted takes off the *url.Error, which quotes the URL: its query may hold
// what no log may.
func unquoted(err error) error {
	if quoted, ok := errors.AsType[*url.Error](err); ok {
		return quoted.Err
	}
	return err
}
