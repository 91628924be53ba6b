package main

import (
	"context"
	"log/slog"
	"time"

	"github.com/preset/nanobanana-functions/shared/media"
	"github.com/preset/nanobanana-functions/shared/task"
	"github.com/preset/nanobanana-functions/shared/taskbolt"
)

// schedule does in process what EventBridge does: run something now and then.
// What run has to say of its errors it logs itself.
func schedule(ctx context.Context, every time.Duration, run func(context.Context)) {
	ticker := time.NewTicker(every)
	defer ticker.Stop()
	for {
		limited, cancel := context.WithTimeout(ctx, 50*time.Second)
		run(limited)
		cancel()
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
	}
}

// streamWorkers is how many tasks' work is done at once: mostly it waits for
// downloads and the disk, but each has a decoded picture in memory.
const streamWorkers = 8

// stream does in process what DynamoDB's stream does: hand over what has work
// to the function that does it.
func stream(ctx context.Context, store *taskbolt.Store, work task.Work, do func(ctx context.Context, id string), log *slog.Logger) {
	err := store.Consume(ctx, work, streamWorkers, func(ctx context.Context, c taskbolt.Change) error {
		do(ctx, c.ID)
		return ctx.Err() // cut off by the end of the run: hand it over again
	})
	if err != nil && ctx.Err() == nil {
		log.ErrorContext(ctx, "stream", "work", work, "error", err)
	}
}

// uploadAge is how old uploads get, as the bucket's lifecycle rule has it.
const uploadAge = 48 * time.Hour

// expire does in process what the bucket's lifecycle rule does: it deletes old
// uploads, now and each hour.
func expire(ctx context.Context, bucket *media.DirBucket, log *slog.Logger) {
	ticker := time.NewTicker(time.Hour)
	defer ticker.Stop()
	for {
		if err := bucket.Expire(ctx, media.UploadPrefix, uploadAge); err != nil && ctx.Err() == nil {
			log.ErrorContext(ctx, "old uploads", "error", err)
		}
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
	}
}
