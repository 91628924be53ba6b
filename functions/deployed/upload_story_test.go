package deployed_test

import (
	"bytes"
	"image"
	"image/color"
	"image/draw"
	"image/png"
	"net/http"
	"strings"
	"testing"

	"github.com/preset/nanobanana-functions/functions/uploads"
	"github.com/preset/nanobanana-functions/shared/httpapi"
)

// coloured is a PNG of one colour.
func coloured(c color.Color) []byte {
	img := image.NewNRGBA(image.Rect(0, 0, 20, 20))
	draw.Draw(img, img.Rect, image.NewUniform(c), image.Point{}, draw.Src)
	var b bytes.Buffer
	_ = png.Encode(&b, img) // into memory
	return b.Bytes()
}

// announce asks for a place to put a PNG.
func (w *world) announce(owner string, size int) (u uploads.Upload) {
	w.t.Helper()
	w.call(owner, http.MethodPost, "/v1/uploads", map[string]any{"contentType": "image/png", "bytes": size}).into(w.t, http.StatusCreated, &u)
	return u
}

// put puts a file there, as a page does that is not signed in to the bucket.
func (w *world) put(u uploads.Upload, file []byte) int {
	w.t.Helper()
	r, err := http.NewRequestWithContext(w.t.Context(), http.MethodPut, u.UploadURL, bytes.NewReader(file))
	if err != nil {
		w.t.Fatal(err)
	}
	for name, value := range u.Headers {
		r.Header.Set(name, value)
	}
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		w.t.Fatal(err)
	}
	_ = resp.Body.Close()
	return resp.StatusCode
}

// A picture of somebody's own, by the real binaries: a place for it, its bytes
// by the bucket's own link, an edit of it. It is its owner's alone, and there
// once.
func TestUploadStory(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	red := coloured(color.NRGBA{R: 255, A: 255})
	u := w.announce("ada", len(red))
	if got := w.put(u, red); got != http.StatusOK {
		t.Fatalf("PUT: %d", got)
	}
	if got := w.put(u, red); got != http.StatusPreconditionFailed {
		t.Errorf("a second PUT: %d, want 412", got)
	}

	order := map[string]any{"prompt": "at night", "imageUrls": []string{"upload:" + u.ID}}
	got := w.ended("ada", w.submit("ada", order, "k").ID)
	w.same(got, 0)
	sent, _ := w.sim.Tasks()[0].Params["imageUrls"].([]any)
	if len(sent) != 1 || got.ImageURLs[0] != "upload:"+u.ID || !bytes.Equal(w.fetch(sent[0].(string)), red) {
		t.Errorf("the provider was sent %v, shown is %v", sent, got.ImageURLs)
	}
	// The simulator draws what it edits in the middle.
	img, _, err := image.Decode(bytes.NewReader(w.follow(got.Images[0].URL)))
	if err != nil {
		t.Fatal(err)
	}
	if r, g, b, _ := img.At(img.Bounds().Dx()/2, img.Bounds().Dy()/2).RGBA(); r < 2*g || r < 2*b {
		t.Errorf("what edits red is %x %x %x in the middle", r, g, b)
	}

	empty, text := w.announce("ada", len(red)), w.announce("ada", 5)
	if got := w.put(text, []byte("hello")); got != http.StatusOK {
		t.Fatalf("PUT: %d", got)
	}
	for name, test := range map[string]struct{ owner, id, code string }{
		"another's":      {"bob", u.ID, "not_found"},
		"never finished": {"ada", empty.ID, "not_found"},
		"no picture":     {"ada", text.ID, "not_a_picture"},
	} {
		a := w.call(test.owner, http.MethodPost, "/v1/tasks", map[string]any{"prompt": "x", "imageUrls": []string{"upload:" + test.id}})
		var p httpapi.Problem
		a.into(t, http.StatusUnprocessableEntity, &p)
		if len(p.Errors) != 1 || p.Errors[0].Pointer != "/imageUrls/0" || p.Errors[0].Code != test.code {
			t.Errorf("%s: %+v", name, p)
		}
	}
	// While the bucket cannot be read nothing is ordered, and the order may be repeated.
	w.proxy["submit"].Fail(func(call string) int {
		if call == http.MethodGet {
			return http.StatusServiceUnavailable
		}
		return 0
	}, nil)
	if a := w.call("ada", http.MethodPost, "/v1/tasks", order); a.status != http.StatusServiceUnavailable {
		t.Errorf("with the bucket away: %d %s", a.status, a.body)
	}
	w.proxy["submit"].Fail(nil, nil)
	if n := w.sim.Posts(); n != 1 {
		t.Errorf("%d POSTs, want 1", n)
	}
	if !strings.Contains(u.UploadURL, "X-Amz-SignedHeaders=content-length%3Bcontent-type%3Bhost%3Bif-none-match") {
		t.Errorf("signed is another request: %s", u.UploadURL)
	}
}
