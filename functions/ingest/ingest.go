// Package ingest is the function that the table's stream calls for pictures: it
// copies a task's pictures to the bucket, and removes those of deleted tasks.
package ingest

import (
	"context"
	"log/slog"

	"github.com/aws/aws-lambda-go/events"

	"github.com/preset/nanobanana-functions/shared/aws/stream"
	"github.com/preset/nanobanana-functions/shared/lifecycle"
)

// Function is what ingest needs.
type Function struct {
	Ingester *lifecycle.Ingester
	Log      *slog.Logger
}

// New returns the function for DynamoDB's stream.
func New(f Function) func(context.Context, events.DynamoDBEvent) error {
	return stream.Each(f.Log, f.Task)
}

// Task does one task's work. It only logs errors and panics: a picture that breaks
// a decoder must not stop the stream.
func (f Function) Task(ctx context.Context, id string) {
	defer stream.Recover(ctx, f.Log, id)
	if err := f.Ingester.Ingest(ctx, id); err != nil {
		f.Log.WarnContext(ctx, "pictures not stored; will retry", "task", id, "error", err)
	}
}
