package media

import (
	"encoding/binary"
	"errors"
)

// maxFramePixels limits an animation: frames times canvas.
const maxFramePixels = 400_000_000

// webp reads a WebP, chunk by chunk. Only an animation must be complete to its last
// byte; for a still picture, decoding proves that enough is there.
func (w *walk) webp() error {
	head, err := w.next(12)
	if err != nil {
		return err
	}
	left, err := w.webpChunks(int64(binary.LittleEndian.Uint32(head[4:])) - 4)
	switch {
	case err != nil:
		return err
	case !w.HasPixels:
		return errors.New("a WebP without a picture")
	case w.Frames > 0:
		return w.skip(left)
	}
	return nil
}

// webpChunks reads the chunks in the next left bytes, and returns how many bytes
// are left after the last.
func (w *walk) webpChunks(left int64) (int64, error) {
	for left >= 8 {
		head, err := w.next(8)
		if err != nil {
			return 0, err
		}
		kind, size := string(head[:4]), int64(binary.LittleEndian.Uint32(head[4:]))
		if left -= 8; size > left {
			// Its header may still contain the picture's size.
			_ = w.webpChunk(kind, size)
			return 0, errors.New("a WebP with a chunk longer than the file")
		}
		if w.Chunk == "" {
			w.Chunk = kind
		}
		if err := w.webpChunk(kind, size); err != nil {
			return 0, err
		}
		padding := min(size&1, left-size)
		left -= size + padding
		if err := w.skip(padding); err != nil {
			return 0, err
		}
	}
	return max(left, 0), nil
}

// webpHead is the length of the header of a chunk, for the kinds whose header
// contains a size.
var webpHead = map[string]int64{"VP8X": 10, "VP8 ": 10, "VP8L": 5, "ANMF": 16}

// webpChunk reads one chunk of size bytes.
func (w *walk) webpChunk(kind string, size int64) error {
	still := w.HasPixels && w.Frames == 0
	switch {
	case kind == "ICCP" && size <= MaxProfile && w.Profile == nil:
		profile, err := w.next(size)
		w.Profile = profile
		return err
	case kind == webpC2PA && !w.C2PA:
		return w.webpC2PA(size)
	case kind == "ANMF" && still:
		return w.skip(size) // no program reads more
	case w.inFrame && (kind == "VP8X" || kind == "ANMF"):
		return errors.New("a WebP with an animation inside a frame")
	}
	w.Alpha = w.Alpha || kind == "ALPH" && !w.HasPixels
	length := webpHead[kind]
	if size < length {
		return errors.New("a WebP with a chunk without a header")
	}
	b, err := w.next(length)
	if err != nil {
		return err
	}
	switch kind {
	case "VP8X":
		err = w.setSize(uint24(b[4:])+1, uint24(b[7:])+1)
	case "VP8 ", "VP8L":
		err = w.setSize(webpSize(kind, b))
		w.HasPixels = err == nil
	case "ANMF":
		return w.webpFrame(b, size-length)
	}
	if err != nil {
		return err
	}
	return w.skip(size - length)
}

// webpC2PA reads a chunk of size bytes that is named after C2PA.
func (w *walk) webpC2PA(size int64) error {
	head, err := w.next(min(size, int64(c2paHead)))
	if err == nil {
		err = w.skip(size - int64(len(head)))
	}
	w.C2PA = err == nil && isC2PA(head, size)
	return err
}

// webpFrame reads one frame of an animation, with left bytes after its header. The
// frame must lie on the canvas and contain pixels of its own size.
func (w *walk) webpFrame(head []byte, left int64) error {
	x, y, width, height := 2*uint24(head), 2*uint24(head[3:]), uint24(head[6:])+1, uint24(head[9:])+1
	if x+width > int64(w.Width) || y+height > int64(w.Height) {
		return errors.New("a WebP with a frame beyond its canvas")
	}
	frame := walk{r: w.r, inFrame: true}
	rest, err := frame.webpChunks(left)
	if err == nil {
		err = w.skip(rest)
	}
	w.HasPixels = w.HasPixels || frame.HasPixels
	switch {
	case err != nil:
		return err
	case !frame.HasPixels || int64(frame.Width) != width || int64(frame.Height) != height:
		return errors.New("a WebP with a frame of another size than announced")
	}
	w.Frames++
	if int64(w.Frames)*int64(w.Width)*int64(w.Height) > maxFramePixels {
		w.Width, w.Height = 0, 0 // beyond a limit, like a picture that is too large
		return errors.New("a WebP with too many frames")
	}
	return nil
}

func uint24(b []byte) int64 { return int64(b[0]) | int64(b[1])<<8 | int64(b[2])<<16 }

// webpSize returns the size in the header of a chunk of pixels, or 0 if the header is
// invalid.
func webpSize(kind string, b []byte) (width, height int64) {
	switch {
	case kind == "VP8 " && string(b[3:6]) == "\x9d\x01\x2a":
		return int64(binary.LittleEndian.Uint16(b[6:]) & 0x3fff), int64(binary.LittleEndian.Uint16(b[8:]) & 0x3fff)
	case kind == "VP8L" && b[0] == 0x2f:
		bits := int64(binary.LittleEndian.Uint32(b[1:]))
		return bits&0x3fff + 1, bits>>14&0x3fff + 1
	}
	return 0, 0
}
