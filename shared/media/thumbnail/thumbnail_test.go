package thumbnail_test

import (
	"bytes"
	"image"
	"image/color"
	"image/jpeg"
	"math/rand/v2"
	"testing"

	"github.com/preset/nanobanana-functions/shared/media/thumbnail"
)

// noise returns a picture that is as hard to compress as possible.
func noise(w, h int) *image.RGBA {
	img := image.NewRGBA(image.Rect(0, 0, w, h))
	random := rand.New(rand.NewPCG(1, 2))
	for i := range img.Pix {
		img.Pix[i] = uint8(random.Uint32())
		if i%4 == 3 {
			img.Pix[i] = 0xff
		}
	}
	return img
}

func encoded(t testing.TB, img image.Image) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := jpeg.Encode(&b, img, &jpeg.Options{Quality: 82}); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func TestReduce(t *testing.T) {
	for name, tt := range map[string]struct {
		img           image.Image
		width, height int
	}{
		"wide":         {noise(512, 340), 256, 170},
		"tall":         {noise(340, 512), 170, 256},
		"small enough": {noise(64, 32), 64, 32},
		"a line":       {noise(512, 1), 256, 1},
	} {
		t.Run(name, func(t *testing.T) {
			small, err := thumbnail.Reduce(encoded(t, tt.img), 256, 64<<10)
			if err != nil {
				t.Fatal(err)
			}
			got, err := jpeg.DecodeConfig(bytes.NewReader(small))
			if err != nil || got.Width != tt.width || got.Height != tt.height {
				t.Errorf("%d x %d, want %d x %d; %v", got.Width, got.Height, tt.width, tt.height, err)
			}
		})
	}
	t.Run("the quality is lowered to keep the limit", func(t *testing.T) {
		whole := encoded(t, noise(512, 512))
		fine, err := thumbnail.Reduce(whole, 256, 1<<20)
		if err != nil {
			t.Fatal(err)
		}
		if coarse, err := thumbnail.Reduce(whole, 256, len(fine)-1); err != nil || len(coarse) >= len(fine) {
			t.Errorf("%d bytes of at most %d, %v", len(coarse), len(fine)-1, err)
		}
	})
	t.Run("colours are kept", func(t *testing.T) {
		img := image.NewUniform(color.RGBA{200, 40, 90, 255})
		small, err := thumbnail.Reduce(encoded(t, &image.RGBA{Pix: fill(512*512, 200, 40, 90), Stride: 4 * 512, Rect: image.Rect(0, 0, 512, 512)}), 256, 9<<10)
		if err != nil {
			t.Fatal(err)
		}
		got, err := jpeg.Decode(bytes.NewReader(small))
		if err != nil {
			t.Fatal(err)
		}
		r, g, b, _ := got.At(128, 128).RGBA()
		wr, wg, wb, _ := img.RGBA()
		for _, pair := range [][2]uint32{{r, wr}, {g, wg}, {b, wb}} {
			if d := int(pair[0]>>8) - int(pair[1]>>8); d < -4 || d > 4 {
				t.Errorf("the colour is %v", got.At(128, 128))
			}
		}
	})
}

func fill(pixels int, r, g, b uint8) []uint8 { return bytes.Repeat([]byte{r, g, b, 255}, pixels) }

func TestReduceRefuses(t *testing.T) {
	good := encoded(t, noise(512, 512))
	for name, tt := range map[string]struct {
		file  []byte
		limit int
	}{
		"nothing":               {nil, 9 << 10},
		"a page":                {[]byte("<!doctype html>"), 9 << 10},
		"half a JPEG":           {good[:len(good)/2], 9 << 10},
		"more than a megapixel": {encoded(t, noise(1025, 1025)), 64 << 10},
		"a limit of 100 bytes":  {good, 100},
	} {
		t.Run(name, func(t *testing.T) {
			if small, err := thumbnail.Reduce(tt.file, 256, tt.limit); err == nil {
				t.Errorf("it returned %d bytes", len(small))
			}
		})
	}
}
