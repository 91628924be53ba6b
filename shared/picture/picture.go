// Package picture proves that files are pictures, and shrinks them. It is apart
// from media for the sake of the functions that do neither: decoders that are
// linked are set up at every start.
package picture

import (
	"bufio"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"image"
	"image/color"
	"image/jpeg"
	"image/png"
	"io"
	"runtime"

	"golang.org/x/image/webp"

	"github.com/preset/nanobanana-functions/shared/media"
	"github.com/preset/nanobanana-functions/shared/thumbnail"
)

// Limits of a picture.
const (
	MaxPixels = media.MaxPixels
	MaxSide   = media.MaxSide

	// maxMemory bounds what decoding may take: a picture of 4096 x 4096 in
	// the costliest form of PNG (16 bits, interlaced), or 40 Mpx in any
	// usual one. Forms that cost much per pixel have fewer pixels.
	maxMemory = 256 << 20

	// largePicture is how much decoding has to take for it to be worth
	// clearing the heap first.
	largePicture = 16 << 20
)

// ErrBad means that a file is not a picture we keep: not a PNG, JPEG
// or WebP, beyond a limit, or broken.
var ErrBad = errors.New("picture: not an acceptable one")

// Open proves that file, from its start, holds a picture by decoding all of
// it, and measures and shrinks it on the way. What follows a picture's own
// end (a ZIP behind a JPEG) is not looked at: the file is kept as it is, and
// its type is the picture's. A file that is no picture gives ErrBad;
// other errors are those of reading it, and of ctx, which is minded
// throughout: a file can be made to decode for hours.
//
// Open takes the memory of the decoded picture, at most 256 MiB, and a few
// MiB more, however long the file is. The exception is a lossless WebP made to
// hurt: golang.org/x/image keeps up to 2,600 groups of Huffman codes, some
// 140 MiB, beside the picture.
func Open(ctx context.Context, file io.ReadSeeker) (media.Picture, error) {
	src := &source{ctx: ctx, file: file}
	p, err := inspect(src)
	switch {
	case src.err != nil:
		return media.Picture{}, fmt.Errorf("picture: open: %w", src.err)
	case err != nil:
		return media.Picture{}, fmt.Errorf("%w: %w", ErrBad, err)
	}
	return p, nil
}

func inspect(src *source) (media.Picture, error) {
	hash := sha256.New()
	size, err := io.Copy(hash, io.LimitReader(src.rewound(), media.MaxBytes+1))
	if err != nil {
		return media.Picture{}, err
	}
	if size > media.MaxBytes {
		return media.Picture{}, fmt.Errorf("longer than %d bytes", media.MaxBytes)
	}
	head, _ := src.rewound().Peek(media.MagicLength)
	format, ok := media.Sniff(head)
	if !ok {
		return media.Picture{}, errors.New("neither PNG, JPEG nor WebP")
	}
	f := decoders[format.Ext]
	config, err := f.decodeConfig(src.rewound())
	if err != nil {
		return media.Picture{}, err
	}
	memory, err := memoryFor(config, f.bytesPerPixel(src.rewound(), config.ColorModel))
	if err != nil {
		return media.Picture{}, err
	}
	if memory > largePicture {
		// Or the heap, which may double between two collections, would
		// still hold the picture before this one. It takes a millisecond.
		runtime.GC()
	}
	img, err := f.decode(src.rewound())
	if err != nil {
		return media.Picture{}, err
	}
	small, err := thumbnail.Encode(img, media.ThumbnailSide)
	if err != nil {
		return media.Picture{}, err
	}
	return media.Picture{
		Width:       img.Bounds().Dx(),
		Height:      img.Bounds().Dy(),
		ContentType: format.ContentType,
		Ext:         format.Ext,
		Bytes:       size,
		SHA256:      [32]byte(hash.Sum(nil)),
		Thumbnail:   small,
	}, nil
}

// memoryFor is how many bytes decoding may take. It holds the size in the
// picture's header against the limits before anything is decoded: 48 KB of
// PNG can hold 381 MiB of pixels.
func memoryFor(c image.Config, bytesPerPixel int64) (int64, error) {
	pixels := int64(c.Width) * int64(c.Height)
	switch {
	case c.Width < 1 || c.Height < 1 || c.Width > MaxSide || c.Height > MaxSide:
		return 0, fmt.Errorf("%d x %d pixels: a side is not between 1 and %d", c.Width, c.Height, MaxSide)
	case pixels > MaxPixels:
		return 0, fmt.Errorf("%d x %d pixels: more than %d", c.Width, c.Height, MaxPixels)
	case pixels*bytesPerPixel > maxMemory:
		return 0, fmt.Errorf("%d x %d pixels: more than can be decoded in this form", c.Width, c.Height)
	}
	return pixels * bytesPerPixel, nil
}

// A source is the file under the decoders, which know no context. It
// remembers why reading failed, to tell that from a broken picture.
type source struct {
	ctx  context.Context
	file io.ReadSeeker
	err  error
}

func (s *source) Read(b []byte) (int, error) {
	if s.err == nil {
		s.err = s.ctx.Err()
	}
	if s.err != nil {
		return 0, s.err
	}
	n, err := s.file.Read(b)
	if err != nil && err != io.EOF {
		s.err = err
	}
	return n, err
}

// rewound reads the file from its start.
func (s *source) rewound() *bufio.Reader {
	if _, err := s.file.Seek(0, io.SeekStart); err != nil && s.err == nil {
		s.err = err
	}
	return bufio.NewReaderSize(s, 64<<10)
}

// A decoder reads one kind of picture.
type decoder struct {
	decodeConfig func(io.Reader) (image.Config, error)
	decode       func(io.Reader) (image.Image, error)
	// bytesPerPixel is the most that decode allocates per pixel.
	bytesPerPixel func(*bufio.Reader, color.Model) int64
}

// The decoders, by extension, are called by name: those that happen to be
// registered with package image depend on what else is linked.
var decoders = map[string]decoder{
	"png":  {png.DecodeConfig, png.Decode, pngBytesPerPixel},
	"jpg":  {jpeg.DecodeConfig, jpeg.Decode, jpegBytesPerPixel},
	"webp": {webp.DecodeConfig, webp.Decode, webpBytesPerPixel},
}
