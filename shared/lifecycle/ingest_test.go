package lifecycle_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"image"
	_ "image/jpeg"
	"io"
	"net/http"
	"os"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/preset/nanobanana-functions/shared/lifecycle"
	"github.com/preset/nanobanana-functions/shared/media"
	"github.com/preset/nanobanana-functions/shared/nanobanana/nanobananatest"
	"github.com/preset/nanobanana-functions/shared/task"
)

// stored returns an object by its link.
func (h *harness) stored(key string) []byte {
	h.t.Helper()
	link, err := h.Bucket.Link(h.t.Context(), key, time.Minute, media.LinkOptions{})
	if err != nil {
		h.t.Fatal(err)
	}
	return h.get(link)
}

func (h *harness) get(link string) []byte {
	h.t.Helper()
	req, err := http.NewRequestWithContext(h.t.Context(), http.MethodGet, link, nil)
	if err != nil {
		h.t.Fatal(err)
	}
	req.Header.Set("User-Agent", "a person") // the provider refuses HTTP libraries
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		h.t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	b, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != http.StatusOK {
		h.t.Fatalf("%s: %s, %v", link, resp.Status, err)
	}
	return b
}

// storing returns a task whose pictures are made and not yet copied.
func (h *harness) storing(change ...func(*lifecycle.Order)) (*task.Task, nanobananatest.Task) {
	h.t.Helper()
	n := len(h.Sim.Tasks())
	got := h.submit(change...)
	made := h.generated(n)
	h.settle(got.ID, callbackBody(made.ID, 200, made.URLs...))
	return h.expect(got.ID, task.Storing, ""), made
}

func TestIngest(t *testing.T) {
	for _, format := range []string{"png", "jpg", "webp"} {
		t.Run(format, func(t *testing.T) {
			h := newHarness(t, func(k *nanobananatest.Knobs) { k.PictureFormat, k.PictureSide, k.Mislabel = format, 513, true })
			got, made := h.storing(func(o *lifecycle.Order) { o.Request.NumImages, o.Request.AspectRatio = 2, "21:9" })
			h.work(got.ID)
			end := h.expect(got.ID, task.Succeeded, "")
			for i, img := range end.Images {
				original, kept := h.get(made.URLs[i]), h.stored(media.Prefix(got.ID)+img.File)
				sum := sha256.Sum256(kept)
				if !bytes.Equal(original, kept) || img.SHA256 != hex.EncodeToString(sum[:]) || img.Bytes != int64(len(kept)) {
					t.Errorf("picture %d is not what the provider served: %+v", i+1, img)
				}
				small, kind, err := image.DecodeConfig(bytes.NewReader(h.stored(media.Prefix(got.ID) + img.Thumbnail)))
				if err != nil || kind != "jpeg" || small.Width != 512 {
					t.Errorf("thumbnail %d is %s, %d wide: %v", i+1, kind, small.Width, err)
				}
				if img.N != i+1 || img.Width != 513 {
					t.Errorf("picture %d: %+v", i+1, img)
				}
			}
			version := end.Version
			h.work(got.ID) // its stream message comes again
			if err := h.Ingester.Ingest(t.Context(), got.ID); err != nil || h.task(got.ID).Version != version {
				t.Errorf("a repeated stream message wrote the row: %v", err)
			}
		})
	}
}

// A failed download is tried again until the deadline. Then the task fails, and no
// incomplete picture is stored.
func TestDownloadFaults(t *testing.T) {
	faults := map[string]nanobananatest.Fault{
		"403":       {Kind: nanobananatest.FaultStatus, Code: 403},
		"404":       {Kind: nanobananatest.FaultStatus, Code: 404},
		"JSON":      {Kind: nanobananatest.FaultCode, Code: 500},
		"HTML":      {Kind: nanobananatest.FaultHTML},
		"truncated": {Kind: nanobananatest.FaultTruncated},
		"cut":       {Kind: nanobananatest.FaultCut},
		"endless":   {Kind: nanobananatest.FaultEndless},
		"empty":     {Kind: nanobananatest.FaultEmpty},
		"redirect":  {Kind: nanobananatest.FaultRedirect, Target: "http://169.254.169.254/latest/meta-data"},
	}
	for name, f := range faults {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := newHarness(t)
			h.Quota = 1
			got, made := h.storing()
			h.Sim.SetKnobs(func(k *nanobananatest.Knobs) { k.Download = f })
			h.work(got.ID)
			h.expect(got.ID, task.Storing, "")
			if x, _ := h.Sim.Task(made.ID); x.Downloads != 3 {
				t.Errorf("%d downloads, want three tries", x.Downloads)
			}
			h.Sim.SetKnobs(func(k *nanobananatest.Knobs) { k.Download = nanobananatest.Fault{} })
			h.until(got.ID, task.Succeeded, 10*time.Minute)
			left, err := os.ReadDir(h.Ingester.Dir)
			if err != nil || len(left) != 0 {
				t.Errorf("%d files are left, %v", len(left), err)
			}
		})
	}
	t.Run("for ever", func(t *testing.T) {
		t.Parallel()
		h := newHarness(t)
		h.Quota = 1
		got, _ := h.storing()
		begun := h.Now()
		h.Sim.SetKnobs(func(k *nanobananatest.Knobs) { k.Download = faults["404"] })
		for range 71 {
			h.work(got.ID)
			h.sweep(time.Hour)
		}
		h.expect(got.ID, task.Storing, "")
		h.finished(got.ID)
		end := h.expect(got.ID, task.Failed, task.CodeImageUnavailable)
		if took := end.EndedAt.Sub(begun); took < 72*time.Hour || took > 72*time.Hour+20*time.Minute {
			t.Errorf("it ends after %v, want 72 h", took)
		}
		if used, _ := h.Rows.UsedImages(t.Context(), owner, end.Quota.Day); used != 0 {
			t.Errorf("used is %d, want it returned", used)
		}
		if n := h.reads(0); n < 2 {
			t.Errorf("the record was read %d times; want it read for fresh links", n)
		}
	})
}

// One of three pictures cannot be downloaded: the others count, but not before the deadline.
func TestPartial(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	got, _ := h.storing(func(o *lifecycle.Order) { o.Request.NumImages = 3 })
	begun := h.Now()
	x, err := task.Update(t.Context(), h.Rows, h.task(got.ID), func(x *task.Task) error {
		x.URLs[1] = h.Sim.URL + "/result/nothing.png"
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	h.Sim.SetKnobs(func(k *nanobananatest.Knobs) { k.Record = nanobananatest.Fault{Kind: nanobananatest.FaultHTML} }) // no fresh links
	for range 14 {
		h.work(x.ID)
		h.sweep(5 * time.Hour)
	}
	h.expect(x.ID, task.Storing, "")
	end := h.finished(x.ID)
	if took := end.EndedAt.Sub(begun); took < 72*time.Hour || took > 72*time.Hour+20*time.Minute {
		t.Errorf("it ends after %v, want 72 h", took)
	}
	if end.Status != task.Succeeded || len(end.Images) != 2 || end.Missing != 1 || end.Images[0].N != 1 || end.Images[1].N != 2 {
		t.Errorf("%s, images %+v, missing %d", end.Status, end.Images, end.Missing)
	}
}

// A task may have more links than ordered pictures, if a short record was read again with
// fresh ones. A dead one delays nothing, and a live one brings no picture twice.
func TestFreshLinks(t *testing.T) {
	for name, old := range map[string]func(*harness, []string) string{
		"the old one is dead":  func(h *harness, _ []string) string { return h.Sim.URL + "/result/nothing.png" },
		"the old one is alive": func(_ *harness, urls []string) string { return urls[0] + "?old" },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := newHarness(t)
			got, made := h.storing(func(o *lifecycle.Order) { o.Request.NumImages = 2 })
			x, err := task.Update(t.Context(), h.Rows, h.task(got.ID), func(x *task.Task) error {
				x.URLs, x.ShortAt = append([]string{old(h, made.URLs)}, made.URLs...), h.Now()
				return nil
			})
			if err != nil {
				t.Fatal(err)
			}
			if err := h.Ingester.Ingest(t.Context(), x.ID); err != nil {
				t.Error(err)
			}
			end := h.expect(x.ID, task.Succeeded, "")
			if len(end.Images) != 2 || end.Missing != 0 || end.Images[0].SHA256 == end.Images[1].SHA256 {
				t.Errorf("images %+v, missing %d", end.Images, end.Missing)
			}
		})
	}
}

// faultyBucket is a bucket whose next puts fail.
type faultyBucket struct {
	media.Bucket
	puts    atomic.Int64
	failing int64
}

func (b *faultyBucket) Put(ctx context.Context, key string, body io.ReadSeeker, size int64, contentType string, sum [32]byte) error {
	if b.puts.Add(1) <= b.failing {
		return errors.New("slow down")
	}
	return b.Bucket.Put(ctx, key, body, size, contentType, sum)
}

func TestBucketFaults(t *testing.T) {
	for _, failing := range []int64{1, 2, 5} {
		h := newHarness(t)
		b := &faultyBucket{Bucket: h.Bucket, failing: failing}
		h.Ingester.Bucket = b
		got, _ := h.storing()
		h.until(got.ID, task.Succeeded, 10*time.Minute)
	}
}

// pairBucket is a bucket whose puts wait for each other: two must be under way at once.
type pairBucket struct {
	media.Bucket
	met  *barrier
	fail string // puts of keys that end so fail after that
}

func (b *pairBucket) Put(ctx context.Context, key string, body io.ReadSeeker, size int64, contentType string, sum [32]byte) error {
	b.met.pass(ctx)
	if err := ctx.Err(); err != nil {
		return err
	}
	if b.fail != "" && strings.HasSuffix(key, b.fail) {
		return errors.New("slow down")
	}
	return b.Bucket.Put(ctx, key, body, size, contentType, sum)
}

// A picture and its thumbnail are put at the same time. If either put fails, the row says
// nothing of the picture, and the next run stores both.
func TestPutsOverlap(t *testing.T) {
	for _, fail := range []string{"", ".png", ".jpg"} {
		h := newHarness(t, func(k *nanobananatest.Knobs) { k.PictureFormat = "png" })
		h.Ingester.Retries = nil
		whole := h.Ingester.Bucket
		h.Ingester.Bucket = &pairBucket{Bucket: whole, met: newBarrier(2), fail: fail}
		got, _ := h.storing()
		if err := h.copied(got.ID); (err != nil) != (fail != "") {
			t.Errorf("puts of %q fail: %v", fail, err)
		}
		if x := h.task(got.ID); fail != "" && (x.Status != task.Storing || len(x.Salvaged) > 0) {
			t.Errorf("puts of %q fail: the task is %s, salvaged %+v", fail, x.Status, x.Salvaged)
		}
		h.Ingester.Bucket = whole
		end := h.until(got.ID, task.Succeeded, 10*time.Minute)
		h.stored(media.Prefix(got.ID) + end.Images[0].File)
		h.stored(media.Prefix(got.ID) + end.Images[0].Thumbnail)
	}
}

// Ingest is killed after the put of the object and before that of the row. The next run
// completes the task.
func TestIngestKilled(t *testing.T) {
	for name, after := range map[string]bool{"before the row": false, "after the row": true} {
		t.Run(name, func(t *testing.T) {
			h := newHarness(t)
			got, _ := h.storing()
			died := func(call string, x *task.Task) error {
				if call == "put" && x.Status == task.Succeeded {
					return errStore
				}
				return nil
			}
			if after {
				h.Rows.Fail(nil, died)
			} else {
				h.Rows.Fail(died, nil)
			}
			if err := h.Ingester.Ingest(t.Context(), got.ID); err == nil {
				t.Fatal("no error for the log")
			}
			h.Rows.Fail(nil, nil)
			end := h.until(got.ID, task.Succeeded, 10*time.Minute)
			if len(end.Images) != 1 {
				t.Errorf("images: %+v", end.Images)
			}
			h.stored(media.Prefix(got.ID) + end.Images[0].File)
		})
	}
}

// No object of a deleted task stays, even if a slow ingest still puts some.
func TestErase(t *testing.T) {
	h := newHarness(t)
	end := h.made()
	key := media.Prefix(end.ID) + end.Images[0].File
	bytes := h.stored(key)
	deleted, err := task.Update(t.Context(), h.Rows, end, func(x *task.Task) error { return x.Delete(h.Rules, h.Now()) })
	if err != nil || deleted.Work != task.Erase {
		t.Fatalf("work %q, %v", deleted.Work, err)
	}
	h.work(end.ID)
	late := newReader(bytes)
	if err := h.Bucket.Put(t.Context(), key, late, late.Size(), "image/png", sha256.Sum256(bytes)); err != nil {
		t.Fatal(err)
	}
	for range 30 {
		h.sweep(time.Minute)
		h.work(end.ID)
	}
	if x := h.task(end.ID); x.Work != "" || !x.Due().IsZero() {
		t.Errorf("work %q, due %v; want neither", x.Work, x.DueAt)
	}
	link, err := h.Bucket.Link(t.Context(), key, time.Minute, media.LinkOptions{})
	if err != nil {
		t.Fatal(err)
	}
	resp, err := http.Get(link)
	if err != nil {
		t.Fatal(err)
	}
	_ = resp.Body.Close()
	if resp.StatusCode != http.StatusNotFound {
		t.Errorf("the object: %s, want 404", resp.Status)
	}
}

func newReader(b []byte) *bytes.Reader { return bytes.NewReader(b) }
