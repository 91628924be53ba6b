// Package thumbnail makes small JPEGs of pictures. The only decoder that it links is
// that of JPEG.
package thumbnail

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"image"
	"image/draw"
	"image/jpeg"
	"slices"
)

// qualities are the JPEG qualities to try. The first is the usual one.
var qualities = []int{82, 60, 35}

// maxPixels limits what Reduce decodes. Our own thumbnails have at most a quarter of it.
const maxPixels = 1 << 20

// A Look is how a picture's file wants its pixels to be shown.
type Look struct {
	Orientation int    // as in EXIF, 1 to 8; 0 means 1
	Profile     []byte // ICC, at most 64 KB; nil if there is none
}

// Encode returns src as a JPEG whose longer side is at most longest pixels. It never
// enlarges src.
func Encode(src image.Image, longest int) ([]byte, error) {
	return Make(src, longest, Look{})
}

// Make returns src as a JPEG like Encode, turned upright and with the profile of l.
func Make(src image.Image, longest int, l Look) ([]byte, error) {
	return Finish(Upright(src, longest, l.Orientation), l.Profile)
}

// Upright returns src as Make shows it, before it is encoded. The result is opaque.
func Upright(src image.Image, longest, orientation int) *image.RGBA {
	return upright(shrink(src, longest), orientation)
}

// Finish returns img as a JPEG with an ICC profile, or without one if profile is empty.
func Finish(img *image.RGBA, profile []byte) ([]byte, error) {
	file, err := encode(img, qualities[0])
	if err != nil || len(profile) == 0 {
		return file, err
	}
	return withProfile(file, profile)
}

// withProfile puts an ICC profile into a JPEG, after its first marker.
func withProfile(file, profile []byte) ([]byte, error) {
	const head = "ICC_PROFILE\x00\x01\x01" // part 1 of 1
	size := 2 + len(head) + len(profile)
	if size > 0xffff {
		return nil, fmt.Errorf("thumbnail: a profile of %d bytes is too long", len(profile))
	}
	segment := binary.BigEndian.AppendUint16([]byte{0xff, 0xe2}, uint16(size))
	return slices.Concat(file[:2], segment, []byte(head), profile, file[2:]), nil
}

func encode(img image.Image, quality int) ([]byte, error) {
	var b bytes.Buffer
	err := jpeg.Encode(&b, img, &jpeg.Options{Quality: quality})
	return b.Bytes(), err
}

// Reduce returns thumb, a JPEG of at most 1 Mpx, with a longer side of at most longest
// pixels and at most limit bytes, for which it lowers the quality. It returns an error
// if thumb is no such JPEG or cannot be made small enough.
func Reduce(thumb []byte, longest, limit int) ([]byte, error) {
	c, err := jpeg.DecodeConfig(bytes.NewReader(thumb))
	if err == nil && int64(c.Width)*int64(c.Height) > maxPixels {
		err = fmt.Errorf("%d x %d pixels are too many", c.Width, c.Height)
	}
	if err != nil {
		return nil, fmt.Errorf("thumbnail: %w", err)
	}
	src, err := jpeg.Decode(bytes.NewReader(thumb))
	if err != nil {
		return nil, fmt.Errorf("thumbnail: %w", err)
	}
	img := shrink(src, longest)
	for _, q := range qualities {
		small, err := encode(img, q)
		if err != nil || len(small) <= limit {
			return small, err
		}
	}
	return nil, fmt.Errorf("thumbnail: %d bytes are too few for %d pixels", limit, longest)
}

// shrink scales src so that no side is longer than longest, and puts it on white where
// it is transparent. Each pixel of the result is the exact mean of the area of src
// under it. shrink needs one pass over the rows of src; the scalers of
// golang.org/x/image/draw hold 32 bytes per pixel of an intermediate picture as tall
// as src, which is 100 MB for 40 Mpx.
//
// Areas are counted in units that make them whole numbers: a pixel of src is dw units
// wide and dh tall, one of the result sw wide and sh tall.
func shrink(src image.Image, longest int) *image.RGBA {
	sw, sh := src.Bounds().Dx(), src.Bounds().Dy()
	dw, dh := sw, sh
	if long := max(sw, sh); long > longest {
		dw, dh = max(1, sw*longest/long), max(1, sh*longest/long)
	}
	dst := image.NewRGBA(image.Rect(0, 0, dw, dh))
	row := image.NewRGBA(image.Rect(0, 0, sw, 1))
	line := make([]uint64, 3*dw) // one row of src, as wide as dst
	sums := make([]uint64, 3*dw) // the rows of src under one row of dst
	area := uint64(sw) * uint64(sh)

	y, room := 0, sh // the row of dst, and the rest of its height
	for sy := range sh {
		squeeze(line, drawn(row, src, sy), dw)
		take := min(dh, room)
		addScaled(sums, line, uint64(take))
		if room -= take; room > 0 {
			continue
		}
		out := dst.Pix[y*dst.Stride:]
		for i, sum := range sums {
			out[i/3*4+i%3] = uint8((sum + area/2) / area)
		}
		for x := range dw {
			out[4*x+3] = 0xff
		}
		clear(sums)
		addScaled(sums, line, uint64(dh-take))
		y, room = y+1, sh-(dh-take)
	}
	return dst
}

// drawn returns the RGBA pixels of a row of src on white. It draws them in row, unless
// they are opaque and src holds them in this form.
func drawn(row *image.RGBA, src image.Image, y int) []uint8 {
	at := src.Bounds().Min.Add(image.Pt(0, y))
	var pix []uint8
	switch src := src.(type) {
	case *image.RGBA:
		pix = src.Pix[src.PixOffset(at.X, at.Y):][:len(row.Pix)]
	case *image.NRGBA:
		pix = src.Pix[src.PixOffset(at.X, at.Y):][:len(row.Pix)]
	case *image.YCbCr: // has no alpha
		draw.Draw(row, row.Rect, src, at, draw.Src)
		return row.Pix
	}
	if pix != nil && opaque(pix) {
		return pix
	}
	draw.Draw(row, row.Rect, image.White, image.Point{}, draw.Src)
	draw.Draw(row, row.Rect, src, at, draw.Over)
	return row.Pix
}

// opaque reports whether none of the RGBA pixels is transparent.
func opaque(pix []uint8) bool {
	all := uint8(0xff)
	for p := 3; p < len(pix); p += 4 {
		all &= pix[p]
	}
	return all == 0xff
}

// squeeze adds the RGBA pixels of row up in line, which has three colours per column.
// A column has some whole pixels, and perhaps a part of the one before them and of the
// one after.
func squeeze(line []uint64, row []uint8, dw int) {
	clear(line)
	sw, each := len(row)/4, uint64(dw)
	room := sw // the rest of the column's width
	for i := 0; i < len(line); i += 3 {
		whole := 4 * (room / dw)
		var r, g, b uint32 // enough for 16 million pixels
		for p := 0; p+4 <= whole; p += 4 {
			r += uint32(row[p])
			g += uint32(row[p+1])
			b += uint32(row[p+2])
		}
		row = row[whole:]
		line[i] += each * uint64(r)
		line[i+1] += each * uint64(g)
		line[i+2] += each * uint64(b)
		take := room % dw
		room = sw
		if take == 0 {
			continue
		}
		for c, v := range row[:3] { // of a pixel in two columns
			line[i+c] += uint64(take) * uint64(v)
			line[i+3+c] += uint64(dw-take) * uint64(v)
		}
		row = row[4:]
		room -= dw - take
	}
}

func addScaled(sums, line []uint64, weight uint64) {
	for i, v := range line {
		sums[i] += weight * v
	}
}
