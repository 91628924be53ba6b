// Package stream is DynamoDB's stream as our functions get it. A record is
// only a task's id: the row is read before anything is done for it.
package stream

import (
	"context"
	"fmt"
	"log/slog"
	"runtime/debug"

	"github.com/aws/aws-lambda-go/events"
)

// Each gives the function that has do see to each record's task. It never
// fails a batch: the index of due tasks brings back what could not be done.
func Each(log *slog.Logger, do func(ctx context.Context, id string)) func(context.Context, events.DynamoDBEvent) error {
	return func(ctx context.Context, e events.DynamoDBEvent) error {
		for _, record := range e.Records {
			id, ok := record.Change.Keys["id"]
			if !ok || id.DataType() != events.DataTypeString {
				log.ErrorContext(ctx, "a stream record without an id", "record", record.EventID)
				continue
			}
			do(ctx, id.String())
		}
		return nil
	}
}

// Recover, deferred, makes a panic over one task a line in the log: it must
// not stop the stream.
func Recover(ctx context.Context, log *slog.Logger, id string) {
	if p := recover(); p != nil {
		log.ErrorContext(ctx, "a panic; the sweep brings the task back", "task", id, "panic", fmt.Sprint(p), "stack", string(debug.Stack()))
	}
}
