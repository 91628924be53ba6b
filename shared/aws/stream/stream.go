// Package stream receives DynamoDB's stream on Lambda. Only the task's id is taken
// from a record: the consumer reads the row before it acts. See
// docs/decisions/streams.md.
package stream

import (
	"context"
	"fmt"
	"log/slog"
	"runtime/debug"

	"github.com/aws/aws-lambda-go/events"
)

// Each returns a stream handler that calls do with each record's task id. It never
// fails a batch: the sweep wakes a task whose work was not done.
func Each(log *slog.Logger, do func(ctx context.Context, id string)) func(context.Context, events.DynamoDBEvent) error {
	return func(ctx context.Context, e events.DynamoDBEvent) error {
		for _, record := range e.Records {
			id, ok := record.Change.Keys["id"]
			if !ok || id.DataType() != events.DataTypeString {
				log.ErrorContext(ctx, "stream record without an id; ignored", "record", record.EventID)
				continue
			}
			do(ctx, id.String())
		}
		return nil
	}
}

// Recover, deferred, logs a panic about one task, so that it does not stop the
// stream.
func Recover(ctx context.Context, log *slog.Logger, id string) {
	if p := recover(); p != nil {
		log.ErrorContext(ctx, "panic; the sweep will retry the task", "task", id, "panic", fmt.Sprint(p), "stack", string(debug.Stack()))
	}
}
