package media

import (
	"bufio"
	"encoding/binary"
	"errors"
	"io"
)

// A JPEGFrame is the frame header of a JPEG and what its scans contain.
type JPEGFrame struct {
	Marker     byte // the coding: jpegSOF0 to 0xcf
	Components []JPEGComponent
	Adobe      bool // an Adobe segment states how the colours are stored
	Scans      int  // passes over the picture
}

// A JPEGComponent is one colour of a JPEG.
type JPEGComponent struct {
	H, V int // sampling factors

	id byte
	// missing is, for each of the 64 coefficients, how many of its lowest
	// bits are in no scan so far.
	missing [64]byte
}

const allBits = 0xff

// Progressive reports whether the picture consists of several scans, each of which
// refines all of it.
func (f JPEGFrame) Progressive() bool { return f.Marker == jpegSOF2 }

// Complete reports whether there is a scan for every bit of every coefficient.
func (f JPEGFrame) Complete() bool {
	for _, c := range f.Components {
		if c.missing != [64]byte{} {
			return false
		}
	}
	return len(f.Components) > 0
}

// MaxScans is how many scans a JPEG may have that users upload. Programs write about ten,
// and browsers stop at a hundred. A scan of 100 bytes passes over all of the picture, so
// 10 MiB of them take an hour to decode.
const MaxScans = 100

// Markers of a JPEG.
const (
	jpegSOF0, jpegSOF2        = 0xc0, 0xc2       // with SOF1 between them: all decoders read these
	jpegDHT, jpegJPG, jpegDAC = 0xc4, 0xc8, 0xcc // in the range of frames, but no frames
	jpegSOI, jpegEOI, jpegSOS = 0xd8, 0xd9, 0xda
	jpegAPP14                 = 0xee
	jpegAPP1, jpegAPP2        = 0xe1, 0xe2
	maxFrame                  = 6 + 3*255
	maxInScan                 = 4 // components
	exifHead, profileHead     = "Exif\x00\x00", "ICC_PROFILE\x00"
)

// flawNoEnd is the flaw of a JPEG that stops within or after its pixels.
const flawNoEnd = "a JPEG without its end marker"

func isFrame(marker byte) bool {
	return marker >= jpegSOF0 && marker <= 0xcf && marker != jpegDHT && marker != jpegJPG && marker != jpegDAC
}

// jpeg reads a JPEG, marker by marker.
func (w *walk) jpeg() error {
	if err := w.skip(2); err != nil {
		return err
	}
	for {
		marker, err := w.marker()
		switch {
		case err == io.EOF && w.HasPixels:
			w.Flaw = flawNoEnd
			return nil
		case err != nil:
			return err
		case marker == jpegEOI && !w.HasPixels:
			return errors.New("a JPEG without pixels")
		case marker == jpegEOI:
			return nil
		}
		if err := w.segment(marker); err != nil {
			return err
		}
	}
}

// segment reads the segment after a marker.
func (w *walk) segment(marker byte) error {
	head, err := w.next(2)
	if err != nil {
		return err
	}
	size := int64(binary.BigEndian.Uint16(head)) - 2
	switch {
	case size < 0, marker == jpegSOI, marker == jpegSOS && w.JPEG.Marker == 0:
		return errors.New("a JPEG with segments out of order")
	case isFrame(marker) && w.JPEG.Marker == 0:
		return w.frame(marker, size)
	case marker == jpegSOS:
		return w.scan(size)
	case marker == jpegAPP1 && !w.HasPixels && w.Orientation == 0:
		return w.exif(size)
	case marker == jpegAPP2 && !w.HasPixels:
		return w.profilePart(size)
	case marker == jpegAPP11:
		return w.jpegBox(size)
	case marker == jpegAPP14 && !w.JPEG.Adobe:
		return w.adobe(size)
	}
	return w.skip(size)
}

// frame reads the frame header.
func (w *walk) frame(marker byte, size int64) error {
	if size < 6 || size > maxFrame {
		return errors.New("a JPEG without a frame header")
	}
	b, err := w.next(size)
	if err != nil {
		return err
	}
	if int64(b[5])*3+6 != size {
		return errors.New("a JPEG with a broken frame header")
	}
	w.JPEG.Marker = marker
	for c := b[6:]; len(c) >= 3; c = c[3:] {
		component := JPEGComponent{id: c[0], H: int(c[1] >> 4), V: int(c[1] & 0xf)}
		for i := range component.missing {
			component.missing[i] = allBits
		}
		w.JPEG.Components = append(w.JPEG.Components, component)
	}
	return w.setSize(int64(binary.BigEndian.Uint16(b[3:])), int64(binary.BigEndian.Uint16(b[1:])))
}

// scan reads the header of a scan and records which bits the scan contains.
func (w *walk) scan(size int64) error {
	b, err := w.next(size)
	if err != nil {
		return err
	}
	if size < 4 || int64(b[0])*2+4 != size || b[0] > maxInScan {
		return errors.New("a JPEG with a broken scan header")
	}
	w.JPEG.Scans++
	if !w.HasPixels {
		w.HasPixels, w.Profile = true, w.profile()
	}
	if w.JPEG.Scans > MaxScans {
		return nil // what follows takes 65,000 steps for 14 bytes
	}
	n := 2 * int(b[0])
	from, to, low := int(b[n+1]), int(b[n+2]), b[n+3]&0xf
	for i := 1; i < n; i += 2 {
		for c := range w.JPEG.Components {
			for k := from; w.JPEG.Components[c].id == b[i] && k <= min(to, 63); k++ {
				w.JPEG.Components[c].missing[k] = low
			}
		}
	}
	return nil
}

// exif reads the orientation from an application segment.
func (w *walk) exif(size int64) error {
	b, err := w.next(size)
	if err == nil && len(b) > len(exifHead) && string(b[:len(exifHead)]) == exifHead {
		w.Orientation = orientation(b[len(exifHead):])
	}
	return err
}

// adobe checks whether an application segment is Adobe's, about the colours.
func (w *walk) adobe(size int64) error {
	b, err := w.next(size)
	w.JPEG.Adobe = err == nil && len(b) >= 12 && string(b[:5]) == "Adobe"
	return err
}

// profilePart keeps a part of the ICC profile unless the profile gets too long.
func (w *walk) profilePart(size int64) error {
	b, err := w.next(size)
	head := len(profileHead) + 2
	if err != nil || len(b) < head || string(b[:len(profileHead)]) != profileHead {
		return err
	}
	if w.profileParts == nil {
		w.profileParts = map[byte][]byte{}
	}
	part := b[head:]
	if w.profileSize += len(part); w.profileSize <= MaxProfile {
		w.profileParts[b[head-2]] = part
	}
	return nil
}

// profile joins the parts of the ICC profile. They are numbered from 1 and may
// come in any order.
func (w *walk) profile() (icc []byte) {
	if w.profileSize > MaxProfile {
		return nil
	}
	for n := 1; n <= 255 && w.profileParts[byte(n)] != nil; n++ {
		icc = append(icc, w.profileParts[byte(n)]...)
	}
	return icc
}

// marker returns the next marker that begins a segment or ends the picture. It skips
// scan data, where 0xff is followed by 0 or is a restart marker, and rubbish, which
// decoders skip too.
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
		for b == 0xff { // any number of these may come before the marker
			if b, err = w.r.ReadByte(); err != nil {
				return 0, err
			}
		}
		if b != 0 && b != 1 && (b < 0xd0 || b > 0xd7) {
			return b, nil
		}
	}
}
