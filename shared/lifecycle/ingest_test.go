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
	"testing"
	"time"

	"github.com/preset/nanobanana-functions/shared/lifecycle"
	"github.com/preset/nanobanana-functions/shared/media"
	"github.com/preset/nanobanana-functions/shared/nanobanana/nanobananatest"
	"github.com/preset/nanobanana-functions/shared/task"
)

// stored reads an object, as its link serves it.
func (w *world) stored(key string) []byte {
	w.t.Helper()
	link, err := w.Bucket.Link(w.t.Context(), key, time.Minute, "")
	if err != nil {
		w.t.Fatal(err)
	}
	return w.get(link)
}

func (w *world) get(link string) []byte {
	w.t.Helper()
	req, err := http.NewRequestWithContext(w.t.Context(), http.MethodGet, link, nil)
	if err != nil {
		w.t.Fatal(err)
	}
	req.Header.Set("User-Agent", "a person") // the provider serves no library
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		w.t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	b, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != http.StatusOK {
		w.t.Fatalf("%s: %s, %v", link, resp.Status, err)
	}
	return b
}

// storing gives a task whose pictures are made and not yet copied.
func (w *world) storing(change ...func(*lifecycle.Order)) (*task.Task, nanobananatest.Task) {
	w.t.Helper()
	n := len(w.Sim.Tasks())
	got := w.submit(change...)
	made := w.generated(n)
	w.settle(got.ID, said(made.ID, 200, made.URLs...))
	return w.expect(got.ID, task.Storing, ""), made
}

func TestIngest(t *testing.T) {
	for _, format := range []string{"png", "jpg", "webp"} {
		t.Run(format, func(t *testing.T) {
			w := newWorld(t, func(k *nanobananatest.Knobs) { k.PictureFormat, k.PictureSide, k.Mislabel = format, 700, true })
			got, made := w.storing(func(o *lifecycle.Order) { o.Request.NumImages, o.Request.AspectRatio = 2, "16:9" })
			w.work(got.ID)
			end := w.expect(got.ID, task.Succeeded, "")
			for i, img := range end.Images {
				original, kept := w.get(made.URLs[i]), w.stored(media.Prefix(got.ID)+img.File)
				sum := sha256.Sum256(kept)
				if !bytes.Equal(original, kept) || img.SHA256 != hex.EncodeToString(sum[:]) || img.Bytes != int64(len(kept)) {
					t.Errorf("picture %d is not what the provider served: %+v", i+1, img)
				}
				small, kind, err := image.DecodeConfig(bytes.NewReader(w.stored(media.Prefix(got.ID) + img.Thumbnail)))
				if err != nil || kind != "jpeg" || small.Width != 512 {
					t.Errorf("thumbnail %d is %s, %d wide: %v", i+1, kind, small.Width, err)
				}
				if img.N != i+1 || img.Width != 700 {
					t.Errorf("picture %d: %+v", i+1, img)
				}
			}
			version := end.Version
			w.work(got.ID) // its record comes again
			if err := w.Ingester.Ingest(t.Context(), got.ID); err != nil || w.task(got.ID).Version != version {
				t.Errorf("a repeated stream record wrote the row: %v", err)
			}
		})
	}
}

// What a download meets is tried again while the deadline holds; then the task
// fails, and nothing half done is recorded.
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
			w := newWorld(t)
			w.Quota = 1
			got, made := w.storing()
			w.Sim.SetKnobs(func(k *nanobananatest.Knobs) { k.Download = f })
			w.work(got.ID)
			w.expect(got.ID, task.Storing, "")
			if x, _ := w.Sim.Task(made.ID); x.Downloads != 3 {
				t.Errorf("%d downloads, want three tries", x.Downloads)
			}
			w.Sim.SetKnobs(func(k *nanobananatest.Knobs) { k.Download = nanobananatest.Fault{} })
			w.until(got.ID, task.Succeeded, 10*time.Minute)
			left, err := os.ReadDir(w.Ingester.Dir)
			if err != nil || len(left) != 0 {
				t.Errorf("%d files are left over, %v", len(left), err)
			}
		})
	}
	t.Run("for ever", func(t *testing.T) {
		t.Parallel()
		w := newWorld(t)
		w.Quota = 1
		got, _ := w.storing()
		w.Sim.SetKnobs(func(k *nanobananatest.Knobs) { k.Download = faults["404"] })
		for range 71 {
			w.work(got.ID)
			w.sweep(time.Hour)
		}
		w.expect(got.ID, task.Storing, "")
		for range 80 {
			w.work(got.ID)
			w.sweep(time.Minute)
		}
		end := w.expect(got.ID, task.Failed, task.CodeImageUnavailable)
		if used, _ := w.Rows.UsedImages(t.Context(), owner, end.Quota.Day); used != 0 {
			t.Errorf("used is %d, want it given back", used)
		}
		if n := w.reads(0); n < 2 {
			t.Errorf("its record was read %d times; want fresh links to be asked for", n)
		}
	})
}

// One of three pictures cannot be had: the others count, but not before the end.
func TestPartial(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	got, _ := w.storing(func(o *lifecycle.Order) { o.Request.NumImages = 3 })
	x, err := task.Update(t.Context(), w.Rows, w.task(got.ID), func(x *task.Task) error {
		x.URLs[1] = w.Sim.URL + "/result/nothing.png"
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	w.Sim.SetKnobs(func(k *nanobananatest.Knobs) { k.Record = nanobananatest.Fault{Kind: nanobananatest.FaultHTML} }) // no fresh links
	for range 70 {
		w.work(x.ID)
		w.sweep(time.Hour)
	}
	w.expect(x.ID, task.Storing, "")
	end := w.until(x.ID, task.Succeeded, 3*time.Hour)
	if len(end.Images) != 2 || end.Missing != 1 || end.Images[0].N != 1 || end.Images[1].N != 2 {
		t.Errorf("images %+v, missing %d", end.Images, end.Missing)
	}
}

// Links beyond the pictures asked for, as a record gives them that was short and
// came again with fresh ones: one that is dead keeps nothing waiting, and one that
// lives gives no picture twice.
func TestFreshLinks(t *testing.T) {
	for name, old := range map[string]func(*world, []string) string{
		"the old one is dead":  func(w *world, _ []string) string { return w.Sim.URL + "/result/nothing.png" },
		"the old one is alive": func(_ *world, urls []string) string { return urls[0] + "?old" },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			got, made := w.storing(func(o *lifecycle.Order) { o.Request.NumImages = 2 })
			x, err := task.Update(t.Context(), w.Rows, w.task(got.ID), func(x *task.Task) error {
				x.URLs, x.ShortAt = append([]string{old(w, made.URLs)}, made.URLs...), w.Now()
				return nil
			})
			if err != nil {
				t.Fatal(err)
			}
			if err := w.Ingester.Ingest(t.Context(), x.ID); err != nil {
				t.Error(err)
			}
			end := w.expect(x.ID, task.Succeeded, "")
			if len(end.Images) != 2 || end.Missing != 0 || end.Images[0].SHA256 == end.Images[1].SHA256 {
				t.Errorf("images %+v, missing %d", end.Images, end.Missing)
			}
		})
	}
}

// faultyBucket is a bucket whose next puts fail.
type faultyBucket struct {
	media.Bucket
	puts, failing int
}

func (b *faultyBucket) Put(ctx context.Context, key string, body io.ReadSeeker, size int64, contentType string, sum [32]byte) error {
	b.puts++
	if b.puts <= b.failing {
		return errors.New("slow down")
	}
	return b.Bucket.Put(ctx, key, body, size, contentType, sum)
}

func TestBucketFaults(t *testing.T) {
	for _, failing := range []int{1, 2, 5} {
		w := newWorld(t)
		b := &faultyBucket{Bucket: w.Bucket, failing: failing}
		w.Ingester.Bucket = b
		got, _ := w.storing()
		w.until(got.ID, task.Succeeded, 10*time.Minute)
	}
}

// Killed after the put of the object and before that of the row: the next run
// finds the object, and completes.
func TestIngestKilled(t *testing.T) {
	for name, after := range map[string]bool{"before the row": false, "after the row": true} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			got, _ := w.storing()
			died := func(call string, x *task.Task) error {
				if call == "put" && x.Status == task.Succeeded {
					return errStore
				}
				return nil
			}
			if after {
				w.Rows.Fail(nil, died)
			} else {
				w.Rows.Fail(died, nil)
			}
			if err := w.Ingester.Ingest(t.Context(), got.ID); err == nil {
				t.Fatal("no error for the log")
			}
			w.Rows.Fail(nil, nil)
			end := w.until(got.ID, task.Succeeded, 10*time.Minute)
			if len(end.Images) != 1 {
				t.Errorf("images: %+v", end.Images)
			}
			w.stored(media.Prefix(got.ID) + end.Images[0].File)
		})
	}
}

// A deleted task leaves no object, though a slow ingest still puts some.
func TestErase(t *testing.T) {
	w := newWorld(t)
	end := w.made()
	key := media.Prefix(end.ID) + end.Images[0].File
	bytes := w.stored(key)
	deleted, err := task.Update(t.Context(), w.Rows, end, func(x *task.Task) error { return x.Delete(w.Rules, w.Now()) })
	if err != nil || deleted.Work != task.Erase {
		t.Fatalf("work %q, %v", deleted.Work, err)
	}
	w.work(end.ID)
	late := newReader(bytes)
	if err := w.Bucket.Put(t.Context(), key, late, late.Size(), "image/png", sha256.Sum256(bytes)); err != nil {
		t.Fatal(err)
	}
	for range 30 {
		w.sweep(time.Minute)
		w.work(end.ID)
	}
	if x := w.task(end.ID); x.Work != "" || !x.DueAt.IsZero() {
		t.Errorf("work %q, due %v; want it to rest", x.Work, x.DueAt)
	}
	link, err := w.Bucket.Link(t.Context(), key, time.Minute, "")
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
