package media

import (
	"bufio"
	"errors"
	"fmt"
	"io"
)

// ErrNotPicture means that a file is none of ours: not a PNG, JPEG or WebP,
// cut short, broken in its structure, or beyond MaxPixels or MaxSide.
var ErrNotPicture = errors.New("media: not a picture")

// ErrDamaged goes with ErrNotPicture where the file begins as a picture of
// known size: browsers show what there is of it.
var ErrDamaged = errors.New("media: a damaged picture")

// A Layout is what Walk finds in a picture's file.
type Layout struct {
	Format
	Width, Height int    // as stored, in pixels; 0 until a size within limits was read
	Orientation   int    // as EXIF has it where browsers follow it, 1 to 8; 0: none
	Profile       []byte // ICC, at most MaxProfile; in a PNG the content of iCCP, compressed
	Begun         bool   // pixels begin in it
	Frames        int    // of an animation; 0 for a still picture

	// Flaw is what is wrong although the walk reached the end: a thing that
	// decoders overlook. Empty: nothing.
	Flaw string

	JPEG       JPEGFrame
	Interlaced bool   // of a PNG
	Chunk      string // the kind of a WebP's first chunk
	Alpha      bool   // a WebP or PNG has a chunk of alpha before its pixels
}

// MaxProfile is how long an ICC profile may be, in bytes, to be noticed.
const MaxProfile = 16 << 10

// sized keeps the picture's size, if it is within limits.
func (l *Layout) sized(width, height int64) error {
	if width < 1 || height < 1 || width > MaxSide || height > MaxSide || width*height > MaxPixels {
		l.Width, l.Height = 0, 0
		return fmt.Errorf("%d x %d pixels", width, height)
	}
	l.Width, l.Height = int(width), int(height)
	return nil
}

// Walk walks through a picture from its start to its own end. It proves the
// structure: that each part is there whole, in a PNG with its checksum, and
// that the picture's size is within limits. It does not decode the pixels, so
// that it needs little memory and no decoder: only package picture proves that
// they can be read. What is wrong with the file is ErrNotPicture, and the
// Layout is then what was found before it; other errors are those of r.
func Walk(r io.Reader) (Layout, error) {
	w := &walk{source: r}
	w.r = bufio.NewReaderSize(w, 32<<10)
	head, _ := w.r.Peek(MagicLength)
	f, ok := Sniff(head)
	w.Format = f
	err := errors.New("neither PNG, JPEG nor WebP")
	if ok {
		switch f.Ext {
		case "png":
			err = w.png()
		case "jpg":
			err = w.jpeg()
		case "webp":
			err = w.webp()
		}
	}
	switch {
	case w.err != nil:
		return w.Layout, w.err
	case err != nil:
		return w.Layout, fmt.Errorf("%w: %w", ErrNotPicture, err)
	}
	return w.Layout, nil
}

// Inspect walks through a picture like Walk, and returns its format. It is
// stricter: a picture with a flaw, an animation and a JPEG of a rare kind are
// ErrNotPicture too.
func Inspect(r io.Reader) (Format, error) {
	l, err := Walk(r)
	switch {
	case err != nil:
		return Format{}, err
	case l.Flaw != "":
		return Format{}, fmt.Errorf("%w: %s", ErrNotPicture, l.Flaw)
	case l.Frames > 0 || l.JPEG.Marker > jpegSOF2:
		return Format{}, fmt.Errorf("%w: of a kind that few programs read", ErrNotPicture)
	}
	return l.Format, nil
}

// A walk is the file on its way, and what was found in it. It remembers why
// reading failed, to tell that from a file that ends too soon.
type walk struct {
	Layout
	r      *bufio.Reader // of the walk itself
	source io.Reader
	err    error

	inFrame bool // of an animation

	profileParts map[byte][]byte // of a JPEG's ICC profile, by their numbers
	profileSize  int             // of all of them
}

func (w *walk) Read(b []byte) (int, error) {
	n, err := w.source.Read(b)
	if err != nil && !errors.Is(err, io.EOF) {
		w.err = err
	}
	return n, err
}

// take reads the next n bytes, which are few.
func (w *walk) take(n int64) ([]byte, error) {
	b := make([]byte, n)
	_, err := io.ReadFull(w.r, b)
	return b, err
}

// skip passes over n bytes.
func (w *walk) skip(n int64) error {
	_, err := io.CopyN(io.Discard, w.r, n)
	return err
}
