package media

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
)

// ErrNotPicture means that a file is none of ours: not a PNG, JPEG or WebP,
// cut short, broken in its structure, or beyond MaxPixels or MaxSide.
var ErrNotPicture = errors.New("media: not a picture")

// Inspect walks through a picture from its start to its own end, and gives its
// format. It proves the structure: that each part is there whole, in a PNG with
// its checksum, and that the picture's size is within limits. The pixels it
// leaves alone, so that it needs no decoder and no memory to speak of: only
// package picture proves that they can be read. What is wrong with the file is
// ErrNotPicture; other errors are those of r.
func Inspect(r io.Reader) (Format, error) {
	w := &walk{source: r}
	w.r = bufio.NewReaderSize(w, 32<<10)
	head, _ := w.r.Peek(MagicLength)
	f, ok := Sniff(head)
	err := ErrNotPicture
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
		return Format{}, w.err
	case err != nil:
		return Format{}, fmt.Errorf("%w: %w", ErrNotPicture, err)
	}
	return f, nil
}

// A walk is the file on its way. It remembers why reading failed, to tell that
// from a file that ends too soon.
type walk struct {
	r      *bufio.Reader // of the walk itself
	source io.Reader
	err    error
}

func (w *walk) Read(b []byte) (int, error) {
	n, err := w.source.Read(b)
	if err != nil && !errors.Is(err, io.EOF) {
		w.err = err
	}
	return n, err
}

// take reads the next n bytes, which are few.
func (w *walk) take(n int) ([]byte, error) {
	b := make([]byte, n)
	_, err := io.ReadFull(w.r, b)
	return b, err
}

// skip passes over n bytes.
func (w *walk) skip(n int64) error {
	_, err := io.CopyN(io.Discard, w.r, n)
	return err
}

func within(width, height int64) error {
	if width < 1 || height < 1 || width > MaxSide || height > MaxSide || width*height > MaxPixels {
		return fmt.Errorf("%d x %d pixels", width, height)
	}
	return nil
}

// png walks from chunk to chunk, and holds each against its checksum.
func (w *walk) png() error {
	if err := w.skip(8); err != nil {
		return err
	}
	for first, data := true, false; ; first = false {
		head, err := w.take(8)
		if err != nil {
			return err
		}
		size, kind := int64(binary.BigEndian.Uint32(head)), string(head[4:])
		sum := crc32.NewIEEE()
		sum.Write(head[4:])
		if first != (kind == "IHDR") || first && size != 13 {
			return errors.New("a PNG without its head")
		}
		var ihdr bytes.Buffer
		into := io.Writer(sum)
		if first {
			into = io.MultiWriter(sum, &ihdr)
		}
		if _, err := io.CopyN(into, w.r, size); err != nil {
			return err
		}
		if want, err := w.take(4); err != nil || binary.BigEndian.Uint32(want) != sum.Sum32() {
			return fmt.Errorf("chunk %q is broken: %v", kind, err)
		}
		switch {
		case first:
			b := ihdr.Bytes()
			if err := within(int64(binary.BigEndian.Uint32(b)), int64(binary.BigEndian.Uint32(b[4:]))); err != nil {
				return err
			}
		case kind == "IDAT":
			data = true
		case kind == "IEND" && data:
			return nil
		case kind == "IEND":
			return errors.New("a PNG without pixels")
		}
	}
}

// Markers of a JPEG.
const (
	jpegSOF0, jpegSOF2 = 0xc0, 0xc2 // and SOF1 between: the kinds with a size that decoders know
	jpegEOI, jpegSOS   = 0xd9, 0xda
)

// jpeg walks from marker to marker.
func (w *walk) jpeg() error {
	if err := w.skip(2); err != nil {
		return err
	}
	for sized, scanned := false, false; ; {
		marker, err := w.marker()
		if err != nil {
			return err
		}
		if marker == jpegEOI {
			if !scanned {
				return errors.New("a JPEG without pixels")
			}
			return nil
		}
		head, err := w.take(2)
		if err != nil {
			return err
		}
		size := int64(binary.BigEndian.Uint16(head)) - 2
		switch {
		case marker >= jpegSOF0 && marker <= jpegSOF2 && size >= 6 && !sized:
			frame, err := w.take(5)
			if err != nil {
				return err
			}
			if err := within(int64(binary.BigEndian.Uint16(frame[3:])), int64(binary.BigEndian.Uint16(frame[1:]))); err != nil {
				return err
			}
			sized, size = true, size-5
		case marker == jpegSOS && sized:
			scanned = true
		case size < 0 || marker == jpegSOS || marker == 0xd8:
			return errors.New("a JPEG out of order")
		}
		if err := w.skip(size); err != nil {
			return err
		}
	}
}

// marker finds the next one that begins a segment or ends the picture. What is
// before it is a scan, where a 0xff that is none of these is followed by 0 or
// by a mark to restart at; or it is rubbish, which decoders pass over, too.
func (w *walk) marker() (byte, error) {
	for {
		b := byte(0xff)
		_, err := w.r.ReadSlice(0xff)
		if errors.Is(err, bufio.ErrBufferFull) {
			continue
		}
		if err != nil {
			return 0, err
		}
		for b == 0xff { // any number of them may stand before the marker
			if b, err = w.r.ReadByte(); err != nil {
				return 0, err
			}
		}
		if b != 0 && b != 1 && (b < 0xd0 || b > 0xd7) {
			return b, nil
		}
	}
}

// webp walks from chunk to chunk of the RIFF file.
func (w *walk) webp() error {
	head, err := w.take(12)
	if err != nil {
		return err
	}
	pixels := false
	for left := int64(binary.LittleEndian.Uint32(head[4:])) - 4; left >= 8; {
		head, err := w.take(8)
		if err != nil {
			return err
		}
		size := int64(binary.LittleEndian.Uint32(head[4:]))
		if left -= 8; size > left {
			return errors.New("a WebP whose chunk is longer than itself")
		}
		padded := min(size+size&1, left)
		left -= padded
		kind := string(head[:4])
		if length := webpHead[kind]; length > 0 {
			if size < length {
				return errors.New("a WebP whose chunk has no head")
			}
			b, err := w.take(int(length))
			if err != nil {
				return err
			}
			if err := within(webpSize(kind, b)); err != nil {
				return err
			}
			padded -= length
			pixels = pixels || kind != "VP8X"
		}
		if err := w.skip(padded); err != nil {
			return err
		}
	}
	if !pixels {
		return errors.New("a WebP without a still picture")
	}
	return nil
}

// webpHead is how long the head is, by the kind of chunk, that tells the size.
var webpHead = map[string]int64{"VP8X": 10, "VP8 ": 10, "VP8L": 5}

// webpSize reads the size from a chunk's head; 0 where it is not what it
// should be.
func webpSize(kind string, b []byte) (width, height int64) {
	switch {
	case kind == "VP8X":
		three := func(b []byte) int64 { return int64(b[0]) | int64(b[1])<<8 | int64(b[2])<<16 }
		return three(b[4:]) + 1, three(b[7:]) + 1
	case kind == "VP8 " && string(b[3:6]) == "\x9d\x01\x2a":
		return int64(binary.LittleEndian.Uint16(b[6:]) & 0x3fff), int64(binary.LittleEndian.Uint16(b[8:]) & 0x3fff)
	case kind == "VP8L" && b[0] == 0x2f:
		bits := int64(binary.LittleEndian.Uint32(b[1:]))
		return bits&0x3fff + 1, bits>>14&0x3fff + 1
	}
	return 0, 0
}
