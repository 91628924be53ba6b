package deployed_test

import (
	"bytes"
	"image"
	"image/color"
	"image/draw"
	"image/jpeg"
	"image/png"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/preset/nanobanana-functions/functions/uploads"
	"github.com/preset/nanobanana-functions/shared/httpapi"
	"github.com/preset/nanobanana-functions/shared/webhook/webhooktest"
)

// plainPNG returns a PNG of one color.
func plainPNG(c color.Color) []byte {
	img := image.NewNRGBA(image.Rect(0, 0, 20, 20))
	draw.Draw(img, img.Rect, image.NewUniform(c), image.Point{}, draw.Src)
	var b bytes.Buffer
	_ = png.Encode(&b, img) // to memory, which does not fail
	return b.Bytes()
}

// announceUpload announces a PNG.
func (h *harness) announceUpload(owner string, size int) (u uploads.Upload) {
	h.t.Helper()
	h.call(owner, http.MethodPost, "/v1/uploads", map[string]any{"contentType": "image/png", "bytes": size}).decode(h.t, http.StatusCreated, &u)
	return u
}

// putFile uploads a file as a page does, without a token.
func (h *harness) putFile(u uploads.Upload, file []byte) int {
	h.t.Helper()
	r, err := http.NewRequestWithContext(h.t.Context(), http.MethodPut, u.UploadURL, bytes.NewReader(file))
	if err != nil {
		h.t.Fatal(err)
	}
	for name, value := range u.Headers {
		r.Header.Set(name, value)
	}
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		h.t.Fatal(err)
	}
	_ = resp.Body.Close()
	return resp.StatusCode
}

// contentType returns the type of what a link leads to.
func (h *harness) contentType(link string) string {
	h.t.Helper()
	r, err := http.NewRequestWithContext(h.t.Context(), http.MethodGet, link, nil)
	if err != nil {
		h.t.Fatal(err)
	}
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		h.t.Fatal(err)
	}
	_ = resp.Body.Close()
	return resp.Header.Get("Content-Type")
}

// A picture of the user's own is announced, uploaded by the bucket's link, and
// edited. Only its owner can use it, and it can be uploaded only once.
func TestUploads(t *testing.T) {
	t.Parallel()
	h := newHarness(t, nil)
	red := plainPNG(color.NRGBA{R: 255, A: 255})
	u := h.announceUpload("ada", len(red))
	if got := h.putFile(u, red); got != http.StatusOK {
		t.Fatalf("PUT: %d", got)
	}
	if got := h.putFile(u, red); got != http.StatusPreconditionFailed {
		t.Errorf("a second PUT: %d, want 412", got)
	}

	order := map[string]any{"prompt": "at night", "imageUrls": []string{"upload:" + u.ID}}
	got := h.awaitEnd("ada", h.submit("ada", order, "k").ID)
	h.checkImages(got, 0)
	sent, _ := h.sim.Tasks()[0].Params["imageUrls"].([]any)
	if len(sent) != 1 || got.ImageURLs[0] != "upload:"+u.ID || !bytes.Equal(h.fetch(sent[0].(string)), red) {
		t.Errorf("the provider was sent %v, shown is %v", sent, got.ImageURLs)
	}
	// The simulator draws the edited picture in the middle.
	img, _, err := image.Decode(bytes.NewReader(h.follow(got.Images[0].URL)))
	if err != nil {
		t.Fatal(err)
	}
	if r, g, b, _ := img.At(img.Bounds().Dx()/2, img.Bounds().Dy()/2).RGBA(); r < 2*g || r < 2*b {
		t.Errorf("what edits red is %x %x %x in the middle", r, g, b)
	}

	// A JPEG that was announced as PNG is used as what it is.
	var photo bytes.Buffer
	if err := jpeg.Encode(&photo, img, nil); err != nil {
		t.Fatal(err)
	}
	other := h.announceUpload("ada", photo.Len())
	if got := h.putFile(other, photo.Bytes()); got != http.StatusOK {
		t.Fatalf("PUT: %d", got)
	}
	h.submit("ada", map[string]any{"prompt": "by day", "imageUrls": []string{"upload:" + other.ID}}, "l")
	sent, _ = h.sim.Tasks()[1].Params["imageUrls"].([]any)
	if got := h.contentType(sent[0].(string)); got != "image/jpeg" {
		t.Errorf("the provider's link to a JPEG has the type %q", got)
	}

	empty, text := h.announceUpload("ada", len(red)), h.announceUpload("ada", 5)
	if got := h.putFile(text, []byte("hello")); got != http.StatusOK {
		t.Fatalf("PUT: %d", got)
	}
	for name, test := range map[string]struct{ owner, id, code string }{
		"another's":      {"bob", u.ID, "not_found"},
		"never finished": {"ada", empty.ID, "not_found"},
		"no picture":     {"ada", text.ID, "not_a_picture"},
	} {
		a := h.call(test.owner, http.MethodPost, "/v1/tasks", map[string]any{"prompt": "x", "imageUrls": []string{"upload:" + test.id}})
		var p httpapi.Problem
		a.decode(t, http.StatusUnprocessableEntity, &p)
		if len(p.Errors) != 1 || p.Errors[0].Pointer != "/imageUrls/0" || p.Errors[0].Code != test.code {
			t.Errorf("%s: %+v", name, p)
		}
	}
	// While the bucket cannot be read no order is sent, and the order may be
	// repeated.
	h.proxy["submit"].Fail(func(call string) int {
		if call == http.MethodGet {
			return http.StatusServiceUnavailable
		}
		return 0
	}, nil)
	if a := h.call("ada", http.MethodPost, "/v1/tasks", order); a.status != http.StatusServiceUnavailable {
		t.Errorf("while the bucket fails: %d %s", a.status, a.body)
	}
	h.proxy["submit"].Fail(nil, nil)
	if n := h.sim.Posts(); n != 2 {
		t.Errorf("%d POSTs, want 2", n)
	}
	if !strings.Contains(u.UploadURL, "X-Amz-SignedHeaders=content-length%3Bcontent-type%3Bhost%3Bif-none-match") {
		t.Errorf("another request is signed: %s", u.UploadURL)
	}
}

// photo returns a JPEG of a 40 x 20 red and blue picture on its side, with the place where
// it was taken.
func photo() []byte {
	img := image.NewNRGBA(image.Rect(0, 0, 40, 20))
	draw.Draw(img, img.Rect, image.NewUniform(color.NRGBA{R: 255, A: 255}), image.Point{}, draw.Src)
	draw.Draw(img, image.Rect(20, 0, 40, 20), image.NewUniform(color.NRGBA{B: 255, A: 255}), image.Point{}, draw.Src)
	var b bytes.Buffer
	_ = jpeg.Encode(&b, img, nil) // to memory, which does not fail
	exif := "Exif\x00\x00MM\x00*\x00\x00\x00\x08\x00\x01\x01\x12\x00\x03\x00\x00\x00\x01\x00\x06\x00\x00\x00\x00\x00\x00GPS 48.2082 N 16.3738 E"
	segment := append([]byte{0xff, 0xe1, 0, byte(len(exif) + 2)}, exif...)
	return slices.Concat(b.Bytes()[:2], segment, b.Bytes()[2:])
}

// An edit of a photograph keeps a copy of it, without the place, for its owner alone. That
// costs a read and two puts of the bucket, and nothing of the table. DELETE erases it.
func TestInputs(t *testing.T) {
	t.Parallel()
	receiver := webhooktest.NewReceiver(t)
	h := newHarness(t, map[string]string{"NOTIFY_URL": receiver.URL})
	file := photo()
	var u uploads.Upload
	h.call("ada", http.MethodPost, "/v1/uploads", map[string]any{"contentType": "image/jpeg", "bytes": len(file)}).decode(t, http.StatusCreated, &u)
	if got := h.putFile(u, file); got != http.StatusOK {
		t.Fatalf("PUT: %d", got)
	}
	order := map[string]any{"prompt": "at night", "imageUrls": []string{"upload:" + u.ID}}
	got := h.awaitEnd("ada", h.submit("ada", order, "a").ID)
	h.checkImages(got, 0)
	made := h.proxy["ingest"].Take()
	// The upload is read while the picture is downloaded.
	slices.Sort(made)
	for _, unrelated := range []string{"Paused", "UpdateItem"} { // of the start, and a timing
		made = slices.DeleteFunc(made, func(call string) bool { return call == unrelated })
	}
	if want := []string{"GET", "GetItem", "PUT", "PUT", "PUT", "PUT", "PutItem"}; !slices.Equal(made, want) {
		t.Errorf("ingest made the requests %v, want %v", made, want)
	}
	if len(got.Inputs) != 1 || got.Inputs[0].N != 1 || got.Inputs[0].Width != 20 || got.Inputs[0].Height != 40 {
		t.Fatalf("inputs: %+v\n%s", got.Inputs, h.logs())
	}
	for _, link := range []string{got.Inputs[0].URL, got.Inputs[0].ThumbnailURL} {
		kept := h.follow(link)
		img, err := jpeg.Decode(bytes.NewReader(kept))
		if err != nil || img.Bounds().Dx() != 20 || img.Bounds().Dy() != 40 || bytes.Contains(kept, []byte("GPS")) || bytes.Contains(kept, []byte("Exif")) {
			t.Errorf("%s is %d bytes, %v", link, len(kept), err)
		} else if r, _, b, _ := img.At(10, 5).RGBA(); r < 2*b {
			t.Errorf("%s is not upright", link)
		}
	}
	eventually(t, "no notice came", func() bool { return !h.row(got.ID).NotifiedAt.IsZero() })
	for _, d := range receiver.Take() {
		if bytes.Contains(d.Body, []byte("input")) || !bytes.Contains(d.Body, []byte(got.ID)) {
			t.Errorf("the notice is %s", d.Body)
		}
	}
	if strings.Contains(h.logs(), "-input") || strings.Contains(h.logs(), u.ID) {
		t.Error("a log names the upload or its copy")
	}

	order["keepInputs"] = false
	if dropped := h.awaitEnd("ada", h.submit("ada", order, "b").ID); len(dropped.Inputs) > 0 || slices.Contains(h.proxy["ingest"].Take(), "GET") {
		t.Errorf("with keepInputs false: %+v", dropped.Inputs)
	}
	object := h.call("", http.MethodGet, got.Inputs[0].URL, nil).header.Get("Location")
	if a := h.call("ada", http.MethodDelete, "/v1/tasks/"+got.ID, nil); a.status != http.StatusNoContent {
		t.Fatalf("DELETE: %d %s", a.status, a.body)
	}
	eventually(t, "the copy is still there", func() bool { return h.status(object) == http.StatusNotFound })
}
