package mcp

import (
	"bytes"
	pixels "image"
	"image/jpeg"
	"math/rand/v2"
	"testing"

	"github.com/preset/nanobanana-functions/shared/media"
)

// noisy returns a thumbnail in which a share of the pixels is grain, which
// compresses badly.
func noisy(t *testing.T, share uint32) []byte {
	t.Helper()
	img := pixels.NewRGBA(pixels.Rect(0, 0, 512, 512))
	random := rand.New(rand.NewPCG(1, 2))
	for i := range img.Pix {
		img.Pix[i] = 128
		if random.Uint32N(100) < share {
			img.Pix[i] = uint8(random.Uint32())
		}
	}
	var b bytes.Buffer
	if err := jpeg.Encode(&b, img, &jpeg.Options{Quality: 82}); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func TestPreviewGetsSmallerUntilItFits(t *testing.T) {
	sides := map[int]bool{}
	for share := uint32(0); share <= 100; share += 20 {
		small, err := reduce(noisy(t, share), previewSides, previewBytes)
		if err != nil || len(small) > previewBytes-media.MarkBytes {
			t.Fatalf("%d %% grain: %d bytes, %v", share, len(small), err)
		}
		c, err := jpeg.DecodeConfig(bytes.NewReader(small))
		if err != nil {
			t.Fatal(err)
		}
		sides[c.Width] = true
	}
	if !sides[256] || !sides[192] && !sides[128] || len(sides) < 2 {
		t.Errorf("sides of %v", sides)
	}
	if small, err := reduce([]byte("no JPEG"), previewSides, previewBytes); err == nil {
		t.Errorf("%d bytes from an invalid thumbnail", len(small))
	}
}
