package lifecycle_test

import (
	"bytes"
	"context"
	"fmt"
	"image"
	"image/jpeg"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"testing"
	"time"

	"github.com/preset/nanobanana-functions/shared/lifecycle"
	"github.com/preset/nanobanana-functions/shared/nanobanana/nanobananatest"
	"github.com/preset/nanobanana-functions/shared/task"
)

// BenchmarkSweepIdle measures a sweep when nothing is due.
func BenchmarkSweepIdle(b *testing.B) {
	h := newHarness(b)
	before := h.Rows.Total()
	b.ReportAllocs()
	for b.Loop() {
		if _, err := h.Sweep(b.Context()); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(h.Rows.Total()-before)/float64(b.N), "calls/op")
}

// BenchmarkIngest copies one large picture per task and reports the peak growth of the
// heap: in each format, and with 20 MiB after the picture's end.
func BenchmarkIngest(b *testing.B) {
	const side = 4096
	for _, format := range []string{"png", "jpg", "webp"} {
		h := newHarness(b, func(k *nanobananatest.Knobs) { k.PictureFormat, k.PictureSide = format, side })
		_, made := h.storing()
		picture := h.get(made.URLs[0])
		for _, more := range []int{0, 20 << 20} {
			b.Run(fmt.Sprintf("%s,%dMiB", format, (len(picture)+more)>>20), func(b *testing.B) {
				h := newHarness(b)
				file := filepath.Join(b.TempDir(), "picture")
				if err := os.WriteFile(file, append(picture, make([]byte, more)...), 0o600); err != nil {
					b.Fatal(err)
				}
				h.Mux.HandleFunc("GET /picture", func(rw http.ResponseWriter, r *http.Request) { http.ServeFile(rw, r, file) })
				var most uint64
				for range b.N {
					b.StopTimer()
					t, _ := h.storing()
					t, err := task.Update(b.Context(), h.Rows, t, func(x *task.Task) error {
						x.URLs = []string{h.Settings.PublicURL + "/picture"}
						return nil
					})
					if err != nil {
						b.Fatal(err)
					}
					runtime.GC()
					peak := watchHeap(b.Context())
					b.StartTimer()
					if err := h.Ingester.Ingest(b.Context(), t.ID); err != nil {
						b.Fatal(err)
					}
					b.StopTimer()
					most = max(most, peak())
					h.expect(t.ID, task.Succeeded, "")
					b.StartTimer()
				}
				b.ReportMetric(float64(most)/(1<<20), "peak-MiB")
				b.ReportMetric(side*side*4/float64(1<<20), "decoded-MiB")
			})
		}
	}
}

// watchHeap watches the heap. The returned function ends that and returns the peak
// growth in bytes.
func watchHeap(ctx context.Context) func() uint64 {
	ctx, cancel := context.WithCancel(ctx)
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	begun := m.HeapAlloc
	most := begun
	done := make(chan struct{})
	go func() {
		defer close(done)
		tick := time.NewTicker(time.Millisecond)
		defer tick.Stop()
		for ctx.Err() == nil {
			runtime.ReadMemStats(&m)
			most = max(most, m.HeapAlloc)
			<-tick.C
		}
	}()
	return func() uint64 { cancel(); <-done; return most - begun }
}

// BenchmarkIngestOfAnEdit copies one picture, whose download takes a third of a second, of
// an edit of a photograph of 12 Mpx: with the copy of the photograph, and without it.
func BenchmarkIngestOfAnEdit(b *testing.B) {
	photo := image.NewYCbCr(image.Rect(0, 0, 4000, 3000), image.YCbCrSubsampleRatio420)
	for i := range photo.Y {
		photo.Y[i] = byte(i>>5) + byte(i*i>>7)&15
	}
	var file bytes.Buffer
	if err := jpeg.Encode(&file, photo, &jpeg.Options{Quality: 90}); err != nil {
		b.Fatal(err)
	}
	for _, drop := range []bool{false, true} {
		b.Run(fmt.Sprint("dropped=", drop), func(b *testing.B) {
			h := newHarness(b, func(k *nanobananatest.Knobs) { k.PictureSide = 1024 })
			for range b.N {
				b.StopTimer()
				id := h.uploaded()
				t, made := h.storing(edits("upload:"+id), func(o *lifecycle.Order) { o.Request.DropInputs = drop })
				h.replaceUpload(owner, id, file.Bytes())
				server, picture := h.host("/picture-"+t.ID), h.get(made.URLs[0])
				server.do(func(rw http.ResponseWriter, r *http.Request) {
					time.Sleep(time.Second / 3)
					_, _ = rw.Write(picture)
				})
				t, err := task.Update(b.Context(), h.Rows, t, func(x *task.Task) error { x.URLs = []string{server.link}; return nil })
				if err != nil {
					b.Fatal(err)
				}
				b.StartTimer()
				if err := h.Ingester.Ingest(b.Context(), t.ID); err != nil {
					b.Fatal(err)
				}
				if end := h.expect(t.ID, task.Succeeded, ""); len(end.Inputs) == 0 != drop {
					b.Fatalf("%+v", end.Inputs)
				}
			}
		})
	}
}
