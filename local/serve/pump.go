package serve

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"github.com/preset/nanobanana-functions/shared/media"
	"github.com/preset/nanobanana-functions/shared/media/dir"
	"github.com/preset/nanobanana-functions/shared/task"
	"github.com/preset/nanobanana-functions/shared/taskbolt"
)

// The time that a run of a schedule has, as on Lambda, and how many runs of the
// sweep there may be at once: one that hangs must not hold up the next.
const (
	runTime       = 90 * time.Second
	sweepsAtOnce  = 2
	balanceAtOnce = 1
)

// schedule does in process what EventBridge does: it starts run now and at
// every tick. Runs may overlap, but no more than atOnce of them; a tick that
// finds so many under way is left out. run logs its own errors. schedule
// returns when ctx has ended and the runs have returned.
func schedule(ctx context.Context, every time.Duration, atOnce int, run func(context.Context)) {
	ticker := time.NewTicker(every)
	defer ticker.Stop()
	slots := make(chan struct{}, atOnce)
	var runs sync.WaitGroup
	defer runs.Wait()
	for {
		select {
		case slots <- struct{}{}:
			runs.Go(func() {
				defer func() { <-slots }()
				limited, cancel := context.WithTimeout(ctx, runTime)
				defer cancel()
				run(limited)
			})
		default:
		}
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

// The pauses before a stream that broke off is started again double up to the
// longest.
const (
	firstRestart   = time.Second
	longestRestart = time.Minute
)

// stream does in process what DynamoDB's stream does: it hands over what has
// work to the function that does it. A stream that breaks off is started again.
func stream(ctx context.Context, store *taskbolt.Store, work task.Work, do func(ctx context.Context, id string), log *slog.Logger) {
	for pause := firstRestart; ; pause = min(2*pause, longestRestart) {
		begun := time.Now()
		err := store.Consume(ctx, work, streamWorkers, func(ctx context.Context, c taskbolt.Change) error {
			do(ctx, c.ID)
			return ctx.Err() // cut off by the end of the run: hand it over again
		})
		if ctx.Err() != nil || store.Damage() != nil {
			return // the run is ending
		}
		if time.Since(begun) > longestRestart {
			pause = firstRestart
		}
		log.ErrorContext(ctx, "a stream broke off", "work", work, "again", pause.String(), "error", err)
		select {
		case <-ctx.Done():
			return
		case <-time.After(pause):
		}
	}
}

// uploadAge is how old uploads get, as the bucket's lifecycle rule has it.
const uploadAge = 48 * time.Hour

// expire does in process what the bucket's lifecycle rule does: it deletes old
// uploads, now and each hour.
func expire(ctx context.Context, bucket *dir.Bucket, log *slog.Logger) {
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
