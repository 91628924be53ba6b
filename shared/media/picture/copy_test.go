package picture_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"image"
	"image/color"
	"image/draw"
	"image/jpeg"
	"image/png"
	"io"
	"slices"
	"testing"
	"time"

	"github.com/preset/nanobanana-functions/shared/cputest"
	"github.com/preset/nanobanana-functions/shared/media"
	"github.com/preset/nanobanana-functions/shared/media/mediatest"
	"github.com/preset/nanobanana-functions/shared/media/picture"
)

// mustCopy copies a sound picture and returns the copy, decoded, and its thumbnail.
func mustCopy(t *testing.T, file []byte) (c media.Copy, large, small image.Image) {
	t.Helper()
	c, err := picture.Copy(t.Context(), bytes.NewReader(file))
	if err != nil {
		t.Fatal(err)
	}
	large, err = jpeg.Decode(bytes.NewReader(c.JPEG))
	if err != nil {
		t.Fatal(err)
	}
	small, err = jpeg.Decode(bytes.NewReader(c.Thumbnail))
	if err != nil {
		t.Fatal(err)
	}
	if size := large.Bounds().Size(); size != image.Pt(c.Width, c.Height) {
		t.Errorf("the copy is said to be %d x %d, and is %v", c.Width, c.Height, size)
	}
	return c, large, small
}

// location is EXIF with an orientation and a place, as phones write it.
func location(orientation uint16) []byte {
	b := exif(binary.BigEndian, orientation)
	return append(b, "GPSLatitude 48.2082 N GPSLongitude 16.3738 E Pixel 9 Ada Lovelace"...)
}

// personal are words that a copy must not have.
var personal = []string{"Exif", "GPS", "48.2082", "Pixel 9", "Ada", "adobe", "xmp", "Photoshop", "Vienna"}

// A copy shows the picture as browsers do, and has nothing of what its file said besides.
func TestCopyOfAPhoto(t *testing.T) {
	xmp := []byte("http://ns.adobe.com/xap/1.0/\x00<x:xmpmeta><rdf:Description exif:GPSLatitude=\"48.2082\"/></x:xmpmeta>")
	iptc := []byte("Photoshop 3.0\x008BIM Vienna")
	for i, want := range []string{"RGBW", "GRWB", "WBGR", "BWRG", "RBGW", "BRWG", "WGBR", "GWRB"} {
		orientation := uint16(i + 1)
		asJPEG := insertJPEG(insertJPEG(insertJPEG(quartersJPEG(), 0xed, iptc), 0xe1, append([]byte("Exif\x00\x00"), location(orientation)...), xmp), 0xfe, []byte("Ada's comment, Vienna"))
		for name, file := range map[string][]byte{
			"JPEG": append(asJPEG, "GPS after its end, Vienna"...),
			"PNG": insertPNG(quartersPNG(), pngChunk("eXIf", location(orientation)), pngChunk("tEXt", []byte("Author\x00Ada Lovelace")),
				pngChunk("iTXt", append([]byte("XML:com.adobe.xmp\x00\x00\x00\x00\x00"), xmp...))),
		} {
			c, large, small := mustCopy(t, file)
			size := image.Pt(64, 32)
			if orientation >= 5 {
				size = image.Pt(32, 64)
			}
			if corners(large) != want || corners(small) != want || image.Pt(c.Width, c.Height) != size {
				t.Errorf("%s %d: %s of %d x %d, thumbnail %s; want %s of %v", name, orientation, corners(large), c.Width, c.Height, corners(small), want, size)
			}
			for _, word := range personal {
				if !bytes.Contains(file, []byte(word)) && name == "JPEG" {
					t.Fatalf("the test's own file lacks %q", word)
				}
				if bytes.Contains(c.JPEG, []byte(word)) || bytes.Contains(c.Thumbnail, []byte(word)) {
					t.Errorf("%s %d: the copy has %q", name, orientation, word)
				}
			}
			wantSegments(t, c.JPEG)
			wantSegments(t, c.Thumbnail)
		}
	}
}

// wantSegments fails the test if a JPEG has a segment besides those that its pixels need,
// and its profile.
func wantSegments(t *testing.T, file []byte) {
	t.Helper()
	for at := 2; at+4 <= len(file); at += 2 + int(binary.BigEndian.Uint16(file[at+2:])) {
		marker := file[at+1]
		if !slices.Contains([]byte{0xdb, 0xc0, 0xc4, 0xda, 0xe2}, marker) {
			t.Errorf("a segment with marker %#x", marker)
		}
		if marker == 0xda {
			return
		}
	}
}

func TestCopySizes(t *testing.T) {
	for name, test := range map[string]struct {
		file          []byte
		width, height int
		thumbnail     image.Point
	}{
		"wide":                     {pngOf(2400, 80), 2048, 68, image.Pt(512, 17)},
		"tall, on its side":        {withEXIF(jpegOf(4096, 32), 6), 16, 2048, image.Pt(4, 512)},
		"one pixel more":           {jpegOf(2049, 1), 2048, 1, image.Pt(512, 1)},
		"as long":                  {pngOf(2048, 4), 2048, 4, image.Pt(512, 1)},
		"small, is not enlarged":   {pngOf(7, 5), 7, 5, image.Pt(7, 5)},
		"one pixel":                {unbase64(lossyWebP), 1, 1, image.Pt(1, 1)},
		"lossless WebP":            {webpOf(513, 20), 513, 20, image.Pt(512, 19)},
		"progressive JPEG in CMYK": {progressiveJPEG(100, 100, 4, asIs), 100, 100, image.Pt(100, 100)},
	} {
		c, _, small := mustCopy(t, test.file)
		if c.Width != test.width || c.Height != test.height || small.Bounds().Size() != test.thumbnail {
			t.Errorf("%s: %d x %d, thumbnail %v", name, c.Width, c.Height, small.Bounds().Size())
		}
	}
}

// A transparent picture is on white, as in thumbnails, and the profile that makes sense of
// the colours stays.
func TestCopyColours(t *testing.T) {
	cutOut := image.NewNRGBA(image.Rect(0, 0, 64, 64))
	draw.Draw(cutOut, image.Rect(0, 0, 32, 64), image.NewUniform(color.NRGBA{R: 200, A: 255}), image.Point{}, draw.Src)
	_, large, small := mustCopy(t, encoded(func(b *bytes.Buffer) error { return png.Encode(b, cutOut) }))
	for _, img := range []image.Image{large, small} {
		wantNear(t, img.At(8, 32), color.RGBA{200, 0, 0, 255})
		wantNear(t, img.At(56, 32), color.RGBA{255, 255, 255, 255})
	}
	icc := rgbProfile(3000)
	for name, test := range map[string]struct{ file, want []byte }{
		"JPEG":              {withProfile(quartersJPEG(), icc), icc},
		"PNG":               {insertPNG(quartersPNG(), pngChunk("iCCP", zippedProfile(icc))), icc},
		"WebP":              {webpChunks(32, 64, 32, webpChunk("ICCP", icc), webpOf(64, 32)[12:]), icc},
		"of inks":           {withProfile(progressiveJPEG(16, 16, 4, asIs), icc), nil},
		"without a profile": {quartersJPEG(), nil},
	} {
		c, _, _ := mustCopy(t, test.file)
		if !bytes.Equal(profileOf(t, c.JPEG), test.want) || !bytes.Equal(profileOf(t, c.Thumbnail), test.want) {
			t.Errorf("%s: profiles of %d and %d bytes, want %d", name, len(profileOf(t, c.JPEG)), len(profileOf(t, c.Thumbnail)), len(test.want))
		}
	}
}

// What is no picture, or is not proved to be a sound one, has no copy.
func TestCopyRefuses(t *testing.T) {
	files := bad()
	delete(files, "25 MiB + 1") // its length is the caller's to limit
	files["half a picture, of which browsers show a part"] = jpegOf(500, 500)[:3000]
	files["a JPEG without its end"] = jpegOf(20, 20)[:len(jpegOf(20, 20))-2]
	for name, file := range files {
		if c, err := picture.Copy(t.Context(), bytes.NewReader(file)); !errors.Is(err, media.ErrNotPicture) || c.JPEG != nil || c.Thumbnail != nil {
			t.Errorf("%s: %d bytes, %v", name, len(c.JPEG), err)
		}
	}
}

func TestCopyFailsToRead(t *testing.T) {
	broken := io.NewSectionReader(brokenAt{pngOf(100, 100), 300}, 0, 1000)
	if _, err := picture.Copy(t.Context(), broken); !errors.Is(err, errDisk) || errors.Is(err, media.ErrNotPicture) {
		t.Errorf("got %v, want errDisk", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := picture.Copy(ctx, bytes.NewReader(pngOf(1, 1))); !errors.Is(err, context.Canceled) || errors.Is(err, media.ErrNotPicture) {
		t.Errorf("got %v, want context.Canceled", err)
	}
}

// Besides the decoded picture a copy takes at most two of its own size, and its files.
func TestCopyMemory(t *testing.T) {
	const w, h, copied = 3000, 750, 2048 * 512
	file := jpegOf(w, h)
	got := mediatest.Allocated(func() {
		if _, err := picture.Copy(t.Context(), bytes.NewReader(withEXIF(file, 6))); err != nil {
			t.Error(err)
		}
	})
	if limit := uint64(3*w*h + 2*4*copied + 4<<20); got > limit {
		t.Errorf("takes %d bytes, more than %d", got, limit)
	}
}

// BenchmarkCopy copies a photograph of 12 Mpx, as phones take them.
func BenchmarkCopy(b *testing.B) {
	file := encoded(func(b *bytes.Buffer) error {
		return jpeg.Encode(b, photo(4000, 3000, 16), &jpeg.Options{Quality: 88})
	})
	b.SetBytes(int64(len(file)))
	for b.Loop() {
		if _, err := picture.Copy(b.Context(), bytes.NewReader(file)); err != nil {
			b.Fatal(err)
		}
	}
}

// A JPEG of a few KB can take hours to decode: a scan of 100 bytes passes over all of the
// picture. Whoever uploads one must not hold up the pictures of others.
func TestCopyOfManyScans(t *testing.T) {
	const side = 1000
	file := progressiveJPEG(side, side, 1, yCbCr)
	table := append([]byte{0xff, 0xc4, 0, 20, 0x10, 1}, make([]byte, 15)...)
	table = append(table, 0xe0) // "0" and 14 bits: no change in so many blocks
	scan := append([]byte{0xff, 0xda, 0, 8, 1, 1, 0, 1, 63, 0}, make([]byte, (side/8*side/8>>14+1)*15/8+1)...)
	sound := slices.Concat(file[:len(file)-2], table, bytes.Repeat(scan, 20), file[len(file)-2:])
	if _, err := picture.Copy(t.Context(), bytes.NewReader(sound)); err != nil {
		t.Errorf("20 scans: %v", err)
	}
	bomb := slices.Concat(file[:len(file)-2], table, bytes.Repeat(scan, 8000), file[len(file)-2:])
	cputest.Within(t, time.Second, "a Copy that refuses", func() {
		if _, err := picture.Copy(t.Context(), bytes.NewReader(bomb)); !errors.Is(err, media.ErrNotPicture) {
			t.Errorf("8000 scans in %d bytes: got %v, want ErrNotPicture", len(bomb), err)
		}
	})
}
