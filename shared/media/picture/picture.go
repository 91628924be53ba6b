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
	"io"
	"runtime"

	"github.com/preset/nanobanana-functions/shared/media"
	"github.com/preset/nanobanana-functions/shared/media/thumbnail"
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

// ErrBad means that a file is not a picture we keep: not a PNG, JPEG or WebP,
// beyond a limit, or broken. With media.ErrDamaged it is one of known size
// that cannot be read to its end.
var ErrBad = media.ErrNotPicture

// Open proves that file, from its start, holds a picture by decoding all of
// it, and measures and shrinks it on the way. What follows a picture's own
// end (a ZIP behind a JPEG) is not looked at: the file is kept as it is, and
// its type is the picture's.
//
// A sound picture in a form that the decoders do not support has no
// thumbnail. A file that is no picture is ErrBad; if media.ErrDamaged is in the
// error too, the Picture is filled, without a thumbnail. Other errors are those
// of reading it, and of ctx, which is minded throughout: a file can be made to
// decode for hours.
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
		return p, fmt.Errorf("%w: %w", ErrBad, err)
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
	layout, broken := media.Walk(src.rewound())
	if layout.Width == 0 {
		return media.Picture{}, broken
	}
	p := media.Picture{
		Width:       layout.Width,
		Height:      layout.Height,
		ContentType: layout.ContentType,
		Ext:         layout.Ext,
		Bytes:       size,
		SHA256:      [32]byte(hash.Sum(nil)),
	}
	if thumbnail.Turned(layout.Orientation) {
		p.Width, p.Height = p.Height, p.Width
	}
	p.Thumbnail, err = shrunk(src, layout)
	if err != nil && broken == nil && layout.Ext == "png" && layout.Alpha {
		// Its chunk of alpha may be unlawful: other programs then do without.
		layout.Alpha = false
		p.Thumbnail, err = shrunk(src, layout)
	}
	var rare *unsupported
	switch {
	case src.err != nil:
		return media.Picture{}, src.err
	case broken == nil && (err == nil || errors.As(err, &rare) && layout.Flaw == ""):
		return p, nil
	case !layout.HasPixels:
		return media.Picture{}, errors.Join(err, broken)
	}
	p.Thumbnail = nil // of what there is, it would be as damaged
	return p, errors.Join(media.ErrDamaged, err, broken)
}

// shrunk decodes all of the picture, and returns its thumbnail. The error is
// an unsupported one where the decoder cannot know whether the file is sound.
func shrunk(src *source, l media.Layout) ([]byte, error) {
	if l.Frames > 0 {
		return nil, &unsupported{errors.New("an animation")}
	}
	d := decoders[l.Ext]
	config, err := d.config(src.filtered(l))
	if err != nil {
		return nil, rareHead(err)
	}
	if config.Width != l.Width || config.Height != l.Height {
		return nil, fmt.Errorf("%d x %d pixels by its container, %d x %d within", l.Width, l.Height, config.Width, config.Height)
	}
	memory := d.memory(l, config.ColorModel)
	switch {
	case memory > maxMemory:
		return nil, fmt.Errorf("%d x %d pixels: more than can be decoded in this form", l.Width, l.Height)
	case memory > largePicture:
		// Or the heap, which may double between two collections, would
		// still hold the picture before this one. It takes a millisecond.
		runtime.GC()
	}
	img, err := d.decode(src.filtered(l))
	if err != nil {
		return nil, rareInk(l, err)
	}
	return thumbnail.Make(img, media.ThumbnailSide, thumbnail.Look{Orientation: l.Orientation, Profile: profile(l, img)})
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
