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

// uploaded gives the id of the owner's upload of a PNG.
func (w *world) uploaded() string {
	w.t.Helper()
	var file bytes.Buffer
	if err := png.Encode(&file, image.NewGray(image.Rect(0, 0, 8, 8))); err != nil {
		w.t.Fatal(err)
	}
	id, key, _ := media.NewUpload(owner, "image/png")
	link, header, err := w.Bucket.PutLink(w.t.Context(), key, int64(file.Len()), time.Minute)
	if err != nil {
		w.t.Fatal(err)
	}
	r, err := http.NewRequestWithContext(w.t.Context(), http.MethodPut, link, &file)
	if err != nil {
		w.t.Fatal(err)
	}
	r.Header = header
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		w.t.Fatal(err)
	}
	if _ = resp.Body.Close(); resp.StatusCode != http.StatusOK {
		w.t.Fatal(resp.Status)
	}
	return id
}

// An attempt hours later is sent a link that is good from then: the one of the
// first attempt has long expired.
func TestUploadOfALaterAttempt(t *testing.T) {
	w := newWorld(t)
	w.Bucket.Now = w.Clock.Now
	id := w.uploaded()
	w.Sim.SetKnobs(fault(nanobananatest.Fault{Kind: nanobananatest.FaultStatus, Code: 455, RetryAfter: nanobananatest.Duration(2 * time.Hour), Times: 1}))
	edit := w.submit(func(o *lifecycle.Order) { o.Request.ImageURLs = []string{"upload:" + id} })
	if edit.Status != task.Waiting {
		t.Fatalf("it is %s", edit.Status)
	}
	w.sweep(2 * time.Hour)
	if made := w.generated(0); made.Flag != nanobananatest.FlagSucceeded {
		t.Fatalf("the provider could not use its input: %+v", made)
	}
	w.until(edit.ID, task.Succeeded, time.Hour)
	w.posted(2)
}

// An upload that is gone by the next attempt is the provider's to miss.
func TestUploadGone(t *testing.T) {
	w := newWorld(t)
	id := w.uploaded()
	w.Sim.SetKnobs(fault(nanobananatest.Fault{Kind: nanobananatest.FaultStatus, Code: 455, Times: 1}))
	edit := w.submit(func(o *lifecycle.Order) { o.Request.ImageURLs = []string{"upload:" + id} })
	if err := w.Bucket.Erase(t.Context(), media.UploadPrefix); err != nil {
		t.Fatal(err)
	}
	w.sweep(2 * time.Minute)
	w.generated(0)
	for !w.task(edit.ID).Done() {
		w.sweep(time.Minute)
	}
	w.expect(edit.ID, task.Failed, task.CodeInputImageUnusable)
	w.posted(2)
}
