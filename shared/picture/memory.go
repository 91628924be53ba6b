package picture

import (
	"bufio"
	"encoding/binary"
	"image/color"
	"io"
)

// pngBytesPerPixel tells from the header at the start of r, which holds the
// interlace method at offset 28, what image/png allocates: one picture, and
// where it is interlaced a second one in passes.
func pngBytesPerPixel(r *bufio.Reader, m color.Model) int64 {
	var n int64 = 4
	switch m {
	case color.Gray16Model, color.RGBA64Model, color.NRGBA64Model:
		n = 8
	}
	head, err := r.Peek(29)
	if err == nil && string(head[12:16]) == "IHDR" && head[28] == 0 {
		return n
	}
	return 2 * n
}

// webpBytesPerPixel tells from the kind of the first chunk what package webp
// allocates: lossy pictures are 4:2:0 in whole blocks; a lossless one may be
// unpacked from a second one; an extended file may hold a lossy picture and
// its alpha, the latter as a lossless picture of its own.
func webpBytesPerPixel(r *bufio.Reader, _ color.Model) int64 {
	head, _ := r.Peek(16)
	switch string(head[min(12, len(head)):]) {
	case "VP8 ":
		return 2
	case "VP8L":
		return 8
	}
	return 11
}

// jpegBytesPerPixel tells from the colours and the header in r what
// image/jpeg allocates: a byte for each component; for progressive files
// also four, the coefficients of all scans; for RGB and CMYK another
// picture, converted from the first.
func jpegBytesPerPixel(r *bufio.Reader, m color.Model) int64 {
	var components, converted int64 = 3, 0
	switch m {
	case color.GrayModel:
		components = 1
	case color.RGBAModel:
		converted = 4
	case color.CMYKModel:
		components, converted = 4, 4
	}
	if baselineJPEG(r) {
		return components + converted
	}
	return 5*components + converted
}

// baselineJPEG says whether the JPEG in r is certainly not progressive: it
// walks the segments to the frame header, and gives up on the first thing
// that is not a plain segment.
func baselineJPEG(r *bufio.Reader) bool {
	if _, err := r.Discard(2); err != nil { // start of image
		return false
	}
	for {
		var head [4]byte // FF, marker, length of the segment with these two bytes
		if _, err := io.ReadFull(r, head[:]); err != nil || head[0] != 0xff {
			return false
		}
		switch marker := head[1]; {
		case marker == 0xc0 || marker == 0xc1:
			return true
		case marker == 0xc4 || marker == 0xdb || marker == 0xdd || 0xe0 <= marker && marker <= 0xef || marker == 0xfe:
			// Tables, application data and comments may come first.
		default:
			return false
		}
		length := int(binary.BigEndian.Uint16(head[2:]))
		if _, err := r.Discard(length - 2); err != nil {
			return false
		}
	}
}
