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
	"time"

	"github.com/preset/nanobanana-functions/shared/media"
	"github.com/preset/nanobanana-functions/shared/task"
)

// A haul is what a run of ingest got from a task's links.
type haul struct {
	slots []task.Image // what each of the links led to; no File: nothing yet
	none  []string     // links that lead to something other than a picture
	tried []string     // all links, stand-ins too
}

// images are those that were got, damaged ones included.
func (h *haul) images() []task.Image {
	return slices.DeleteFunc(slices.Clone(h.slots), func(i task.Image) bool { return i.File == "" })
}

// ends reports whether t can end with what was got. After the last wake a part of it
// is enough, if every link there is by now was tried.
func (h *haul) ends(t *task.Task) bool {
	x, images := t.Clone(), h.images()
	x.DropLinks(h.none, images)
	return x.Complete(images) || x.LastWake && len(images)+len(x.Salvaged) > 0 && h.all(x)
}

// all reports whether every link that t has by now was tried.
func (h *haul) all(t *task.Task) bool {
	return !slices.ContainsFunc(slices.Concat(t.URLs, t.SpareLinks()), func(url string) bool { return !slices.Contains(h.tried, url) })
}

// short returns an error that counts the pictures of t that are not copied. The
// log has the reason for each.
func (h *haul) short(t *task.Task) error {
	whole := slices.DeleteFunc(h.images(), func(i task.Image) bool { return i.Damaged })
	return fmt.Errorf("%d of %d pictures of %s are not copied", len(h.slots)-len(whole), len(h.slots), t.ID)
}

// has reports whether a link has led to the same picture, which then is not to
// stand in for another one.
func (h *haul) has(image task.Image) bool {
	return slices.ContainsFunc(h.slots, func(x task.Image) bool { return x.SHA256 == image.SHA256 })
}

// take keeps an image for the link in slot i, if it is one, and better than what
// was got from it before.
func (h *haul) take(i int, image task.Image) {
	if image.File != "" && (h.slots[i].File == "" || h.slots[i].Damaged && !image.Damaged) {
		h.slots[i] = image
	}
}

// haul copies what the task's links lead to. For links that fail, what an earlier
// run has put into the bucket counts; then, after the record was asked for fresh
// links, those of trusted callbacks stand in.
func (g *Ingester) haul(ctx context.Context, t *task.Task) *haul {
	got := &haul{slots: make([]task.Image, len(t.URLs)), tried: slices.Clone(t.URLs)}
	for i, url := range t.URLs {
		image, err := g.copy(ctx, t, i+1, url)
		if err != nil {
			g.logCopy(ctx, t, i+1, err)
		}
		if noPicture(err) {
			got.none = append(got.none, url)
		}
		got.take(i, image)
	}
	for i := range got.slots {
		if kept, ok := t.SalvagedImage(i + 1); ok && !got.has(kept) {
			got.take(i, kept)
		}
	}
	for _, url := range t.SpareLinks() {
		i := slices.IndexFunc(got.slots, func(i task.Image) bool { return i.File == "" || i.Damaged })
		if i < 0 || t.Complete(got.images()) {
			break
		}
		got.tried = append(got.tried, url)
		image, err := g.copy(ctx, t, i+1, url)
		if err != nil {
			g.logCopy(ctx, t, i+1, err)
		}
		if !got.has(image) {
			got.take(i, image)
		}
	}
	return got
}

// noPicture reports whether a copy failed because the link leads to something
// other than a picture.
func noPicture(err error) bool { return reason(err) == string(media.KindNotPicture) }

// reason returns in a word why a copy failed.
func reason(err error) string {
	fetch, ok := errors.AsType[*media.FetchError](err)
	switch {
	case ok:
		return string(fetch.Kind)
	case errors.Is(err, media.ErrDamaged):
		return "damaged"
	case errors.Is(err, media.ErrNotPicture):
		return string(media.KindNotPicture)
	}
	return "not_stored"
}

func (g *Ingester) logCopy(ctx context.Context, t *task.Task, n int, err error) {
	g.Log.WarnContext(ctx, "a picture could not be copied", "task", t.ID, "picture", n, "reason", reason(err), "error", err)
}

// copy copies what the link for picture n leads to, trying again after each of
// Retries. A damaged picture is returned beside the error, if it is in the
// bucket: it is put there at first sight only, since each try may bring other
// bytes, and after the last wake, when it may count.
func (g *Ingester) copy(ctx context.Context, t *task.Task, n int, url string) (damaged task.Image, err error) {
	known := !t.LastWake && slices.ContainsFunc(t.Salvaged, func(i task.Image) bool { return i.N == n })
	for try := 0; ; try++ {
		image, err := g.copyOnce(ctx, t.ID, n, url, !known && damaged.File == "")
		if err == nil {
			return image, nil
		}
		if image.File != "" {
			damaged = image
		}
		if try == len(g.Retries) || ctx.Err() != nil {
			return damaged, err
		}
		select {
		case <-ctx.Done():
			return damaged, err
		case <-time.After(g.Retries[try]):
		}
	}
}

func (g *Ingester) copyOnce(ctx context.Context, id string, n int, url string, keepDamaged bool) (image task.Image, err error) {
	// A file, not memory: that is for the decoded picture.
	file, err := os.CreateTemp(g.Dir, "nanobanana-*")
	if err != nil {
		return task.Image{}, err
	}
	defer func() { err = errors.Join(err, file.Close(), os.Remove(file.Name())) }()

	size, cut := g.Fetcher.Fetch(ctx, url, file)
	if cut != nil && (!partial(cut) || size == 0 || ctx.Err() != nil) {
		return task.Image{}, cut
	}
	if _, err := file.Seek(0, io.SeekStart); err != nil {
		return task.Image{}, err
	}
	p, err := g.Open(ctx, file)
	if cut != nil && (err == nil || errors.Is(err, media.ErrDamaged)) {
		err = fmt.Errorf("%w: %w", media.ErrDamaged, cut)
	}
	damaged := errors.Is(err, media.ErrDamaged)
	if err != nil && !(damaged && keepDamaged) {
		return task.Image{}, errors.Join(err, cut)
	}
	image, fault := g.put(ctx, id, n, file, p)
	image.Damaged = damaged
	return image, errors.Join(err, fault)
}

// partial reports whether a download failed after a part of the picture came.
func partial(err error) bool {
	fetch, ok := errors.AsType[*media.FetchError](err)
	return ok && (fetch.Kind == media.KindCut || fetch.Kind == media.KindTimeout)
}

// put puts a picture and its thumbnail, if it has one, into the bucket.
func (g *Ingester) put(ctx context.Context, id string, n int, file io.ReadSeeker, p media.Picture) (task.Image, error) {
	key := media.Key(id, n, p.SHA256, p.Ext)
	if err := g.Bucket.Put(ctx, key, file, p.Bytes, p.ContentType, p.SHA256); err != nil {
		return task.Image{}, err
	}
	image := task.Image{
		N: n, File: media.File(key), Width: p.Width, Height: p.Height, Bytes: p.Bytes,
		ContentType: p.ContentType, SHA256: hex.EncodeToString(p.SHA256[:]),
	}
	if len(p.Thumbnail) == 0 {
		return image, nil
	}
	thumbnail, small := media.ThumbnailKey(id, n, p.SHA256), bytes.NewReader(p.Thumbnail)
	if err := g.Bucket.Put(ctx, thumbnail, small, small.Size(), "image/jpeg", sha256.Sum256(p.Thumbnail)); err != nil {
		return task.Image{}, err
	}
	image.Thumbnail = media.File(thumbnail)
	return image, nil
}
