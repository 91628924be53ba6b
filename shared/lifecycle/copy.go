package lifecycle

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"

	"github.com/preset/nanobanana-functions/shared/media"
	"github.com/preset/nanobanana-functions/shared/task"
)

// copies is what one run of ingest has copied from a task's links.
type copies struct {
	slots       []task.Image // one per link; no File: nothing yet
	notPictures []string     // links to something other than a picture
	tried       []string     // all links, stand-ins included
}

// images returns the pictures copied, damaged ones included.
func (c *copies) images() []task.Image {
	return slices.DeleteFunc(slices.Clone(c.slots), func(i task.Image) bool { return i.File == "" })
}

// suffice reports whether t can end with these copies. After the last wake some of the
// pictures are enough, if every link known by now was tried.
func (c *copies) suffice(t *task.Task) bool {
	x, images := t.Clone(), c.images()
	x.DropLinks(c.notPictures, images)
	return x.Complete(images) || x.LastWake && len(images)+len(x.Salvaged) > 0 && c.triedAll(x)
}

// triedAll reports whether every link of t was tried.
func (c *copies) triedAll(t *task.Task) bool {
	return !slices.ContainsFunc(slices.Concat(t.URLs, t.SpareLinks()), func(url string) bool { return !slices.Contains(c.tried, url) })
}

// shortfall returns an error with the number of t's pictures that were not copied. The
// log has the reason for each.
func (c *copies) shortfall(t *task.Task) error {
	whole := slices.DeleteFunc(c.images(), func(i task.Image) bool { return i.Damaged })
	return fmt.Errorf("%d of %d pictures of %s are not copied", len(c.slots)-len(whole), len(c.slots), t.ID)
}

// has reports whether a link led to the same picture, which then must not stand in for
// another one.
func (c *copies) has(image task.Image) bool {
	return slices.ContainsFunc(c.slots, func(x task.Image) bool { return x.SHA256 == image.SHA256 })
}

// put puts an image into slot i if it is better than what the slot holds.
func (c *copies) put(i int, image task.Image) {
	if image.File != "" && (c.slots[i].File == "" || c.slots[i].Damaged && !image.Damaged) {
		c.slots[i] = image
	}
}

// copyAll copies the pictures at the task's links. For a link that fails, the copy of an
// earlier run counts. After that, links of trusted callbacks stand in, once the record
// was read for fresh links.
func (g *Ingester) copyAll(ctx context.Context, t *task.Task) *copies {
	got := &copies{slots: make([]task.Image, len(t.URLs)), tried: slices.Clone(t.URLs)}
	first := g.firstTries(ctx, t)
	for i, url := range t.URLs {
		image, err := g.tryAgain(ctx, t, i+1, url, first[i])
		if err != nil {
			g.logCopy(ctx, t, i+1, err)
		}
		if notPicture(err) {
			got.notPictures = append(got.notPictures, url)
		}
		got.put(i, image)
	}
	for i := range got.slots {
		if kept, ok := t.SalvagedImage(i + 1); ok && !got.has(kept) {
			got.put(i, kept)
		}
	}
	for _, url := range t.SpareLinks() {
		i := slices.IndexFunc(got.slots, func(i task.Image) bool { return i.File == "" || i.Damaged })
		if i < 0 || t.Complete(got.images()) {
			break
		}
		got.tried = append(got.tried, url)
		image, err := g.tryAgain(ctx, t, i+1, url, g.try(ctx, t, i+1, url, task.Image{}))
		if err != nil {
			g.logCopy(ctx, t, i+1, err)
		}
		if !got.has(image) {
			got.put(i, image)
		}
	}
	return got
}

// notPicture reports whether a copy failed because the link leads to something other
// than a picture.
func notPicture(err error) bool { return reason(err) == string(media.KindNotPicture) }

// reason returns why a copy failed, in one word for the log.
func reason(err error) string {
	fetch, ok := errors.AsType[*media.FetchError](err)
	switch {
	case ok:
		return string(fetch.Kind)
	case errors.Is(err, media.ErrDamaged):
		return "damaged"
	case errors.Is(err, media.ErrNotPicture):
		return string(media.KindNotPicture)
	case errors.Is(err, errNoUpload):
		return "expired"
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		return string(media.KindTimeout)
	}
	return "not_stored"
}

func (g *Ingester) logCopy(ctx context.Context, t *task.Task, n int, err error) {
	g.Log.WarnContext(ctx, "a picture could not be copied", "task", t.ID, "picture", n, "reason", reason(err), "error", err)
}

func (g *Ingester) copyOnce(ctx context.Context, t *task.Task, n int, url string, keepDamaged bool) (image task.Image, err error) {
	// A file, since the decoded picture needs the memory.
	file, err := os.CreateTemp(g.Dir, "nanobanana-*")
	if err != nil {
		return task.Image{}, err
	}
	defer func() { err = errors.Join(err, file.Close(), os.Remove(file.Name())) }()

	size, fetchErr := g.Fetcher.Fetch(ctx, url, file)
	if fetchErr != nil && (!partial(fetchErr) || size == 0 || ctx.Err() != nil) {
		return task.Image{}, fetchErr
	}
	if _, err := file.Seek(0, io.SeekStart); err != nil {
		return task.Image{}, err
	}
	p, err := g.Open(ctx, file)
	if fetchErr != nil && (err == nil || errors.Is(err, media.ErrDamaged)) {
		err = fmt.Errorf("%w: %w", media.ErrDamaged, fetchErr)
	}
	damaged := errors.Is(err, media.ErrDamaged)
	if err != nil && !(damaged && keepDamaged) {
		return task.Image{}, errors.Join(err, fetchErr)
	}
	image, putErr := g.put(ctx, t, n, file, p)
	image.Damaged = damaged
	return image, errors.Join(err, putErr)
}

// partial reports whether a download failed after part of the picture had arrived.
func partial(err error) bool {
	fetch, ok := errors.AsType[*media.FetchError](err)
	return ok && (fetch.Kind == media.KindCut || fetch.Kind == media.KindTimeout)
}

// put stores a picture, byte for byte as it came, and its thumbnail, if it has one: both at
// once, if Parallel allows. The thumbnail is marked with how the picture was made.
func (g *Ingester) put(ctx context.Context, t *task.Task, n int, file io.ReadSeeker, p media.Picture) (task.Image, error) {
	key, thumbnail := media.Key(t.ID, n, p.SHA256, p.Ext), media.ThumbnailKey(t.ID, n, p.SHA256)
	image := task.Image{
		N: n, File: media.File(key), Width: p.Width, Height: p.Height, Bytes: p.Bytes,
		ContentType: p.ContentType, SHA256: hex.EncodeToString(p.SHA256[:]),
		C2PA: task.PresenceOf(p.C2PA),
	}
	puts := []func() error{func() error { return g.Bucket.Put(ctx, key, file, p.Bytes, p.ContentType, p.SHA256) }}
	if len(p.Thumbnail) > 0 {
		image.Thumbnail = media.File(thumbnail)
		marked := media.Mark(p.Thumbnail, t.Origin().URI())
		puts = append(puts, func() error {
			return g.Bucket.Put(ctx, thumbnail, bytes.NewReader(marked), int64(len(marked)), "image/jpeg", sha256.Sum256(marked))
		})
	}
	errs := make([]error, len(puts))
	together(len(puts), g.Parallel, func(i int) { errs[i] = puts[i]() })
	if err := errors.Join(errs...); err != nil {
		return task.Image{}, err
	}
	return image, nil
}
