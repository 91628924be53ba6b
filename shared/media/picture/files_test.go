package picture_test

import (
	"bytes"
	"compress/zlib"
	"encoding/base64"
	"encoding/binary"
	"hash/crc32"
	"image"
	"image/jpeg"
	"image/png"
	"io"

	"github.com/HugoSmits86/nativewebp"
)

// gradient returns a picture that compresses moderately well.
func gradient(w, h int) *image.NRGBA {
	img := image.NewNRGBA(image.Rect(0, 0, w, h))
	for y := range h {
		for x := range w {
			pix := img.Pix[img.PixOffset(x, y):]
			pix[0], pix[1], pix[2], pix[3] = uint8(x), uint8(y), uint8(x*y)>>4, 255
		}
	}
	return img
}

func pngOf(w, h int) []byte {
	var b bytes.Buffer
	if err := png.Encode(&b, gradient(w, h)); err != nil {
		panic(err)
	}
	return b.Bytes()
}

func jpegOf(w, h int) []byte {
	var b bytes.Buffer
	if err := jpeg.Encode(&b, gradient(w, h), nil); err != nil {
		panic(err)
	}
	return b.Bytes()
}

func webpOf(w, h int) []byte {
	var b bytes.Buffer
	if err := nativewebp.Encode(&b, gradient(w, h), nil); err != nil {
		panic(err)
	}
	return b.Bytes()
}

// Pictures of one pixel. None of our encoders makes lossy WebP.
const (
	lossyWebP = "UklGRiIAAABXRUJQVlA4IBYAAAAwAQCdASoBAAEADsD+JaQAA3AAAAAA"
	alphaWebP = "UklGRkoAAABXRUJQVlA4WAoAAAAQAAAAAAAAAAAAQUxQSAwAAAARBxAR/Q9ERP8DAABWUDggGAAAABQBAJ0BKgEAAQAAAP4AAA3AAP7mtQAAAA=="
)

func unbase64(s string) []byte {
	b, err := base64.StdEncoding.DecodeString(s)
	if err != nil {
		panic(err)
	}
	return b
}

func pngChunk(name string, data []byte) []byte {
	b := binary.BigEndian.AppendUint32(nil, uint32(len(data)))
	b = append(append(b, name...), data...)
	return binary.BigEndian.AppendUint32(b, crc32.ChecksumIEEE(b[4:]))
}

// rawPNG returns a PNG with this size, bit depth, colour type and interlace method,
// whose pixel data is all zero.
func rawPNG(w, h uint32, depth, colour, interlace byte, pixelData int64, extra ...[]byte) []byte {
	ihdr := binary.BigEndian.AppendUint32(binary.BigEndian.AppendUint32(nil, w), h)
	b := append([]byte("\x89PNG\r\n\x1a\n"), pngChunk("IHDR", append(ihdr, depth, colour, 0, 0, interlace))...)
	for _, chunk := range extra {
		b = append(b, chunk...)
	}
	var idat bytes.Buffer
	z := zlib.NewWriter(&idat)
	io.CopyN(z, zeros{}, pixelData)
	z.Close()
	return append(append(b, pngChunk("IDAT", idat.Bytes())...), pngChunk("IEND", nil)...)
}

// interlacedPNG returns a black PNG of 16 bits and four channels in seven passes. Its
// sides must be multiples of 8.
func interlacedPNG(w, h int64) []byte {
	var n int64
	for _, pass := range [7][2]int64{{8, 8}, {8, 8}, {4, 8}, {4, 4}, {2, 4}, {2, 2}, {1, 2}} {
		n += h / pass[1] * (1 + 8*w/pass[0])
	}
	return rawPNG(uint32(w), uint32(h), 16, 6, 1, n)
}

// Colour transforms of an Adobe segment.
const (
	asIs   = 0 // RGB or CMYK
	yCbCr  = 1
	yCbCrK = 2
)

// progressiveJPEG returns a grey picture with a first scan only.
func progressiveJPEG(w, h, components int, transform byte) []byte {
	segment := func(marker byte, data ...byte) []byte {
		return append([]byte{0xff, marker, 0, byte(len(data) + 2)}, data...)
	}
	sof := []byte{8, byte(h >> 8), byte(h), byte(w >> 8), byte(w), byte(components)}
	sos := []byte{byte(components)}
	for c := range byte(components) {
		sof = append(sof, c+1, 0x11, 0)
		sos = append(sos, c+1, 0)
	}
	blocks := (w + 7) / 8 * ((h + 7) / 8) * components
	return bytes.Join([][]byte{
		{0xff, 0xd8},
		segment(0xee, append([]byte("Adobe"), 0, 100, 0, 0, 0, 0, transform)...),
		segment(0xdb, append([]byte{0}, bytes.Repeat([]byte{1}, 64)...)...),
		segment(0xc2, sof...),
		segment(0xc4, append(append([]byte{0, 1}, make([]byte, 15)...), 0)...), // "0" means no change
		segment(0xda, append(sos, 0, 0, 0)...),
		make([]byte, blocks/8+1),
		{0xff, 0xd9},
	}, nil)
}

type zeros struct{}

func (zeros) Read(b []byte) (int, error) { clear(b); return len(b), nil }
