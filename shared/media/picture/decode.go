package picture

import (
	"bytes"
	"errors"
	"image"
	"image/color"
	"image/jpeg"
	"image/png"
	"io"

	"golang.org/x/image/webp"

	"github.com/preset/nanobanana-functions/shared/media"
)

// A decoder reads one kind of picture.
type decoder struct {
	config func(io.Reader) (image.Config, error)
	decode func(io.Reader) (image.Image, error)
	// memory returns the most bytes that decode allocates.
	memory func(media.Layout, color.Model) int64
}

// decoders are the decoders by extension. They are called directly, since those
// registered with package image depend on what else is linked.
var decoders = map[string]decoder{
	"png":  {png.DecodeConfig, png.Decode, pngMemory},
	"jpg":  {jpeg.DecodeConfig, jpeg.Decode, jpegMemory},
	"webp": {webp.DecodeConfig, decodeWebP, webpMemory},
}

// An unsupported error means that the decoder does not know this valid form of
// picture. The file need not be broken.
type unsupported struct{ err error }

func (u *unsupported) Error() string { return u.err.Error() }

// headerError returns err, a decoder's error for a file's header, as unsupported if it
// is about a form of JPEG. A form of PNG that image/png does not support is not
// valid, and no program reads it.
func headerError(err error) error {
	if rare, ok := errors.AsType[jpeg.UnsupportedError](err); ok {
		return &unsupported{rare}
	}
	return err
}

// decodeError returns err, a decoder's error for a whole file, as unsupported if the
// file is a JPEG with four inks but without an Adobe segment that states how they
// are stored. image/jpeg finds that out at the end of decoding. Any other unknown
// form in a scan is a broken file.
func decodeError(l media.Layout, err error) error {
	if len(l.JPEG.Components) == 4 && !l.JPEG.Adobe {
		return headerError(err)
	}
	return err
}

// decodeWebP decodes a WebP. A lossy one stores its colours in the narrow range of
// video, 16 to 235 or 240, and package webp returns them so. Package image expects
// the full range, so decodeWebP converts them in place.
func decodeWebP(r io.Reader) (image.Image, error) {
	img, err := webp.Decode(r)
	switch img := img.(type) {
	case *image.YCbCr:
		toFullRange(img)
	case *image.NYCbCrA:
		toFullRange(&img.YCbCr)
	}
	return img, err
}

func toFullRange(img *image.YCbCr) {
	var luma, chroma [256]uint8
	for i := range 256 {
		luma[i] = clamp((float64(i) - 16) * 255 / 219)
		chroma[i] = clamp((float64(i)-128)*255/224 + 128)
	}
	for _, plane := range []struct {
		samples []uint8
		full    *[256]uint8
	}{{img.Y, &luma}, {img.Cb, &chroma}, {img.Cr, &chroma}} {
		for i, v := range plane.samples {
			plane.samples[i] = plane.full[v]
		}
	}
}

func clamp(v float64) uint8 { return uint8(max(0, min(255, v+0.5))) }

// decodable returns a reader for the file, from its start, without the flaws that its
// decoder would reject.
func (s *source) decodable(l media.Layout) io.Reader {
	switch {
	case l.Ext == "png":
		return &pngFilter{r: s.fromStart(), alpha: l.Alpha}
	case l.Ext == "jpg" && l.Flaw != "" && l.JPEG.Complete():
		// Only the end marker is missing, unless decoding shows otherwise.
		return io.MultiReader(s.fromStart(), bytes.NewReader([]byte{0xff, 0xd9}))
	case l.Chunk == "VP8X":
		return setAlphaFlag(s.fromStart(), l.Alpha)
	}
	return s.fromStart()
}

// setAlphaFlag returns r, an extended WebP, with its alpha flag set to alpha, whether
// there is an alpha chunk. Package webp requires that; other programs use the chunk
// alone.
func setAlphaFlag(r io.Reader, alpha bool) io.Reader {
	const flags, flag = 20, 1 << 4
	head := make([]byte, flags+1)
	n, _ := io.ReadFull(r, head) // the next read returns the error again
	if n == len(head) {
		if head[flags] &^= flag; alpha {
			head[flags] |= flag
		}
	}
	return io.MultiReader(bytes.NewReader(head[:n]), r)
}
