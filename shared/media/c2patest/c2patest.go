// Package c2patest makes C2PA manifest stores and puts them into pictures, for tests and
// the simulator. A store made here has the outer form that programs look for; its
// manifest is empty, so nobody can verify it.
package c2patest

import (
	"bytes"
	"encoding/binary"
	"hash/crc32"
	"slices"
)

// Types of JUMBF superboxes, as C2PA uses them.
const (
	StoreType    = "c2pa\x00\x11\x00\x10\x80\x00\x00\xaa\x00\x38\x9b\x71"
	ManifestType = "c2ma\x00\x11\x00\x10\x80\x00\x00\xaa\x00\x38\x9b\x71"
)

// Store returns a manifest store with one manifest.
func Store() []byte {
	return Superbox(StoreType, "c2pa", Superbox(ManifestType, "urn:uuid:00000000-0000-4000-8000-000000000000"))
}

// Superbox returns a JUMBF superbox with this type, label and content.
func Superbox(boxType, label string, content ...[]byte) []byte {
	const requestableAndLabelled = 3
	description := slices.Concat([]byte(boxType), []byte{requestableAndLabelled}, []byte(label), []byte{0})
	return Box("jumb", Box("jumd", description), slices.Concat(content...))
}

// Box returns a box with a header of 8 bytes.
func Box(kind string, content ...[]byte) []byte {
	b := slices.Concat([]byte("size"), []byte(kind), slices.Concat(content...))
	binary.BigEndian.PutUint32(b, uint32(len(b)))
	return b
}

// Parts returns a box as the contents of segments APP11 of a JPEG, each with at most size
// bytes of the box's content. The box may have a header of 16 bytes.
func Parts(number uint16, size int, box []byte) (parts [][]byte) {
	header := 8
	if binary.BigEndian.Uint32(box) == 1 {
		header = 16
	}
	for content := range slices.Chunk(box[header:], size) {
		b := binary.BigEndian.AppendUint16([]byte("JP"), number)
		b = binary.BigEndian.AppendUint32(b, uint32(len(parts)+1))
		parts = append(parts, slices.Concat(b, box[:header], content))
	}
	return parts
}

// Add returns a PNG, JPEG or WebP, whichever it is, with a store in it.
func Add(picture, store []byte) []byte {
	switch {
	case bytes.HasPrefix(picture, []byte("\x89PNG")):
		const head = 33 // the signature and IHDR
		chunk := binary.BigEndian.AppendUint32(nil, uint32(len(store)))
		chunk = slices.Concat(chunk, []byte("caBX"), store)
		chunk = binary.BigEndian.AppendUint32(chunk, crc32.ChecksumIEEE(chunk[4:]))
		return slices.Concat(picture[:head], chunk, picture[head:])
	case bytes.HasPrefix(picture, []byte("RIFF")):
		chunk := binary.LittleEndian.AppendUint32([]byte("C2PA"), uint32(len(store)))
		b := slices.Concat(picture, chunk, store, make([]byte, len(store)%2))
		binary.LittleEndian.PutUint32(b[4:], uint32(len(b)-8))
		return b
	}
	var segments []byte
	for _, part := range Parts(1, 60_000, store) {
		segments = binary.BigEndian.AppendUint16(append(segments, 0xff, 0xeb), uint16(2+len(part)))
		segments = append(segments, part...)
	}
	return slices.Concat(picture[:2], segments, picture[2:])
}
