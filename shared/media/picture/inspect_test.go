package picture_test

import (
	"bytes"
	"errors"
	"io"
	"testing"

	"github.com/preset/nanobanana-functions/shared/media"
	"github.com/preset/nanobanana-functions/shared/media/mediatest"
)

// media.Inspect refuses the files that Open refuses, except for faults in the pixels or
// after them.
func TestInspectRefuses(t *testing.T) {
	inPixels := map[string]bool{
		"PNG with too few pixels": true, "PNG 16 bits and interlaced, beyond the memory limit": true, "25 MiB + 1": true,
	}
	for name, file := range bad() {
		t.Run(name, func(t *testing.T) {
			got := mediatest.Allocated(func() {
				if f, err := media.Inspect(bytes.NewReader(file)); errors.Is(err, media.ErrNotPicture) == inPixels[name] {
					t.Errorf("got %+v, %v", f, err)
				}
			})
			if got > 256<<10 {
				t.Errorf("takes %d bytes of memory", got)
			}
		})
	}
}

// Inspect refuses a file that is cut short anywhere before the picture's end.
func TestInspectNoticesEveryCut(t *testing.T) {
	for name, file := range map[string][]byte{
		"PNG": pngOf(30, 20), "JPEG": jpegOf(30, 20), "progressive JPEG": progressiveJPEG(30, 20, 3, yCbCr),
		"WebP": webpOf(30, 20), "lossy WebP": unbase64(lossyWebP), "WebP with alpha": unbase64(alphaWebP),
	} {
		for n := range file {
			if f, err := media.Inspect(bytes.NewReader(file[:n])); !errors.Is(err, media.ErrNotPicture) {
				t.Errorf("%s, %d bytes of %d: %+v, %v", name, n, len(file), f, err)
			}
		}
	}
}

// Inspect returns the error of a file that it cannot read, not ErrNotPicture.
func TestInspectFailsToRead(t *testing.T) {
	for name, file := range map[string][]byte{"PNG": pngOf(300, 300), "JPEG": jpegOf(300, 300), "WebP": webpOf(300, 300)} {
		for _, at := range []int64{0, 5, 300} {
			broken := io.NewSectionReader(brokenAt{file, at}, 0, 1<<20)
			if _, err := media.Inspect(broken); !errors.Is(err, errDisk) || errors.Is(err, media.ErrNotPicture) {
				t.Errorf("%s: got %v, want errDisk", name, err)
			}
		}
	}
}

func FuzzInspect(f *testing.F) {
	for _, file := range [][]byte{pngOf(8, 8), jpegOf(8, 8), webpOf(8, 8), unbase64(lossyWebP), unbase64(alphaWebP), progressiveJPEG(8, 8, 1, yCbCr), {}} {
		f.Add(file)
	}
	f.Fuzz(func(t *testing.T, file []byte) {
		if _, err := media.Inspect(bytes.NewReader(file)); err != nil && !errors.Is(err, media.ErrNotPicture) {
			t.Fatalf("not ErrNotPicture: %v", err)
		}
	})
}
