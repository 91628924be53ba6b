// Package ingest is the stream's function: it copies the pictures of tasks
// that are being stored to the bucket, and empties it for deleted ones.
package ingest

import (
	"context"
	"fmt"
	"log/slog"
	"runtime/debug"

	"github.com/aws/aws-lambda-go/events"

	"github.com/preset/nanobanana-functions/shared/lifecycle"
)

// Function is what ingest needs.
type Function struct {
	Ingester *lifecycle.Ingester
	Log      *slog.Logger
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

// Task does one task's work. It fails for the log alone, and so does a panic:
// a picture that breaks a decoder must not stop the stream.
func (f Function) Task(ctx context.Context, id string) {
	defer func() {
		if p := recover(); p != nil {
			f.Log.ErrorContext(ctx, "a panic; the sweep brings the task back", "task", id, "panic", fmt.Sprint(p), "stack", string(debug.Stack()))
		}
	}()
	if err := f.Ingester.Ingest(ctx, id); err != nil {
		f.Log.WarnContext(ctx, "not stored yet; the sweep brings it back", "task", id, "error", err)
	}
}
