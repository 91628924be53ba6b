// Package picture proves that files are pictures by decoding them, and makes their
// thumbnails (docs/decisions/pictures.md). It is separate from media because linked
// decoders are set up at every start, also in functions that do not use them.
package picture

import (
	"bufio"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"image"
	"io"
	"runtime"

	"github.com/preset/nanobanana-functions/shared/media"
	"github.com/preset/nanobanana-functions/shared/media/thumbnail"
)

const (
	// maxMemory is how many bytes decoding may take: enough for 4096 x 4096
	// pixels in the costliest form of PNG (16 bits, interlaced), or for 40 Mpx
	// in any usual form. Forms that cost much per pixel may have fewer pixels.
	maxMemory = 256 << 20

	// largePicture is how many bytes decoding must take before it is worth
	// clearing the heap first.
	largePicture = 16 << 20
)

// Open proves that file, from its start, is a picture by decoding all of it, and
// returns its size and a thumbnail. It ignores what follows the picture's own end
// (a ZIP after a JPEG): the file is stored unchanged, and its type is the picture's.
//
// A sound picture in a form that the decoders do not support has no thumbnail. Open
// returns media.ErrNotPicture for a file that is no picture; if the error is also
// media.ErrDamaged, the Picture is filled, without a thumbnail. Other errors are
// those of reading file and of ctx, which Open checks throughout, since a file can
// be made to decode for hours.
//
// Open takes the memory of the decoded picture, at most 256 MiB, and a few MiB
// more, however long the file is. The exception is a hostile lossless WebP, for
// which golang.org/x/image holds up to 2,600 groups of Huffman codes, some 140 MiB,
// besides the picture.
func Open(ctx context.Context, file io.ReadSeeker) (media.Picture, error) {
	src := &source{ctx: ctx, file: file}
	p, err := inspect(src)
	switch {
	case src.err != nil:
		return media.Picture{}, fmt.Errorf("picture: open: %w", src.err)
	case err != nil:
		return p, fmt.Errorf("%w: %w", media.ErrNotPicture, err)
	}
	return p, nil
}

func inspect(src *source) (media.Picture, error) {
	hash := sha256.New()
	size, err := io.Copy(hash, io.LimitReader(src.fromStart(), media.MaxBytes+1))
	if err != nil {
		return media.Picture{}, err
	}
	if size > media.MaxBytes {
		return media.Picture{}, fmt.Errorf("longer than %d bytes", media.MaxBytes)
	}
	layout, broken := media.Walk(src.fromStart())
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
		C2PA:        layout.C2PA,
	}
	if thumbnail.Turned(layout.Orientation) {
		p.Width, p.Height = p.Height, p.Width
	}
	p.Thumbnail, err = makeThumbnail(src, layout)
	if err != nil && broken == nil && layout.Ext == "png" && layout.Alpha {
		// Its alpha chunk may be invalid; other programs then ignore it.
		layout.Alpha = false
		p.Thumbnail, err = makeThumbnail(src, layout)
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
	p.Thumbnail = nil // it would show the damage
	return p, errors.Join(media.ErrDamaged, err, broken)
}

// makeThumbnail decodes all of the picture and returns its thumbnail.
func makeThumbnail(src *source, l media.Layout) ([]byte, error) {
	img, err := decode(src, l)
	if err != nil {
		return nil, err
	}
	return thumbnail.Make(img, media.ThumbnailSide, thumbnail.Look{Orientation: l.Orientation, Profile: profile(l, img)})
}

// decode decodes all of the picture. It returns an unsupported error if the decoder
// cannot find out whether the file is sound.
func decode(src *source, l media.Layout) (image.Image, error) {
	if l.Frames > 0 {
		return nil, &unsupported{errors.New("an animation")}
	}
	d := decoders[l.Ext]
	config, err := d.config(src.decodable(l))
	if err != nil {
		return nil, headerError(err)
	}
	if config.Width != l.Width || config.Height != l.Height {
		return nil, fmt.Errorf("%d x %d pixels in its container, %d x %d inside", l.Width, l.Height, config.Width, config.Height)
	}
	memory := d.memory(l, config.ColorModel)
	switch {
	case memory > maxMemory:
		return nil, fmt.Errorf("%d x %d pixels: more than can be decoded in this form", l.Width, l.Height)
	case memory > largePicture:
		// The heap may double between two collections, so it could still
		// hold the previous picture. A collection takes a millisecond.
		runtime.GC()
	}
	img, err := d.decode(src.decodable(l))
	if err != nil {
		return nil, decodeError(l, err)
	}
	return img, nil
}

// A source reads the file for the decoders, which know no context. It keeps the error
// of reading, so that Open can distinguish it from a broken picture.
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

// fromStart returns a reader for the file, from its start.
func (s *source) fromStart() *bufio.Reader {
	if _, err := s.file.Seek(0, io.SeekStart); err != nil && s.err == nil {
		s.err = err
	}
	return bufio.NewReaderSize(s, 64<<10)
}
