package main

import (
	"context"
	"log/slog"
	"time"

	"github.com/preset/nanobanana-functions/functions/ingest"
	"github.com/preset/nanobanana-functions/shared/lifecycle"
	"github.com/preset/nanobanana-functions/shared/task"
	"github.com/preset/nanobanana-functions/shared/taskbolt"
)

// schedule does in process what EventBridge does: sweep now and then.
func schedule(ctx context.Context, every time.Duration, sweep func(context.Context) (lifecycle.Swept, error), log *slog.Logger) {
	ticker := time.NewTicker(every)
	defer ticker.Stop()
	for {
		run, cancel := context.WithTimeout(ctx, 50*time.Second)
		if _, err := sweep(run); err != nil && ctx.Err() == nil {
			log.ErrorContext(ctx, "sweep", "error", err)
		}
		cancel()
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
	}
}

// ingestWork is the work whose stream records ingest gets.
var ingestWork = []task.Work{task.Ingest, task.Erase}

// streamWorkers is how many tasks' work is done at once: mostly it waits for
// downloads and the disk, but each has a decoded picture in memory.
const streamWorkers = 8

// stream does in process what DynamoDB's stream does: hand over what has work.
func stream(ctx context.Context, store *taskbolt.Store, work task.Work, f ingest.Function, log *slog.Logger) {
	err := store.Consume(ctx, work, streamWorkers, func(ctx context.Context, c taskbolt.Change) error {
		f.Task(ctx, c.ID)
		return ctx.Err() // cut off by the end of the run: hand it over again
	})
	if err != nil && ctx.Err() == nil {
		log.ErrorContext(ctx, "stream", "work", work, "error", err)
	}
}
