package nanobananatest_test

import (
	"bytes"
	"compress/zlib"
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"image"
	"image/color"
	_ "image/jpeg"
	"image/png"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	_ "golang.org/x/image/webp"

	"github.com/preset/nanobanana-functions/shared/nanobanana/nanobananatest"
)

// picture downloads a picture and decodes all of it.
func (p *provider) picture(url string) (raw []byte, img image.Image, format string) {
	p.t.Helper()
	a := p.ask("GET", url, nil)
	img, format, err := image.Decode(bytes.NewReader(a.raw))
	if a.status != 200 || err != nil {
		p.t.Fatalf("%s is answered %d, %v", url, a.status, err)
	}
	return a.raw, img, format
}

func TestPictureFormats(t *testing.T) {
	for _, tt := range []struct {
		endpoint, knob, ordered string
		mislabel                bool
		format, extension       string
	}{
		{"generate", "", "", false, "png", "png"},
		{"generate-2", "", "", false, "jpeg", "jpg"},
		{"generate-2", "", "png", false, "png", "png"},
		{"generate-pro", "", "", false, "png", "png"},
		{"generate", "webp", "", false, "webp", "webp"},
		{"generate-2", "webp", "png", false, "webp", "webp"},
		{"generate", "jpg", "", false, "jpeg", "jpg"},
		{"generate", "png", "", true, "png", "jpg"},
		{"generate", "webp", "", true, "webp", "jpg"},
	} {
		p := serve(t, func(k *nanobananatest.Knobs) { k.PictureFormat, k.Mislabel = tt.knob, tt.mislabel })
		more := object{}
		if tt.ordered != "" {
			more["outputFormat"] = tt.ordered
		}
		task := p.done(p.mustSubmit(tt.endpoint, more))
		url := task.URLs[0]
		_, _, format := p.picture(url)
		contentType := p.ask("GET", url, nil).header.Get("Content-Type")
		want := map[string]string{"png": "image/png", "jpg": "image/jpeg", "webp": "image/webp"}[tt.extension]
		if format != tt.format || !strings.HasSuffix(url, "."+tt.extension) || contentType != want {
			t.Errorf("%+v: a %s, named %s, said to be %s", tt, format, url, contentType)
		}
		if n := p.task(task.ID).Downloads; n != 2 {
			t.Errorf("%d downloads counted, want 2", n)
		}
	}
}

func TestPictureSizes(t *testing.T) {
	for _, tt := range []struct {
		endpoint      string
		more          object
		width, height int
	}{
		{"generate", object{}, 32, 32},
		{"generate", object{"image_size": "16:9"}, 32, 18},
		{"generate", object{"image_size": "2:3"}, 21, 32},
		{"generate-2", object{"aspectRatio": "auto"}, 32, 32},
		{"generate-2", object{"aspectRatio": "1:8"}, 4, 32},
		{"generate-2", object{"resolution": "2K", "aspectRatio": "16:9"}, 64, 36},
		{"generate-pro", object{"resolution": "4K"}, 128, 128},
	} {
		p := serve(t)
		_, img, _ := p.picture(p.done(p.mustSubmit(tt.endpoint, tt.more)).URLs[0])
		if size := img.Bounds().Size(); size != image.Pt(tt.width, tt.height) {
			t.Errorf("%s %v: %v, want %d x %d", tt.endpoint, tt.more, size, tt.width, tt.height)
		}
	}
}

func TestPictureIsDrawnFromThePrompt(t *testing.T) {
	p, again := serve(t), serve(t)
	harbour := p.done(p.mustSubmit("generate", object{"numImages": 2}))
	first, _, _ := p.picture(harbour.URLs[0])
	second, _, _ := p.picture(harbour.URLs[1])
	bridge, _, _ := p.picture(p.done(p.mustSubmit("generate", object{"prompt": "a bridge"})).URLs[0])
	if bytes.Equal(first, second) || bytes.Equal(first, bridge) {
		t.Error("different pictures are the same")
	}
	if other, _, _ := again.picture(again.done(again.mustSubmit("generate")).URLs[0]); !bytes.Equal(first, other) {
		t.Error("the same request has another picture on another server")
	}
	// The picture behind a URL does not change with the knobs.
	p.SetKnobs(func(k *nanobananatest.Knobs) { k.PictureSide, k.PictureFormat, k.Mislabel = 48, "webp", true })
	for i := range 70 { // more than the cache holds
		p.picture(p.done(p.mustSubmit("generate-2", object{"prompt": fmt.Sprint("picture ", i)})).URLs[0])
	}
	if later, _, _ := p.picture(harbour.URLs[0]); !bytes.Equal(first, later) {
		t.Error("the same URL shows something else later")
	}
}

// plain returns the URL of a PNG of one colour.
func plain(t *testing.T, c color.Color) string {
	img := image.NewNRGBA(image.Rect(0, 0, 20, 10))
	for i := range 200 {
		img.Set(i%20, i/20, c)
	}
	var body bytes.Buffer
	if err := png.Encode(&body, img); err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(body.Bytes()) }))
	t.Cleanup(server.Close)
	return server.URL + "/input.png"
}

func middle(img image.Image) (r, g, b uint32) {
	size := img.Bounds().Size()
	r, g, b, _ = img.At(size.X/2, size.Y/2).RGBA()
	return r >> 8, g >> 8, b >> 8
}

func TestEditShowsWhatItEdits(t *testing.T) {
	p := serve(t)
	for endpoint, more := range map[string]object{
		"generate": {"type": "IMAGETOIAMGE"}, "generate-2": {}, "generate-pro": {},
	} {
		more["imageUrls"] = []string{plain(t, color.NRGBA{255, 0, 0, 255})}
		red := p.done(p.mustSubmit(endpoint, more))
		more["imageUrls"] = []string{plain(t, color.NRGBA{0, 0, 255, 255})}
		blue := p.done(p.mustSubmit(endpoint, more))
		_, img, _ := p.picture(red.URLs[0])
		if r, g, b := middle(img); r < 2*b || r < 2*g || r < 150 {
			t.Errorf("%s: what edits red is %d %d %d in the middle", endpoint, r, g, b)
		}
		_, img, _ = p.picture(blue.URLs[0])
		if r, g, b := middle(img); b < 2*r || b < 2*g || b < 150 {
			t.Errorf("%s: what edits blue is %d %d %d in the middle", endpoint, r, g, b)
		}
		first, _, _ := p.picture(blue.URLs[0])
		if again, _, _ := p.picture(blue.URLs[0]); !bytes.Equal(first, again) {
			t.Errorf("%s: another picture the second time", endpoint)
		}
	}
	text := p.done(p.mustSubmit("generate", object{"imageUrls": []string{"http://127.0.0.1:1/gone.png"}}))
	if text.Flag != nanobananatest.FlagSucceeded {
		t.Errorf("TEXTTOIAMGE looks at its input images: %+v", text)
	}
}

// blackPNG returns a PNG with one bit a pixel, small for any size; width must be a multiple of 8.
func blackPNG(width, height int) []byte {
	var packed bytes.Buffer
	rows := zlib.NewWriter(&packed)
	_, _ = rows.Write(make([]byte, (1+width/8)*height))
	_ = rows.Close()
	header := binary.BigEndian.AppendUint32(nil, uint32(width))
	header = append(binary.BigEndian.AppendUint32(header, uint32(height)), 1, 0, 0, 0, 0)
	out := []byte("\x89PNG\r\n\x1a\n")
	for _, chunk := range []struct{ name, body string }{{"IHDR", string(header)}, {"IDAT", packed.String()}, {"IEND", ""}} {
		out = binary.BigEndian.AppendUint32(out, uint32(len(chunk.body)))
		out = append(out, chunk.name+chunk.body...)
		out = binary.BigEndian.AppendUint32(out, crc32.ChecksumIEEE([]byte(chunk.name+chunk.body)))
	}
	return out
}

func TestUnusableInputImagesFailTheTask(t *testing.T) {
	p := serve(t)
	huge := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(blackPNG(8192, 5000)) }))
	t.Cleanup(huge.Close)
	gone := httptest.NewServer(http.NotFoundHandler())
	t.Cleanup(gone.Close)
	moved := httptest.NewServer(http.RedirectHandler(plain(t, color.Black), http.StatusFound))
	t.Cleanup(moved.Close)
	page := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("<html>")) }))
	t.Cleanup(page.Close)
	for name, url := range map[string]string{
		"nothing listens": "http://127.0.0.1:1/x.png", "404": gone.URL, "a redirect": moved.URL, "a page": page.URL,
		"too many pixels":      huge.URL,
		"plain http elsewhere": strings.Replace(plain(t, color.White), "127.0.0.1", "0.0.0.0", 1), // which is reachable
	} {
		task := p.done(p.mustSubmit("generate-2", object{"imageUrls": []string{plain(t, color.White), url}}))
		if task.Flag != nanobananatest.FlagFailed || task.ErrorCode != 422 || task.ErrorMessage != "failed to fetch image url" {
			t.Errorf("%s: %+v", name, task)
		}
	}
}

func TestDownloadsThatAreRefused(t *testing.T) {
	p := serve(t)
	task := p.done(p.mustSubmit("generate"))
	p.SetKnobs(func(k *nanobananatest.Knobs) { k.Delay = nanobananatest.Duration(time.Hour) })
	running := p.task(p.mustSubmit("generate"))
	p.SetKnobs(func(k *nanobananatest.Knobs) { k.Delay, k.Outcome.ErrorCode = 0, 501 })
	failed := p.done(p.mustSubmit("generate"))
	origin, _ := at(p.record(task.ID).body, "data.response.originImageUrl").(string)
	for name, url := range map[string]string{
		"the origin": origin, "another number": strings.Replace(task.URLs[0], "-1.png", "-2.png", 1),
		"another extension": strings.Replace(task.URLs[0], ".png", ".jpg", 1), "a running task": running.URLs[0],
		"a failed task": failed.URLs[0], "nothing": p.URL + "/result/x",
	} {
		if a := p.ask("GET", url, nil); url == "" || a.status != 404 || a.body != nil {
			t.Errorf("%s: %s is answered %d %.40s", name, url, a.status, a.raw)
		}
	}
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, task.URLs[0], nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := p.client.Do(req) // with Go's own User-Agent
	if err != nil {
		t.Fatal(err)
	}
	if _ = resp.Body.Close(); resp.StatusCode != http.StatusForbidden {
		t.Errorf("a library's User-Agent is answered %d, want 403", resp.StatusCode)
	}
}
