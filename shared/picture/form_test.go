package picture_test

import (
	"bytes"
	"compress/zlib"
	"encoding/binary"
	"errors"
	"fmt"
	"image"
	"image/color"
	"image/jpeg"
	"image/png"
	"os"
	"slices"
	"testing"

	"github.com/preset/nanobanana-functions/shared/media"
	"github.com/preset/nanobanana-functions/shared/picture"
)

func testdata(name string) []byte {
	b, err := os.ReadFile("testdata/" + name)
	if err != nil {
		panic(err)
	}
	return b
}

// insertPNG puts chunks after the head of a PNG.
func insertPNG(file []byte, chunks ...[]byte) []byte {
	return slices.Concat(file[:33], slices.Concat(chunks...), file[33:])
}

// broken is the chunk with a wrong checksum.
func broken(chunk []byte) []byte {
	b := bytes.Clone(chunk)
	b[len(b)-1]++
	return b
}

// insertJPEG puts application segments after the first marker of a JPEG.
func insertJPEG(file []byte, marker byte, contents ...[]byte) []byte {
	var segments []byte
	for _, c := range contents {
		segments = binary.BigEndian.AppendUint16(append(segments, 0xff, marker), uint16(len(c)+2))
		segments = append(segments, c...)
	}
	return slices.Concat(file[:2], segments, file[2:])
}

// exif is a TIFF file that says nothing but an orientation.
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

// webpChunks is an extended WebP of these chunks, after the first.
func webpChunks(flags byte, w, h int, chunks ...[]byte) []byte {
	head := []byte{flags, 0, 0, 0, byte(w - 1), byte((w - 1) >> 8), 0, byte(h - 1), byte((h - 1) >> 8), 0}
	body := slices.Concat([]byte("WEBP"), webpChunk("VP8X", head), slices.Concat(chunks...))
	return append(binary.LittleEndian.AppendUint32([]byte("RIFF"), uint32(len(body))), body...)
}

func webpChunk(name string, content []byte) []byte {
	b := append(binary.LittleEndian.AppendUint32([]byte(name), uint32(len(content))), content...)
	return append(b, make([]byte, len(content)%2)...)
}

// quarters is a picture of red and green over blue and white.
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

// opened opens a file that has to be kept, with its thumbnail.
func opened(t *testing.T, file []byte) (media.Picture, image.Image) {
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

// corners names the colours of the four quarters, from the top left.
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

// A picture is measured and shrunk as browsers show it.
func TestOpenOrientation(t *testing.T) {
	for i, want := range []string{"RGBW", "GRWB", "WBGR", "BWRG", "RBGW", "BRWG", "WGBR", "GWRB"} {
		orientation := uint16(i + 1)
		for name, file := range map[string][]byte{
			"JPEG": withEXIF(quartersJPEG(), orientation),
			"PNG":  insertPNG(quartersPNG(), pngChunk("eXIf", exif(binary.LittleEndian, orientation))),
		} {
			p, thumb := opened(t, file)
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

// Browsers do not turn these.
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
		if p, _ := opened(t, file); p.Width != 64 || p.Height != 32 {
			t.Errorf("%s: %d x %d", name, p.Width, p.Height)
		}
	}
}

// rgbProfile has the head of an ICC profile and is n bytes long.
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

// withProfile has the profile in as many segments as parts.
func withProfile(file []byte, parts ...[]byte) []byte {
	var contents [][]byte
	for i, p := range parts {
		contents = append(contents, append(fmt.Appendf(nil, "ICC_PROFILE\x00%c%c", i+1, len(parts)), p...))
	}
	return insertJPEG(file, 0xe2, contents...)
}

// carried is the profile in a JPEG that we made.
func carried(t *testing.T, thumb []byte) []byte {
	t.Helper()
	l, err := media.Walk(bytes.NewReader(thumb))
	if err != nil {
		t.Fatal(err)
	}
	return l.Profile
}

func TestOpenKeepsTheProfile(t *testing.T) {
	icc, long := rgbProfile(3000), rgbProfile(media.MaxProfile)
	for name, test := range map[string]struct{ file, want []byte }{
		"JPEG":              {withProfile(quartersJPEG(), icc), icc},
		"JPEG in two parts": {withProfile(quartersJPEG(), icc[:1000], icc[1000:]), icc},
		"JPEG, 16 KiB":      {withProfile(quartersJPEG(), long), long},
		"PNG":               {insertPNG(quartersPNG(), pngChunk("iCCP", zippedProfile(icc))), icc},
		"PNG, 16 KiB":       {insertPNG(quartersPNG(), pngChunk("iCCP", zippedProfile(long))), long},
		"WebP":              {webpChunks(32, 64, 32, webpChunk("ICCP", icc), webpOf(64, 32)[12:]), icc},
	} {
		p, _ := opened(t, test.file)
		if got := carried(t, p.Thumbnail); !bytes.Equal(got, test.want) {
			t.Errorf("%s: the thumbnail has a profile of %d bytes, want %d", name, len(got), len(test.want))
		}
	}
}

// A thumbnail has RGB pixels: a profile of another space would falsify them, and
// so would half of one.
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
		p, _ := opened(t, file)
		if got := carried(t, p.Thumbnail); got != nil {
			t.Errorf("%s: the thumbnail has a profile of %d bytes", name, len(got))
		}
	}
}

// Lossy WebP has the narrow range of colours: black is black all the same.
func TestOpenColoursOfLossyWebP(t *testing.T) {
	for _, name := range []string{"colours-lossy.webp", "colours-alpha.webp"} {
		_, thumb := opened(t, testdata(name))
		last := color.RGBA{0, 0, 200, 255}
		if name == "colours-alpha.webp" {
			last = color.RGBA{255, 255, 255, 255} // transparent, over white
		}
		for i, want := range []color.RGBA{{0, 0, 0, 255}, {255, 255, 255, 255}, {255, 0, 0, 255}, {0, 128, 0, 255}, last} {
			wantNear(t, thumb.At(16*i+8, 8), want)
		}
		if black := color.RGBAModel.Convert(thumb.At(8, 8)); black != (color.RGBA{0, 0, 0, 255}) {
			t.Errorf("%s: black is %v", name, black)
		}
	}
}

// A flaw that every program overlooks costs nothing, not even the thumbnail.
func TestOpenOverlooks(t *testing.T) {
	whole := testdata("progressive.jpg")
	paletted := image.NewPaletted(image.Rect(0, 0, 9, 9), color.Palette{color.NRGBA{255, 0, 0, 0}, color.Black})
	transparent := encoded(func(b *bytes.Buffer) error { return png.Encode(b, paletted) })
	for name, test := range map[string]struct {
		file []byte
		flaw bool
	}{
		"PNG, text with a wrong checksum":       {insertPNG(pngOf(9, 9), broken(pngChunk("tEXt", []byte("k\x00v")))), true},
		"PNG, gamma with a wrong checksum":      {insertPNG(pngOf(9, 9), broken(pngChunk("gAMA", make([]byte, 4)))), true},
		"PNG, a long chunk, wrong checksum":     {insertPNG(pngOf(9, 9), broken(pngChunk("zTXt", make([]byte, 1<<20)))), true},
		"PNG, transparency and text":            {insertPNG(transparent, broken(pngChunk("tIME", make([]byte, 7)))), true},
		"PNG, transparency, wrong checksum":     {insertPNG(pngOf(9, 9), broken(pngChunk("tRNS", make([]byte, 6)))), true},
		"JPEG without its end":                  {jpegOf(100, 100)[:len(jpegOf(100, 100))-2], true},
		"JPEG without its last byte":            {jpegOf(100, 100)[:len(jpegOf(100, 100))-1], true},
		"progressive JPEG without its end":      {whole[:len(whole)-2], true},
		"JPEG without its end, and zeros":       {append(jpegOf(100, 100)[:len(jpegOf(100, 100))-2:len(jpegOf(100, 100))-2], make([]byte, 100)...), true},
		"progressive JPEG that asks for little": {whole, false},
	} {
		t.Run(name, func(t *testing.T) {
			opened(t, test.file)
			if _, err := media.Inspect(bytes.NewReader(test.file)); (err != nil) != test.flaw {
				t.Errorf("as an upload: %v", err)
			}
		})
	}
	_, thumb := opened(t, transparent)
	wantNear(t, thumb.At(4, 4), color.White)
}

// Without its end, a progressive JPEG may still lack scans: all pixels decode, but
// they are not the picture.
func TestOpenWantsAllScans(t *testing.T) {
	whole := testdata("progressive.jpg")
	scans := 0
	for i := bytes.Index(whole, []byte{0xff, 0xda}); i >= 0 && i < len(whole); scans++ {
		next := bytes.Index(whole[i+2:], []byte{0xff, 0xda})
		if next < 0 {
			break
		}
		// What is before the next scan, its tables included.
		wantDamaged(t, fmt.Sprint(scans+1, " scans"), whole[:i+2+next])
		i += 2 + next
	}
	if scans < 3 {
		t.Errorf("the file has %d scans", scans)
	}
}

func wantDamaged(t *testing.T, name string, file []byte) {
	t.Helper()
	p, err := picture.Open(t.Context(), bytes.NewReader(file))
	if !errors.Is(err, media.ErrDamaged) || !errors.Is(err, picture.ErrBad) || p.Width == 0 || p.Height == 0 || p.Thumbnail != nil || p.Bytes != int64(len(file)) {
		t.Errorf("%s: %+v, %v; want it damaged", name, p, err)
	}
}

// A damaged file of known size is told from one that is no picture.
func TestOpenDamaged(t *testing.T) {
	noise := pngOf(300, 200)
	copy(noise[2000:], "something else")
	for name, file := range map[string][]byte{
		"half a PNG":                  pngOf(300, 200)[:4000],
		"PNG, broken pixels":          noise,
		"PNG without its end":         pngOf(100, 100)[:len(pngOf(100, 100))-12],
		"PNG of an unlawful kind":     rawPNG(8, 8, 3, 5, 0, 100),
		"half a JPEG":                 jpegOf(300, 200)[:3000],
		"half a progressive JPEG":     testdata("progressive.jpg")[:400],
		"half a WebP":                 webpOf(300, 200)[:3000],
		"half a lossy WebP":           testdata("colours-lossy.webp")[:80],
		"half an animation":           testdata("animation.webp")[:120],
		"arithmetic JPEG, cut":        testdata("arithmetic.jpg")[:len(testdata("arithmetic.jpg"))-2],
		"more than can be decoded":    rawPNG(6000, 6000, 16, 6, 1, 1000),
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
		"a PNG's head alone":    pngOf(100, 100)[:33],
		"a PNG beyond limits":   rawPNG(65535, 65535, 8, 2, 0, 100),
	} {
		if p, err := picture.Open(t.Context(), bytes.NewReader(file)); err == nil || errors.Is(err, media.ErrDamaged) {
			t.Errorf("%s: %+v, %v", name, p, err)
		}
	}
}

// Sound files in forms that the decoders do not know are kept as they are.
func TestOpenUnsupported(t *testing.T) {
	twelveBits := jpegOf(32, 16)
	twelveBits[bytes.Index(twelveBits, []byte{0xff, 0xc0})+4] = 12
	inks := progressiveJPEG(32, 16, 4, asIs)
	inks = slices.Concat(inks[:2], inks[2+16:]) // without Adobe's segment
	for name, test := range map[string]struct {
		file          []byte
		width, height int
	}{
		"animated WebP":        {testdata("animation.webp"), 40, 20},
		"arithmetic JPEG":      {testdata("arithmetic.jpg"), 32, 16},
		"turned":               {withEXIF(testdata("arithmetic.jpg"), 8), 16, 32},
		"oddly sampled JPEG":   {testdata("sampling.jpg"), 32, 16},
		"12 bits":              {twelveBits, 32, 16},
		"inks without a key":   {inks, 32, 16},
		"arithmetic and a ZIP": {append(testdata("arithmetic.jpg"), "PK\x03\x04"...), 32, 16},
	} {
		p, err := picture.Open(t.Context(), bytes.NewReader(test.file))
		if err != nil || p.Width != test.width || p.Height != test.height || p.Thumbnail != nil || p.Bytes != int64(len(test.file)) {
			t.Errorf("%s: %+v, %v", name, p, err)
		}
		if _, err := media.Inspect(bytes.NewReader(test.file)); name == "animated WebP" && err == nil {
			t.Errorf("%s is taken as an upload", name)
		}
	}
}

// However a file of such a form is cut short, it is not taken for a sound one.
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

// frame is one of an animation, at 0, 0.
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
		if p, err := picture.Open(t.Context(), bytes.NewReader(file)); !errors.Is(err, picture.ErrBad) {
			t.Errorf("%s: %+v, %v", name, p, err)
		}
	}
}

// coarse makes the colours of a JPEG of three components 4:2:0: it has more
// data then than it needs.
func coarse(file []byte) []byte {
	return bytes.Replace(file, []byte{3, 1, 0x11, 0}, []byte{3, 1, 0x22, 0}, 1)
}

// A progressive JPEG may be as large as its memory allows: 7.5 bytes a pixel with
// coarse colours, 15 without.
func TestOpenLargeProgressive(t *testing.T) {
	large := progressiveJPEG(4240, 4240, 3, yCbCr)
	if p, err := picture.Open(t.Context(), bytes.NewReader(coarse(large))); err != nil || p.Thumbnail == nil {
		t.Errorf("4:2:0: %d x %d, %v", p.Width, p.Height, err)
	}
	wantDamaged(t, "4:4:4", large)
}
