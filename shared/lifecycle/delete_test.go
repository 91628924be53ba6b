package lifecycle_test

import (
	"context"
	"crypto/sha256"
	"errors"
	"net/http"
	"testing"
	"time"

	"github.com/preset/nanobanana-functions/shared/lifecycle"
	"github.com/preset/nanobanana-functions/shared/media"
	"github.com/preset/nanobanana-functions/shared/media/dir"
	"github.com/preset/nanobanana-functions/shared/nanobanana/nanobananatest"
	"github.com/preset/nanobanana-functions/shared/task"
)

var errKilled = errors.New("the process is gone")

// dyingBucket is a bucket whose user is killed in the middle of an Erase: when
// the first of the objects is gone.
type dyingBucket struct {
	*dir.Bucket
	kill func() // deletes an object
	left int    // kills
}

func (b *dyingBucket) Erase(ctx context.Context, prefix string) error {
	if b.left > 0 {
		b.left--
		b.kill()
		return errKilled
	}
	return b.Bucket.Erase(ctx, prefix)
}

// gone says whether nothing is behind an object's link.
func (w *world) gone(key string) bool {
	w.t.Helper()
	link, err := w.Bucket.Link(w.t.Context(), key, time.Minute, "")
	if err != nil {
		w.t.Fatal(err)
	}
	resp, err := http.Get(link)
	if err != nil {
		w.t.Fatal(err)
	}
	_ = resp.Body.Close()
	return resp.StatusCode == http.StatusNotFound
}

// rests has the sweep, and ingest on what it wakes, finish a delete: no other
// stream record comes. It ends when nothing is left to do.
func (w *world) rests(id string) *task.Task {
	w.t.Helper()
	for range 120 {
		tries := w.task(id).Tries
		w.sweep(time.Minute)
		switch x := w.task(id); {
		case x.Work == "" && x.DueAt.IsZero():
			return x
		case x.Tries > tries:
			w.work(id) // its put is on the stream
		}
	}
	w.t.Fatalf("two hours later it is %+v", w.task(id))
	return nil
}

// A delete is cut short at each point behind its row's write. The sweep, and
// ingest on what that wakes, finish it: no picture stays, and the row rests.
func TestDeleteKilled(t *testing.T) {
	t.Parallel()
	tests := map[string]func(w *world, b *dyingBucket, id string){
		"its stream record is lost": func(*world, *dyingBucket, string) {},
		"while the bucket is emptied": func(w *world, b *dyingBucket, id string) {
			b.left = 1
			w.work(id)
		},
		"while the bucket is emptied, four times": func(w *world, b *dyingBucket, id string) {
			b.left = 4
			w.work(id)
		},
		"while the bucket is emptied for the last time": func(w *world, b *dyingBucket, id string) {
			w.Clock.Add(20 * time.Minute)
			b.left = 1
			w.work(id)
			if x := w.task(id); x.Work != task.Erase || x.DueAt.IsZero() {
				w.t.Errorf("after an erase that failed: work %q, due %v", x.Work, x.DueAt)
			}
		},
		"when the bucket is empty, 20 minutes late": func(w *world, _ *dyingBucket, id string) {
			w.Clock.Add(20 * time.Minute)
			w.Rows.Fail(died(func(call string, _ *task.Task) bool { return call == "put" }), nil)
			w.work(id)
			w.Rows.Fail(nil, nil)
		},
		"its last write's answer is lost": func(w *world, _ *dyingBucket, id string) {
			w.Clock.Add(20 * time.Minute)
			w.Rows.Fail(nil, died(func(call string, _ *task.Task) bool { return call == "put" }))
			w.work(id)
			w.Rows.Fail(nil, nil)
		},
	}
	for name, kill := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			end := w.made()
			file, thumbnail := media.Prefix(end.ID)+end.Images[0].File, media.Prefix(end.ID)+end.Images[0].Thumbnail
			small := w.stored(thumbnail)
			b := &dyingBucket{Bucket: w.Bucket}
			b.kill = func() { _ = w.Bucket.Erase(context.Background(), media.Prefix(end.ID)); w.put(thumbnail, small) }
			w.Ingester.Bucket = b
			w.delete(end.ID)
			kill(w, b, end.ID)
			if name == "while the bucket is emptied" && w.gone(file) == w.gone(thumbnail) {
				t.Error("it was not killed in the middle")
			}
			after := w.rests(end.ID)
			if !w.gone(file) || !w.gone(thumbnail) || after.Status != task.Succeeded || !after.Deleted() {
				t.Errorf("file gone: %v, thumbnail gone: %v, it is %+v", w.gone(file), w.gone(thumbnail), after)
			}
		})
	}
}

// put puts a JPEG where it was.
func (w *world) put(key string, b []byte) {
	w.t.Helper()
	body := newReader(b)
	if err := w.Bucket.Put(w.t.Context(), key, body, body.Size(), "image/jpeg", sha256.Sum256(b)); err != nil {
		w.t.Fatal(err)
	}
}

// delete deletes a task as its owner does.
func (w *world) delete(id string) *task.Task {
	w.t.Helper()
	x, err := task.Update(w.t.Context(), w.Rows, w.task(id), func(x *task.Task) error { return x.Delete(w.Rules, w.Now()) })
	if err != nil {
		w.t.Fatal(err)
	}
	return x
}

// A deleted task's key stays used: the same order is no task again, and nothing
// is posted. That holds when the delete's answer was lost, too.
func TestDeletedKeyStaysUsed(t *testing.T) {
	w := newWorld(t)
	w.Quota = 5
	got := w.submit(key("k"))
	w.until(got.ID, task.Succeeded, time.Hour)
	w.delete(got.ID)
	for range 2 { // at once, and when the pictures are erased
		if e := w.refused(key("k")); e.Code != task.CodeIdempotencyKeyReused {
			t.Errorf("got %v", e)
		}
		w.rests(got.ID)
	}
	w.posted(1)
	if used, err := w.Rows.UsedImages(t.Context(), owner, task.Day(got.CreatedAt)); used != 1 || err != nil {
		t.Errorf("used %d, %v; want 1: it was made", used, err)
	}
}

// A task that waits is cancelled while sweeps run: either it is posted, or it
// is cancelled and its quota given back, never both.
func TestCancelAgainstTheSweep(t *testing.T) {
	t.Parallel()
	for range 8 {
		w := newWorld(t, fault(nanobananatest.Fault{Kind: nanobananatest.FaultStatus, Code: 455, Times: 1}))
		w.Quota = 5
		got := w.submit(func(o *lifecycle.Order) { o.Request.NumImages = 2 })
		w.expect(got.ID, task.Waiting, "")
		w.Clock.Add(10 * time.Minute)
		swept := make(chan error)
		go func() { _, err := w.Sweep(context.Background()); swept <- err }()
		_, err := task.Update(t.Context(), w.Rows, w.task(got.ID), func(x *task.Task) error { return x.Delete(w.Rules, w.Now()) })
		if sweeping := <-swept; sweeping != nil {
			t.Fatal(sweeping)
		}
		posts, used := 2, 2 // the sweep was first
		var e *task.Error
		if canceled := !errors.As(err, &e); canceled {
			posts, used = 1, 0
			w.expect(got.ID, task.Failed, task.CodeCanceled)
		} else if e.Code != task.CodeConflict {
			t.Errorf("got %v", err)
		}
		w.posted(posts)
		if n, err := w.Rows.UsedImages(t.Context(), owner, task.Day(got.CreatedAt)); n != used || err != nil {
			t.Errorf("used %d, %v; want %d", n, err, used)
		}
	}
}
