package picture_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"image"
	"image/color"
	"image/jpeg"
	"image/png"
	"io"
	"testing"
	"time"

	"github.com/preset/nanobanana-functions/shared/cputest"
	"github.com/preset/nanobanana-functions/shared/media"
	"github.com/preset/nanobanana-functions/shared/media/mediatest"
	"github.com/preset/nanobanana-functions/shared/media/picture"
)

func TestOpen(t *testing.T) {
	for _, test := range []struct {
		name             string
		file             []byte
		width, height    int
		contentType, ext string
		thumbnail        image.Point
	}{
		{"PNG", pngOf(1000, 100), 1000, 100, "image/png", "png", image.Pt(512, 51)},
		{"PNG of one pixel", pngOf(1, 1), 1, 1, "image/png", "png", image.Pt(1, 1)},
		{"a small PNG is not enlarged", pngOf(100, 511), 100, 511, "image/png", "png", image.Pt(100, 511)},
		{"JPEG", jpegOf(100, 1200), 100, 1200, "image/jpeg", "jpg", image.Pt(42, 512)},
		{"a JPEG followed by a ZIP", append(jpegOf(20, 10), "PK\x03\x04 and so on"...), 20, 10, "image/jpeg", "jpg", image.Pt(20, 10)},
		{"progressive JPEG", progressiveJPEG(100, 100, 3, yCbCr), 100, 100, "image/jpeg", "jpg", image.Pt(100, 100)},
		{"progressive JPEG in grey", progressiveJPEG(100, 100, 1, yCbCr), 100, 100, "image/jpeg", "jpg", image.Pt(100, 100)},
		{"progressive JPEG in CMYK", progressiveJPEG(100, 100, 4, asIs), 100, 100, "image/jpeg", "jpg", image.Pt(100, 100)},
		{"lossless WebP", webpOf(513, 100), 513, 100, "image/webp", "webp", image.Pt(512, 99)},
		{"lossy WebP", unbase64(lossyWebP), 1, 1, "image/webp", "webp", image.Pt(1, 1)},
		{"lossy WebP with alpha", unbase64(alphaWebP), 1, 1, "image/webp", "webp", image.Pt(1, 1)},
		{"interlaced PNG", interlacedPNG(64, 64), 64, 64, "image/png", "png", image.Pt(64, 64)},
		{"very wide", rawPNG(16384, 1, 8, 0, 0, 16385), 16384, 1, "image/png", "png", image.Pt(512, 1)},
		{"very tall", rawPNG(1, 16384, 8, 0, 0, 2*16384), 1, 16384, "image/png", "png", image.Pt(1, 512)},
	} {
		t.Run(test.name, func(t *testing.T) {
			p, err := picture.Open(t.Context(), bytes.NewReader(test.file))
			if err != nil {
				t.Fatal(err)
			}
			if f, err := media.Inspect(bytes.NewReader(test.file)); err != nil || f.Ext != test.ext {
				t.Errorf("Inspect returns %+v, %v", f, err)
			}
			thumbnail, err := jpeg.Decode(bytes.NewReader(p.Thumbnail))
			if err != nil || thumbnail.Bounds().Size() != test.thumbnail {
				t.Errorf("thumbnail of %v (%v), want %v", thumbnail.Bounds().Size(), err, test.thumbnail)
			}
			p.Thumbnail = nil
			want := media.Picture{Width: test.width, Height: test.height, ContentType: test.contentType, Ext: test.ext,
				Bytes: int64(len(test.file)), SHA256: sha256.Sum256(test.file)}
			if fmt.Sprint(p) != fmt.Sprint(want) {
				t.Errorf("got %+v\nwant %+v", p, want)
			}
		})
	}
}

// bad returns files that Open refuses.
func bad() map[string][]byte {
	halfOf := func(b []byte) []byte { return b[:len(b)/2] }
	riff := func(s string) []byte { return []byte("RIFF\x10\x00\x00\x00WEBP" + s) }
	return map[string][]byte{
		"nothing":                           {},
		"one byte":                          {0x89},
		"text":                              []byte("hello"),
		"HTML":                              []byte("<!doctype html><script>alert(1)</script>"),
		"SVG":                               []byte(`<svg xmlns="http://www.w3.org/2000/svg"/>`),
		"JPEG's magic and HTML":             []byte("\xff\xd8\xff<html><script>alert(1)</script>"),
		"PNG's magic and HTML":              []byte("\x89PNG\r\n\x1a\n<html>"),
		"WebP's magic and HTML":             riff("<html>"),
		"GIF":                               []byte("GIF89a\x01\x00\x01\x00\x80\x00\x00\xff\xff\xff\x00\x00\x00!\xf9\x04\x01\x00\x00\x00\x00,\x00\x00\x00\x00\x01\x00\x01\x00\x00\x02\x02D\x01\x00;"),
		"AVIF":                              []byte("\x00\x00\x00\x1cftypavif\x00\x00\x00\x00avifmif1miaf"),
		"PNG 65535 x 65535":                 rawPNG(65535, 65535, 8, 2, 0, 0),
		"PNG of 2^31 - 1 pixels":            rawPNG(1<<31-1, 1, 8, 2, 0, 0),
		"PNG of 2^32 - 1 pixels":            rawPNG(1<<32-1, 1, 8, 2, 0, 0),
		"PNG 1 x 0":                         rawPNG(1, 0, 8, 2, 0, 0),
		"PNG 0 x 1":                         rawPNG(0, 1, 8, 2, 0, 1),
		"PNG of too many pixels":            rawPNG(8000, 5001, 8, 0, 0, 0),
		"PNG of 381 MiB":                    rawPNG(10_000, 10_000, 8, 2, 0, 1<<20),
		"PNG that is too wide":              rawPNG(16385, 1, 8, 0, 0, 16386),
		"half a PNG":                        halfOf(pngOf(100, 100)),
		"PNG without its end":               pngOf(100, 100)[:len(pngOf(100, 100))-12],
		"PNG with too few pixels":           rawPNG(100, 100, 8, 0, 0, 100*101-1),
		"half a JPEG":                       halfOf(jpegOf(100, 100)),
		"JPEG without its last three bytes": jpegOf(100, 100)[:len(jpegOf(100, 100))-3],
		"half a WebP":                       halfOf(webpOf(100, 100)),
		"half a lossy WebP":                 halfOf(unbase64(lossyWebP)),
		"PNG with a wrong checksum":         bytes.Replace(pngOf(100, 100), []byte("IEND\xae"), []byte("IEND\xaf"), 1),
		"PNG 16 bits and interlaced, beyond the memory limit": rawPNG(6000, 6000, 16, 6, 1, 0),
		"25 MiB + 1": append(pngOf(10, 10), make([]byte, media.MaxBytes)...),
	}
}

func TestOpenRefuses(t *testing.T) {
	for name, file := range bad() {
		t.Run(name, func(t *testing.T) {
			got := mediatest.Allocated(func() {
				if p, err := picture.Open(t.Context(), bytes.NewReader(file)); !errors.Is(err, media.ErrNotPicture) {
					t.Errorf("got %+v, %v; want ErrNotPicture", p, err)
				}
			})
			if got > 2<<20 {
				t.Errorf("refusing takes %d bytes of memory", got)
			}
		})
	}
}

func TestOpenManyChunks(t *testing.T) {
	text := bytes.Repeat(pngChunk("tEXt", []byte("k\x00v")), 100_000)
	file := bytes.NewReader(rawPNG(1, 1, 8, 0, 0, 2, text))
	cputest.Within(t, 5*time.Second, "a file of 100,000 chunks", func() {
		if _, err := picture.Open(t.Context(), file); err != nil {
			t.Error(err)
		}
	})
}

// TestOpenMemory checks that Open allocates what its godoc promises: the decoded picture,
// in any form, and some buffers. The picture is wide, so that its thumbnail is small.
func TestOpenMemory(t *testing.T) {
	const w, h = 4096, 64
	for name, test := range map[string]struct {
		file          []byte
		bytesPerPixel uint64
	}{
		"grey PNG":                             {rawPNG(w, h, 8, 0, 0, h*(1+w)), 1},
		"PNG":                                  {rawPNG(w, h, 8, 6, 0, h*(1+4*w)), 4},
		"PNG of 16 bits":                       {rawPNG(w, h, 16, 6, 0, h*(1+8*w)), 8},
		"interlaced PNG":                       {interlacedPNG(w, h), 16},
		"JPEG":                                 {jpegOf(w, h), 3},
		"progressive JPEG":                     {progressiveJPEG(w, h, 3, yCbCr), 15},
		"progressive JPEG with coarse colours": {coarse(progressiveJPEG(w, h, 3, yCbCr)), 8},
		"progressive RGB JPEG":                 {progressiveJPEG(w, h, 3, asIs), 19},
		"progressive CMYK JPEG":                {progressiveJPEG(w, h, 4, asIs), 24},
		"lossless WebP":                        {webpOf(w, h), 8},
	} {
		t.Run(name, func(t *testing.T) {
			got := mediatest.Allocated(func() {
				if _, err := picture.Open(t.Context(), bytes.NewReader(test.file)); err != nil {
					t.Error(err)
				}
			})
			if limit := test.bytesPerPixel*w*h + 1<<20; got > limit {
				t.Errorf("takes %d bytes, more than %d", got, limit)
			}
		})
	}
}

func TestOpenFailsToRead(t *testing.T) {
	broken := io.NewSectionReader(brokenAt{pngOf(100, 100), 300}, 0, 1000)
	if _, err := picture.Open(t.Context(), broken); !errors.Is(err, errDisk) || errors.Is(err, media.ErrNotPicture) {
		t.Errorf("got %v, want errDisk", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := picture.Open(ctx, bytes.NewReader(pngOf(1, 1))); !errors.Is(err, context.Canceled) || errors.Is(err, media.ErrNotPicture) {
		t.Errorf("got %v, want context.Canceled", err)
	}
}

var errDisk = errors.New("disk gone")

// brokenAt returns errDisk from offset at on.
type brokenAt struct {
	data []byte
	at   int64
}

func (b brokenAt) ReadAt(p []byte, off int64) (int, error) {
	if off >= b.at {
		return 0, errDisk
	}
	return copy(p, b.data[off:b.at]), nil
}

// A JPEG with very many scans takes much time per byte; the context ends it.
func TestOpenStopsWithItsContext(t *testing.T) {
	file := progressiveJPEG(4000, 4000, 1, yCbCr)
	sos := bytes.LastIndex(file, []byte{0xff, 0xda})
	eoi := len(file) - 2
	file = append(bytes.Clone(file[:eoi]), bytes.Repeat(file[sos:eoi], 500)...)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	read := canceling{Reader: bytes.NewReader(file), cancel: cancel, left: len(file) + eoi} // all of it once, then the first scans
	cputest.Within(t, 5*time.Second, "an Open that its context ends", func() {
		if _, err := picture.Open(ctx, &read); !errors.Is(err, context.Canceled) {
			t.Errorf("got %v, want context.Canceled", err)
		}
	})
}

// canceling cancels a context after left more bytes have been read.
type canceling struct {
	*bytes.Reader
	cancel func()
	left   int
}

func (c *canceling) Read(p []byte) (int, error) {
	n, err := c.Reader.Read(p)
	if c.left -= n; c.left <= 0 {
		c.cancel()
	}
	return n, err
}

func TestThumbnailOverWhite(t *testing.T) {
	img := image.NewNRGBA(image.Rect(0, 0, 64, 64))
	for i := 0; i < len(img.Pix)/2; i += 4 {
		copy(img.Pix[i:], []byte{255, 0, 0, 128})
	}
	var b bytes.Buffer
	if err := png.Encode(&b, img); err != nil {
		t.Fatal(err)
	}
	p, err := picture.Open(t.Context(), &readSeeker{bytes.NewReader(b.Bytes())})
	if err != nil {
		t.Fatal(err)
	}
	thumbnail, err := jpeg.Decode(bytes.NewReader(p.Thumbnail))
	if err != nil {
		t.Fatal(err)
	}
	wantNear(t, thumbnail.At(32, 60), color.RGBA{255, 255, 255, 255})
	wantNear(t, thumbnail.At(32, 4), color.RGBA{255, 127, 127, 255})
}

type readSeeker struct{ io.ReadSeeker }

func wantNear(t *testing.T, got, want color.Color) {
	t.Helper()
	r, g, b, _ := got.RGBA()
	wr, wg, wb, _ := want.RGBA()
	for _, pair := range [][2]uint32{{r, wr}, {g, wg}, {b, wb}} {
		if diff := int(pair[0]>>8) - int(pair[1]>>8); diff < -6 || diff > 6 {
			t.Errorf("colour %v, want about %v", got, want)
			return
		}
	}
}

func FuzzOpen(f *testing.F) {
	for _, file := range [][]byte{
		pngOf(8, 8), jpegOf(8, 8), webpOf(8, 8), unbase64(lossyWebP), unbase64(alphaWebP), interlacedPNG(8, 8),
		withEXIF(jpegOf(8, 8), 6), withProfile(jpegOf(8, 8), rgbProfile(200)), insertPNG(pngOf(8, 8), pngChunk("iCCP", zippedProfile(rgbProfile(200)))),
		testdata("animation.webp"), testdata("arithmetic.jpg"), testdata("sampling.jpg"), testdata("colours-alpha.webp"), testdata("progressive.jpg"), testdata("progressive.jpg")[:500],
		progressiveJPEG(8, 8, 1, yCbCr), progressiveJPEG(16, 16, 3, asIs), progressiveJPEG(8, 8, 4, yCbCrK), rawPNG(65535, 65535, 8, 2, 0, 0), []byte("\xff\xd8\xff<html>"), {},
	} {
		f.Add(file)
	}
	f.Fuzz(func(t *testing.T, file []byte) {
		p, err := picture.Open(t.Context(), bytes.NewReader(file))
		if err != nil {
			if !errors.Is(err, media.ErrNotPicture) {
				t.Fatalf("not ErrNotPicture: %v", err)
			}
			if known := p.Width > 0 && p.Width*p.Height <= media.MaxPixels && p.SHA256 == sha256.Sum256(file); known != errors.Is(err, media.ErrDamaged) {
				t.Fatalf("%+v, %v", p, err)
			}
			return
		}
		if p.Width < 1 || p.Height < 1 || p.Width*p.Height > media.MaxPixels || p.SHA256 != sha256.Sum256(file) || p.Bytes != int64(len(file)) {
			t.Fatalf("got %+v", p)
		}
		l, err := media.Walk(bytes.NewReader(file))
		if err != nil || l.Ext != p.Ext {
			t.Fatalf("Walk returns %+v, %v for a picture that Open accepts", l, err)
		}
		if p.Thumbnail == nil { // in a form that the decoder does not support
			if l.Flaw != "" {
				t.Fatalf("a flawed file without a thumbnail is accepted: %+v", l)
			}
			return
		}
		config, err := jpeg.DecodeConfig(bytes.NewReader(p.Thumbnail))
		if err != nil || max(config.Width, config.Height) > media.ThumbnailSide || config.Width > p.Width || config.Height > p.Height {
			t.Fatalf("thumbnail %+v, %v", config, err)
		}
	})
}
