// Package ingest is the stream's function: it copies the pictures of tasks
// that are being stored to the bucket, and empties it for deleted ones.
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

// New gives the function for DynamoDB's stream.
func New(f Function) func(context.Context, events.DynamoDBEvent) error {
	return stream.Each(f.Log, f.Task)
}

// Task does one task's work. It fails for the log alone, and so does a panic:
// a picture that breaks a decoder must not stop the stream.
func (f Function) Task(ctx context.Context, id string) {
	defer stream.Recover(ctx, f.Log, id)
	if err := f.Ingester.Ingest(ctx, id); err != nil {
		f.Log.WarnContext(ctx, "not stored yet; the sweep brings it back", "task", id, "error", err)
	}
}
