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

// a host serves one file, which the test may change.
type host struct {
	link  string
	serve atomic.Pointer[http.HandlerFunc]
}

// host makes one at a path of a trusted site. It serves nothing at first.
func (w *world) host(path string) *host {
	h := &host{link: w.Settings.PublicURL + path + "?X-Amz-Signature=c0ffee"}
	h.do(func(rw http.ResponseWriter, r *http.Request) { rw.WriteHeader(http.StatusNotFound) })
	w.Mux.HandleFunc(path, func(rw http.ResponseWriter, r *http.Request) { (*h.serve.Load())(rw, r) })
	return h
}

func (h *host) do(f http.HandlerFunc) { h.serve.Store(&f) }

func (h *host) file(b []byte) {
	h.do(func(rw http.ResponseWriter, r *http.Request) { _, _ = rw.Write(b) })
}

func square(side int) []byte {
	var b bytes.Buffer
	img := image.NewGray(image.Rect(0, 0, side, side))
	for i := range img.Pix {
		img.Pix[i] = byte(i*i) >> 2 // so that half of it is half of it
	}
	if err := png.Encode(&b, img); err != nil {
		panic(err)
	}
	return b.Bytes()
}

// linked returns a task in Storing that has these links. Its record brings no fresh ones.
func (w *world) linked(change func(*task.Task), links ...string) string {
	w.t.Helper()
	got, _ := w.storing(func(o *lifecycle.Order) { o.Request.NumImages = len(links) })
	_, err := task.Update(w.t.Context(), w.Rows, w.task(got.ID), func(x *task.Task) error {
		x.URLs = links
		change(x)
		return nil
	})
	if err != nil {
		w.t.Fatal(err)
	}
	w.Sim.SetKnobs(func(k *nanobananatest.Knobs) { k.Record = nanobananatest.Fault{Kind: nanobananatest.FaultHTML} })
	return got.ID
}

func asItIs(*task.Task) {}

// A damaged picture is put under its key at first sight. At the last wake the row
// takes it, if nothing better came, though its link is dead.
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
			w := newWorld(t)
			h := w.host("/a.png")
			h.do(first)
			bucket := &faultyBucket{Bucket: w.Bucket}
			w.Ingester.Bucket = bucket
			id := w.linked(asItIs, h.link)
			w.work(id)
			x := w.expect(id, task.Storing, "")
			if len(x.Salvaged) != 1 || x.Work != "" || x.DueAt.IsZero() {
				t.Fatalf("salvaged %+v, work %q, due %v", x.Salvaged, x.Work, x.DueAt)
			}
			version := x.Version
			w.work(id) // the put's stream record, if there were one
			if x := w.task(id); x.Version != version {
				t.Error("the row is written again")
			}
			for range 5 {
				w.sweep(time.Hour)
				w.work(id)
			}
			if bucket.puts != 1 {
				t.Errorf("%d puts", bucket.puts)
			}
			h.do(func(rw http.ResponseWriter, r *http.Request) { rw.WriteHeader(http.StatusGone) })
			end := w.finished(id)
			if end.Status != task.Succeeded || len(end.Images) != 1 || end.Missing != 0 {
				t.Fatalf("%s %s, %+v", end.Status, end.Failure, end.Images)
			}
			img := end.Images[0]
			if !img.Damaged || img.Thumbnail != "" || img.Width != 60 || img.Height != 60 || img.N != 1 {
				t.Errorf("%+v", img)
			}
			if kept := w.stored(media.Prefix(id) + img.File); !bytes.Equal(kept, half) {
				t.Errorf("%d bytes are kept, want %d", len(kept), len(half))
			}
		})
	}
	t.Run("and then a sound one", func(t *testing.T) {
		t.Parallel()
		w := newWorld(t)
		h := w.host("/a.png")
		h.file(half)
		id := w.linked(asItIs, h.link)
		w.work(id)
		h.file(square(60))
		end := w.until(id, task.Succeeded, 10*time.Minute)
		if len(end.Images) != 1 || end.Images[0].Damaged || end.Images[0].Thumbnail == "" {
			t.Errorf("%+v", end.Images)
		}
	})
}

// A run does not put off links that came while it was under way, nor does that of
// the last wake give them up.
func TestLinksThatComeMeanwhile(t *testing.T) {
	half := square(60)[:len(square(60))/2]
	for name, change := range map[string]func(x *task.Task, fresh string){
		"at the last wake, fresh links": func(x *task.Task, fresh string) { x.URLs = []string{fresh} },
		"at the last wake, a stand-in":  func(x *task.Task, fresh string) { x.Spares = []string{fresh} },
		"fresh links":                   func(x *task.Task, fresh string) { x.URLs = []string{fresh} },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			old, fresh := w.host("/a.png"), w.host("/b.png")
			old.file(half)
			fresh.file(square(60))
			id := w.linked(func(x *task.Task) { x.LastWake = name != "fresh links" }, old.link)
			old.do(func(rw http.ResponseWriter, r *http.Request) {
				_, err := task.Update(t.Context(), w.Rows, w.task(id), func(x *task.Task) error {
					change(x, fresh.link)
					return nil
				})
				if err != nil {
					t.Error(err)
				}
				_, _ = rw.Write(half)
			})
			w.work(id)
			if x := w.expect(id, task.Storing, ""); x.Work != task.Ingest {
				t.Fatalf("work %q", x.Work)
			}
			w.work(id)
			end := w.expect(id, task.Succeeded, "")
			if len(end.Images) != 1 || end.Images[0].Damaged {
				t.Errorf("%+v", end.Images)
			}
		})
	}
}

// A picture that was got once is not lost because its link dies before the others
// have led to theirs.
func TestLinksThatDieInTurn(t *testing.T) {
	gone := func(rw http.ResponseWriter, r *http.Request) { rw.WriteHeader(http.StatusGone) }
	begin := func(t *testing.T) (w *world, second *host, id string) {
		w = newWorld(t)
		first, second := w.host("/1.png"), w.host("/2.png")
		first.file(square(9))
		id = w.linked(asItIs, first.link, second.link)
		w.work(id)
		first.do(gone)
		version := w.expect(id, task.Storing, "").Version
		w.work(id) // the put's stream record, if there were one
		if x := w.task(id); x.Version != version || x.Work != "" {
			t.Errorf("version %d after %d, work %q", x.Version, version, x.Work)
		}
		return w, second, id
	}
	t.Run("the other comes", func(t *testing.T) {
		t.Parallel()
		w, second, id := begin(t)
		second.file(square(10))
		end := w.until(id, task.Succeeded, 10*time.Minute)
		if len(end.Images) != 2 || end.Images[0].Width != 9 || end.Images[1].Width != 10 || end.Missing != 0 {
			t.Errorf("%+v, missing %d", end.Images, end.Missing)
		}
	})
	t.Run("the other leads to the same", func(t *testing.T) {
		t.Parallel()
		w, second, id := begin(t)
		second.file(square(9))
		w.sweep(2 * time.Minute)
		w.work(id)
		w.expect(id, task.Storing, "")
	})
	t.Run("the other never comes", func(t *testing.T) {
		t.Parallel()
		w, _, id := begin(t)
		end := w.finished(id)
		if end.Status != task.Succeeded || len(end.Images) != 1 || end.Images[0].Width != 9 || end.Images[0].Damaged || end.Missing != 1 {
			t.Errorf("%s %s, %+v, missing %d", end.Status, end.Failure, end.Images, end.Missing)
		}
	})
}

// A stand-in that fails does not take the place of what there is.
func TestDamagedBesideADeadSpare(t *testing.T) {
	w := newWorld(t)
	h, spare := w.host("/a.png"), w.host("/b.png")
	id := w.linked(func(x *task.Task) { x.Spares, x.Reread = []string{spare.link}, w.Now() }, h.link)
	h.file(square(60)[:len(square(60))/2])
	w.work(id)
	if x := w.expect(id, task.Storing, ""); len(x.Salvaged) != 1 {
		t.Errorf("salvaged %+v", x.Salvaged)
	}
}

// A run that does not end the task leaves the row's links, which it may not write.
func TestWrongGuessAndFreshLinks(t *testing.T) {
	w := newWorld(t)
	page, pic, more := w.host("/page"), w.host("/a.png"), w.host("/b.png")
	page.file([]byte("<!doctype html><title>a page</title>"))
	id := w.linked(func(x *task.Task) { x.Guessed = true }, page.link, pic.link)
	pic.do(func(rw http.ResponseWriter, r *http.Request) {
		_, err := task.Update(t.Context(), w.Rows, w.task(id), func(x *task.Task) error {
			x.URLs = []string{page.link, pic.link, more.link}
			return nil
		})
		if err != nil {
			t.Error(err)
		}
		_, _ = rw.Write(square(9))
	})
	before := w.task(id).Version
	w.work(id)
	if x := w.expect(id, task.Storing, ""); x.Version != before+1 || len(x.URLs) != 3 {
		t.Errorf("version %d after %d, %d links", x.Version, before, len(x.URLs))
	}
}

// finished sweeps and works until the task has ended.
func (w *world) finished(id string) *task.Task {
	w.t.Helper()
	for range 200 {
		x := w.task(id)
		if x.Done() {
			return x
		}
		w.sweep(max(time.Minute, x.DueAt.Sub(w.Clock.Now())))
		w.work(id)
	}
	w.t.Fatal("it does not end")
	return nil
}

// What the decoders do not know is kept without a thumbnail, a picture that comes
// compressed is kept as the picture.
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
	w := newWorld(t)
	a, b := w.host("/a.jpg"), w.host("/b.png")
	a.file(arithmetic)
	b.file(zipped.Bytes())
	id := w.linked(asItIs, a.link, b.link)
	w.work(id)
	end := w.expect(id, task.Succeeded, "")
	if x := end.Images[0]; x.Thumbnail != "" || x.ContentType != "image/jpeg" || x.Width != 32 || x.Height != 16 || x.Damaged {
		t.Errorf("arithmetic JPEG: %+v", x)
	}
	if x := end.Images[1]; x.Thumbnail == "" || x.ContentType != "image/png" || x.Bytes != int64(len(square(9))) {
		t.Errorf("compressed PNG: %+v", x)
	}
}

// A guessed link that leads to no picture is dropped once another picture is there,
// and not before.
func TestWrongGuess(t *testing.T) {
	w := newWorld(t)
	page, pic := w.host("/page"), w.host("/a.png")
	page.file([]byte("<!doctype html><title>a page</title>"))
	id := w.linked(func(x *task.Task) { x.Guessed = true }, page.link, pic.link)
	w.work(id)
	w.expect(id, task.Storing, "")
	pic.file(square(9))
	w.sweep(2 * time.Minute)
	w.work(id)
	end := w.expect(id, task.Succeeded, "")
	if len(end.Images) != 1 || end.Images[0].N != 1 || end.Missing != 1 {
		t.Errorf("%+v, missing %d", end.Images, end.Missing)
	}
}

// Links of callbacks stand in for a dead one once the record was read again. They
// bring no picture twice, and none beyond the number.
func TestSpares(t *testing.T) {
	w := newWorld(t)
	first, dead, same, other, more := w.host("/1.png"), w.host("/2.png"), w.host("/3.png"), w.host("/4.png"), w.host("/5.png")
	first.file(square(9))
	same.file(square(9))
	other.file(square(10))
	more.file(square(11))
	id := w.linked(func(x *task.Task) { x.Spares = []string{same.link, other.link, more.link} }, first.link, dead.link)
	w.work(id)
	if x := w.expect(id, task.Storing, ""); !x.Reread.IsZero() {
		t.Fatal("the record was read again already")
	}
	w.sweep(2 * time.Minute)
	w.work(id)
	end := w.expect(id, task.Succeeded, "")
	if len(end.Images) != 2 || end.Images[0].Width != 9 || end.Images[1].Width != 10 || end.Missing != 0 {
		t.Errorf("%+v, missing %d", end.Images, end.Missing)
	}
}

// Why a copy failed stands in the log, and nothing of its link but the host.
func TestFailedCopiesAreLogged(t *testing.T) {
	w := newWorld(t)
	dead, page := w.host("/1.png"), w.host("/2.png")
	page.file([]byte("<!doctype html><title>a page</title>"))
	id := w.linked(asItIs, dead.link, page.link, "http://127.0.0.1:1/secret.png?c0ffee")
	w.Logged.Take()
	if err := w.Ingester.Ingest(t.Context(), id); err == nil {
		t.Error("no error for the log")
	}
	log := w.Logged.Take()
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
