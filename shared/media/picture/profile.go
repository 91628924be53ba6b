package picture

import (
	"bytes"
	"compress/zlib"
	"encoding/binary"
	"image"
	"io"

	"github.com/preset/nanobanana-functions/shared/media"
)

// Offsets in an ICC profile.
const (
	iccSpace     = 16 // the colour space of the picture
	iccSignature = 36
	iccHead      = 128
)

// profile returns the ICC profile for a thumbnail of img, which has RGB pixels. It
// returns nil if the profile is for another colour space, such as CMYK or grey, too
// long or broken.
func profile(l media.Layout, img image.Image) []byte {
	switch img.(type) {
	case *image.CMYK, *image.Gray, *image.Gray16:
		return nil
	}
	icc := l.Profile
	if l.Ext == "png" {
		icc = inflate(icc)
	}
	if len(icc) < iccHead || len(icc) > media.MaxProfile || int64(binary.BigEndian.Uint32(icc)) != int64(len(icc)) ||
		string(icc[iccSignature:iccSignature+4]) != "acsp" || string(icc[iccSpace:iccSpace+4]) != "RGB " {
		return nil
	}
	return icc
}

// inflate returns the profile in the content of an iCCP chunk, which is a name, a zero
// byte, the compression method, and the compressed profile.
func inflate(chunk []byte) []byte {
	_, data, ok := bytes.Cut(chunk, []byte{0})
	if !ok || len(data) < 1 || data[0] != 0 {
		return nil
	}
	z, err := zlib.NewReader(bytes.NewReader(data[1:]))
	if err != nil {
		return nil
	}
	// One extra byte distinguishes too long from exactly full.
	icc, err := io.ReadAll(io.LimitReader(z, media.MaxProfile+1))
	if err != nil {
		return nil
	}
	return icc
}
