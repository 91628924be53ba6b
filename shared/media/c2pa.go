package media

import (
	"bytes"
	"encoding/binary"
	"strings"
)

// A C2PA manifest store is a JUMBF box (ISO 19566-5) labelled c2pa: a superbox that
// begins with a box that describes it. A PNG has it in a chunk caBX, a WebP in a chunk
// C2PA, and a JPEG in segments APP11, of which each contains a part.
const (
	pngC2PA, webpC2PA = "caBX", "C2PA"
	jpegAPP11         = 0xeb

	c2paUUID  = "c2pa\x00\x11\x00\x10\x80\x00\x00\xaa\x00\x38\x9b\x71"
	c2paLabel = "c2pa\x00"

	boxHead = 16 // the longest header of a box

	// c2paHead is how many bytes from its start show what a box is: two
	// headers, the type, the switches and the label.
	c2paHead = 2*boxHead + len(c2paUUID) + 1 + len(c2paLabel)
)

// isC2PA reports whether data that begin with head, of c2paHead bytes if there are so
// many, and that are size bytes long begin with a C2PA manifest store. It does not look
// into the store.
func isC2PA(head []byte, size int64) bool {
	const labelled = 2 // the switch for a box with a label
	kind, inside, size := boxAt(head, size)
	if kind != "jumb" {
		return false
	}
	kind, description, _ := boxAt(inside, size)
	uuid, rest := cut(description, len(c2paUUID))
	switches, label := cut(rest, 1)
	return kind == "jumd" && string(uuid) == c2paUUID && len(switches) == 1 && switches[0]&labelled != 0 &&
		strings.HasPrefix(string(label), c2paLabel)
}

// boxAt returns the kind of the box at the start of data, which begin with head and are
// size bytes long; the beginning of its content, as far as head has it; and the
// content's length. It returns no kind if there is no whole box.
func boxAt(head []byte, size int64) (kind string, content []byte, length int64) {
	header := boxHeader(head)
	whole := uint64(size)
	switch len(header) {
	case 0:
		return "", nil, 0
	case boxHead:
		whole = binary.BigEndian.Uint64(header[8:])
	default:
		if stated := binary.BigEndian.Uint32(header); stated != 0 { // 0 means to the end
			whole = uint64(stated)
		}
	}
	if whole < uint64(len(header)) || whole > uint64(size) {
		return "", nil, 0
	}
	head = head[:min(uint64(len(head)), whole)]
	return string(header[4:8]), head[len(header):], int64(whole) - int64(len(header))
}

// boxHeader returns the header at the start of b, of 8 bytes, or of 16 with a long
// length. It is empty if b is too short.
func boxHeader(b []byte) []byte {
	n := 8
	if len(b) >= n && binary.BigEndian.Uint32(b) == 1 {
		n = boxHead
	}
	if len(b) < n {
		return nil
	}
	return b[:n]
}

// cut returns the first n bytes of b, or fewer if there are fewer, and the rest.
func cut(b []byte, n int) (first, rest []byte) {
	n = min(n, len(b))
	return b[:n], b[n:]
}

// Limits of what is kept of the boxes in a JPEG, for the whole file.
const (
	maxBoxes  = 8
	partsHead = 8 // of a segment: "JP", the box's number and the part's
)

// A boxKey identifies a box in a JPEG. Each of its parts repeats the box's number and
// header.
type boxKey struct {
	number uint16
	header [boxHead]byte // with zeros after a short one
}

// A splitBox is what the segments so far contain of a box.
type splitBox struct {
	begins map[uint32][]byte // the beginning of each of the first c2paHead parts, by number from 1
	parts  uint32
	last   uint32 // the highest number
	size   int64  // of all parts, in bytes
}

// jpegBox reads a segment APP11 of size bytes. If that contains a part of a box, it keeps
// the beginning.
func (w *walk) jpegBox(size int64) error {
	b, _ := w.r.Peek(int(min(size, int64(partsHead+boxHead+c2paHead)))) // skip returns the error
	if len(b) < partsHead || string(b[:2]) != "JP" {
		return w.skip(size)
	}
	key, n := boxKey{number: binary.BigEndian.Uint16(b[2:])}, binary.BigEndian.Uint32(b[4:])
	header := boxHeader(b[partsHead:])
	copy(key.header[:], header)
	box, known := w.boxes[key]
	if len(header) == 0 || string(header[4:8]) != "jumb" || !known && len(w.boxes) >= maxBoxes {
		return w.skip(size)
	}
	if !known {
		box.begins = map[uint32][]byte{}
	}
	if _, seen := box.begins[n]; !seen && n <= uint32(c2paHead) {
		begin, _ := cut(b[partsHead+len(header):], c2paHead)
		box.begins[n] = bytes.Clone(begin)
	}
	box.parts, box.last = box.parts+1, max(box.last, n)
	box.size += size - int64(partsHead+len(header))
	if err := w.skip(size); err != nil {
		return err // a part that is cut short does not count
	}
	if w.boxes == nil {
		w.boxes = map[boxKey]splitBox{}
	}
	w.boxes[key] = box
	return nil
}

// jpegC2PA reports whether one of the boxes in a JPEG is whole and a C2PA manifest
// store.
func (w *walk) jpegC2PA() bool {
	for key, box := range w.boxes {
		header := boxHeader(key.header[:])
		head := bytes.Clone(header)
		for n := range uint32(c2paHead) {
			head = append(head, box.begins[n+1]...)
		}
		if box.parts == box.last && isC2PA(head, int64(len(header))+box.size) {
			return true
		}
	}
	return false
}
