package lifecycle_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"image/jpeg"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/iotest"
	"time"

	"github.com/preset/nanobanana-functions/shared/lifecycle"
	"github.com/preset/nanobanana-functions/shared/media"
	"github.com/preset/nanobanana-functions/shared/media/picture"
	"github.com/preset/nanobanana-functions/shared/nanobanana/nanobananatest"
	"github.com/preset/nanobanana-functions/shared/task"
)

// edits makes the order an edit of these images.
func edits(entries ...string) func(*lifecycle.Order) {
	return func(o *lifecycle.Order) { o.Request.ImageURLs = entries }
}

// replaceUpload replaces the bytes of an upload, as only an operator can.
func (h *harness) replaceUpload(owner, id string, file []byte) {
	h.t.Helper()
	key, _ := media.UploadKey(owner, id)
	if err := h.Bucket.Put(h.t.Context(), key, bytes.NewReader(file), int64(len(file)), media.ContentType(key), sha256.Sum256(file)); err != nil {
		h.t.Fatal(err)
	}
}

// inputKeys returns the keys of the copies and their thumbnails.
func inputKeys(x *task.Task) (keys []string) {
	for _, in := range x.Inputs {
		keys = append(keys, media.Prefix(x.ID)+in.File, media.Prefix(x.ID)+in.Thumbnail)
	}
	return keys
}

// A succeeded edit has a copy of each upload, by its place among the inputs, and of nothing
// else. It costs no more calls of the store.
func TestInputsAreKept(t *testing.T) {
	h := newHarness(t)
	first := h.made()
	one, two := h.uploaded(), h.uploaded()
	h.replaceUpload(owner, two, grey(2100, 42))
	h.Logged.Take()
	got, _ := h.storing(edits("upload:"+one, "task:"+first.ID+"/1", "upload:"+two))
	_, err := task.Update(t.Context(), h.Rows, got, func(x *task.Task) error { // the simulator could not fetch the link
		x.ImageURLs = slices.Insert(x.ImageURLs, 1, "https://example.com/a.png")
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	puts := h.Rows.Count("put")
	h.work(got.ID)
	end := h.expect(got.ID, task.Succeeded, "")
	if n := h.Rows.Count("put") - puts; n != 1 {
		t.Errorf("%d puts of the row, want 1", n)
	}
	if len(end.Inputs) != 2 || len(end.Images) != 1 {
		t.Fatalf("inputs %+v, images %+v", end.Inputs, end.Images)
	}
	for i, want := range []task.Input{{N: 1, Width: 8, Height: 8}, {N: 4, Width: 2048, Height: 40}} {
		in := end.Inputs[i]
		if in.N != want.N || in.Width != want.Width || in.Height != want.Height {
			t.Errorf("input %d: %+v", i, in)
		}
		for file, width := range map[string]int{in.File: want.Width, in.Thumbnail: min(want.Width, media.ThumbnailSide)} {
			kept := h.stored(media.Prefix(end.ID) + file)
			if bytes.Contains(kept, []byte("http://ns.adobe.com/xap/")) {
				t.Errorf("%s is marked as if a model had made it", file)
			}
			c, err := jpeg.DecodeConfig(bytes.NewReader(kept))
			if height := want.Height * width / want.Width; err != nil || c.Width != width || c.Height != height {
				t.Errorf("%s: %d x %d, %v; want a JPEG of %d x %d", file, c.Width, c.Height, err, width, height)
			}
			if key, ok := media.KeyOfFile(end.ID, file); !ok || key != media.Prefix(end.ID)+file {
				t.Errorf("%s has no link", file)
			}
		}
	}
	logged := h.Logged.String()
	if e := h.ended(end.ID, "", "INFO"); e.InputsMissing != 0 {
		t.Errorf("the end is logged as %+v", e)
	}
	if strings.Contains(logged, one) || strings.Contains(logged, "-input") {
		t.Errorf("the log names an upload or a copy: %s", logged)
	}
	version := end.Version
	if err := h.Ingester.Ingest(t.Context(), end.ID); err != nil || h.task(end.ID).Version != version {
		t.Errorf("a repeated stream message wrote the row: %v", err)
	}
}

// Whatever is wrong with an upload, the task ends as soon and as well as without it. The line
// of its end is at WARN because a copy is missing; another line has the reason.
func TestInputsThatCannotBeKept(t *testing.T) {
	for name, test := range map[string]struct {
		spoil  func(h *harness, id string)
		reason string
	}{
		"expired": {func(h *harness, _ string) {
			if err := h.Bucket.Expire(h.t.Context(), media.UploadPrefix, -time.Hour); err != nil {
				h.t.Fatal(err)
			}
		}, "expired"},
		"garbage":        {func(h *harness, id string) { h.replaceUpload(owner, id, []byte("<script>alert(1)</script>")) }, "not_a_picture"},
		"nothing":        {func(h *harness, id string) { h.replaceUpload(owner, id, nil) }, "not_a_picture"},
		"half a picture": {func(h *harness, id string) { h.replaceUpload(owner, id, square(60)[:len(square(60))/2]) }, "not_a_picture"},
		"huge": {func(h *harness, id string) {
			h.replaceUpload(owner, id, append(square(60), make([]byte, media.MaxUploadBytes)...))
		}, "not_a_picture"},
		"a bomb": {func(h *harness, id string) { h.replaceUpload(owner, id, claims(16384, 16384)) }, "not_a_picture"},
		"a bucket that fails": {func(h *harness, _ string) {
			h.Ingester.HTTP = wire(func(r *http.Request) (*http.Response, error) { return nil, errors.New("slow down") })
		}, "not_stored"},
		"a bucket that hangs": {func(h *harness, _ string) {
			h.Ingester.InputsTime = 10 * time.Millisecond
			h.Ingester.HTTP = wire(func(r *http.Request) (*http.Response, error) { <-r.Context().Done(); return nil, r.Context().Err() })
		}, "timeout"},
		"a put that hangs": {func(h *harness, _ string) {
			h.Ingester.InputsTime = 300 * time.Millisecond
			h.Ingester.Bucket = &inputBucket{Bucket: h.Bucket, put: func(ctx context.Context) error { <-ctx.Done(); return ctx.Err() }}
		}, "timeout"},
		"a decoder that breaks": {func(h *harness, _ string) {
			h.Ingester.Copy = func(context.Context, io.ReadSeeker) (media.Copy, error) { panic("a broken picture") }
		}, "not_stored"},
		"a decoder that hangs": {func(h *harness, _ string) {
			h.Ingester.InputsTime = 10 * time.Millisecond
			h.Ingester.Copy = func(ctx context.Context, _ io.ReadSeeker) (media.Copy, error) {
				<-ctx.Done()
				return media.Copy{}, ctx.Err()
			}
		}, "timeout"},
		"two tries that broke": {func(h *harness, id string) {
			h.sweep(10 * time.Minute)
			h.sweep(10 * time.Minute)
		}, "not_stored"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := newHarness(t)
			good, bad := h.uploaded(), h.uploaded()
			got, _ := h.storing(edits("upload:"+good, "upload:"+bad))
			test.spoil(h, bad)
			h.Logged.Take()
			h.work(got.ID)
			end := h.expect(got.ID, task.Succeeded, "")
			kept := slices.ContainsFunc(end.Inputs, func(in task.Input) bool { return in.N == 1 })
			if all := test.reason == "not_a_picture"; len(end.Images) != 1 || end.Missing != 0 || len(end.Inputs) > 1 || all && !kept {
				t.Errorf("%d images, %d missing, inputs %+v", len(end.Images), end.Missing, end.Inputs)
			}
			logged := h.Logged.String()
			if e := h.ended(end.ID, "", "WARN"); e.InputsMissing != 2-len(end.Inputs) {
				t.Errorf("the end is logged as %+v", e)
			}
			if strings.Count(logged, `"level":"WARN"`) != 1 || strings.Count(logged, `"reason":"`+test.reason+`"`) != 2-len(end.Inputs) {
				t.Errorf("logged %s; want one line at WARN, and the reason %s", logged, test.reason)
			}
			if strings.Contains(logged, "signature=") || strings.Contains(logged, media.UploadPrefix) {
				t.Errorf("the log has the link of an upload: %s", logged)
			}
		})
	}
}

// claims returns a PNG that claims this size.
func claims(w, h int) []byte {
	file := square(8)
	return bytes.Replace(file, []byte{0, 0, 0, 8, 0, 0, 0, 8}, []byte{0, 0, byte(w >> 8), byte(w), 0, 0, byte(h >> 8), byte(h)}, 1)
}

// wire returns a client whose requests go through round.
func wire(round roundTrip) *http.Client { return &http.Client{Transport: round} }

type roundTrip func(*http.Request) (*http.Response, error)

func (f roundTrip) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// inputBucket is a bucket that may fail to store a copy.
type inputBucket struct {
	media.Bucket
	put func(context.Context) error
}

func (b *inputBucket) Put(ctx context.Context, key string, body io.ReadSeeker, size int64, contentType string, sum [32]byte) error {
	if b.put != nil && strings.Contains(key, "-input") {
		if err := b.put(ctx); err != nil {
			return err
		}
	}
	return b.Bucket.Put(ctx, key, body, size, contentType, sum)
}

// With keepInputs false the upload is not even read.
func TestInputsAreDropped(t *testing.T) {
	h := newHarness(t)
	h.Ingester.HTTP = wire(func(r *http.Request) (*http.Response, error) {
		t.Error("an upload was read")
		return nil, errors.New("not expected")
	})
	got, made := h.storing(edits("upload:"+h.uploaded()), func(o *lifecycle.Order) { o.Request.DropInputs = true })
	h.work(got.ID)
	if end := h.expect(got.ID, task.Succeeded, ""); len(end.Inputs) > 0 {
		t.Errorf("%+v", end.Inputs)
	}
	h.ended(got.ID, "", "INFO")
	if sent, _ := json.Marshal(made.Params); bytes.Contains(bytes.ToLower(sent), []byte("inputs")) {
		t.Errorf("the provider was sent %s", sent)
	}
}

// While the pictures are not there, no copy is stored. Copies come with the pictures, or
// not at all.
func TestInputsWaitForThePictures(t *testing.T) {
	h := newHarness(t)
	puts := 0
	h.Ingester.Bucket = &inputBucket{Bucket: h.Bucket, put: func(context.Context) error { puts++; return nil }}
	h.Ingester.Parallel = 1
	got, _ := h.storing(edits("upload:" + h.uploaded()))
	h.Sim.SetKnobs(func(k *nanobananatest.Knobs) { k.Download = nanobananatest.Fault{Kind: nanobananatest.FaultReset} })
	h.work(got.ID)
	if x := h.expect(got.ID, task.Storing, ""); len(x.Inputs) > 0 || puts > 0 {
		t.Errorf("inputs %+v, %d puts", x.Inputs, puts)
	}
	h.Sim.SetKnobs(func(k *nanobananatest.Knobs) { k.Download = nanobananatest.Fault{} })
	h.sweep(2 * time.Minute)
	h.work(got.ID)
	if end := h.expect(got.ID, task.Succeeded, ""); len(end.Inputs) != 1 {
		t.Errorf("%+v", end.Inputs)
	}
}

// A read that fails once, before its answer or in the middle of it, is repeated.
func TestInputsAreReadAgain(t *testing.T) {
	for name, fault := range map[string]func() (*http.Response, error){
		"slow down": func() (*http.Response, error) {
			return &http.Response{StatusCode: http.StatusServiceUnavailable, Body: http.NoBody}, nil
		},
		"cut short": func() (*http.Response, error) {
			return &http.Response{StatusCode: http.StatusOK, Body: io.NopCloser(iotest.ErrReader(io.ErrUnexpectedEOF))}, nil
		},
	} {
		t.Run(name, func(t *testing.T) {
			h := newHarness(t)
			reads := 0
			h.Ingester.HTTP = wire(func(r *http.Request) (*http.Response, error) {
				if reads++; reads == 1 {
					return fault()
				}
				return http.DefaultTransport.RoundTrip(r)
			})
			got, _ := h.storing(edits("upload:" + h.uploaded()))
			h.work(got.ID)
			if end := h.expect(got.ID, task.Succeeded, ""); len(end.Inputs) != 1 || reads != 2 {
				t.Errorf("%+v after %d reads", end.Inputs, reads)
			}
		})
	}
}

// Of an id that another owner's upload has, too, the task's owner's own is meant.
func TestInputsAreTheOwners(t *testing.T) {
	h := newHarness(t)
	id := h.uploaded()
	got, _ := h.storing(edits("upload:" + id))
	if err := h.Bucket.Expire(t.Context(), media.UploadPrefix, -time.Hour); err != nil {
		t.Fatal(err)
	}
	h.replaceUpload("bob", id, square(9))
	h.work(got.ID)
	if end := h.expect(got.ID, task.Succeeded, ""); len(end.Inputs) > 0 {
		t.Errorf("ada's task has bob's picture: %+v", end.Inputs)
	}
}

// DELETE erases the copies with the pictures.
func TestInputsAreErased(t *testing.T) {
	h := newHarness(t)
	got, _ := h.storing(edits("upload:" + h.uploaded()))
	h.work(got.ID)
	keys := inputKeys(h.expect(got.ID, task.Succeeded, ""))
	for _, key := range keys {
		h.stored(key)
	}
	if x := h.delete(got.ID); len(x.Inputs) > 0 || len(keys) != 2 {
		t.Errorf("%+v of %v", x.Inputs, keys)
	}
	h.finishDelete(got.ID)
	for _, key := range keys {
		if !h.gone(key) {
			t.Errorf("%s is still there", key)
		}
	}
}

// The link of a copy starts another edit from the copy, also when the upload has long
// expired. It does not make the first task its parent.
func TestInputsCanBeEditedAgain(t *testing.T) {
	h := newHarness(t)
	id := h.uploaded()
	h.replaceUpload(owner, id, grey(600, 9))
	got, _ := h.storing(edits("upload:" + id))
	h.work(got.ID)
	end := h.expect(got.ID, task.Succeeded, "")
	if err := h.Bucket.Expire(t.Context(), media.UploadPrefix, -time.Hour); err != nil {
		t.Fatal(err)
	}
	for i, file := range []string{end.Inputs[0].File, end.Inputs[0].Thumbnail} {
		link := fmt.Sprintf("%s/v1/images/%s/k1.token/%s", h.Settings.PublicURL, end.ID, file)
		again := h.submit(edits(link))
		sent, _ := h.generated(i + 1).Params["imageUrls"].([]any)
		if again.Parent != "" || len(sent) != 1 {
			t.Fatalf("parent %q, sent %v", again.Parent, sent)
		}
		if again.Origin() != task.Composite {
			t.Errorf("a copy of what came from outside counts as %s", again.Origin())
		}
		if c, err := jpeg.DecodeConfig(bytes.NewReader(h.get(sent[0].(string)))); err != nil || c.Width != 600 {
			t.Errorf("sent is a picture %d wide, %v", c.Width, err)
		}
	}
	other := h.refused(edits(fmt.Sprintf("%s/v1/images/%s/k1.token/%s", h.Settings.PublicURL, end.ID, "1-0123456789abcdef-input.jpg")))
	if len(other.Fields) != 1 || other.Fields[0].Code != "not_found" {
		t.Errorf("%+v", other)
	}
}

// Inputs and pictures of a task are decoded one at a time.
func TestInputsAreDecodedAlone(t *testing.T) {
	h := newHarness(t)
	var decoding atomic.Int32
	alone := func() func() {
		if decoding.Add(1) > 1 {
			t.Error("two decodes at once")
		}
		time.Sleep(20 * time.Millisecond) // as a large picture takes, so that another could overlap
		return func() { decoding.Add(-1) }
	}
	h.Ingester.Open = func(ctx context.Context, file io.ReadSeeker) (media.Picture, error) {
		defer alone()()
		return picture.Open(ctx, file)
	}
	h.Ingester.Copy = func(ctx context.Context, file io.ReadSeeker) (media.Copy, error) {
		defer alone()()
		return picture.Copy(ctx, file)
	}
	var entries []string
	for range 3 {
		entries = append(entries, "upload:"+h.uploaded())
	}
	got, _ := h.storing(edits(entries...), func(o *lifecycle.Order) { o.Request.NumImages = 4 })
	h.work(got.ID)
	if end := h.expect(got.ID, task.Succeeded, ""); len(end.Inputs) != 3 || len(end.Images) != 4 {
		t.Errorf("%d inputs, %d images", len(end.Inputs), len(end.Images))
	}
}
