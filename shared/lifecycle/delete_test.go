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

// dyingBucket is a bucket whose caller is killed during Erase, after the first object is
// deleted.
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

// gone reports whether an object no longer exists.
func (h *harness) gone(key string) bool {
	h.t.Helper()
	link, err := h.Bucket.Link(h.t.Context(), key, time.Minute, media.LinkOptions{})
	if err != nil {
		h.t.Fatal(err)
	}
	resp, err := http.Get(link)
	if err != nil {
		h.t.Fatal(err)
	}
	_ = resp.Body.Close()
	return resp.StatusCode == http.StatusNotFound
}

// finishDelete sweeps, and runs ingest for what the sweep wakes, until nothing is left to
// do for a deleted task. No other stream message comes.
func (h *harness) finishDelete(id string) *task.Task {
	h.t.Helper()
	for range 120 {
		tries := h.task(id).Tries
		h.sweep(time.Minute)
		switch x := h.task(id); {
		case x.Work == "" && x.Due().IsZero():
			return x
		case x.Tries > tries:
			h.work(id) // the sweep's put is on the stream
		}
	}
	h.t.Fatalf("two hours later the row is %+v", h.task(id))
	return nil
}

// A delete is interrupted at each step after the write of its row. The sweep, and ingest
// for what that wakes, finish it: no picture stays, and the row leaves the index.
func TestDeleteKilled(t *testing.T) {
	t.Parallel()
	tests := map[string]func(h *harness, b *dyingBucket, id string){
		"its stream message is lost": func(*harness, *dyingBucket, string) {},
		"while the bucket is emptied": func(h *harness, b *dyingBucket, id string) {
			b.left = 1
			h.work(id)
		},
		"while the bucket is emptied, four times": func(h *harness, b *dyingBucket, id string) {
			b.left = 4
			h.work(id)
		},
		"while the bucket is emptied for the last time": func(h *harness, b *dyingBucket, id string) {
			h.Clock.Add(20 * time.Minute)
			b.left = 1
			h.work(id)
			if x := h.task(id); x.Work != task.Erase || x.Due().IsZero() {
				h.t.Errorf("after an erase that failed: work %q, due %v", x.Work, x.DueAt)
			}
		},
		"when the bucket is empty, 20 minutes late": func(h *harness, _ *dyingBucket, id string) {
			h.Clock.Add(20 * time.Minute)
			h.Rows.Fail(died(func(call string, _ *task.Task) bool { return call == "put" }), nil)
			h.work(id)
			h.Rows.Fail(nil, nil)
		},
		"the answer to its last write is lost": func(h *harness, _ *dyingBucket, id string) {
			h.Clock.Add(20 * time.Minute)
			h.Rows.Fail(nil, died(func(call string, _ *task.Task) bool { return call == "put" }))
			h.work(id)
			h.Rows.Fail(nil, nil)
		},
	}
	for name, kill := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := newHarness(t)
			end := h.made()
			file, thumbnail := media.Prefix(end.ID)+end.Images[0].File, media.Prefix(end.ID)+end.Images[0].Thumbnail
			small := h.stored(thumbnail)
			b := &dyingBucket{Bucket: h.Bucket}
			b.kill = func() { _ = h.Bucket.Erase(context.Background(), media.Prefix(end.ID)); h.put(thumbnail, small) }
			h.Ingester.Bucket = b
			h.delete(end.ID)
			kill(h, b, end.ID)
			if name == "while the bucket is emptied" && h.gone(file) == h.gone(thumbnail) {
				t.Error("it was not killed during the erase")
			}
			after := h.finishDelete(end.ID)
			if !h.gone(file) || !h.gone(thumbnail) || after.Status != task.Succeeded || !after.Deleted() {
				t.Errorf("file gone: %v, thumbnail gone: %v, it is %+v", h.gone(file), h.gone(thumbnail), after)
			}
		})
	}
}

// put stores a JPEG under a key.
func (h *harness) put(key string, b []byte) {
	h.t.Helper()
	body := newReader(b)
	if err := h.Bucket.Put(h.t.Context(), key, body, body.Size(), "image/jpeg", sha256.Sum256(b)); err != nil {
		h.t.Fatal(err)
	}
}

// delete deletes a task as its owner would.
func (h *harness) delete(id string) *task.Task {
	h.t.Helper()
	x, err := task.Update(h.t.Context(), h.Rows, h.task(id), func(x *task.Task) error { return x.Delete(h.Rules, h.Now()) })
	if err != nil {
		h.t.Fatal(err)
	}
	return x
}

// A deleted task's idempotency key stays used: the same order makes no new task and no
// POST, also if the answer to the DELETE was lost.
func TestDeletedKeyStaysUsed(t *testing.T) {
	h := newHarness(t)
	h.Quota = 5
	got := h.submit(key("k"))
	h.until(got.ID, task.Succeeded, time.Hour)
	h.delete(got.ID)
	for range 2 { // at once, and after the pictures are erased
		if e := h.refused(key("k")); e.Code != task.CodeIdempotencyKeyReused {
			t.Errorf("got %v", e)
		}
		h.finishDelete(got.ID)
	}
	h.posted(1)
	if used, err := h.Rows.UsedImages(t.Context(), owner, task.Day(got.CreatedAt)); used != 1 || err != nil {
		t.Errorf("used %d, %v; want 1, since the picture was made", used, err)
	}
}

// A waiting task is canceled while sweeps run: either it is posted, or it is canceled
// and its quota returned, never both.
func TestCancelDuringSweeps(t *testing.T) {
	t.Parallel()
	for range 8 {
		h := newHarness(t, fault(nanobananatest.Fault{Kind: nanobananatest.FaultStatus, Code: 455, Times: 1}))
		h.Quota = 5
		got := h.submit(func(o *lifecycle.Order) { o.Request.NumImages = 2 })
		h.expect(got.ID, task.Waiting, "")
		h.Clock.Add(10 * time.Minute)
		swept := make(chan error)
		go func() { _, err := h.Sweep(context.Background()); swept <- err }()
		_, err := task.Update(t.Context(), h.Rows, h.task(got.ID), func(x *task.Task) error { return x.Delete(h.Rules, h.Now()) })
		if sweeping := <-swept; sweeping != nil {
			t.Fatal(sweeping)
		}
		posts, used := 2, 2 // the sweep was first
		var e *task.Error
		if canceled := !errors.As(err, &e); canceled {
			posts, used = 1, 0
			h.expect(got.ID, task.Failed, task.CodeCanceled)
		} else if e.Code != task.CodeConflict {
			t.Errorf("got %v", err)
		}
		h.posted(posts)
		if n, err := h.Rows.UsedImages(t.Context(), owner, task.Day(got.CreatedAt)); n != used || err != nil {
			t.Errorf("used %d, %v; want %d", n, err, used)
		}
	}
}
