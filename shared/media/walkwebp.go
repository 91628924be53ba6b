package media

import (
	"encoding/binary"
	"errors"
)

// maxFramePixels bounds an animation: frames times canvas.
const maxFramePixels = 400_000_000

// webp walks from chunk to chunk of the RIFF file. Only an animation has to be
// there to its last byte: of a still picture, decoding proves that enough is.
func (w *walk) webp() error {
	head, err := w.take(12)
	if err != nil {
		return err
	}
	left, err := w.webpChunks(int64(binary.LittleEndian.Uint32(head[4:])) - 4)
	switch {
	case err != nil:
		return err
	case !w.Begun:
		return errors.New("a WebP without a picture")
	case w.Frames > 0:
		return w.skip(left)
	}
	return nil
}

// webpChunks walks through the chunks in the next left bytes, and returns how
// many are left after the last.
func (w *walk) webpChunks(left int64) (int64, error) {
	for left >= 8 {
		head, err := w.take(8)
		if err != nil {
			return 0, err
		}
		kind, size := string(head[:4]), int64(binary.LittleEndian.Uint32(head[4:]))
		if left -= 8; size > left {
			// Its head may still have the size of what there is.
			_ = w.webpChunk(kind, size)
			return 0, errors.New("a WebP whose chunk is longer than itself")
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

// webpHead is how long the head of a chunk is, by its kind, that has a size.
var webpHead = map[string]int64{"VP8X": 10, "VP8 ": 10, "VP8L": 5, "ANMF": 16}

// webpChunk walks through one chunk of size bytes.
func (w *walk) webpChunk(kind string, size int64) error {
	still := w.Begun && w.Frames == 0
	switch {
	case kind == "ICCP" && size <= MaxProfile && w.Profile == nil:
		profile, err := w.take(size)
		w.Profile = profile
		return err
	case kind == "ANMF" && still:
		return w.skip(size) // no program looks for more
	case w.inFrame && (kind == "VP8X" || kind == "ANMF"):
		return errors.New("a WebP with an animation in a frame")
	}
	w.Alpha = w.Alpha || kind == "ALPH" && !w.Begun
	length := webpHead[kind]
	if size < length {
		return errors.New("a WebP whose chunk has no head")
	}
	b, err := w.take(length)
	if err != nil {
		return err
	}
	switch kind {
	case "VP8X":
		err = w.sized(three(b[4:])+1, three(b[7:])+1)
	case "VP8 ", "VP8L":
		err = w.sized(webpSize(kind, b))
		w.Begun = err == nil
	case "ANMF":
		return w.webpFrame(b, size-length)
	}
	if err != nil {
		return err
	}
	return w.skip(size - length)
}

// webpFrame walks through one frame of an animation, of left bytes after its
// head. It has to lie on the canvas and to hold pixels of its own size.
func (w *walk) webpFrame(head []byte, left int64) error {
	x, y, width, height := 2*three(head), 2*three(head[3:]), three(head[6:])+1, three(head[9:])+1
	if x+width > int64(w.Width) || y+height > int64(w.Height) {
		return errors.New("a WebP whose frame is not on its canvas")
	}
	frame := walk{r: w.r, inFrame: true}
	rest, err := frame.webpChunks(left)
	if err == nil {
		err = w.skip(rest)
	}
	w.Begun = w.Begun || frame.Begun
	switch {
	case err != nil:
		return err
	case !frame.Begun || int64(frame.Width) != width || int64(frame.Height) != height:
		return errors.New("a WebP whose frame is not the picture it should be")
	}
	w.Frames++
	if int64(w.Frames)*int64(w.Width)*int64(w.Height) > maxFramePixels {
		w.Width, w.Height = 0, 0 // beyond a limit, like a picture that is too large
		return errors.New("a WebP of too many frames")
	}
	return nil
}

func three(b []byte) int64 { return int64(b[0]) | int64(b[1])<<8 | int64(b[2])<<16 }

// webpSize reads the size from the head of a chunk of pixels; 0 where it is
// not what it should be.
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
