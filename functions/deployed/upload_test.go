package deployed_test

import (
	"bytes"
	"image"
	"image/color"
	"image/draw"
	"image/jpeg"
	"image/png"
	"net/http"
	"strings"
	"testing"

	"github.com/preset/nanobanana-functions/functions/uploads"
	"github.com/preset/nanobanana-functions/shared/httpapi"
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
