package picture_test

import (
	"bytes"
	"compress/zlib"
	"encoding/binary"
	"fmt"
	"image"
	"image/color"
	"image/jpeg"
	"image/png"
	"os"
	"slices"
	"testing"

	"github.com/preset/nanobanana-functions/shared/media"
	"github.com/preset/nanobanana-functions/shared/media/picture"
)

func testdata(name string) []byte {
	b, err := os.ReadFile("testdata/" + name)
	if err != nil {
		panic(err)
	}
	return b
}

// insertPNG inserts chunks after the header of a PNG.
func insertPNG(file []byte, chunks ...[]byte) []byte {
	return slices.Concat(file[:33], slices.Concat(chunks...), file[33:])
}

// broken returns the chunk with a wrong checksum.
func broken(chunk []byte) []byte {
	b := bytes.Clone(chunk)
	b[len(b)-1]++
	return b
}

// insertJPEG inserts application segments after the first marker of a JPEG.
func insertJPEG(file []byte, marker byte, contents ...[]byte) []byte {
	var segments []byte
	for _, c := range contents {
		segments = binary.BigEndian.AppendUint16(append(segments, 0xff, marker), uint16(len(c)+2))
		segments = append(segments, c...)
	}
	return slices.Concat(file[:2], segments, file[2:])
}

// exif returns a TIFF file that contains an orientation only.
func exif(order binary.AppendByteOrder, orientation uint16) []byte {
	b := []byte("MM")
	if order == binary.AppendByteOrder(binary.LittleEndian) {
		b = []byte("II")
	}
	b = order.AppendUint32(order.AppendUint16(b, 42), 8)
	b = order.AppendUint16(order.AppendUint16(order.AppendUint16(b, 1), 0x112), 3)
	return append(order.AppendUint16(order.AppendUint32(b, 1), orientation), 0, 0, 0, 0, 0, 0)
}

func withEXIF(file []byte, orientation uint16) []byte {
	return insertJPEG(file, 0xe1, append([]byte("Exif\x00\x00"), exif(binary.BigEndian, orientation)...))
}

// webpChunks returns an extended WebP with these chunks after the first.
func webpChunks(flags byte, w, h int, chunks ...[]byte) []byte {
	head := []byte{flags, 0, 0, 0, byte(w - 1), byte((w - 1) >> 8), 0, byte(h - 1), byte((h - 1) >> 8), 0}
	body := slices.Concat([]byte("WEBP"), webpChunk("VP8X", head), slices.Concat(chunks...))
	return append(binary.LittleEndian.AppendUint32([]byte("RIFF"), uint32(len(body))), body...)
}

func webpChunk(name string, content []byte) []byte {
	b := append(binary.LittleEndian.AppendUint32([]byte(name), uint32(len(content))), content...)
	return append(b, make([]byte, len(content)%2)...)
}

// quarters returns a picture of red and green above blue and white.
func quarters() *image.RGBA {
	img := image.NewRGBA(image.Rect(0, 0, 64, 32))
	for y := range 32 {
		for x := range 64 {
			img.SetRGBA(x, y, map[[2]bool]color.RGBA{
				{false, false}: {255, 0, 0, 255}, {true, false}: {0, 255, 0, 255},
				{false, true}: {0, 0, 255, 255}, {true, true}: {255, 255, 255, 255},
			}[[2]bool{x >= 32, y >= 16}])
		}
	}
	return img
}

func encoded(encode func(*bytes.Buffer) error) []byte {
	var b bytes.Buffer
	if err := encode(&b); err != nil {
		panic(err)
	}
	return b.Bytes()
}

func quartersJPEG() []byte {
	return encoded(func(b *bytes.Buffer) error { return jpeg.Encode(b, quarters(), &jpeg.Options{Quality: 95}) })
}

func quartersPNG() []byte {
	return encoded(func(b *bytes.Buffer) error { return png.Encode(b, quarters()) })
}

// mustOpen opens a sound picture and returns it with its decoded thumbnail.
func mustOpen(t *testing.T, file []byte) (media.Picture, image.Image) {
	t.Helper()
	p, err := picture.Open(t.Context(), bytes.NewReader(file))
	if err != nil {
		t.Fatal(err)
	}
	thumb, err := jpeg.Decode(bytes.NewReader(p.Thumbnail))
	if err != nil {
		t.Fatal(err)
	}
	return p, thumb
}

// corners returns the initials of the colours of the four quarters, from the top left.
func corners(img image.Image) string {
	var s []byte
	w, h := img.Bounds().Dx(), img.Bounds().Dy()
	for _, at := range []image.Point{{w / 4, h / 4}, {w * 3 / 4, h / 4}, {w / 4, h * 3 / 4}, {w * 3 / 4, h * 3 / 4}} {
		r, g, b, _ := img.At(at.X, at.Y).RGBA()
		name := map[[3]bool]byte{{true, false, false}: 'R', {false, true, false}: 'G', {false, false, true}: 'B', {true, true, true}: 'W'}
		s = append(s, max('?', name[[3]bool{r > 0x8000, g > 0x8000, b > 0x8000}]))
	}
	return string(s)
}

// Size and thumbnail of a picture are as browsers show it.
func TestOpenOrientation(t *testing.T) {
	for i, want := range []string{"RGBW", "GRWB", "WBGR", "BWRG", "RBGW", "BRWG", "WGBR", "GWRB"} {
		orientation := uint16(i + 1)
		for name, file := range map[string][]byte{
			"JPEG": withEXIF(quartersJPEG(), orientation),
			"PNG":  insertPNG(quartersPNG(), pngChunk("eXIf", exif(binary.LittleEndian, orientation))),
		} {
			p, thumb := mustOpen(t, file)
			if got := corners(thumb); got != want {
				t.Errorf("%s %d: thumbnail %s, want %s", name, orientation, got, want)
			}
			size := image.Pt(64, 32)
			if orientation >= 5 {
				size = image.Pt(32, 64)
			}
			if got := image.Pt(p.Width, p.Height); got != size || thumb.Bounds().Size() != size {
				t.Errorf("%s %d: %v, thumbnail %v, want %v", name, orientation, got, thumb.Bounds().Size(), size)
			}
		}
	}
}

// Browsers do not turn these pictures.
func TestOpenOrientationIgnored(t *testing.T) {
	six := exif(binary.BigEndian, 6)
	long := bytes.Clone(six)
	long[13] = 4 // the type of the entry
	end := len(quartersPNG()) - 12
	turned := slices.Concat(quartersPNG()[:end], pngChunk("eXIf", six), quartersPNG()[end:])
	for name, file := range map[string][]byte{
		"WebP":                    webpChunks(8, 64, 32, webpOf(64, 32)[12:], webpChunk("EXIF", six)),
		"PNG, after its pixels":   turned,
		"PNG, wrong checksum":     insertPNG(quartersPNG(), broken(pngChunk("eXIf", six))),
		"JPEG, 0":                 withEXIF(quartersJPEG(), 0),
		"JPEG, 9":                 withEXIF(quartersJPEG(), 9),
		"JPEG, of a wrong type":   insertJPEG(quartersJPEG(), 0xe1, append([]byte("Exif\x00\x00"), long...)),
		"JPEG, cut":               insertJPEG(quartersJPEG(), 0xe1, append([]byte("Exif\x00\x00"), six[:20]...)),
		"JPEG, far away":          insertJPEG(quartersJPEG(), 0xe1, []byte("Exif\x00\x00MM\x00*\xff\xff\xff\xff")),
		"JPEG, in another marker": insertJPEG(quartersJPEG(), 0xe2, append([]byte("Exif\x00\x00"), six...)),
	} {
		if p, _ := mustOpen(t, file); p.Width != 64 || p.Height != 32 {
			t.Errorf("%s: %d x %d", name, p.Width, p.Height)
		}
	}
}

// rgbProfile returns n bytes that begin like an ICC profile.
func rgbProfile(n int) []byte {
	b := make([]byte, n)
	binary.BigEndian.PutUint32(b, uint32(n))
	copy(b[12:], "mntrRGB XYZ ")
	copy(b[36:], "acsp")
	for i := 128; i < n; i++ {
		b[i] = byte(i * i >> 4)
	}
	return b
}

func zippedProfile(icc []byte) []byte {
	return encoded(func(b *bytes.Buffer) error {
		b.WriteString("a name\x00\x00")
		z := zlib.NewWriter(b)
		if _, err := z.Write(icc); err != nil {
			return err
		}
		return z.Close()
	})
}

// withProfile inserts an ICC profile into a JPEG, each part in a segment of its own.
func withProfile(file []byte, parts ...[]byte) []byte {
	var contents [][]byte
	for i, p := range parts {
		contents = append(contents, append(fmt.Appendf(nil, "ICC_PROFILE\x00%c%c", i+1, len(parts)), p...))
	}
	return insertJPEG(file, 0xe2, contents...)
}

// profileOf returns the ICC profile of a thumbnail.
func profileOf(t *testing.T, thumb []byte) []byte {
	t.Helper()
	l, err := media.Walk(bytes.NewReader(thumb))
	if err != nil {
		t.Fatal(err)
	}
	return l.Profile
}

func TestOpenKeepsTheProfile(t *testing.T) {
	icc, long := rgbProfile(3000), rgbProfile(media.MaxProfile)
	part := func(n byte, b []byte) []byte { return append([]byte("ICC_PROFILE\x00"+string([]byte{n, 2})), b...) }
	for name, test := range map[string]struct{ file, want []byte }{
		"JPEG":                     {withProfile(quartersJPEG(), icc), icc},
		"JPEG in two parts":        {withProfile(quartersJPEG(), icc[:1000], icc[1000:]), icc},
		"JPEG, parts in any order": {insertJPEG(quartersJPEG(), 0xe2, part(2, icc[1000:]), part(1, icc[:1000])), icc},
		"JPEG, 16 KiB":             {withProfile(quartersJPEG(), long), long},
		"PNG":                      {insertPNG(quartersPNG(), pngChunk("iCCP", zippedProfile(icc))), icc},
		"PNG, 16 KiB":              {insertPNG(quartersPNG(), pngChunk("iCCP", zippedProfile(long))), long},
		"WebP":                     {webpChunks(32, 64, 32, webpChunk("ICCP", icc), webpOf(64, 32)[12:]), icc},
	} {
		p, _ := mustOpen(t, test.file)
		if got := profileOf(t, p.Thumbnail); !bytes.Equal(got, test.want) {
			t.Errorf("%s: the thumbnail has a profile of %d bytes, want %d", name, len(got), len(test.want))
		}
	}
}

// A thumbnail has RGB pixels. A profile for another colour space, or half a profile,
// would falsify them.
func TestOpenDropsTheProfile(t *testing.T) {
	icc := rgbProfile(3000)
	grey := bytes.Clone(icc)
	copy(grey[16:], "GRAY")
	unsigned := bytes.Clone(icc)
	copy(unsigned[36:], "????")
	greyJPEG := encoded(func(b *bytes.Buffer) error { return jpeg.Encode(b, image.NewGray(image.Rect(0, 0, 8, 8)), nil) })
	bomb := zippedProfile(make([]byte, 10<<20))
	for name, file := range map[string][]byte{
		"of grey":               withProfile(quartersJPEG(), grey),
		"of a grey picture":     withProfile(greyJPEG, icc),
		"of inks":               withProfile(progressiveJPEG(16, 16, 4, asIs), icc),
		"too long":              withProfile(quartersJPEG(), rgbProfile(media.MaxProfile+1)),
		"cut":                   withProfile(quartersJPEG(), icc[:2000]),
		"without its signature": withProfile(quartersJPEG(), unsigned),
		"without a part":        insertJPEG(quartersJPEG(), 0xe2, append([]byte("ICC_PROFILE\x00\x02\x02"), icc...)),
		"of a few bytes":        withProfile(quartersJPEG(), icc[:20]),
		"a bomb in a PNG":       insertPNG(quartersPNG(), pngChunk("iCCP", bomb)),
		"broken in a PNG":       insertPNG(quartersPNG(), pngChunk("iCCP", zippedProfile(icc)[:500])),
		"wrong checksum":        insertPNG(quartersPNG(), broken(pngChunk("iCCP", zippedProfile(icc)))),
	} {
		p, _ := mustOpen(t, file)
		if got := profileOf(t, p.Thumbnail); got != nil {
			t.Errorf("%s: the thumbnail has a profile of %d bytes", name, len(got))
		}
	}
}

// Lossy WebP stores the narrow range of colours, but black must be black.
func TestOpenColoursOfLossyWebP(t *testing.T) {
	for _, name := range []string{"colours-lossy.webp", "colours-alpha.webp"} {
		_, thumb := mustOpen(t, testdata(name))
		last := color.RGBA{0, 0, 200, 255}
		if name == "colours-alpha.webp" {
			last = color.RGBA{255, 255, 255, 255} // transparent, on white
		}
		for i, want := range []color.RGBA{{0, 0, 0, 255}, {255, 255, 255, 255}, {255, 0, 0, 255}, {0, 128, 0, 255}, last} {
			wantNear(t, thumb.At(16*i+8, 8), want)
		}
		if black := color.RGBAModel.Convert(thumb.At(8, 8)); black != (color.RGBA{0, 0, 0, 255}) {
			t.Errorf("%s: black is %v", name, black)
		}
	}
}
