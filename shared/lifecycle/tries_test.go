package lifecycle_test

import (
	"context"
	"io"
	"net/http"
	"os"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/preset/nanobanana-functions/shared/media"
	"github.com/preset/nanobanana-functions/shared/task"
)

// A barrier lets nobody pass before n have arrived, or ctx has ended.
type barrier struct {
	n       atomic.Int64
	all     chan struct{}
	arrived sync.Once
}

func newBarrier(n int64) *barrier {
	b := &barrier{all: make(chan struct{})}
	b.n.Store(n)
	return b
}

func (b *barrier) pass(ctx context.Context) {
	if b.n.Add(-1) <= 0 {
		b.arrived.Do(func() { close(b.all) })
	}
	select {
	case <-b.all:
	case <-ctx.Done():
	}
}

// copied does a task's work. Its context ends a run that waits for what never comes.
func (h *harness) copied(id string) error {
	h.t.Helper()
	ctx, cancel := context.WithTimeout(h.t.Context(), 20*time.Second)
	defer cancel()
	return h.Ingester.Ingest(ctx, id)
}

// The downloads of a task's pictures are under way together, and go on while one picture
// is decoded: the second one's bytes come only then.
func TestDownloadsOverlap(t *testing.T) {
	h := newHarness(t)
	first, second := h.host("/1.png"), h.host("/2.png")
	asked, decoding, sent := newBarrier(2), make(chan struct{}), make(chan struct{})
	first.do(func(rw http.ResponseWriter, r *http.Request) {
		asked.pass(r.Context())
		_, _ = rw.Write(square(9))
	})
	second.do(func(rw http.ResponseWriter, r *http.Request) {
		asked.pass(r.Context())
		select {
		case <-decoding:
		case <-r.Context().Done():
		}
		_, _ = rw.Write(square(10))
		close(sent)
	})
	var opened atomic.Int64
	open := h.Ingester.Open
	h.Ingester.Open = func(ctx context.Context, file io.ReadSeeker) (media.Picture, error) {
		if opened.Add(1) == 1 {
			close(decoding)
			select {
			case <-sent:
			case <-ctx.Done():
			}
		}
		return open(ctx, file)
	}
	id := h.linked(unchanged, first.link, second.link)
	if err := h.copied(id); err != nil {
		t.Error(err)
	}
	end := h.expect(id, task.Succeeded, "")
	if len(end.Images) != 2 || end.Images[0].Width != 9 || end.Images[1].Width != 10 {
		t.Errorf("%+v", end.Images)
	}
}

// Only one picture is decoded at a time. The row has them in the order of their links,
// though they come in the reverse order.
func TestOneDecodeAtATime(t *testing.T) {
	h := newHarness(t)
	var links []string
	came := make([]chan struct{}, 5)
	for i := range came {
		came[i] = make(chan struct{})
	}
	close(came[4])
	for i := range 4 {
		server := h.host("/" + string(rune('1'+i)) + ".png")
		server.do(func(rw http.ResponseWriter, r *http.Request) {
			select {
			case <-came[i+1]:
			case <-r.Context().Done():
			}
			_, _ = rw.Write(square(9 + i))
			close(came[i])
		})
		links = append(links, server.link)
	}
	var inside atomic.Int64
	open := h.Ingester.Open
	h.Ingester.Open = func(ctx context.Context, file io.ReadSeeker) (media.Picture, error) {
		defer inside.Add(-1)
		if n := inside.Add(1); n != 1 {
			t.Errorf("%d pictures are decoded at a time", n)
		}
		<-came[0] // all have been sent
		for range 1000 {
			runtime.Gosched() // lets the others in, if anything does
		}
		return open(ctx, file)
	}
	id := h.linked(unchanged, links...)
	if err := h.copied(id); err != nil {
		t.Error(err)
	}
	for i, img := range h.expect(id, task.Succeeded, "").Images {
		if img.N != i+1 || img.Width != 9+i {
			t.Errorf("picture %d: %+v", i+1, img)
		}
	}
}

// Only first tries overlap: a host too slow for several downloads may do for one.
func TestLaterTriesAreAlone(t *testing.T) {
	h := newHarness(t)
	var links []string
	var tries, inside, most atomic.Int64
	asked := newBarrier(3)
	for _, path := range []string{"/1.png", "/2.png", "/3.png"} {
		server := h.host(path)
		server.do(func(rw http.ResponseWriter, r *http.Request) {
			if tries.Add(1) <= 3 {
				asked.pass(r.Context())
			} else {
				most.Store(max(most.Load(), inside.Add(1)))
				for range 1000 {
					runtime.Gosched()
				}
				inside.Add(-1)
			}
			rw.WriteHeader(http.StatusNotFound)
		})
		links = append(links, server.link)
	}
	id := h.linked(unchanged, links...)
	if err := h.copied(id); err == nil {
		t.Error("no error for the log")
	}
	if tries.Load() != 9 || most.Load() != 1 {
		t.Errorf("%d tries, %d at once", tries.Load(), most.Load())
	}
}

// Of what a panic about one picture leaves, the other is in the bucket and no download
// is in the folder. The panic says where it was.
func TestPanicOverOnePicture(t *testing.T) {
	h := newHarness(t)
	bad, good := h.host("/1.png"), h.host("/2.png")
	bad.file(square(9))
	good.file(square(10))
	open := h.Ingester.Open
	h.Ingester.Open = func(ctx context.Context, file io.ReadSeeker) (media.Picture, error) {
		p, err := open(ctx, file)
		if p.Width == 9 {
			panic("a broken picture")
		}
		return p, err
	}
	bucket := &faultyBucket{Bucket: h.Bucket}
	h.Ingester.Bucket = bucket
	id := h.linked(unchanged, bad.link, good.link)
	func() {
		defer func() {
			p, _ := recover().(string)
			if !strings.Contains(p, "a broken picture") || !strings.Contains(p, "tries_test.go") {
				t.Errorf("the panic is %q", p)
			}
		}()
		_ = h.copied(id)
	}()
	h.expect(id, task.Storing, "")
	if left, err := os.ReadDir(h.Ingester.Dir); err != nil || len(left) != 0 || bucket.puts.Load() != 2 {
		t.Errorf("%d files are left, %v; %d puts", len(left), err, bucket.puts.Load())
	}
}
