package lifecycle

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"time"

	"github.com/preset/nanobanana-functions/shared/media"
	"github.com/preset/nanobanana-functions/shared/task"
)

// Ingester copies pictures to the bucket, and deletes those of deleted tasks. Its
// fields are set before use.
type Ingester struct {
	Store   task.Store
	Fetcher *media.Fetcher
	Bucket  media.Bucket
	Links   media.Linker                                                // of the same bucket
	HTTP    *http.Client                                                // reads uploads, by our own links
	Open    func(context.Context, io.ReadSeeker) (media.Picture, error) // picture.Open
	Copy    func(context.Context, io.ReadSeeker) (media.Copy, error)    // picture.Copy
	Rules   task.Rules
	Now     func() time.Time
	Log     *slog.Logger
	Dir     string // for downloads; empty: the system's temporary folder

	// Parallel is how many first tries of a task's copies run at once, and how many puts
	// of one copy. 0 means 1.
	Parallel int
	// Retries are the pauses before the second and later tries of a copy.
	Retries []time.Duration
	// InputsTime is how much longer a run takes for copies of inputs once it has the
	// pictures: so long to make them, and as long again to store them. Before that, an
	// input that takes twice as long to decode is given up.
	InputsTime time.Duration
}

// Ingest copies the task's pictures, or erases them, if its row still asks for that: of
// the stream's message only the id counts. On failure the row keeps its work, and the
// sweep wakes the task again; the error is only for the log.
func (g *Ingester) Ingest(ctx context.Context, id string) error {
	t, err := g.Store.Task(ctx, id)
	if err != nil {
		return err
	}
	switch {
	case t.Work == task.Ingest && t.Status == task.Storing:
		return g.storePictures(ctx, t)
	case t.Work == task.Erase:
		return g.erase(ctx, t)
	}
	return nil // done already
}

// storePictures copies the task's pictures, and ends the task if that is complete, or
// after the last wake. Copies of its inputs are made meanwhile, but stored only for a task
// that ends.
func (g *Ingester) storePictures(ctx context.Context, t *task.Task) error {
	g = g.oneDecode()
	inputs := g.copyInputs(ctx, t)
	defer inputs.stop()
	got := g.copyAll(ctx, t)
	if !got.suffice(t) {
		return errors.Join(got.shortfall(t), g.salvage(ctx, t, got))
	}
	kept := g.storeInputs(ctx, t, inputs)
	stored, err := rowWriter{g.Store, g.Log}.update(ctx, t, nil, func(x *task.Task) error {
		if !got.suffice(x) {
			return nil // more links are known by now, and the write of those woke another run
		}
		x.DropLinks(got.notPictures, got.images())
		x.KeepInputs(kept)
		return x.Stored(g.Rules, g.Now(), got.images())
	})
	if err == nil {
		g.keepTiming(ctx, stored)
	}
	return err
}

// salvage notes on the row which pictures are in the bucket so far. That removes the row's
// work, so it writes nothing if links are known by now that were not tried: the write
// of those woke another run.
func (g *Ingester) salvage(ctx context.Context, t *task.Task, got *copies) error {
	_, err := task.Update(ctx, g.Store, t, func(x *task.Task) error {
		if got.triedAll(x) {
			x.Salvage(got.images())
		}
		return nil
	})
	return err
}

// keepTiming stores how long the task took, for estimates of later ones. An error does
// not concern the task, which has ended.
func (g *Ingester) keepTiming(ctx context.Context, t *task.Task) {
	timing, ok := t.Timing()
	if !ok {
		return
	}
	if err := g.Store.SetTiming(ctx, timing); err != nil {
		g.Log.WarnContext(ctx, "a timing could not be stored", "task", t.ID, "error", err)
	}
}

// erase deletes everything of a deleted task.
func (g *Ingester) erase(ctx context.Context, t *task.Task) error {
	begun := g.Now()
	if err := g.Bucket.Erase(ctx, media.Prefix(t.ID)); err != nil {
		return err
	}
	_, err := task.Update(ctx, g.Store, t, func(x *task.Task) error {
		x.Erased(begun)
		return nil
	})
	return err
}
