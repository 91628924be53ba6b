package thumbnail_test

import (
	"bytes"
	"fmt"
	"image"
	"image/color"
	"image/color/palette"
	"image/draw"
	"math/rand/v2"
	"testing"

	"github.com/preset/nanobanana-functions/shared/media/thumbnail"
)

// mean returns src on white, scaled to dw x dh, slowly and by definition: each pixel is
// the mean of the area of src under it.
func mean(src image.Image, dw, dh int) *image.RGBA {
	sw, sh := src.Bounds().Dx(), src.Bounds().Dy()
	whole := image.NewRGBA(image.Rect(0, 0, sw, sh))
	draw.Draw(whole, whole.Rect, image.White, image.Point{}, draw.Src)
	draw.Draw(whole, whole.Rect, src, src.Bounds().Min, draw.Over)
	dst := image.NewRGBA(image.Rect(0, 0, dw, dh))
	for y := range dh {
		for x := range dw {
			var sums [3]int
			for sy := y * sh / dh; sy < sh && sy*dh < (y+1)*sh; sy++ {
				for sx := x * sw / dw; sx < sw && sx*dw < (x+1)*sw; sx++ {
					area := overlap(sx, dw, x, sw) * overlap(sy, dh, y, sh)
					for c := range sums {
						sums[c] += area * int(whole.Pix[whole.PixOffset(sx, sy)+c])
					}
				}
			}
			at := dst.PixOffset(x, y)
			for c, sum := range sums {
				dst.Pix[at+c] = uint8((sum + sw*sh/2) / (sw * sh))
			}
			dst.Pix[at+3] = 0xff
		}
	}
	return dst
}

// overlap returns how much of the ith stretch of length a lies in the jth of length b.
func overlap(i, a, j, b int) int { return max(0, min((i+1)*a, (j+1)*b)-max(i*a, j*b)) }

// forms returns a picture of noise in every form that the decoders return, and in some
// others. The bounds begin somewhere else than at 0, and the rows of some are longer
// than the picture.
func forms(w, h int) map[string]image.Image {
	random := rand.New(rand.NewPCG(uint64(w), uint64(h)))
	r := image.Rect(0, 0, w+3, h+2)
	part := image.Rect(3, 1, w+3, h+1)
	fill := func(planes ...[]uint8) {
		for _, plane := range planes {
			for i := range plane {
				plane[i] = uint8(random.Uint32())
			}
		}
	}
	nrgba, nrgba64, ycbcra := image.NewNRGBA(r), image.NewNRGBA64(r), image.NewNYCbCrA(r, image.YCbCrSubsampleRatio420)
	gray, gray16, cmyk, paletted := image.NewGray(r), image.NewGray16(r), image.NewCMYK(r), image.NewPaletted(r, palette.Plan9)
	fill(nrgba.Pix, nrgba64.Pix, ycbcra.Y, ycbcra.Cb, ycbcra.Cr, ycbcra.A, gray.Pix, gray16.Pix, cmyk.Pix, paletted.Pix)
	paletted.Palette = append(color.Palette{color.NRGBA{200, 100, 0, 50}}, palette.Plan9[1:]...)
	rgba, rgba64 := image.NewRGBA(r), image.NewRGBA64(r)
	draw.Draw(rgba, r, nrgba, r.Min, draw.Src)
	draw.Draw(rgba64, r, nrgba64, r.Min, draw.Src)
	opaque, nopaque, late := image.NewRGBA(r), image.NewNRGBA(r), image.NewNRGBA(r)
	fill(opaque.Pix, nopaque.Pix, late.Pix)
	for i := 3; i < len(opaque.Pix); i += 4 {
		opaque.Pix[i], nopaque.Pix[i], late.Pix[i] = 0xff, 0xff, 0xff
	}
	late.Pix[late.PixOffset(part.Max.X-1, part.Max.Y-1)+3] = 0x7f
	all := map[string]image.Image{
		"RGBA": rgba.SubImage(part), "opaque RGBA": opaque.SubImage(part), "RGBA64": rgba64.SubImage(part),
		"NRGBA": nrgba.SubImage(part), "opaque NRGBA": nopaque.SubImage(part), "NRGBA64": nrgba64.SubImage(part),
		"NRGBA, transparent in one corner": late.SubImage(part), "NYCbCrA": ycbcra.SubImage(part),
		"Gray": gray.SubImage(part), "Gray16": gray16.SubImage(part), "CMYK": cmyk.SubImage(part), "Paletted": paletted.SubImage(part),
		"another": struct{ image.Image }{nrgba.SubImage(part)},
	}
	for _, ratio := range []image.YCbCrSubsampleRatio{
		image.YCbCrSubsampleRatio444, image.YCbCrSubsampleRatio422, image.YCbCrSubsampleRatio420,
		image.YCbCrSubsampleRatio440, image.YCbCrSubsampleRatio411, image.YCbCrSubsampleRatio410,
	} {
		img := image.NewYCbCr(r, ratio)
		fill(img.Y, img.Cb, img.Cr)
		all[ratio.String()] = img.SubImage(part)
	}
	return all
}

// Every pixel is the exact mean, whatever the form of the source.
func TestShrink(t *testing.T) {
	for _, tt := range []struct{ w, h, longest, dw, dh int }{
		{64, 64, 16, 16, 16}, {61, 37, 16, 16, 9}, {37, 61, 16, 9, 16}, {17, 17, 16, 16, 16}, {16, 9, 16, 16, 9},
		{33, 1, 16, 16, 1}, {1, 33, 16, 1, 16}, {50, 2, 10, 10, 1}, {1, 1, 16, 1, 1}, {31, 30, 30, 30, 29}, {100, 75, 7, 7, 5},
	} {
		for name, src := range forms(tt.w, tt.h) {
			t.Run(fmt.Sprintf("%s %dx%d", name, tt.w, tt.h), func(t *testing.T) {
				got, want := thumbnail.Shrink(src, tt.longest), mean(src, tt.dw, tt.dh)
				if got.Rect != want.Rect || !bytes.Equal(got.Pix, want.Pix) {
					t.Errorf("%v differs from the mean, %v", got.Rect, want.Rect)
				}
			})
		}
	}
}
