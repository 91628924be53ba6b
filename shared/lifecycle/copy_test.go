package lifecycle_test

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"fmt"
	"image"
	"image/png"
	"net/http"
	"os"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/preset/nanobanana-functions/shared/lifecycle"
	"github.com/preset/nanobanana-functions/shared/media"
	"github.com/preset/nanobanana-functions/shared/nanobanana/nanobananatest"
	"github.com/preset/nanobanana-functions/shared/task"
)

// A host serves one file, which the test may change.
type host struct {
	link  string
	serve atomic.Pointer[http.HandlerFunc]
}

// host returns a host at a path of a trusted site. At first it answers 404.
func (h *harness) host(path string) *host {
	server := &host{link: h.Settings.PublicURL + path + "?X-Amz-Signature=c0ffee"}
	server.do(func(rw http.ResponseWriter, r *http.Request) { rw.WriteHeader(http.StatusNotFound) })
	h.Mux.HandleFunc(path, func(rw http.ResponseWriter, r *http.Request) { (*server.serve.Load())(rw, r) })
	return server
}

func (server *host) do(f http.HandlerFunc) { server.serve.Store(&f) }

func (server *host) file(b []byte) {
	server.do(func(rw http.ResponseWriter, r *http.Request) { _, _ = rw.Write(b) })
}

func square(side int) []byte { return grey(side, side) }

func grey(w, h int) []byte {
	var b bytes.Buffer
	img := image.NewGray(image.Rect(0, 0, w, h))
	for i := range img.Pix {
		img.Pix[i] = byte(i*i) >> 2 // incompressible, so that half the file is about half the picture
	}
	if err := png.Encode(&b, img); err != nil {
		panic(err)
	}
	return b.Bytes()
}

// linked returns a task in Storing that has these links. Its record has no fresh ones.
func (h *harness) linked(change func(*task.Task), links ...string) string {
	h.t.Helper()
	got, _ := h.storing(func(o *lifecycle.Order) { o.Request.NumImages = len(links) })
	_, err := task.Update(h.t.Context(), h.Rows, h.task(got.ID), func(x *task.Task) error {
		x.URLs = links
		change(x)
		return nil
	})
	if err != nil {
		h.t.Fatal(err)
	}
	h.Sim.SetKnobs(func(k *nanobananatest.Knobs) { k.Record = nanobananatest.Fault{Kind: nanobananatest.FaultHTML} })
	return got.ID
}

func unchanged(*task.Task) {}

// A damaged picture is stored when it first comes. After the last wake it counts if
// nothing better came, even if its link is dead by then.
func TestDamaged(t *testing.T) {
	half := square(60)[:len(square(60))/2]
	for name, first := range map[string]http.HandlerFunc{
		"half a file": func(rw http.ResponseWriter, r *http.Request) { _, _ = rw.Write(half) },
		"half a transfer": func(rw http.ResponseWriter, r *http.Request) {
			rw.Header().Set("Content-Length", fmt.Sprint(len(square(60))))
			_, _ = rw.Write(half)
			_ = http.NewResponseController(rw).Flush()
			panic(http.ErrAbortHandler)
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := newHarness(t)
			server := h.host("/a.png")
			server.do(first)
			bucket := &faultyBucket{Bucket: h.Bucket}
			h.Ingester.Bucket = bucket
			id := h.linked(unchanged, server.link)
			h.work(id)
			x := h.expect(id, task.Storing, "")
			if len(x.Salvaged) != 1 || x.Work != "" || x.DueAt.IsZero() {
				t.Fatalf("salvaged %+v, work %q, due %v", x.Salvaged, x.Work, x.DueAt)
			}
			version := x.Version
			h.work(id) // as if that put had woken another run
			if x := h.task(id); x.Version != version {
				t.Error("the row was written again")
			}
			for range 5 {
				h.sweep(time.Hour)
				h.work(id)
			}
			if bucket.puts.Load() != 1 {
				t.Errorf("%d puts", bucket.puts.Load())
			}
			server.do(func(rw http.ResponseWriter, r *http.Request) { rw.WriteHeader(http.StatusGone) })
			end := h.finished(id)
			if end.Status != task.Succeeded || len(end.Images) != 1 || end.Missing != 0 {
				t.Fatalf("%s %s, %+v", end.Status, end.Failure, end.Images)
			}
			img := end.Images[0]
			if !img.Damaged || img.Thumbnail != "" || img.Width != 60 || img.Height != 60 || img.N != 1 {
				t.Errorf("%+v", img)
			}
			if kept := h.stored(media.Prefix(id) + img.File); !bytes.Equal(kept, half) {
				t.Errorf("%d bytes are kept, want %d", len(kept), len(half))
			}
		})
	}
	t.Run("a sound one comes later", func(t *testing.T) {
		t.Parallel()
		h := newHarness(t)
		server := h.host("/a.png")
		server.file(half)
		id := h.linked(unchanged, server.link)
		h.work(id)
		server.file(square(60))
		end := h.until(id, task.Succeeded, 10*time.Minute)
		if len(end.Images) != 1 || end.Images[0].Damaged || end.Images[0].Thumbnail == "" {
			t.Errorf("%+v", end.Images)
		}
	})
}

// Links that come during a run are tried by the next one, even after the last wake.
func TestLinksThatComeDuringARun(t *testing.T) {
	half := square(60)[:len(square(60))/2]
	for name, change := range map[string]func(x *task.Task, fresh string){
		"at the last wake, fresh links": func(x *task.Task, fresh string) { x.URLs = []string{fresh} },
		"at the last wake, a stand-in":  func(x *task.Task, fresh string) { x.Spares = []string{fresh} },
		"fresh links":                   func(x *task.Task, fresh string) { x.URLs = []string{fresh} },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := newHarness(t)
			old, fresh := h.host("/a.png"), h.host("/b.png")
			old.file(half)
			fresh.file(square(60))
			id := h.linked(func(x *task.Task) { x.LastWake = name != "fresh links" }, old.link)
			old.do(func(rw http.ResponseWriter, r *http.Request) {
				_, err := task.Update(t.Context(), h.Rows, h.task(id), func(x *task.Task) error {
					change(x, fresh.link)
					return nil
				})
				if err != nil {
					t.Error(err)
				}
				_, _ = rw.Write(half)
			})
			h.work(id)
			if x := h.expect(id, task.Storing, ""); x.Work != task.Ingest {
				t.Fatalf("work %q", x.Work)
			}
			h.work(id)
			end := h.expect(id, task.Succeeded, "")
			if len(end.Images) != 1 || end.Images[0].Damaged {
				t.Errorf("%+v", end.Images)
			}
		})
	}
}

// A copied picture is kept if its link dies before the other pictures are copied.
func TestLinksThatDieInTurn(t *testing.T) {
	gone := func(rw http.ResponseWriter, r *http.Request) { rw.WriteHeader(http.StatusGone) }
	begin := func(t *testing.T) (h *harness, second *host, id string) {
		h = newHarness(t)
		first, second := h.host("/1.png"), h.host("/2.png")
		first.file(square(9))
		id = h.linked(unchanged, first.link, second.link)
		h.work(id)
		first.do(gone)
		version := h.expect(id, task.Storing, "").Version
		h.work(id) // as if that put had woken another run
		if x := h.task(id); x.Version != version || x.Work != "" {
			t.Errorf("version %d after %d, work %q", x.Version, version, x.Work)
		}
		return h, second, id
	}
	t.Run("the other comes", func(t *testing.T) {
		t.Parallel()
		h, second, id := begin(t)
		second.file(square(10))
		end := h.until(id, task.Succeeded, 10*time.Minute)
		if len(end.Images) != 2 || end.Images[0].Width != 9 || end.Images[1].Width != 10 || end.Missing != 0 {
			t.Errorf("%+v, missing %d", end.Images, end.Missing)
		}
	})
	t.Run("the other leads to the same picture", func(t *testing.T) {
		t.Parallel()
		h, second, id := begin(t)
		second.file(square(9))
		h.sweep(2 * time.Minute)
		h.work(id)
		h.expect(id, task.Storing, "")
	})
	t.Run("the other never comes", func(t *testing.T) {
		t.Parallel()
		h, _, id := begin(t)
		end := h.finished(id)
		if end.Status != task.Succeeded || len(end.Images) != 1 || end.Images[0].Width != 9 || end.Images[0].Damaged || end.Missing != 1 {
			t.Errorf("%s %s, %+v, missing %d", end.Status, end.Failure, end.Images, end.Missing)
		}
	})
}

// A stand-in that fails does not replace a damaged picture.
func TestDamagedWithADeadStandIn(t *testing.T) {
	h := newHarness(t)
	server, spare := h.host("/a.png"), h.host("/b.png")
	id := h.linked(func(x *task.Task) { x.Spares, x.Reread = []string{spare.link}, h.Now() }, server.link)
	server.file(square(60)[:len(square(60))/2])
	h.work(id)
	if x := h.expect(id, task.Storing, ""); len(x.Salvaged) != 1 {
		t.Errorf("salvaged %+v", x.Salvaged)
	}
}

// A run that does not end the task leaves the row's links alone.
func TestWrongGuessAndFreshLinks(t *testing.T) {
	h := newHarness(t)
	page, pic, more := h.host("/page"), h.host("/a.png"), h.host("/b.png")
	page.file([]byte("<!doctype html><title>a page</title>"))
	id := h.linked(func(x *task.Task) { x.Guessed = true }, page.link, pic.link)
	pic.do(func(rw http.ResponseWriter, r *http.Request) {
		_, err := task.Update(t.Context(), h.Rows, h.task(id), func(x *task.Task) error {
			x.URLs = []string{page.link, pic.link, more.link}
			return nil
		})
		if err != nil {
			t.Error(err)
		}
		_, _ = rw.Write(square(9))
	})
	before := h.task(id).Version
	h.work(id)
	if x := h.expect(id, task.Storing, ""); x.Version != before+1 || len(x.URLs) != 3 {
		t.Errorf("version %d after %d, %d links", x.Version, before, len(x.URLs))
	}
}

// finished sweeps, and does the stream's work, until the task has ended.
func (h *harness) finished(id string) *task.Task {
	h.t.Helper()
	for range 200 {
		x := h.task(id)
		if x.Done() {
			return x
		}
		h.sweep(max(time.Minute, x.DueAt.Sub(h.Clock.Now())))
		h.work(id)
	}
	h.t.Fatal("the task does not end")
	return nil
}

// A form that the decoders do not support is kept without a thumbnail. A picture that
// comes gzipped is stored unpacked.
func TestUnusualForms(t *testing.T) {
	arithmetic, err := os.ReadFile("../media/picture/testdata/arithmetic.jpg")
	if err != nil {
		t.Fatal(err)
	}
	var zipped bytes.Buffer
	z := gzip.NewWriter(&zipped)
	_, _ = z.Write(square(9))
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	h := newHarness(t)
	a, b := h.host("/a.jpg"), h.host("/b.png")
	a.file(arithmetic)
	b.file(zipped.Bytes())
	id := h.linked(unchanged, a.link, b.link)
	h.work(id)
	end := h.expect(id, task.Succeeded, "")
	if x := end.Images[0]; x.Thumbnail != "" || x.ContentType != "image/jpeg" || x.Width != 32 || x.Height != 16 || x.Damaged {
		t.Errorf("arithmetic JPEG: %+v", x)
	}
	if x := end.Images[1]; x.Thumbnail == "" || x.ContentType != "image/png" || x.Bytes != int64(len(square(9))) {
		t.Errorf("compressed PNG: %+v", x)
	}
}

// A guessed link to something other than a picture is dropped, but only once another
// picture is stored.
func TestWrongGuess(t *testing.T) {
	h := newHarness(t)
	page, pic := h.host("/page"), h.host("/a.png")
	page.file([]byte("<!doctype html><title>a page</title>"))
	id := h.linked(func(x *task.Task) { x.Guessed = true }, page.link, pic.link)
	h.work(id)
	h.expect(id, task.Storing, "")
	pic.file(square(9))
	h.sweep(2 * time.Minute)
	h.work(id)
	end := h.expect(id, task.Succeeded, "")
	if len(end.Images) != 1 || end.Images[0].N != 1 || end.Missing != 1 {
		t.Errorf("%+v, missing %d", end.Images, end.Missing)
	}
}

// Links of callbacks stand in for a dead one once the record was read again. They bring
// no picture twice, and no more pictures than ordered.
func TestStandIns(t *testing.T) {
	h := newHarness(t)
	first, dead, same, other, more := h.host("/1.png"), h.host("/2.png"), h.host("/3.png"), h.host("/4.png"), h.host("/5.png")
	first.file(square(9))
	same.file(square(9))
	other.file(square(10))
	more.file(square(11))
	id := h.linked(func(x *task.Task) { x.Spares = []string{same.link, other.link, more.link} }, first.link, dead.link)
	h.work(id)
	if x := h.expect(id, task.Storing, ""); !x.Reread.IsZero() {
		t.Fatal("the record was read again already")
	}
	h.sweep(2 * time.Minute)
	h.work(id)
	end := h.expect(id, task.Succeeded, "")
	if len(end.Images) != 2 || end.Images[0].Width != 9 || end.Images[1].Width != 10 || end.Missing != 0 {
		t.Errorf("%+v, missing %d", end.Images, end.Missing)
	}
}

// The log says why a copy failed, and repeats nothing of the link except its host.
func TestFailedCopiesAreLogged(t *testing.T) {
	h := newHarness(t)
	dead, page := h.host("/1.png"), h.host("/2.png")
	page.file([]byte("<!doctype html><title>a page</title>"))
	id := h.linked(unchanged, dead.link, page.link, "http://127.0.0.1:1/secret.png?c0ffee")
	h.Logged.Take()
	if err := h.Ingester.Ingest(t.Context(), id); err == nil {
		t.Error("no error for the log")
	}
	log := h.Logged.Take()
	if strings.Contains(log, "c0ffee") || strings.Contains(log, ".png") {
		t.Errorf("the log repeats a link:\n%s", log)
	}
	for i, want := range []string{"status", "not_a_picture", "refused"} {
		line := struct {
			Level, Msg, Task, Reason string
			Picture                  int
		}{}
		lines := strings.Split(log, "\n")
		if len(lines) < 4 {
			t.Fatalf("the log:\n%s", log)
		}
		if err := json.Unmarshal([]byte(lines[i]), &line); err != nil || line.Level != "WARN" || line.Task != id || line.Picture != i+1 || line.Reason != want {
			t.Errorf("line %d is %+v, want %s", i, line, want)
		}
	}
}
