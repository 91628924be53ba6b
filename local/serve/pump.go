package serve

import (
	"context"
	"io"
	"log/slog"
	"runtime"
	"sync"
	"time"

	"github.com/preset/nanobanana-functions/shared/media"
	"github.com/preset/nanobanana-functions/shared/media/dir"
	"github.com/preset/nanobanana-functions/shared/task"
	"github.com/preset/nanobanana-functions/shared/taskbolt"
)

const (
	runTimeout    = 90 * time.Second // of a scheduled run, as on Lambda
	sweepsAtOnce  = 2                // so that one that hangs does not hold up the next
	balanceAtOnce = 1
)

// schedule stands in for EventBridge: it starts run now and at every tick. At most
// atOnce runs overlap; a tick is skipped while that many are under way. run logs
// its own errors. schedule returns when ctx has ended and all runs have returned.
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
				limited, cancel := context.WithTimeout(ctx, runTimeout)
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

// streamWorkers is how many tasks a stream handles at once. Most of the time they
// wait for downloads and the disk; inTurns bounds their memory.
const streamWorkers = 24

// maxDecoded is how many decoded pictures are in memory at once.
const maxDecoded = 8

// turns lets at most as many decode at once as there are CPUs, since a decoded picture
// may take 256 MiB.
type turns chan struct{}

func newTurns() turns { return make(turns, min(maxDecoded, runtime.GOMAXPROCS(0))) }

// inTurns returns a decode that waits for its turn. picture.Open and picture.Copy decode.
func inTurns[T any](t turns, decode func(context.Context, io.ReadSeeker) (T, error)) func(context.Context, io.ReadSeeker) (T, error) {
	return func(ctx context.Context, file io.ReadSeeker) (found T, err error) {
		select {
		case t <- struct{}{}:
		case <-ctx.Done():
			return found, ctx.Err()
		}
		defer func() { <-t }()
		return decode(ctx, file)
	}
}

// The back-off before a stream that stopped is restarted doubles from the first to
// the longest.
const (
	firstBackoff   = time.Second
	longestBackoff = time.Minute
)

// stream stands in for DynamoDB's stream: it calls do with the id of each task whose
// row asks for this. A stream that stops with an error is restarted.
func stream(ctx context.Context, store *taskbolt.Store, message task.Message, do func(ctx context.Context, id string), log *slog.Logger) {
	for backoff := firstBackoff; ; backoff = min(2*backoff, longestBackoff) {
		started := time.Now()
		err := store.Consume(ctx, message, streamWorkers, func(ctx context.Context, c taskbolt.Change) error {
			do(ctx, c.ID)
			return ctx.Err() // interrupted by the end of the run: deliver it again
		})
		if ctx.Err() != nil || store.Damage() != nil {
			return // the run is ending
		}
		if time.Since(started) > longestBackoff {
			backoff = firstBackoff
		}
		log.ErrorContext(ctx, "a stream stopped; it will be restarted", "work", message, "again", backoff.String(), "error", err)
		select {
		case <-ctx.Done():
			return
		case <-time.After(backoff):
		}
	}
}

// uploadTTL is how long uploads are kept, as by the bucket's lifecycle rule.
const uploadTTL = 48 * time.Hour

// expire stands in for the bucket's lifecycle rule: it deletes old uploads, now and
// every hour.
func expire(ctx context.Context, bucket *dir.Bucket, log *slog.Logger) {
	ticker := time.NewTicker(time.Hour)
	defer ticker.Stop()
	for {
		if err := bucket.Expire(ctx, media.UploadPrefix, uploadTTL); err != nil && ctx.Err() == nil {
			log.ErrorContext(ctx, "old uploads were not deleted; the next try is in an hour", "error", err)
		}
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
	}
}
