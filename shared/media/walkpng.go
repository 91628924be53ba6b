package media

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
)

// pngKept is how many bytes of a chunk, by its kind, are kept to be looked at.
var pngKept = map[string]int64{"IHDR": 13, "eXIf": 64 << 10, "iCCP": MaxProfile + 1<<10}

// png walks from chunk to chunk, and compares each with its checksum. It goes on
// after a wrong one: what follows shows whether there is anything to see.
func (w *walk) png() (broken error) {
	if err := w.skip(8); err != nil {
		return err
	}
	for first := true; ; first = false {
		head, err := w.take(8)
		if err != nil {
			return err
		}
		size, kind := int64(binary.BigEndian.Uint32(head)), string(head[4:])
		if first != (kind == "IHDR") || first && size != 13 {
			return errors.New("a PNG without its head")
		}
		w.Begun = w.Begun || kind == "IDAT"
		content, ok, err := w.pngChunk(kind, size)
		switch {
		case err != nil:
			return err
		case !ok && PNGAncillary(kind):
			w.Flaw = "a wrong checksum beside the pixels"
			continue // what it holds is not to be trusted
		case !ok && first:
			return errors.New("a PNG whose head is broken")
		case !ok:
			broken = cmp.Or(broken, fmt.Errorf("a wrong checksum in chunk %q", kind))
		}
		if err := w.pngFound(kind, content); err != nil {
			return err
		}
		if kind == "IEND" {
			return broken
		}
	}
}

// pngChunk reads the content of a chunk and its checksum: ok reports whether
// that is right. The content is nil where it is not to be kept.
func (w *walk) pngChunk(kind string, size int64) (content []byte, ok bool, err error) {
	sum := crc32.NewIEEE()
	io.WriteString(sum, kind)
	var kept bytes.Buffer
	into := io.Writer(sum)
	if size <= pngKept[kind] {
		into = io.MultiWriter(sum, &kept)
	}
	if _, err := io.CopyN(into, w.r, size); err != nil {
		return nil, false, err
	}
	want, err := w.take(4)
	if err != nil {
		return nil, false, err
	}
	return kept.Bytes(), binary.BigEndian.Uint32(want) == sum.Sum32(), nil
}

// pngFound looks at the content of a chunk. Browsers follow the EXIF before
// the pixels alone.
func (w *walk) pngFound(kind string, content []byte) error {
	switch {
	case kind == "IHDR":
		w.Interlaced = content[12] != 0
		return w.sized(int64(binary.BigEndian.Uint32(content)), int64(binary.BigEndian.Uint32(content[4:])))
	case kind == "eXIf" && !w.Begun && w.Orientation == 0:
		w.Orientation = orientation(content)
	case kind == "tRNS" && !w.Begun:
		w.Alpha = true
	case kind == "iCCP" && !w.Begun && w.Profile == nil:
		w.Profile = content
	case kind == "IEND" && !w.Begun:
		return errors.New("a PNG without pixels")
	}
	return nil
}

// PNGAncillary reports whether a decoder that does not know this kind of chunk
// can show the picture without it.
func PNGAncillary(kind string) bool { return kind[0]&0x20 != 0 }
