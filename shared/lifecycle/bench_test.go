package lifecycle_test

import (
	"context"
	"runtime"
	"sync/atomic"
	"testing"
	"time"

	"github.com/preset/nanobanana-functions/shared/nanobanana/nanobananatest"
)

// BenchmarkSweepIdle is what a minute costs in which nothing is due.
func BenchmarkSweepIdle(b *testing.B) {
	w := newWorld(b)
	before := w.Rows.Total()
	b.ReportAllocs()
	for b.Loop() {
		if _, err := w.Sweep(b.Context()); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(w.Rows.Total()-before)/float64(b.N), "calls/op")
}

// BenchmarkIngest copies one large picture, and reports the most memory the
// heap grew by over the decoded picture's own size.
func BenchmarkIngest(b *testing.B) {
	for _, format := range []string{"png", "jpg", "webp"} {
		b.Run(format, func(b *testing.B) {
			const side = 4096
			w := newWorld(b, func(k *nanobananatest.Knobs) { k.PictureFormat, k.PictureSide = format, side })
			got, made := w.storing()
			w.get(made.URLs[0]) // the simulator draws it now, and keeps it
			runtime.GC()
			var begun runtime.MemStats
			runtime.ReadMemStats(&begun)
			peak := watchHeap(b.Context())
			b.ResetTimer()
			for range b.N {
				if err := w.Ingester.Ingest(b.Context(), got.ID); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(peak()-begun.HeapAlloc)/(1<<20), "peak-MiB")
			b.ReportMetric(side*side*4/float64(1<<20), "decoded-MiB")
		})
	}
}

// watchHeap gives what ends the watch and says how large the heap was at most.
func watchHeap(ctx context.Context) func() uint64 {
	ctx, cancel := context.WithCancel(ctx)
	var peak atomic.Uint64
	done := make(chan struct{})
	go func() {
		defer close(done)
		var m runtime.MemStats
		for ctx.Err() == nil {
			runtime.ReadMemStats(&m)
			peak.Store(max(peak.Load(), m.HeapAlloc))
			time.Sleep(time.Millisecond)
		}
	}()
	return func() uint64 { cancel(); <-done; return peak.Load() }
}
