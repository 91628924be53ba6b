package lifecycle

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"time"

	"github.com/preset/nanobanana-functions/shared/media"
	"github.com/preset/nanobanana-functions/shared/task"
)

// Ingester copies result pictures to the bucket, and empties it for deleted
// tasks. Its fields are set before use.
type Ingester struct {
	Store   task.Store
	Fetcher *media.Fetcher
	Bucket  media.Bucket
	Open    func(context.Context, io.ReadSeeker) (media.Picture, error) // picture.Open
	Rules   task.Rules
	Now     func() time.Time
	Log     *slog.Logger
	Dir     string // for the pictures on their way; empty: the system's

	// Retries are the pauses before the second and further tries of a copy.
	Retries []time.Duration
}

// Ingest does the task's work, if that is for it: the stream's record is only
// the id. On failure it writes nothing, and the sweep wakes the task again;
// the error is for the log.
func (g *Ingester) Ingest(ctx context.Context, id string) error {
	t, err := g.Store.Task(ctx, id)
	if err != nil {
		return err
	}
	switch {
	case t.Work == task.Ingest && t.Status == task.Storing:
		return g.store(ctx, t)
	case t.Work == task.Erase:
		return g.erase(ctx, t)
	}
	return nil // done already, or somebody else's
}

// store copies the task's pictures, and ends it once they are all there or its
// last wake has come.
func (g *Ingester) store(ctx context.Context, t *task.Task) error {
	got := g.haul(ctx, t)
	if !got.ends(t) {
		return errors.Join(got.short(t), g.salvage(ctx, t, got))
	}
	stored, err := journal{g.Store, g.Log}.update(ctx, t, nil, func(x *task.Task) error {
		if !got.ends(x) {
			return nil // it has learned of more since: that write's stream record does them
		}
		x.DropLinks(got.none, got.images())
		return x.Stored(g.Rules, g.Now(), got.images())
	})
	if err == nil {
		g.time(ctx, stored)
	}
	return err
}

// salvage keeps on the row what pictures there are in the bucket, until all are. It
// takes the row's work, which it may not if there are links by now that were not
// tried: that write's stream record does them.
func (g *Ingester) salvage(ctx context.Context, t *task.Task, got *haul) error {
	_, err := task.Update(ctx, g.Store, t, func(x *task.Task) error {
		if got.all(x) {
			x.Salvage(got.images())
		}
		return nil
	})
	return err
}

// time keeps how long the task took, for what others may expect. The task has
// ended: whether that can be kept is no concern of its.
func (g *Ingester) time(ctx context.Context, t *task.Task) {
	timing, ok := t.Timing()
	if !ok {
		return
	}
	if err := g.Store.SetTiming(ctx, timing); err != nil {
		g.Log.WarnContext(ctx, "a timing is not kept", "task", t.ID, "error", err)
	}
}

// erase deletes everything of a deleted task.
func (g *Ingester) erase(ctx context.Context, t *task.Task) error {
	begun := g.Now()
	if err := g.Bucket.Erase(ctx, media.Prefix(t.ID)); err != nil {
		return err
	}
	_, err := task.Update(ctx, g.Store, t, func(x *task.Task) error {
		x.Erased(g.Now(), begun)
		return nil
	})
	return err
}
