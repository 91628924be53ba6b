package media

import (
	"cmp"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
)

// pngKept is how many bytes from the start of a chunk's content are kept, by kind.
var pngKept = map[string]int64{"IHDR": 13, "eXIf": 64 << 10, "iCCP": MaxProfile + 1<<10, pngC2PA: int64(c2paHead)}

// png reads a PNG, chunk by chunk, and checks the checksums. It goes on after a wrong
// one, since what follows shows whether browsers can show anything.
func (w *walk) png() (broken error) {
	if err := w.skip(8); err != nil {
		return err
	}
	for first := true; ; first = false {
		head, err := w.next(8)
		if err != nil {
			return err
		}
		size, kind := int64(binary.BigEndian.Uint32(head)), string(head[4:])
		if first != (kind == "IHDR") || first && size != 13 {
			return errors.New("a PNG without its header")
		}
		w.HasPixels = w.HasPixels || kind == "IDAT"
		content, ok, err := w.pngChunk(kind, size)
		switch {
		case err != nil:
			return err
		case !ok && PNGAncillary(kind):
			w.Flaw = "a wrong checksum in a chunk without pixels"
			continue // its content is not trustworthy
		case !ok && first:
			return errors.New("a PNG with a broken header")
		case !ok:
			broken = cmp.Or(broken, fmt.Errorf("a wrong checksum in chunk %q", kind))
		}
		if err := w.pngFound(kind, content, size); err != nil {
			return err
		}
		if kind == "IEND" {
			return broken
		}
	}
}

// pngChunk reads a chunk and its checksum, and ok reports whether that is right. The
// content is its beginning, as long as pngKept allows.
func (w *walk) pngChunk(kind string, size int64) (content []byte, ok bool, err error) {
	sum := crc32.NewIEEE()
	io.WriteString(sum, kind)
	content, err = w.next(min(size, pngKept[kind]))
	if err != nil {
		return nil, false, err
	}
	sum.Write(content)
	if _, err := io.CopyN(sum, w.r, size-int64(len(content))); err != nil {
		return nil, false, err
	}
	want, err := w.next(4)
	if err != nil {
		return nil, false, err
	}
	return content, binary.BigEndian.Uint32(want) == sum.Sum32(), nil
}

// pngFound stores what a chunk of size bytes contains, of which content is the
// beginning. Browsers only follow EXIF that comes before the pixels.
func (w *walk) pngFound(kind string, content []byte, size int64) error {
	switch {
	case kind == "IHDR":
		w.Interlaced = content[12] != 0
		return w.setSize(int64(binary.BigEndian.Uint32(content)), int64(binary.BigEndian.Uint32(content[4:])))
	case kind == "eXIf" && !w.HasPixels && w.Orientation == 0:
		w.Orientation = orientation(content)
	case kind == "tRNS" && !w.HasPixels:
		w.Alpha = true
	case kind == "iCCP" && !w.HasPixels && w.Profile == nil:
		w.Profile = content
	case kind == pngC2PA && !w.C2PA:
		w.C2PA = isC2PA(content, size)
	case kind == "IEND" && !w.HasPixels:
		return errors.New("a PNG without pixels")
	}
	return nil
}

// PNGAncillary reports whether a decoder can show the picture without this kind of
// chunk.
func PNGAncillary(kind string) bool { return kind[0]&0x20 != 0 }
