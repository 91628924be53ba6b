package picture

import (
	"bytes"
	"compress/zlib"
	"encoding/binary"
	"image"
	"io"

	"github.com/preset/nanobanana-functions/shared/media"
)

// Where things stand in an ICC profile.
const (
	iccSpace     = 16 // the colour space of the picture
	iccSignature = 36
	iccHead      = 128
)

// profile returns the ICC profile that a thumbnail of img is to carry, which
// has RGB pixels: nil for one of another space, as of ink or grey, and for one
// that is too long or broken.
func profile(l media.Layout, img image.Image) []byte {
	switch img.(type) {
	case *image.CMYK, *image.Gray, *image.Gray16:
		return nil
	}
	icc := l.Profile
	if l.Ext == "png" {
		icc = inflated(icc)
	}
	if len(icc) < iccHead || len(icc) > media.MaxProfile || int64(binary.BigEndian.Uint32(icc)) != int64(len(icc)) ||
		string(icc[iccSignature:iccSignature+4]) != "acsp" || string(icc[iccSpace:iccSpace+4]) != "RGB " {
		return nil
	}
	return icc
}

// inflated returns the profile in the content of an iCCP chunk: its name, a
// zero, the method of compression, and the profile.
func inflated(chunk []byte) []byte {
	_, data, ok := bytes.Cut(chunk, []byte{0})
	if !ok || len(data) < 1 || data[0] != 0 {
		return nil
	}
	z, err := zlib.NewReader(bytes.NewReader(data[1:]))
	if err != nil {
		return nil
	}
	// One byte more than allowed tells too long from exactly full.
	icc, err := io.ReadAll(io.LimitReader(z, media.MaxProfile+1))
	if err != nil {
		return nil
	}
	return icc
}
