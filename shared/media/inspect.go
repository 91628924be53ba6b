package media

import (
	"bufio"
	"errors"
	"fmt"
	"io"
)

// ErrNotPicture means that a file is no picture that we store: not a PNG, JPEG or
// WebP, cut short, broken in its structure, or beyond MaxPixels or MaxSide.
var ErrNotPicture = errors.New("media: not a picture")

// ErrDamaged accompanies ErrNotPicture if the file begins as a picture of known
// size: browsers show the part that is there.
var ErrDamaged = errors.New("media: a damaged picture")

// A Layout is what Walk finds in a picture's file.
type Layout struct {
	Format
	Width, Height int    // as stored, in pixels; 0 if no size within the limits was found
	Orientation   int    // EXIF, where browsers follow it, 1 to 8; 0 if there is none
	Profile       []byte // ICC, at most MaxProfile; in a PNG the compressed content of iCCP
	HasPixels     bool   // the file has at least the beginning of the pixel data
	Frames        int    // of an animation; 0 for a still picture
	C2PA          bool   // the file carries a whole C2PA manifest store, which nobody has verified

	// Flaw is a fault that decoders overlook, so that the walk still reached
	// the end; empty if there is none.
	Flaw string

	JPEG       JPEGFrame
	Interlaced bool   // of a PNG
	Chunk      string // the kind of a WebP's first chunk
	Alpha      bool   // a WebP or PNG has an alpha chunk before its pixels
}

// MaxProfile is the length in bytes of the longest ICC profile that Walk reads.
const MaxProfile = 16 << 10

// setSize sets the picture's size. It returns an error, and sets 0, if the size is
// beyond the limits.
func (l *Layout) setSize(width, height int64) error {
	l.Width, l.Height = 0, 0
	switch {
	case width < 1 || height < 1:
		return fmt.Errorf("%d x %d pixels", width, height)
	case width > MaxSide || height > MaxSide:
		return fmt.Errorf("%w: %d x %d pixels", errSide, width, height)
	case width*height > MaxPixels:
		return fmt.Errorf("%w: %d x %d pixels", errPixels, width, height)
	}
	l.Width, l.Height = int(width), int(height)
	return nil
}

// Sizes beyond the limits.
var (
	errSide   = errors.New("too long a side")
	errPixels = errors.New("too many pixels")
)

// Walk reads a picture from its start to its own end. It checks the structure:
// that each part is complete, in a PNG with the right checksum, and that the size
// is within the limits. It does not decode the pixels, so it needs little memory
// and no decoder; package picture proves that they can be read. Walk returns
// ErrNotPicture if the file is faulty, and a Layout of what it found before the
// fault. Other errors are those of r.
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
			w.C2PA = w.jpegC2PA()
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

// Inspect reads a picture like Walk and returns its format. It is stricter: it also
// refuses a picture with a flaw, an animation and a JPEG of a rare kind. What it refuses
// is a *Refusal. It reads no more than the head of a file of another kind.
func Inspect(r io.Reader) (Format, error) {
	buffered := bufio.NewReaderSize(r, kindHead)
	head, err := buffered.Peek(kindHead)
	if err != nil && err != io.EOF {
		return Format{}, err
	}
	if _, ok := Sniff(head); !ok {
		return Format{}, refuseHead(head)
	}
	l, err := Walk(buffered)
	if refusal := l.refusal(err); refusal != nil {
		return Format{}, refusal
	}
	return l.Format, err
}

// refusal returns why a picture cannot be edited that Walk returned with err, or nil if
// it can or if that is not known.
func (l Layout) refusal(err error) *Refusal {
	switch {
	case err != nil && !errors.Is(err, ErrNotPicture):
		return nil
	case l.Frames > 0:
		return refusedMoving
	case errors.Is(err, errPixels):
		return refusedPixels
	case errors.Is(err, errSide):
		return refusedSide
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF), l.Flaw == flawNoEnd:
		return refusedCut
	case err != nil, l.Flaw != "":
		return refusedDamaged
	case l.JPEG.Marker > jpegSOF2, l.JPEG.Scans > MaxScans:
		return refusedRare
	}
	return nil
}

// A walk reads a file and collects its Layout. It keeps the error of source, so that
// Walk can distinguish it from a file that ends too soon.
type walk struct {
	Layout
	r      *bufio.Reader // reads the walk itself
	source io.Reader
	err    error

	inFrame bool // of an animation

	profileParts map[byte][]byte // of a JPEG's ICC profile, by number
	profileSize  int             // of all parts, in bytes

	boxes map[boxKey]splitBox // of a JPEG
}

func (w *walk) Read(b []byte) (int, error) {
	n, err := w.source.Read(b)
	if err != nil && !errors.Is(err, io.EOF) {
		w.err = err
	}
	return n, err
}

// next reads n bytes, which must be few.
func (w *walk) next(n int64) ([]byte, error) {
	b := make([]byte, n)
	_, err := io.ReadFull(w.r, b)
	return b, err
}

// skip skips n bytes.
func (w *walk) skip(n int64) error {
	_, err := w.r.Discard(int(n))
	return err
}
