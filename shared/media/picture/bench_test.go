package picture_test

import (
	"bytes"
	"fmt"
	"image"
	"image/draw"
	"image/jpeg"
	"image/png"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"regexp"
	"strconv"
	"testing"

	"github.com/preset/nanobanana-functions/shared/media"
	"github.com/preset/nanobanana-functions/shared/media/mediatest"
	"github.com/preset/nanobanana-functions/shared/media/picture"
	"github.com/preset/nanobanana-functions/shared/media/thumbnail"
)

// photo returns a picture about as hard to compress as a photograph: smooth, with noise
// of this amplitude.
func photo(w, h int, noise uint32) *image.NRGBA {
	img := gradient(w, h)
	random := rand.New(rand.NewPCG(1, 2))
	for i := range img.Pix {
		if i%4 != 3 {
			img.Pix[i] = img.Pix[i]/2 + uint8(random.Uint32N(noise))
		}
	}
	return img
}

// BenchmarkOpen opens pictures of 1 Mpx.
func BenchmarkOpen(b *testing.B) {
	img := photo(1024, 1024, 16)
	var asPNG, asJPEG bytes.Buffer
	if err := (&png.Encoder{CompressionLevel: png.BestSpeed}).Encode(&asPNG, img); err != nil {
		b.Fatal(err)
	}
	if err := jpeg.Encode(&asJPEG, img, &jpeg.Options{Quality: 92}); err != nil {
		b.Fatal(err)
	}
	for name, file := range map[string][]byte{"PNG": asPNG.Bytes(), "JPEG": asJPEG.Bytes(), "WebP": webpOf(1024, 1024)} {
		b.Run(name, func(b *testing.B) {
			b.SetBytes(int64(len(file)))
			for b.Loop() {
				if _, err := picture.Open(b.Context(), bytes.NewReader(file)); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// BenchmarkThumbnail shrinks pictures of 4 Mpx, in the forms that PNG and JPEG decode to:
// to a divisor of their size, and to another size.
func BenchmarkThumbnail(b *testing.B) {
	img := photo(2048, 2048, 16)
	var asJPEG bytes.Buffer
	if err := jpeg.Encode(&asJPEG, img, &jpeg.Options{Quality: 92}); err != nil {
		b.Fatal(err)
	}
	decoded, err := jpeg.Decode(&asJPEG)
	if err != nil {
		b.Fatal(err)
	}
	rgb, clear := image.NewRGBA(img.Rect), image.NewNRGBA(img.Rect)
	draw.Draw(rgb, img.Rect, img, image.Point{}, draw.Src)
	copy(clear.Pix, img.Pix)
	for i := 3; i < len(clear.Pix); i += 4 {
		clear.Pix[i] = 0x80
	}
	for name, src := range map[string]image.Image{"PNG": rgb, "opaqueNRGBA": img, "clearNRGBA": clear, "JPEG": decoded} {
		for _, side := range []int{media.ThumbnailSide, 500} {
			b.Run(fmt.Sprint(name, ",", side), func(b *testing.B) {
				for b.Loop() {
					if _, err := thumbnail.Encode(src, side); err != nil {
						b.Fatal(err)
					}
				}
			})
		}
	}
}

// BenchmarkOpenLargest opens pictures of 40 Mpx and some 20 MiB, and pictures in the
// forms that take the most memory. Each has a process of its own, whose peak memory
// is reported.
func BenchmarkOpenLargest(b *testing.B) {
	const width, height = 8000, 5000
	for name, encode := range map[string]func(io.Writer) error{
		"PNG": func(w io.Writer) error {
			return (&png.Encoder{CompressionLevel: png.BestSpeed}).Encode(w, grainy(width, height))
		},
		"JPEG": func(w io.Writer) error {
			return jpeg.Encode(w, photo(width, height, 64), &jpeg.Options{Quality: 91})
		},
		"interlacedPNG": func(w io.Writer) error {
			_, err := w.Write(interlacedPNG(4096, 4096))
			return err
		},
		"progressiveJPEG": func(w io.Writer) error {
			_, err := w.Write(progressiveJPEG(4096, 4096, 3, yCbCr))
			return err
		},
	} {
		b.Run(name, func(b *testing.B) {
			file := mediatest.TempFile(b)
			if err := encode(file); err != nil {
				b.Fatal(err)
			}
			info, err := file.Stat()
			if err != nil {
				b.Fatal(err)
			}
			for b.Loop() {
				cmd := exec.Command(os.Args[0], "-test.run=^TestPeakOfOpen$", "-test.v")
				cmd.Env = append(os.Environ(), "MEDIA_PEAK_OF="+file.Name())
				out, err := cmd.Output()
				if err != nil {
					b.Fatalf("%v\n%s", err, out)
				}
				peak, err := strconv.ParseFloat(string(regexp.MustCompile(`VmHWM:\s*(\d+) kB`).FindSubmatch(out)[1]), 64)
				if err != nil {
					b.Fatal(err)
				}
				b.ReportMetric(peak/1024, "peak-MiB")
			}
			b.ReportMetric(float64(info.Size())/(1<<20), "file-MiB")
		})
	}
}

// grainy returns a picture that PNG compresses to about 0.6 bytes per pixel.
func grainy(w, h int) image.Image {
	img := image.NewNRGBA(image.Rect(0, 0, w, h))
	random := rand.New(rand.NewPCG(1, 2))
	for i := range img.Pix {
		if i%4 == 3 {
			img.Pix[i] = 255
		} else if i%4 == 0 {
			img.Pix[i] = uint8(random.Uint32N(4))
		}
	}
	return img
}

// TestPeakOfOpen is the process that BenchmarkOpenLargest starts.
func TestPeakOfOpen(t *testing.T) {
	name := os.Getenv("MEDIA_PEAK_OF")
	if name == "" {
		t.Skip("only for BenchmarkOpenLargest")
	}
	file, err := os.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	for range 3 { // like the pictures of one task: their memory must not add up
		if _, err := picture.Open(t.Context(), file); err != nil {
			t.Fatal(err)
		}
	}
	p, err := picture.Open(t.Context(), file)
	if err != nil {
		t.Fatal(err)
	}
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		t.Skip(err)
	}
	t.Logf("%d x %d, %d bytes\n%s", p.Width, p.Height, p.Bytes, status)
}
