package lifecycle_test

import (
	"bytes"
	"image"
	"image/png"
	"net/http"
	"testing"
	"time"

	"github.com/preset/nanobanana-functions/shared/lifecycle"
	"github.com/preset/nanobanana-functions/shared/media"
	"github.com/preset/nanobanana-functions/shared/nanobanana/nanobananatest"
	"github.com/preset/nanobanana-functions/shared/task"
)

// uploaded returns the id of an upload of a PNG by the owner.
func (h *harness) uploaded() string {
	h.t.Helper()
	var file bytes.Buffer
	if err := png.Encode(&file, image.NewGray(image.Rect(0, 0, 8, 8))); err != nil {
		h.t.Fatal(err)
	}
	id, key, _ := media.NewUpload(owner, "image/png", h.Now())
	link, header, err := h.Bucket.PutLink(h.t.Context(), key, int64(file.Len()), time.Minute)
	if err != nil {
		h.t.Fatal(err)
	}
	r, err := http.NewRequestWithContext(h.t.Context(), http.MethodPut, link, &file)
	if err != nil {
		h.t.Fatal(err)
	}
	r.Header = header
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		h.t.Fatal(err)
	}
	if _ = resp.Body.Close(); resp.StatusCode != http.StatusOK {
		h.t.Fatal(resp.Status)
	}
	return id
}

// An attempt hours later sends a fresh link, since that of the first attempt has expired.
func TestUploadOfALaterAttempt(t *testing.T) {
	h := newHarness(t)
	h.Bucket.Now = h.Clock.Now
	id := h.uploaded()
	h.Sim.SetKnobs(fault(nanobananatest.Fault{Kind: nanobananatest.FaultStatus, Code: 455, RetryAfter: nanobananatest.Duration(2 * time.Hour), Times: 1}))
	edit := h.submit(func(o *lifecycle.Order) { o.Request.ImageURLs = []string{"upload:" + id} })
	if edit.Status != task.Waiting {
		t.Fatalf("the task is %s", edit.Status)
	}
	h.sweep(2 * time.Hour)
	if made := h.generated(0); made.Flag != nanobananatest.FlagSucceeded {
		t.Fatalf("the provider could not use its input: %+v", made)
	}
	h.until(edit.ID, task.Succeeded, time.Hour)
	h.posted(2)
}

// If an upload is gone by the next attempt, the provider reports that.
func TestUploadGone(t *testing.T) {
	h := newHarness(t)
	id := h.uploaded()
	h.Sim.SetKnobs(fault(nanobananatest.Fault{Kind: nanobananatest.FaultStatus, Code: 455, Times: 1}))
	edit := h.submit(func(o *lifecycle.Order) { o.Request.ImageURLs = []string{"upload:" + id} })
	if err := h.Bucket.Erase(t.Context(), media.UploadPrefix); err != nil {
		t.Fatal(err)
	}
	h.sweep(2 * time.Minute)
	h.generated(0)
	for !h.task(edit.ID).Done() {
		h.sweep(time.Minute)
	}
	h.expect(edit.ID, task.Failed, task.CodeInputImageUnusable)
	h.posted(2)
}
