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
	// memory is the most that decode allocates, in bytes.
	memory func(media.Layout, color.Model) int64
}

// The decoders, by extension, are called by name: those that happen to be
// registered with package image depend on what else is linked.
var decoders = map[string]decoder{
	"png":  {png.DecodeConfig, png.Decode, pngMemory},
	"jpg":  {jpeg.DecodeConfig, jpeg.Decode, jpegMemory},
	"webp": {webp.DecodeConfig, decodeWebP, webpMemory},
}

// An unsupported error is a lawful form of picture that the decoder does not
// know. It does not mean that the file is broken.
type unsupported struct{ err error }

func (u *unsupported) Error() string { return u.err.Error() }

// rareHead makes an unsupported of err, which a decoder returned for a file's
// head, if it names a form of JPEG. A PNG in a form that image/png does not
// support is not lawful, and no program reads it.
func rareHead(err error) error {
	if rare, ok := errors.AsType[jpeg.UnsupportedError](err); ok {
		return &unsupported{rare}
	}
	return err
}

// rareInk makes an unsupported of err, which a decoder returned for a whole
// file, if it is a JPEG of four inks where no segment of Adobe's tells how they
// are stored: image/jpeg notices that at the end of decoding. Anything else in
// a scan that looks like an unknown form is a broken file.
func rareInk(l media.Layout, err error) error {
	if len(l.JPEG.Components) == 4 && !l.JPEG.Adobe {
		return rareHead(err)
	}
	return err
}

// decodeWebP decodes a WebP. The colours of a lossy one are stored in the
// narrow range of video, 16 to 235 and 240, and returned so by package webp;
// package image takes them for the full range, so they are stretched in place.
func decodeWebP(r io.Reader) (image.Image, error) {
	img, err := webp.Decode(r)
	switch img := img.(type) {
	case *image.YCbCr:
		stretch(img)
	case *image.NYCbCrA:
		stretch(&img.YCbCr)
	}
	return img, err
}

func stretch(img *image.YCbCr) {
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

// filtered reads the file from its start, without the flaws that its decoder
// would stumble over.
func (s *source) filtered(l media.Layout) io.Reader {
	switch {
	case l.Ext == "png":
		return &pngFilter{r: s.rewound(), alpha: l.Alpha}
	case l.Ext == "jpg" && l.Flaw != "" && l.JPEG.Complete():
		// The end alone is not there, unless decoding shows otherwise.
		return io.MultiReader(s.rewound(), bytes.NewReader([]byte{0xff, 0xd9}))
	case l.Chunk == "VP8X":
		return alphaAsItIs(s.rewound(), l.Alpha)
	}
	return s.rewound()
}

// alphaAsItIs reads an extended WebP, its flag for alpha set to whether there is
// a chunk of alpha: package webp wants that, other programs go by the chunk.
func alphaAsItIs(r io.Reader, alpha bool) io.Reader {
	const flags, flag = 20, 1 << 4
	head := make([]byte, flags+1)
	n, _ := io.ReadFull(r, head) // a failure comes again with the next read
	if n == len(head) {
		if head[flags] &^= flag; alpha {
			head[flags] |= flag
		}
	}
	return io.MultiReader(bytes.NewReader(head[:n]), r)
}
