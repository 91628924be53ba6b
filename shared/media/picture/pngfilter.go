package picture

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"hash/crc32"
	"io"

	"github.com/preset/nanobanana-functions/shared/media"
)

// maxTRNS is the length in bytes of the longest valid tRNS chunk.
const maxTRNS = 256

// A pngFilter reads a PNG without the chunks that its pixels do not need, so that a
// decoder does not reject it for a wrong checksum in them. It also leaves out a tRNS
// chunk, which the pixels do need, if its checksum is wrong.
type pngFilter struct {
	r       *bufio.Reader
	alpha   bool // tRNS chunks are not left out
	started bool
	head    bytes.Buffer // read before r
	left    int64        // bytes of the chunk in r
}

func (f *pngFilter) Read(b []byte) (int, error) {
	for f.head.Len() == 0 && f.left == 0 {
		if err := f.next(); err != nil {
			return 0, err
		}
	}
	if f.head.Len() > 0 {
		return f.head.Read(b)
	}
	n, err := f.r.Read(b[:min(int64(len(b)), f.left)])
	f.left -= int64(n)
	return n, err
}

// next skips to the next chunk that is needed.
func (f *pngFilter) next() error {
	if !f.started {
		f.started = true
		return f.pass(8, 0)
	}
	head, err := f.r.Peek(8)
	if err != nil {
		// The rest of a file that is cut short.
		return f.pass(int64(len(head)), 0, err)
	}
	size, kind := int64(binary.BigEndian.Uint32(head)), string(head[4:])
	const around = 8 + 4 // header and checksum
	switch {
	case !media.PNGAncillary(kind):
		return f.pass(8, size+4)
	case f.alpha && kind == "tRNS" && size <= maxTRNS:
		chunk, err := f.r.Peek(around + int(size))
		if err == nil && crc32.ChecksumIEEE(chunk[4:8+size]) == binary.BigEndian.Uint32(chunk[8+size:]) {
			return f.pass(around+size, 0)
		}
	}
	_, err = io.CopyN(io.Discard, f.r, around+size)
	return err
}

// pass lets Read return the next n bytes, and then left more. If n is 0, it returns
// err.
func (f *pngFilter) pass(n, left int64, err ...error) error {
	f.left = left
	if n == 0 && len(err) > 0 {
		return err[0]
	}
	_, copied := io.CopyN(&f.head, f.r, n)
	return copied
}
