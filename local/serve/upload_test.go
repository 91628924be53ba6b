package serve

import (
	"bytes"
	"encoding/json"
	"image"
	"image/color"
	"image/draw"
	"image/png"
	"io"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/preset/nanobanana-functions/functions/uploads"
	"github.com/preset/nanobanana-functions/local/client/clienttest"
	"github.com/preset/nanobanana-functions/shared/httpapi"
	"github.com/preset/nanobanana-functions/shared/media"
)

// pngOf returns a PNG of one colour.
func pngOf(c color.Color) string {
	img := image.NewNRGBA(image.Rect(0, 0, 20, 20))
	draw.Draw(img, img.Rect, image.NewUniform(c), image.Point{}, draw.Src)
	var b bytes.Buffer
	_ = png.Encode(&b, img) // memory does not fail
	return b.String()
}

// requestUpload asks for an upload link for a PNG.
func requestUpload(t testing.TB, c clienttest.User, size int) (u uploads.Upload) {
	t.Helper()
	body, _ := json.Marshal(map[string]any{"contentType": "image/png", "bytes": size})
	c.Do(t, http.StatusCreated, http.MethodPost, "/v1/uploads", string(body), &u)
	return u
}

// put uploads a file with the headers that the API returned; header overrides some
// of them.
func put(t testing.TB, u uploads.Upload, file string, header ...string) int {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPut, u.UploadURL, strings.NewReader(file))
	if err != nil {
		t.Fatal(err)
	}
	for name, value := range u.Headers {
		r.Header.Set(name, value)
	}
	for i := 0; i < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	_ = resp.Body.Close()
	return resp.StatusCode
}

// submitRefused submits an edit whose one input must be refused, and returns the
// error code of that input.
func submitRefused(t testing.TB, c clienttest.User, entry string) string {
	t.Helper()
	body, _ := json.Marshal(map[string]any{"prompt": "x", "imageUrls": []string{entry}})
	var p httpapi.Problem
	c.Do(t, http.StatusUnprocessableEntity, http.MethodPost, "/v1/tasks", string(body), &p)
	if len(p.Errors) != 1 || p.Errors[0].Pointer != "/imageUrls/0" {
		t.Fatalf("%+v", p)
	}
	return p.Errors[0].Code
}

// An uploaded picture can be edited, and the result shows it.
func TestUpload(t *testing.T) {
	r := startHarness(t, nil)
	red := pngOf(color.NRGBA{R: 255, A: 255})
	u := requestUpload(t, r.User, len(red))
	if got := put(t, u, red); got != http.StatusOK {
		t.Fatalf("PUT: %d", got)
	}
	got := r.AwaitSuccess(t, r.Submit(t, map[string]any{"prompt": "at night", "imageUrls": []string{"upload:" + u.ID}}, "k").ID)
	r.checkPictures(got, providerPictures(t, r.studio.simulator, 0))
	b, err := clienttest.Visitor.Get(t.Context(), got.Images[0].URL)
	if err != nil {
		t.Fatal(err)
	}
	img, _, err := image.Decode(bytes.NewReader(b))
	if err != nil {
		t.Fatal(err)
	}
	if r, g, b, _ := img.At(img.Bounds().Dx()/2, img.Bounds().Dy()/2).RGBA(); r < 2*g || r < 2*b {
		t.Errorf("the edit of a red picture is %x %x %x in the middle", r, g, b)
	}
	if len(got.Inputs) != 1 || got.Inputs[0].N != 1 {
		t.Fatalf("inputs: %+v", got.Inputs)
	}
	if b, err = clienttest.Visitor.Get(t.Context(), got.Inputs[0].URL); err != nil {
		t.Fatal(err)
	}
	if img, format, err := image.Decode(bytes.NewReader(b)); err != nil || format != "jpeg" || img.Bounds().Dx() != got.Inputs[0].Width {
		t.Errorf("the kept copy is %s, %v, for %+v", format, err, got.Inputs[0])
	}
	again := r.AwaitSuccess(t, r.Submit(t, map[string]any{"prompt": "by day", "imageUrls": []string{"upload:" + u.ID}}, "l").ID)
	r.checkPictures(again, providerPictures(t, r.studio.simulator, 1))
}

// The bucket accepts only the announced file, and only once.
func TestUploadPutRefused(t *testing.T) {
	r := startHarness(t, nil)
	file := pngOf(color.White)
	u := requestUpload(t, r.User, len(file))
	for name, got := range map[string]int{
		"of another type": put(t, u, file, "Content-Type", "image/jpeg"),
		"too large":       put(t, u, file+"x"),
		"too small":       put(t, u, file[1:]),
		"over another":    put(t, u, file, "If-None-Match", `"x"`),
	} {
		if got != http.StatusForbidden {
			t.Errorf("%s: %d, want 403", name, got)
		}
	}
	if got := submitRefused(t, r.User, "upload:"+u.ID); got != "not_found" {
		t.Errorf("an upload that was not finished: %s", got)
	}
	if got := put(t, u, file); got != http.StatusOK {
		t.Errorf("the file: %d", got)
	}
	if got := put(t, u, file); got != http.StatusPreconditionFailed {
		t.Errorf("the file again: %d, want 412", got)
	}
	_, key, _ := media.NewUpload("ada", "image/png", time.Now())
	link, _, err := r.bucket.PutLink(t.Context(), key, int64(len(file)), -time.Second)
	if err != nil {
		t.Fatal(err)
	}
	if got := put(t, uploads.Upload{UploadURL: link, Headers: u.Headers}, file); got != http.StatusForbidden {
		t.Errorf("with an expired link: %d, want 403", got)
	}
}

// An input that is not the user's own picture is refused, with its field named.
func TestInputRefused(t *testing.T) {
	r := startHarness(t, nil)
	file := pngOf(color.White)
	picture, text := requestUpload(t, r.User, len(file)), requestUpload(t, r.User, 5)
	if put(t, picture, file) != http.StatusOK || put(t, text, "hello") != http.StatusOK {
		t.Fatal("the files cannot be uploaded")
	}
	if got := submitRefused(t, clienttest.SignIn(t, r.URL, r.data, "bob"), "upload:"+picture.ID); got != "not_found" {
		t.Errorf("another user's upload: %s", got)
	}
	for entry, want := range map[string]string{
		"upload:" + requestUpload(t, r.User, 5).ID: "not_found", "upload:" + text.ID: "not_a_picture", "upload:x": "invalid",
		"data:image/png;base64,AAAA": "upload_first", "blob:" + r.URL + "/3f6c": "upload_first",
	} {
		if got := submitRefused(t, r.User, entry); got != want {
			t.Errorf("%s: %s, want %s", entry, got, want)
		}
	}
	var p httpapi.Problem
	r.Do(t, http.StatusUnprocessableEntity, http.MethodPost, "/v1/uploads", `{"contentType":"image/gif","bytes":5}`, &p)
	r.Do(t, http.StatusUnprocessableEntity, http.MethodPost, "/v1/uploads", `{"contentType":"image/png","bytes":10485761}`, &p)
	if n := r.studio.simulator.Posts(); n != 0 {
		t.Errorf("%d POSTs", n)
	}
}

// A page on another origin may upload, with and without CORS_ORIGINS.
func TestUploadCORS(t *testing.T) {
	for _, origins := range []string{"", "*", "https://app.example.com", "https://other.example.com"} {
		r := startHarness(t, map[string]string{"CORS_ORIGINS": origins})
		u := requestUpload(t, r.User, 5)
		path := strings.TrimPrefix(u.UploadURL, r.URL)
		resp, _ := r.request(http.MethodOptions, path, "", "Origin", "https://app.example.com", "Access-Control-Request-Method", "PUT", "Access-Control-Request-Headers", "content-type,if-none-match")
		allowed := resp.Header.Get("Access-Control-Allow-Origin")
		if resp.StatusCode != http.StatusNoContent || allowed != "*" && allowed != "https://app.example.com" || !strings.Contains(resp.Header.Get("Access-Control-Allow-Methods"), "PUT") {
			t.Errorf("%q: %s %v", origins, resp.Status, resp.Header)
		}
		for name := range u.Headers {
			if !strings.Contains(resp.Header.Get("Access-Control-Allow-Headers"), name) {
				t.Errorf("%q: %s is not allowed: %v", origins, name, resp.Header)
			}
		}
	}
}

// Old uploads are deleted when the server starts; the pictures of tasks are not.
func TestOldUploadsAreDeleted(t *testing.T) {
	data := t.TempDir()
	old, kept := data+"/pictures/uploads/o/x.png", data+"/pictures/tasks/t/x.png"
	for _, path := range []string{old, kept} {
		if err := os.MkdirAll(path[:strings.LastIndexByte(path, '/')], 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte("x"), 0o644); err != nil {
			t.Fatal(err)
		}
		if err := os.Chtimes(path, time.Time{}, time.Now().Add(-49*time.Hour)); err != nil {
			t.Fatal(err)
		}
	}
	s, err := Start(Options{Addr: "127.0.0.1:0", Data: data, Log: io.Discard, Getenv: func(string) string { return "" }})
	if err != nil {
		t.Fatal(err)
	}
	clienttest.Eventually(t, func() error {
		if _, err := os.Stat(old); err == nil {
			return os.ErrExist
		}
		return nil
	})
	if _, err := os.Stat(kept); err != nil {
		t.Error(err)
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
}
