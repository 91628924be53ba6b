package media

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"net/http"
	"slices"
	"strings"
)

// A Refusal is why a file is no picture that users may upload. It is ErrNotPicture.
type Refusal struct {
	Code    string // a word for programs
	Message string // for people: what is wrong, and what to do now
}

// Error implements error.
func (r *Refusal) Error() string { return "media: " + r.Code + ": " + r.Message }

// Is reports whether target is ErrNotPicture.
func (r *Refusal) Is(target error) bool { return target == ErrNotPicture }

// Refusals of files, whatever their kind.
var (
	RefusedEmpty = &Refusal{"empty", "This file is empty. Choose another one and try again."}
	RefusedLarge = &Refusal{"too_large", fmt.Sprintf("This file is larger than %d MB. Make the picture smaller and try again.", MaxUploadBytes>>20)}

	refusedCut     = &Refusal{"incomplete", "The end of this picture is missing. Upload the whole file again."}
	refusedDamaged = &Refusal{"damaged", "This picture is damaged. Open it in an image program, save it as PNG or JPEG, and try again."}
	refusedPixels  = &Refusal{"too_many_pixels", fmt.Sprintf("This picture has more than %d megapixels. Make it smaller and try again.", MaxPixels/1_000_000)}
	refusedSide    = &Refusal{"too_many_pixels", fmt.Sprintf("This picture has more than %d pixels on one side. Make it smaller and try again.", MaxSide)}
	refusedMoving  = &Refusal{"animated", "This is an animation. Save one picture of it as PNG or JPEG and try again."}
	refusedRare    = &Refusal{"unusual_jpeg", "This JPEG is of a kind that few programs read. Open it in an image program, save it as an ordinary JPEG, and try again."}
	refusedKind    = &Refusal{"not_a_picture", "This is not a PNG, JPEG or WebP picture. Save it as one of these and try again."}
	refusedType    = &Refusal{"not_a_picture", "Only PNG, JPEG and WebP pictures can be edited. Save yours as one of these and try again."}
)

// A kind is a kind of file that people take for a picture that can be edited.
type kind struct {
	name   string   // with its article
	advice string   // what to do with such a file
	types  []string // content types; one that ends in "*" stands for all that begin so
	magic  []string // how files begin; "?" is any byte
	brands []string // of the files that begin with an ISO file type box
}

const (
	asJPEG  = "Save it as JPEG and try again."
	asPNG   = "Save it as PNG and try again."
	aFrame  = "Save one picture of it as JPEG and try again."
	aPage   = "Save the page as JPEG and try again."
	another = "Choose a picture and try again."
	unpack  = "Unpack it, choose one picture, and try again."
)

// zipped is how a ZIP archive begins, before the name of its first file.
const zipped = "PK\x03\x04??????????????????????????"

// kinds has the more special kind first, where a file or a type is of two.
var kinds = [...]kind{
	{"an AVIF file", asJPEG, []string{"image/avif", "image/avif-sequence"}, nil, []string{"avif", "avis"}},
	{"an HEIC file", asJPEG, []string{"image/heic", "image/heif", "image/heic-sequence", "image/heif-sequence"}, nil,
		[]string{"heic", "heix", "heim", "heis", "hevc", "hevx", "hevm", "hevs", "mif1", "msf1"}},
	{"a camera RAW file", asJPEG, []string{"image/x-dcraw", "image/x-adobe-dng", "image/x-canon-*", "image/x-nikon-*", "image/x-sony-*", "image/x-fuji-*", "image/x-olympus-*", "image/x-panasonic-*"},
		[]string{"II*\x00????CR", "FUJIFILMCCD-RAW", "IIRO", "IIRS", "MMOR", "IIU\x00", "FOVb"}, []string{"crx "}},
	{"a TIFF file", asPNG, []string{"image/tiff"}, nil, nil},
	{"a TIFF or camera RAW file", asJPEG, nil, []string{"II*\x00", "MM\x00*", "II+\x00", "MM\x00+"}, nil}, // NEF, ARW and DNG are TIFF
	{"a GIF file", asPNG, []string{"image/gif"}, []string{"GIF87a", "GIF89a"}, nil},
	{"a BMP file", asPNG, []string{"image/bmp", "image/x-bmp", "image/x-ms-bmp"}, []string{"BM????\x00\x00\x00\x00"}, nil},
	{"an icon file", asPNG, []string{"image/x-icon", "image/vnd.microsoft.icon", "image/x-icns"}, []string{"\x00\x00\x01\x00", "\x00\x00\x02\x00", "icns"}, nil},
	{"a Photoshop file", asPNG, []string{"image/vnd.adobe.photoshop", "image/x-photoshop", "application/x-photoshop"}, []string{"8BPS"}, nil},
	{"a GIMP file", asPNG, []string{"image/x-xcf"}, []string{"gimp xcf"}, nil},
	{"a JPEG XL file", asJPEG, []string{"image/jxl"}, []string{"\xff\x0a", "\x00\x00\x00\x0cJXL \r\n\x87\n"}, nil},
	{"a JPEG 2000 file", asJPEG, []string{"image/jp2", "image/jpx", "image/jpm", "image/j2k"}, []string{"\x00\x00\x00\x0cjP  \r\n\x87\n", "\xff\x4f\xff\x51"}, nil},
	{"a JPEG XR file", asJPEG, []string{"image/jxr", "image/vnd.ms-photo"}, []string{"II\xbc"}, nil},
	{"an OpenEXR file", asPNG, []string{"image/x-exr", "image/aces"}, []string{"v/1\x01"}, nil},
	{"an SVG file", asPNG, []string{"image/svg+xml"}, nil, nil},
	{"a PDF file", aPage, []string{"application/pdf"}, []string{"%PDF-"}, nil},
	{"a PostScript file", aPage, []string{"application/postscript", "application/illustrator"}, []string{"%!PS"}, nil},

	{"an audio file", another, []string{"audio/*"}, []string{"ID3", "OggS", "fLaC", "RIFF????WAVE"}, []string{"M4A ", "M4B "}},
	{"a MOV video", aFrame, []string{"video/quicktime"}, []string{"????moov", "????mdat", "????wide"}, []string{"qt  "}},
	{"an MP4 video", aFrame, []string{"video/mp4", "video/x-m4v"}, []string{"????ftyp"}, nil}, // whatever else has such a box
	{"a WebM or Matroska video", aFrame, []string{"video/webm", "video/x-matroska"}, []string{"\x1a\x45\xdf\xa3"}, nil},
	{"an AVI video", aFrame, []string{"video/avi", "video/msvideo", "video/x-msvideo"}, []string{"RIFF????AVI "}, nil},
	{"a video", aFrame, []string{"video/*"}, []string{"FLV\x01", "\x00\x00\x01\xba"}, nil},

	{"an Office document", "Save the picture in it as a file of its own and try again.",
		[]string{"application/msword", "application/vnd.ms-*", "application/vnd.openxmlformats-officedocument.*", "application/vnd.oasis.opendocument.*"},
		[]string{zipped + "[Content_Types].xml", zipped + "_rels/", zipped + "docProps/", zipped + "word/", zipped + "mimetype", "\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"}, nil},
	{"a ZIP archive", unpack, []string{"application/zip", "application/x-zip-compressed"}, []string{"PK\x03\x04", "PK\x05\x06"}, nil},
	{"an archive", unpack, []string{"application/gzip", "application/x-gzip", "application/x-tar", "application/vnd.rar", "application/x-7z-compressed"},
		[]string{"\x1f\x8b", "Rar!\x1a\x07", "7z\xbc\xaf\x27\x1c"}, nil},

	{"a picture as Base64 text", "Upload the picture's own file and try again.", nil, []string{"data:image/", "iVBORw0KGgo", "/9j/", "UklGR"}, nil},
	{"a web page", another, []string{"text/html", "application/xhtml+xml"}, nil, nil},
	{"an XML file", another, []string{"text/xml", "application/xml"}, nil, nil},
	{"a JSON file", another, []string{"application/json"}, nil, nil},
	{"a text file", another, []string{"text/plain", "text/*"}, nil, nil},
}

func (k kind) refusal() *Refusal {
	return &Refusal{refusedKind.Code, "This is " + k.name + ". " + k.advice}
}

// RefuseType returns the refusal of a file whose content type is announced, and is that of no
// Format.
func RefuseType(contentType string) *Refusal {
	contentType, _, _ = strings.Cut(contentType, ";")
	contentType = strings.ToLower(strings.TrimSpace(contentType))
	for _, k := range kinds {
		for _, t := range k.types {
			start, open := strings.CutSuffix(t, "*")
			if contentType == t || open && strings.HasPrefix(contentType, start) {
				return k.refusal()
			}
		}
	}
	return refusedType
}

// kindHead is how many bytes of a file's head refuseHead looks at.
const kindHead = 2 << 10

// refuseHead returns the refusal of a file that begins with head, and not as a Format.
func refuseHead(head []byte) *Refusal {
	if len(head) == 0 {
		return RefusedEmpty
	}
	for _, f := range formats {
		if n := len(head); n > 2 && n < len(f.magic) && matches(f.magic[:n], head) {
			return refusedCut
		}
	}
	brands, text := isoBrands(head), textType(head)
	for _, k := range kinds {
		switch {
		case slices.ContainsFunc(k.brands, func(b string) bool { return slices.Contains(brands, b) }),
			slices.ContainsFunc(k.magic, func(m string) bool { return matches(m, head) }),
			text != "" && slices.Contains(k.types, text):
			return k.refusal()
		}
	}
	return refusedKind
}

// isoBrands returns the brands in the type box that begins head: the file's own, and
// those that it is compatible with.
func isoBrands(head []byte) (brands []string) {
	if !matches("????ftyp????", head) {
		return nil
	}
	size := min(uint64(binary.BigEndian.Uint32(head)), uint64(len(head)))
	for at := uint64(8); at+4 <= size; at += 4 {
		if at != 12 { // the minor version
			brands = append(brands, string(head[at:at+4]))
		}
	}
	return brands
}

// textType returns the content type of the text that begins with head, or "" if it is no
// text.
func textType(head []byte) string {
	detected, _, _ := strings.Cut(http.DetectContentType(head), ";")
	if !strings.HasPrefix(detected, "text/") {
		return ""
	}
	start := bytes.ToLower(bytes.TrimLeft(bytes.TrimPrefix(head, []byte("\uFEFF")), " \t\r\n"))
	begins := func(with string) bool { return bytes.HasPrefix(start, []byte(with)) }
	switch {
	case begins("<!doctype html"), begins("<html"):
		return "text/html"
	case begins("<") && bytes.Contains(start, []byte("<svg")):
		return "image/svg+xml"
	case begins("{"), begins("["):
		return "application/json"
	}
	return detected
}
