package picture_test

import (
	"bytes"
	"errors"
	"fmt"
	"image"
	"image/color"
	"image/png"
	"slices"
	"testing"

	"github.com/preset/nanobanana-functions/shared/media"
	"github.com/preset/nanobanana-functions/shared/media/picture"
)

// Open accepts flaws that every program overlooks, and makes a thumbnail.
func TestOpenAcceptsHarmlessFlaws(t *testing.T) {
	whole := testdata("progressive.jpg")
	paletted := image.NewPaletted(image.Rect(0, 0, 9, 9), color.Palette{color.NRGBA{255, 0, 0, 0}, color.Black})
	transparent := encoded(func(b *bytes.Buffer) error { return png.Encode(b, paletted) })
	alpha := pngChunk("tRNS", []byte{0})
	for name, test := range map[string]struct {
		file []byte
		flaw bool
	}{
		"PNG, text with a wrong checksum":        {insertPNG(pngOf(9, 9), broken(pngChunk("tEXt", []byte("k\x00v")))), true},
		"PNG, gamma with a wrong checksum":       {insertPNG(pngOf(9, 9), broken(pngChunk("gAMA", make([]byte, 4)))), true},
		"PNG, a long chunk, wrong checksum":      {insertPNG(pngOf(9, 9), broken(pngChunk("zTXt", make([]byte, 1<<20)))), true},
		"PNG, transparency and text":             {insertPNG(transparent, broken(pngChunk("tIME", make([]byte, 7)))), true},
		"PNG, transparency, wrong checksum":      {insertPNG(pngOf(9, 9), broken(pngChunk("tRNS", make([]byte, 6)))), true},
		"PNG, transparency of a wrong length":    {insertPNG(rawPNG(9, 9, 8, 0, 0, 90), pngChunk("tRNS", make([]byte, 6))), false},
		"PNG, transparency beside an alpha":      {insertPNG(rawPNG(9, 9, 8, 6, 0, 333), pngChunk("tRNS", make([]byte, 6))), false},
		"PNG, transparency before its palette":   {insertPNG(pngOfPalette(), alpha), false},
		"PNG, transparency twice":                {bytes.Replace(transparent, alpha, slices.Concat(alpha, alpha), 1), false},
		"JPEG without its end":                   {jpegOf(100, 100)[:len(jpegOf(100, 100))-2], true},
		"JPEG without its last byte":             {jpegOf(100, 100)[:len(jpegOf(100, 100))-1], true},
		"progressive JPEG without its end":       {whole[:len(whole)-2], true},
		"JPEG without its end, and zeros":        {append(jpegOf(100, 100)[:len(jpegOf(100, 100))-2:len(jpegOf(100, 100))-2], make([]byte, 100)...), true},
		"progressive JPEG with few coefficients": {whole, false},
		"WebP that claims alpha":                 {webpChunks(16, 80, 16, testdata("colours-lossy.webp")[12:]), false},
		"WebP that does not claim its alpha":     {webpChunks(0, 80, 16, testdata("colours-alpha.webp")[30:]), false},
	} {
		t.Run(name, func(t *testing.T) {
			mustOpen(t, test.file)
			if _, err := media.Inspect(bytes.NewReader(test.file)); (err != nil) != test.flaw {
				t.Errorf("as an upload: %v", err)
			}
		})
	}
	_, thumb := mustOpen(t, transparent)
	wantNear(t, thumb.At(4, 4), color.White)
}

// A progressive JPEG without its end may lack scans: all pixels decode, but they are not
// yet the picture.
func TestOpenRequiresAllScans(t *testing.T) {
	whole := testdata("progressive.jpg")
	scans := 0
	for i := bytes.Index(whole, []byte{0xff, 0xda}); i >= 0 && i < len(whole); scans++ {
		next := bytes.Index(whole[i+2:], []byte{0xff, 0xda})
		if next < 0 {
			break
		}
		// All before the next scan, including its tables.
		wantDamaged(t, fmt.Sprint(scans+1, " scans"), whole[:i+2+next])
		i += 2 + next
	}
	if scans < 3 {
		t.Errorf("the file has %d scans", scans)
	}
}

// pngOfPalette returns a PNG with a palette, without transparency.
func pngOfPalette() []byte {
	img := image.NewPaletted(image.Rect(0, 0, 9, 9), color.Palette{color.White, color.Black})
	return encoded(func(b *bytes.Buffer) error { return png.Encode(b, img) })
}

func wantDamaged(t *testing.T, name string, file []byte) {
	t.Helper()
	p, err := picture.Open(t.Context(), bytes.NewReader(file))
	if !errors.Is(err, media.ErrDamaged) || !errors.Is(err, media.ErrNotPicture) || p.Width == 0 || p.Height == 0 || p.Thumbnail != nil || p.Bytes != int64(len(file)) {
		t.Errorf("%s: %+v, %v; want ErrDamaged", name, p, err)
	}
}

// Open distinguishes a damaged picture of known size from a file that is no picture.
func TestOpenDamaged(t *testing.T) {
	noise := pngOf(300, 200)
	copy(noise[2000:], "something else")
	for name, file := range map[string][]byte{
		"half a PNG":                  pngOf(300, 200)[:4000],
		"PNG, broken pixels":          noise,
		"PNG without its end":         pngOf(100, 100)[:len(pngOf(100, 100))-12],
		"PNG of an invalid kind":      rawPNG(8, 8, 3, 5, 0, 100),
		"PNG, a broken palette":       bytes.Replace(pngOfPalette(), []byte("PLTE\xff"), []byte("PLTE\xfe"), 1),
		"half a JPEG":                 jpegOf(300, 200)[:3000],
		"half a progressive JPEG":     testdata("progressive.jpg")[:400],
		"half a WebP":                 webpOf(300, 200)[:3000],
		"half a lossy WebP":           testdata("colours-lossy.webp")[:80],
		"incomplete WebP":             slices.Concat(webpOf(30, 20)[:4], []byte{0, 4, 0, 0}, webpOf(30, 20)[8:]),
		"half an animation":           testdata("animation.webp")[:120],
		"arithmetic JPEG, cut":        testdata("arithmetic.jpg")[:len(testdata("arithmetic.jpg"))-2],
		"beyond the memory limit":     rawPNG(6000, 6000, 16, 6, 1, 1000),
		"JPEG with a scan of rubbish": append(jpegOf(100, 100)[:700:700], bytes.Repeat([]byte{0xff, 0xf0, 0, 2}, 10)...),
	} {
		wantDamaged(t, name, file)
	}
	for name, file := range bad() {
		p, err := picture.Open(t.Context(), bytes.NewReader(file))
		if errors.Is(err, media.ErrDamaged) != (p.Width > 0) {
			t.Errorf("%s: %+v, %v", name, p, err)
		}
	}
	for name, file := range map[string][]byte{
		"JPEG's magic and HTML": []byte("\xff\xd8\xff<html>"),
		"only a PNG's header":   pngOf(100, 100)[:33],
		"a PNG beyond limits":   rawPNG(65535, 65535, 8, 2, 0, 100),
	} {
		if p, err := picture.Open(t.Context(), bytes.NewReader(file)); err == nil || errors.Is(err, media.ErrDamaged) {
			t.Errorf("%s: %+v, %v", name, p, err)
		}
	}
}

// Open accepts sound files in forms that the decoders do not support.
func TestOpenUnsupported(t *testing.T) {
	twelveBits := jpegOf(32, 16)
	twelveBits[bytes.Index(twelveBits, []byte{0xff, 0xc0})+4] = 12
	inks := progressiveJPEG(32, 16, 4, asIs)
	inks = slices.Concat(inks[:2], inks[2+16:]) // without the Adobe segment
	for name, test := range map[string]struct {
		file          []byte
		width, height int
	}{
		"animated WebP":        {testdata("animation.webp"), 40, 20},
		"arithmetic JPEG":      {testdata("arithmetic.jpg"), 32, 16},
		"turned":               {withEXIF(testdata("arithmetic.jpg"), 8), 16, 32},
		"oddly sampled JPEG":   {testdata("sampling.jpg"), 32, 16},
		"12 bits":              {twelveBits, 32, 16},
		"CMYK without Adobe":   {inks, 32, 16},
		"arithmetic and a ZIP": {append(testdata("arithmetic.jpg"), "PK\x03\x04"...), 32, 16},
	} {
		p, err := picture.Open(t.Context(), bytes.NewReader(test.file))
		if err != nil || p.Width != test.width || p.Height != test.height || p.Thumbnail != nil || p.Bytes != int64(len(test.file)) {
			t.Errorf("%s: %+v, %v", name, p, err)
		}
		if _, err := media.Inspect(bytes.NewReader(test.file)); name == "animated WebP" && err == nil {
			t.Errorf("%s is accepted as an upload", name)
		}
	}
}

// Open does not accept a file of such a form that is cut short anywhere.
func TestOpenNoticesEveryCutOfUnsupported(t *testing.T) {
	for _, name := range []string{"animation.webp", "arithmetic.jpg", "sampling.jpg"} {
		file := testdata(name)
		for n := range file {
			if p, err := picture.Open(t.Context(), bytes.NewReader(file[:n])); err == nil {
				t.Errorf("%s, %d bytes of %d: %+v", name, n, len(file), p)
			}
		}
	}
}

// frame returns a frame of an animation, at 0, 0.
func frame(w, h int, chunks ...[]byte) []byte {
	head := []byte{0, 0, 0, 0, 0, 0, byte(w - 1), byte((w - 1) >> 8), 0, byte(h - 1), byte((h - 1) >> 8), 0, 1, 0, 0, 0}
	return webpChunk("ANMF", append(head, slices.Concat(chunks...)...))
}

func TestOpenRefusesAnimations(t *testing.T) {
	dot := webpOf(8, 8)[12:]
	anim := webpChunk("ANIM", make([]byte, 6))
	frames := func(n int) []byte { return bytes.Repeat(frame(8, 8, dot), n) }
	if p, err := picture.Open(t.Context(), bytes.NewReader(webpChunks(2, 5000, 5000, anim, frames(16)))); err != nil {
		t.Errorf("400 Mpx: %+v, %v", p, err)
	}
	nested := dot
	for range 3 {
		nested = slices.Concat(webpChunk("VP8X", make([]byte, 10)), frame(8, 8, nested))
	}
	for name, file := range map[string][]byte{
		"425 Mpx":                 webpChunks(2, 5000, 5000, anim, frames(17)),
		"a canvas beyond limits":  webpChunks(2, 8000, 5001, anim, frames(1)),
		"no frame":                webpChunks(2, 8, 8, anim),
		"a frame off the canvas":  webpChunks(2, 8, 8, anim, frame(8, 9, webpOf(8, 9)[12:])),
		"a frame of another size": webpChunks(2, 9, 9, anim, frame(9, 8, dot)),
		"a frame without pixels":  webpChunks(2, 8, 8, anim, frame(8, 8, webpChunk("ICCP", make([]byte, 9)))),
		"frames in frames":        webpChunks(2, 8, 8, anim, frame(8, 8, nested)),
	} {
		if p, err := picture.Open(t.Context(), bytes.NewReader(file)); !errors.Is(err, media.ErrNotPicture) {
			t.Errorf("%s: %+v, %v", name, p, err)
		}
	}
}

// coarse returns a JPEG of three components with its colours declared as 4:2:0. It then
// has more data than it needs.
func coarse(file []byte) []byte {
	return bytes.Replace(file, []byte{3, 1, 0x11, 0}, []byte{3, 1, 0x22, 0}, 1)
}

// The memory limit decides how large a progressive JPEG may be: it takes 7.5 bytes per
// pixel with coarse colours, 15 without.
func TestOpenLargeProgressive(t *testing.T) {
	large := progressiveJPEG(4240, 4240, 3, yCbCr)
	if p, err := picture.Open(t.Context(), bytes.NewReader(coarse(large))); err != nil || p.Thumbnail == nil {
		t.Errorf("4:2:0: %d x %d, %v", p.Width, p.Height, err)
	}
	wantDamaged(t, "4:4:4", large)
}
