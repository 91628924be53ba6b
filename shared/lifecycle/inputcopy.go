package lifecycle

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"runtime/debug"
	"slices"
	"time"

	"github.com/preset/nanobanana-functions/shared/media"
	"github.com/preset/nanobanana-functions/shared/task"
)

const (
	// inputTries is the last try of a task's copies that includes its inputs. If an input
	// ended the process each time, the pictures would never be stored.
	inputTries = 2

	// minInputsTime is the time that a function must have left: 10 s for the inputs, and
	// the rest to write the row.
	minInputsTime = 30 * time.Second
)

var errSkipped = errors.New("not tried again after two tries of this task")

// inputCopy is a copy of one upload.
type inputCopy struct {
	n   int // its place in imageUrls, from 1
	key string
	media.Copy
	err error
}

// inputCopies are the copies of a task's uploads while they are made.
type inputCopies struct {
	all    []inputCopy // written until made is closed
	made   chan struct{}
	cancel context.CancelFunc
}

// copyInputs begins to make copies of the uploads that t edits. They are made one after
// another, and beside the pictures' downloads, so that a task rarely takes longer for them.
func (g *Ingester) copyInputs(ctx context.Context, t *task.Task) *inputCopies {
	c := &inputCopies{made: make(chan struct{})}
	for _, u := range t.InputsToKeep() {
		if key, ok := media.UploadKey(t.Owner, u.ID); ok { // the owner's, whatever the id
			c.all = append(c.all, inputCopy{n: u.N, key: key})
		}
	}
	ctx, c.cancel = context.WithCancel(ctx)
	if len(c.all) == 0 { // no goroutine for the many tasks without uploads
		close(c.made)
		return c
	}
	go func() {
		defer close(c.made)
		for i := range c.all {
			if c.all[i].err = errSkipped; t.Tries <= inputTries {
				c.all[i].Copy, c.all[i].err = g.copyInput(ctx, c.all[i].key)
			}
		}
	}()
	return c
}

// stop ends the copying, and waits for that.
func (c *inputCopies) stop() {
	c.cancel()
	<-c.made
}

// copyInput reads the upload under a key and encodes it anew. A panic is returned as an
// error: in this goroutine it would end the process.
func (g *Ingester) copyInput(ctx context.Context, key string) (c media.Copy, err error) {
	defer func() {
		if p := recover(); p != nil {
			c, err = media.Copy{}, fmt.Errorf("panic: %v\n%s", p, debug.Stack())
		}
	}()
	file, err := g.readUpload(ctx, key)
	if err != nil && !errors.Is(err, errNoUpload) && ctx.Err() == nil {
		file, err = g.readUpload(ctx, key) // S3 asks to try again now and then
	}
	switch {
	case err != nil:
		return c, err
	case len(file) > media.MaxUploadBytes:
		return c, fmt.Errorf("%w: longer than %d bytes", media.ErrNotPicture, media.MaxUploadBytes)
	}
	return g.Copy(ctx, bytes.NewReader(file))
}

// readUpload reads an upload, or one byte more than an upload may have.
func (g *Ingester) readUpload(ctx context.Context, key string) ([]byte, error) {
	body, err := openUpload(ctx, g.Links, g.HTTP, key)
	if err != nil {
		return nil, err
	}
	file, err := io.ReadAll(io.LimitReader(body, media.MaxUploadBytes+1))
	return file, errors.Join(err, body.Close())
}

// storeInputs stores the copies, in the Ingester's time for that, and returns those that are in the bucket.
// It logs why others are not; that they are missing is in the line of the task's end.
func (g *Ingester) storeInputs(ctx context.Context, t *task.Task, c *inputCopies) []task.Input {
	if len(c.all) == 0 {
		return nil
	}
	late := time.AfterFunc(g.InputsTime, c.cancel)
	defer late.Stop()
	if !timeLeft(ctx, minInputsTime) {
		c.cancel()
	}
	<-c.made
	ctx, cancel := context.WithTimeout(ctx, g.InputsTime)
	defer cancel()
	stored := make([]task.Input, len(c.all))
	together(len(c.all), g.Parallel, func(i int) {
		if c.all[i].err == nil {
			stored[i], c.all[i].err = g.putInput(ctx, t.ID, c.all[i])
		}
	})
	for _, x := range c.all {
		if x.err != nil {
			g.Log.InfoContext(ctx, "an input was not kept", "task", t.ID, "input", x.n, "reason", reason(x.err), "error", x.err)
		}
	}
	return slices.DeleteFunc(stored, func(i task.Input) bool { return i.File == "" })
}

// putInput stores a copy and its thumbnail.
func (g *Ingester) putInput(ctx context.Context, id string, c inputCopy) (task.Input, error) {
	key, thumbnail := media.InputKeys(id, c.n, sha256.Sum256(c.JPEG))
	put := func(key string, file []byte) error {
		return g.Bucket.Put(ctx, key, bytes.NewReader(file), int64(len(file)), "image/jpeg", sha256.Sum256(file))
	}
	if err := errors.Join(put(key, c.JPEG), put(thumbnail, c.Thumbnail)); err != nil {
		return task.Input{}, err
	}
	return task.Input{N: c.n, File: media.File(key), Thumbnail: media.File(thumbnail), Width: c.Width, Height: c.Height}, nil
}
