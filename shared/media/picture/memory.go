package picture

import (
	"image/color"

	"github.com/preset/nanobanana-functions/shared/media"
)

func pixels(l media.Layout) int64 { return int64(l.Width) * int64(l.Height) }

// pngMemory returns how much image/png allocates: one picture, and a second one in
// passes if it is interlaced.
func pngMemory(l media.Layout, m color.Model) int64 {
	var n int64 = 4
	switch m {
	case color.Gray16Model, color.RGBA64Model, color.NRGBA64Model:
		n = 8
	}
	if l.Interlaced {
		n *= 2
	}
	return n * pixels(l)
}

// webpMemory returns how much package webp allocates, by the kind of the first chunk.
// A lossy picture is 4:2:0 in whole blocks; a lossless one may be unpacked from a
// second one; an extended file may contain a lossy picture and its alpha, which is a
// lossless picture of its own.
func webpMemory(l media.Layout, _ color.Model) int64 {
	switch l.Chunk {
	case "VP8 ":
		return 2 * pixels(l)
	case "VP8L":
		return 8 * pixels(l)
	}
	return 11 * pixels(l)
}

// jpegMemory returns how much image/jpeg allocates: a byte per sample, of which
// coarsely stored colours have fewer than pixels; four more for progressive files,
// for the coefficients of all scans; and for RGB and CMYK another picture, converted
// from the first.
func jpegMemory(l media.Layout, m color.Model) int64 {
	n := samples(l)
	if l.JPEG.Progressive() {
		n *= 5
	}
	if m == color.RGBAModel || m == color.CMYKModel {
		n += 4 * pixels(l)
	}
	return n
}

// samples returns the number of samples of all components, in whole blocks.
func samples(l media.Layout) int64 {
	all := l.JPEG.Components
	if len(all) == 0 {
		return 0
	}
	first := all[0]
	if len(all) == 1 {
		first.H, first.V = 1, 1 // the factors of a single component mean nothing
		all = []media.JPEGComponent{first}
	}
	blocks := func(side, factor int) int64 {
		whole := 8 * max(1, factor)
		return int64((side + whole - 1) / whole)
	}
	units := blocks(l.Width, first.H) * blocks(l.Height, first.V)
	var n int64
	for _, c := range all {
		n += units * 64 * int64(c.H) * int64(c.V)
	}
	return n
}
