package media

import (
	"archive/zip"
	"bytes"
	"compress/gzip"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"hash/crc32"
	"image"
	"image/color"
	"image/gif"
	"image/jpeg"
	"image/png"
	"io"
	"regexp"
	"strings"
	"testing"
	"time"

	"golang.org/x/image/bmp"
	"golang.org/x/image/tiff"

	"github.com/preset/nanobanana-functions/shared/cputest"
)

var small = image.NewPaletted(image.Rect(0, 0, 8, 8), color.Palette{color.Black, color.White})

// encoded returns what encode writes.
func encoded(encode func(io.Writer) error) string {
	var b bytes.Buffer
	if err := encode(&b); err != nil {
		panic(err) // memory does not fail
	}
	return b.String()
}

var (
	pngFile  = encoded(func(w io.Writer) error { return png.Encode(w, small) })
	jpegFile = encoded(func(w io.Writer) error { return jpeg.Encode(w, small, nil) })
	gifFile  = encoded(func(w io.Writer) error { return gif.Encode(w, small, nil) })
	bmpFile  = encoded(func(w io.Writer) error { return bmp.Encode(w, small) })
	tiffFile = encoded(func(w io.Writer) error { return tiff.Encode(w, small, nil) })
)

// zipOf returns a ZIP archive of empty files.
func zipOf(names ...string) string {
	return encoded(func(w io.Writer) error {
		z := zip.NewWriter(w)
		for _, name := range names {
			if _, err := z.CreateHeader(&zip.FileHeader{Name: name}); err != nil {
				return err
			}
		}
		return z.Close()
	})
}

// iso returns an ISO media file with this brand and compatible ones.
func iso(brands ...string) string {
	b := binary.BigEndian.AppendUint32(nil, uint32(12+4*len(brands)))
	b = append(b, "ftyp"+brands[0]+"\x00\x00\x00\x00"+strings.Join(brands[1:], "")...)
	return string(b) + "\x00\x00\x00\x0cmeta\x00\x00\x00\x00" + strings.Repeat("avif", 100) // not among the brands
}

// A file that people take for a picture is called by its name, and they read what to do.
func TestInspectNamesTheKind(t *testing.T) {
	for name, test := range map[string]struct{ file, message string }{
		"HEIC of an iPhone":        {iso("heic", "mif1", "heic"), "This is an HEIC file. Save it as JPEG and try again."},
		"HEIC in a general box":    {iso("mif1", "mif1", "heic"), "This is an HEIC file. Save it as JPEG and try again."},
		"HEIC sequence":            {iso("hevc", "msf1"), "This is an HEIC file. Save it as JPEG and try again."},
		"AVIF":                     {iso("avif", "avif", "mif1", "miaf"), "This is an AVIF file. Save it as JPEG and try again."},
		"AVIF in a general box":    {iso("mif1", "mif1", "avif"), "This is an AVIF file. Save it as JPEG and try again."},
		"GIF":                      {gifFile, "This is a GIF file. Save it as PNG and try again."},
		"BMP":                      {bmpFile, "This is a BMP file. Save it as PNG and try again."},
		"TIFF":                     {tiffFile, "This is a TIFF or camera RAW file. Save it as JPEG and try again."},
		"TIFF, big endian":         {"MM\x00*\x00\x00\x00\x08", "This is a TIFF or camera RAW file. Save it as JPEG and try again."},
		"BigTIFF":                  {"II+\x00\x08\x00\x00\x00", "This is a TIFF or camera RAW file. Save it as JPEG and try again."},
		"Canon RAW, old":           {"II*\x00\x10\x00\x00\x00CR\x02\x00", "This is a camera RAW file. Save it as JPEG and try again."},
		"Canon RAW, new":           {iso("crx ", "crx ", "isom"), "This is a camera RAW file. Save it as JPEG and try again."},
		"Fujifilm RAW":             {"FUJIFILMCCD-RAW 0201FF383501", "This is a camera RAW file. Save it as JPEG and try again."},
		"icon":                     {"\x00\x00\x01\x00\x01\x00\x08\x08\x00\x00\x01\x00 \x00" + pngFile, "This is an icon file. Save it as PNG and try again."},
		"Photoshop":                {"8BPS\x00\x01\x00\x00\x00\x00\x00\x00\x00\x03", "This is a Photoshop file. Save it as PNG and try again."},
		"JPEG XL":                  {"\xff\x0a\xfa\x1f\x41\x91\x08\x06", "This is a JPEG XL file. Save it as JPEG and try again."},
		"JPEG XL in a box":         {"\x00\x00\x00\x0cJXL \r\n\x87\n\x00\x00\x00\x14ftypjxl ", "This is a JPEG XL file. Save it as JPEG and try again."},
		"JPEG 2000":                {"\x00\x00\x00\x0cjP  \r\n\x87\n\x00\x00\x00\x14ftypjp2 ", "This is a JPEG 2000 file. Save it as JPEG and try again."},
		"SVG":                      {`<svg xmlns="http://www.w3.org/2000/svg" width="9" height="9"/>`, "This is an SVG file. Save it as PNG and try again."},
		"SVG of a drawing program": {"\uFEFF<?xml version=\"1.0\"?>\n<!-- Made with a program -->\n<svg/>", "This is an SVG file. Save it as PNG and try again."},
		"SVG after a comment":      {"<!-- a -->\n<SVG/>", "This is an SVG file. Save it as PNG and try again."},
		"PDF":                      {"%PDF-1.7\n%\xe2\xe3\xcf\xd3\n", "This is a PDF file. Save the page as JPEG and try again."},
		"PostScript":               {"%!PS-Adobe-3.0 EPSF-3.0\n", "This is a PostScript file. Save the page as JPEG and try again."},
		"MP4":                      {iso("isom", "isom", "mp42"), "This is an MP4 video. Save one picture of it as JPEG and try again."},
		"MP4 of another brand":     {iso("3gp5", "zzzz"), "This is an MP4 video. Save one picture of it as JPEG and try again."},
		"MOV":                      {iso("qt  ", "qt  "), "This is a MOV video. Save one picture of it as JPEG and try again."},
		"MOV, old":                 {"\x00\x00\x00\x6cmoov\x00\x00\x00\x6cmvhd", "This is a MOV video. Save one picture of it as JPEG and try again."},
		"WebM":                     {"\x1a\x45\xdf\xa3\x9fB\x86\x81\x01B\xf7\x81\x01webm", "This is a WebM or Matroska video. Save one picture of it as JPEG and try again."},
		"AVI":                      {"RIFF\x00\x01\x00\x00AVI LIST", "This is an AVI video. Save one picture of it as JPEG and try again."},
		"WAV":                      {"RIFF\x00\x01\x00\x00WAVEfmt ", "This is an audio file. Choose a picture and try again."},
		"M4A":                      {iso("M4A ", "isom"), "This is an audio file. Choose a picture and try again."},
		"Word document":            {zipOf("[Content_Types].xml", "word/document.xml"), "This is an Office document. Save the picture in it as a file of its own and try again."},
		"LibreOffice document":     {zipOf("mimetype", "content.xml"), "This is an Office document. Save the picture in it as a file of its own and try again."},
		"Word document, old":       {"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "This is an Office document. Save the picture in it as a file of its own and try again."},
		"ZIP":                      {zipOf("a.png"), "This is a ZIP archive. Unpack it, choose one picture, and try again."},
		"empty ZIP":                {zipOf(), "This is a ZIP archive. Unpack it, choose one picture, and try again."},
		"gzip": {encoded(func(w io.Writer) error {
			z := gzip.NewWriter(w)
			_, err := z.Write([]byte(pngFile))
			return errors.Join(err, z.Close())
		}), "This is an archive. Unpack it, choose one picture, and try again."},
		"web page":            {"\n<!DOCTYPE html><html><body><svg/></body></html>", "This is a web page. Choose a picture and try again."},
		"part of a web page":  {"<script>alert(1)</script>", "This is a web page. Choose a picture and try again."},
		"XML":                 {`<?xml version="1.0"?><Error><Code>AccessDenied</Code></Error>`, "This is an XML file. Choose a picture and try again."},
		"JSON":                {` {"error":"not found"}`, "This is a JSON file. Choose a picture and try again."},
		"text":                {"hello", "This is a text file. Choose a picture and try again."},
		"text like a BMP":     {"BMW is a car, and this is no picture of it", "This is not a PNG, JPEG or WebP picture. Save it as one of these and try again."},
		"Base64":              {base64.StdEncoding.EncodeToString([]byte(pngFile)), "This is a picture as Base64 text. Upload the picture's own file and try again."},
		"a data link":         {"data:image/png;base64," + base64.StdEncoding.EncodeToString([]byte(pngFile)), "This is a picture as Base64 text. Upload the picture's own file and try again."},
		"unknown bytes":       {"\x01\x02\x03\x04\x05\x06\x07\x00\x00\x00\x00\x00\x00", "This is not a PNG, JPEG or WebP picture. Save it as one of these and try again."},
		"a short type box":    {"\x00\x00\x00\x09ftypx", "This is an MP4 video. Save one picture of it as JPEG and try again."},
		"an endless type box": {"\xff\xff\xff\xffftypheic\x00\x00\x00\x00", "This is an HEIC file. Save it as JPEG and try again."},
	} {
		for extra, file := range map[string]string{"": test.file, ", long": test.file + strings.Repeat("\x00", 10_000)} {
			if extra != "" && textType([]byte(test.file)) != "" {
				continue // with zeros it is no text
			}
			f, err := Inspect(strings.NewReader(file))
			checkRefusal(t, name+extra, err, "not_a_picture", test.message)
			if f != (Format{}) {
				t.Errorf("%s: it is %+v", name, f)
			}
		}
	}
}

// animation returns a WebP of frames of 8 x 8 pixels, whose structure alone is right.
func animation(width, height uint32, frames int) string {
	le := binary.LittleEndian
	chunk := func(kind string, content []byte) []byte {
		return append(le.AppendUint32([]byte(kind), uint32(len(content))), content...)
	}
	canvas := append(le.AppendUint32(le.AppendUint32(nil, 2), width-1)[:7], le.AppendUint32(nil, height-1)[:3]...)
	pixels := chunk("VP8L", append(le.AppendUint32([]byte{0x2f}, 7|7<<14), 0))
	frame := chunk("ANMF", append([]byte{0, 0, 0, 0, 0, 0, 7, 0, 0, 7, 0, 0, 1, 0, 0, 0}, pixels...))
	body := append([]byte("WEBP"), chunk("VP8X", canvas)...)
	return string(chunk("RIFF", append(body, bytes.Repeat(frame, frames)...)))
}

func checkRefusal(t *testing.T, name string, err error, code, message string) {
	t.Helper()
	refusal, ok := errors.AsType[*Refusal](err)
	if !ok || !errors.Is(err, ErrNotPicture) || refusal.Code != code || refusal.Message != message {
		t.Errorf("%s: got %v, want %s: %s", name, err, code, message)
	}
}

// Each fault of a picture has a sentence of its own.
func TestInspectNamesTheFault(t *testing.T) {
	cut := "The end of this picture is missing. Upload the whole file again."
	damaged := "This picture is damaged. Open it in an image program, save it as PNG or JPEG, and try again."
	size := func(width, height uint32) string {
		b := []byte(pngFile[:33])
		binary.BigEndian.PutUint32(b[16:], width)
		binary.BigEndian.PutUint32(b[20:], height)
		binary.BigEndian.PutUint32(b[29:], crc32.ChecksumIEEE(b[12:29]))
		return string(b) + pngFile[33:]
	}
	moving := animation(8, 8, 2)
	lossless := strings.Replace(jpegFile, "\xff\xc0", "\xff\xc3", 1)
	const rare = "This JPEG is of a kind that few programs read. Open it in an image program, save it as an ordinary JPEG, and try again."
	sos := strings.LastIndex(jpegFile, "\xff\xda")
	for name, test := range map[string]struct{ file, code, message string }{
		"nothing":                 {"", "empty", "This file is empty. Choose another one and try again."},
		"half a PNG":              {pngFile[:len(pngFile)/2], "incomplete", cut},
		"half a JPEG":             {jpegFile[:len(jpegFile)/2], "incomplete", cut},
		"a JPEG's pixels":         {jpegFile[:len(jpegFile)-2], "incomplete", cut},
		"the signature of a PNG":  {pngFile[:8], "incomplete", cut},
		"half of that":            {pngFile[:4], "incomplete", cut},
		"a WebP's header":         {"RIFF\x00\x01\x00\x00WEBPVP8 ", "incomplete", cut},
		"a wrong checksum":        {strings.Replace(pngFile, "IDAT", "IDAU", 1), "damaged", damaged},
		"HTML after a JPEG's":     {"\xff\xd8\xff<script>alert(1)</script>", "incomplete", cut},
		"a PNG without an area":   {size(0, 8), "damaged", damaged},
		"too many pixels":         {size(7000, 7000), "too_many_pixels", "This picture has more than 40 megapixels. Make it smaller and try again."},
		"too long a side":         {size(1, 16385), "too_many_pixels", "This picture has more than 16384 pixels on one side. Make it smaller and try again."},
		"a lossless JPEG":         {lossless, "unusual_jpeg", rare},
		"a JPEG of many scans":    {jpegFile[:sos] + strings.Repeat(jpegFile[sos:len(jpegFile)-2], MaxScans+1) + "\xff\xd9", "unusual_jpeg", rare},
		"a lossless JPEG, cut":    {lossless[:len(lossless)-2], "incomplete", cut},
		"an animated WebP":        {moving, "animated", "This is an animation. Save one picture of it as PNG or JPEG and try again."},
		"an animation cut short":  {moving[:len(moving)-1], "animated", "This is an animation. Save one picture of it as PNG or JPEG and try again."},
		"an animation, too large": {animation(5000, 5000, 17), "animated", "This is an animation. Save one picture of it as PNG or JPEG and try again."},
	} {
		_, err := Inspect(strings.NewReader(test.file))
		checkRefusal(t, name, err, test.code, test.message)
	}
	if RefusedLarge.Message != "This file is larger than 10 MB. Make the picture smaller and try again." {
		t.Errorf("too large: %s", RefusedLarge.Message)
	}
}

// A JPEG may claim 255 components, and scans of a few bytes that each contain all of
// them. Submit reads fourteen uploads at once, and looks at its context between reads.
func TestInspectOfManyScans(t *testing.T) {
	segment := func(marker byte, n, inScan int, head, tail string) string {
		s := head + string([]byte{byte(n)}) + strings.Repeat("\x01\x11\x00"[:inScan], n) + tail
		return "\xff" + string([]byte{marker, byte((len(s) + 2) >> 8), byte(len(s) + 2)}) + s
	}
	frame := "\xff\xd8" + segment(jpegSOF2, 255, 3, "\x08\x00\x08\x00\x08", "")
	for name, n := range map[string]int{"4 components": 4, "255 components": 255} {
		scan := segment(jpegSOS, n, 2, "", "\x00\x3f\x00")
		file := frame + strings.Repeat(scan, (1<<20)/len(scan)) + "\xff\xd9"
		cputest.Within(t, time.Second, "a JPEG of scans with "+name, func() {
			if _, err := Inspect(strings.NewReader(file)); !errors.Is(err, ErrNotPicture) {
				t.Errorf("%s: got %v", name, err)
			}
		})
	}
}

// A file of another kind is not read to its end.
func TestInspectReadsTheHeadAlone(t *testing.T) {
	file := strings.NewReader(iso("heic") + strings.Repeat("\x00", 10<<20))
	if _, err := Inspect(file); !errors.Is(err, ErrNotPicture) {
		t.Errorf("got %v", err)
	}
	if read := file.Size() - int64(file.Len()); read > kindHead {
		t.Errorf("it read %d bytes", read)
	}
}

// A type that a browser or a program announces is called by the same names.
func TestRefuseType(t *testing.T) {
	for contentType, message := range map[string]string{
		"image/heic":               "This is an HEIC file. Save it as JPEG and try again.",
		" Image/HEIF ; x=y":        "This is an HEIC file. Save it as JPEG and try again.",
		"image/avif":               "This is an AVIF file. Save it as JPEG and try again.",
		"image/tiff":               "This is a TIFF file. Save it as PNG and try again.",
		"image/svg+xml":            "This is an SVG file. Save it as PNG and try again.",
		"image/x-canon-cr2":        "This is a camera RAW file. Save it as JPEG and try again.",
		"video/quicktime":          "This is a MOV video. Save one picture of it as JPEG and try again.",
		"video/x-flv":              "This is a video. Save one picture of it as JPEG and try again.",
		"audio/mpeg":               "This is an audio file. Choose a picture and try again.",
		"application/pdf":          "This is a PDF file. Save the page as JPEG and try again.",
		"text/html":                "This is a web page. Choose a picture and try again.",
		"text/csv":                 "This is a text file. Choose a picture and try again.",
		"application/zip":          "This is a ZIP archive. Unpack it, choose one picture, and try again.",
		"application/msword":       "This is an Office document. Save the picture in it as a file of its own and try again.",
		"":                         "Only PNG, JPEG and WebP pictures can be edited. Save yours as one of these and try again.",
		"application/octet-stream": "Only PNG, JPEG and WebP pictures can be edited. Save yours as one of these and try again.",
		"image/jpg":                "Only PNG, JPEG and WebP pictures can be edited. Save yours as one of these and try again.",
		"video":                    "Only PNG, JPEG and WebP pictures can be edited. Save yours as one of these and try again.",
		"*":                        "Only PNG, JPEG and WebP pictures can be edited. Save yours as one of these and try again.",
	} {
		checkRefusal(t, contentType, RefuseType(contentType), "not_a_picture", message)
	}
}

// People read no types and numbers of bytes, and each kind can be found.
func TestRefusalsAreForPeople(t *testing.T) {
	sentences := regexp.MustCompile(`^[A-Z][^.]*\. [A-Z][^.]*\.$`)
	technical := regexp.MustCompile(`[a-z]+/[a-z]|bytes|MIME|MiB`)
	check := func(r *Refusal) {
		if !sentences.MatchString(r.Message) || technical.MatchString(r.Message) {
			t.Errorf("%s: %s", r.Code, r.Message)
		}
	}
	for _, r := range []*Refusal{RefusedEmpty, RefusedLarge, refusedCut, refusedDamaged, refusedPixels, refusedSide, refusedMoving, refusedRare, refusedKind, refusedType} {
		check(r)
	}
	for _, k := range kinds {
		if check(k.refusal()); len(k.types)+len(k.magic)+len(k.brands) == 0 {
			t.Errorf("%s: nothing is one", k.name)
		}
		for _, m := range k.magic {
			if _, ok := Sniff([]byte(strings.ReplaceAll(m, "?", "\x00") + strings.Repeat("\x00", MagicLength))); ok || len(m) > kindHead {
				t.Errorf("%s: %q is how a picture begins", k.name, m)
			}
		}
		for _, contentType := range k.types {
			if got := RefuseType(strings.Replace(contentType, "*", "x", 1)); got.Message != k.refusal().Message {
				t.Errorf("%s is taken for: %s", contentType, got.Message)
			}
		}
	}
}
