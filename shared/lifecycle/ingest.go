package lifecycle

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
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

func (g *Ingester) store(ctx context.Context, t *task.Task) error {
	images := make([]task.Image, 0, len(t.URLs))
	var faults error
	for i, url := range t.URLs {
		image, err := g.copy(ctx, t.ID, i+1, url)
		if err != nil {
			faults = errors.Join(faults, fmt.Errorf("picture %d of %s: %w", i+1, t.ID, err))
			continue
		}
		images = append(images, image)
	}
	switch {
	case len(images) == 0 || !t.Whole(images) && !t.LastWake:
		return faults
	case t.Whole(images):
		faults = nil // of a link that is not needed any more
	}
	stored, err := journal{g.Store, g.Log}.update(ctx, t, nil, func(x *task.Task) error {
		if !x.Whole(images) && !x.LastWake {
			return nil // it has learned of more since: that write's stream record does them
		}
		return x.Stored(g.Rules, g.Now(), images)
	})
	if err == nil {
		g.time(ctx, stored)
	}
	return errors.Join(faults, err)
}

// time keeps how long the task took, for what others may expect. The task has
// ended: whether that can be kept is no concern of its.
func (g *Ingester) time(ctx context.Context, t *task.Task) {
	timing, ok := t.Timing()
	if !ok {
		return
	}
	if err := g.Store.Time(ctx, timing); err != nil {
		g.Log.WarnContext(ctx, "a timing is not kept", "task", t.ID, "error", err)
	}
}

// copy copies one picture, trying again after each of Retries.
func (g *Ingester) copy(ctx context.Context, id string, n int, url string) (task.Image, error) {
	for try := 0; ; try++ {
		image, err := g.copyOnce(ctx, id, n, url)
		if err == nil || try == len(g.Retries) || ctx.Err() != nil {
			return image, err
		}
		select {
		case <-ctx.Done():
			return task.Image{}, err
		case <-time.After(g.Retries[try]):
		}
	}
}

func (g *Ingester) copyOnce(ctx context.Context, id string, n int, url string) (image task.Image, err error) {
	// A file, not memory: that is for the decoded picture.
	file, err := os.CreateTemp(g.Dir, "nanobanana-*")
	if err != nil {
		return task.Image{}, err
	}
	defer func() { err = errors.Join(err, file.Close(), os.Remove(file.Name())) }()

	if _, err := g.Fetcher.Fetch(ctx, url, file); err != nil {
		return task.Image{}, err
	}
	if _, err := file.Seek(0, io.SeekStart); err != nil {
		return task.Image{}, err
	}
	p, err := g.Open(ctx, file)
	if err != nil {
		return task.Image{}, err
	}
	key, thumbnail := media.Key(id, n, p.SHA256, p.Ext), media.ThumbnailKey(id, n, p.SHA256)
	if err := g.Bucket.Put(ctx, key, file, p.Bytes, p.ContentType, p.SHA256); err != nil {
		return task.Image{}, err
	}
	small := bytes.NewReader(p.Thumbnail)
	if err := g.Bucket.Put(ctx, thumbnail, small, small.Size(), "image/jpeg", sha256.Sum256(p.Thumbnail)); err != nil {
		return task.Image{}, err
	}
	return task.Image{
		N: n, File: media.File(key), Thumbnail: media.File(thumbnail),
		Width: p.Width, Height: p.Height, Bytes: p.Bytes,
		ContentType: p.ContentType, SHA256: hex.EncodeToString(p.SHA256[:]),
	}, nil
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
