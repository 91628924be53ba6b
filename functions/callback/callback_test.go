package callback_test

import (
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/iotest"
	"time"

	"github.com/preset/nanobanana-functions/shared/lifecycle/lifecycletest"
	"github.com/preset/nanobanana-functions/shared/nanobanana/nanobananatest"
	"github.com/preset/nanobanana-functions/shared/task"
)

// bodies are what a caller with a true token may send about a task of the
// provider's whose id is known.
func bodies(id string) map[string]string {
	return map[string]string{
		"nothing":                "",
		"null":                   "null",
		"a list":                 "[1]",
		"HTML":                   "<!DOCTYPE html><title>502</title>",
		"2 MiB":                  strings.Repeat("x", 2<<20),
		"2 MiB of a callback":    said(id, 200, attacker) + strings.Repeat(" ", 2<<20),
		"a byte too long":        said(id, 200, attacker) + strings.Repeat(" ", 1<<20+1-len(said(id, 200, attacker))),
		"deep":                   strings.Repeat("[", 200_000),
		"deep inside":            `{"data":` + strings.Repeat(`{"data":`, 100_000),
		"cut off":                said(id, 200, attacker)[:40],
		"two values":             said(id, 501) + said(id, 200, attacker),
		"not UTF-8":              "{\"code\":200,\"msg\":\"\xff\",\"data\":null}",
		"code as text":           `{"code":"200","data":{"taskId":"` + id + `","info":{"resultImageUrl":"` + attacker + `"}}}`,
		"code as object":         `{"code":{},"data":[]}`,
		"a code of 1e30":         `{"code":1e30,"data":{"taskId":"` + id + `"}}`,
		"duplicate keys":         `{"code":501,"code":200,"data":{"taskId":"x","taskId":"` + id + `","info":{"resultImageUrl":"` + attacker + `"}}}`,
		"a foreign id":           said("somebody-elses", 200, attacker),
		"an id of 10 kB":         said(strings.Repeat("a", 10<<10), 200, attacker),
		"an id that climbs":      said("../../x", 200, attacker),
		"the attacker's URL":     said(id, 200, attacker),
		"a file's URL":           said(id, 200, "file:///etc/passwd"),
		"a URL inside":           said(id, 200, "http://169.254.169.254/latest/meta-data"),
		"success, no picture":    said(id, 200),
		"failure":                said(id, 501),
		"policy":                 said(id, 400),
		"failure, family B":      `{"code":200,"data":{"taskId":"` + id + `","successFlag":3,"errorCode":500}}`,
		"success, family B":      `{"code":200,"data":{"taskId":"` + id + `","successFlag":1,"response":{"resultImageUrl":"` + attacker + `"}}}`,
		"an unknown successFlag": `{"code":200,"data":{"taskId":"` + id + `","successFlag":99}}`,
	}
}

// Whatever the body says, while the record says that the task runs it runs:
// it is answered 200, wakes a read, and harms nothing.
func TestBodyHarmsNothing(t *testing.T) {
	t.Parallel()
	s := serve(t, running)
	x := s.submit()
	id := s.Sim.Tasks()[0].ID
	for name, body := range bodies(id) {
		t.Run(name, func(t *testing.T) {
			s.Clock.Add(36 * time.Second)
			before := s.reads(0)
			s.post(path(first, x.ID, 1), strings.NewReader(body)).received(t)
			got := s.row(x.ID)
			if got.Status != task.Generating || got.ProviderID != id || len(got.URLs) > 0 || got.Generations != 1 || got.Attempt != 1 {
				t.Errorf("%+v", got)
			}
			want := 1
			if name == "a foreign id" {
				want = 0
			}
			if woken := s.reads(0) - before; woken != want {
				t.Errorf("%d reads of the record, want %d", woken, want)
			}
		})
	}
	if s.Sim.Posts() != 1 {
		t.Errorf("%d POSTs", s.Sim.Posts())
	}
}

// The record decides: whatever a genuine body says of a picture that is made,
// what is stored comes from the record.
func TestRecordDecides(t *testing.T) {
	t.Parallel()
	s := serve(t)
	for name := range bodies("") {
		if name == "a foreign id" { // not heard
			continue
		}
		t.Run(name, func(t *testing.T) {
			n := len(s.Sim.Tasks())
			x := s.submit()
			made := s.Generated(t, n)
			s.post(path(first, x.ID, 1), strings.NewReader(bodies(made.ID)[name])).received(t)
			if got := s.row(x.ID); got.Status != task.Storing || !slices.Equal(got.URLs, made.URLs) {
				t.Errorf("it is %s with %v, want %v", got.Status, got.URLs, made.URLs)
			}
		})
	}
}

// A body that comes slowly, in pieces, is heard; one that breaks off is a
// wake-up all the same.
func TestBodyInPieces(t *testing.T) {
	t.Parallel()
	t.Run("slow", func(t *testing.T) {
		s := serve(t)
		x := s.submit()
		made := s.Generated(t, 0)
		body, pieces := io.Pipe()
		go func() {
			for _, c := range said(made.ID, 200, made.URLs...) {
				fmt.Fprintf(pieces, "%c", c)
			}
			_ = pieces.Close()
		}()
		s.post(path(first, x.ID, 1)+"?added=by-somebody", body).received(t)
		if got := s.row(x.ID); got.Status != task.Storing {
			t.Errorf("it is %s", got.Status)
		}
	})
	t.Run("unreadable", func(t *testing.T) {
		s := serve(t)
		x := s.submit()
		s.Generated(t, 0)
		s.call(path(first, x.ID, 1), io.MultiReader(strings.NewReader(`{"code":501,`), iotest.ErrReader(errors.New("gone")))).received(t)
		if got := s.row(x.ID); got.Status != task.Storing {
			t.Errorf("it is %s", got.Status)
		}
	})
	t.Run("the connection breaks", func(t *testing.T) {
		s := serve(t)
		x := s.submit()
		s.Generated(t, 0)
		conn, err := net.Dial("tcp", strings.TrimPrefix(s.url, "http://"))
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprintf(conn, "POST %s HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\n{\"code\":", path(first, x.ID, 1))
		_ = conn.Close()
		lifecycletest.Eventually(t, func() error {
			if got := s.row(x.ID); got.Status != task.Storing {
				return fmt.Errorf("it is %s", got.Status)
			}
			return nil
		})
	})
}

// While only a callback can name the provider's id, one without it must come
// again; one with it is kept.
func TestNoIDKnown(t *testing.T) {
	t.Parallel()
	lost := func(k *nanobananatest.Knobs) {
		k.Submit = nanobananatest.Fault{Kind: nanobananatest.FaultReset, Accepted: true}
	}
	states := map[string]func(*site) *task.Task{
		"submitting": func(s *site) *task.Task {
			x := task.New(task.Draft{Owner: "ada", Request: task.Request{Prompt: prompt, NumImages: 1, Model: task.DefaultModel}}, s.Now())
			if _, err := s.Rows.Create(s.t.Context(), x, 0); err != nil {
				s.t.Fatal(err)
			}
			return x
		},
		"unconfirmed": (*site).submit,
	}
	named := said("f00d", 200, attacker)
	for state, make := range states {
		t.Run(state, func(t *testing.T) {
			s := serve(t, lost)
			x := make(s)
			if x.Status != task.Status(state) {
				t.Fatalf("it is %s", x.Status)
			}
			for _, body := range []string{
				"", "null", "<html>", "{}", `{"code":200}`, said("../x", 200, attacker),
				strings.Repeat("x", 2<<20), named + strings.Repeat(" ", 1<<20+1-len(named)),
			} {
				s.call(path(first, x.ID, 1), strings.NewReader(body)).Problem(t, 503, task.CodeUnavailable)
			}
			for _, read := range []string{"", named[:20], named} { // before it breaks off
				body := io.MultiReader(strings.NewReader(read), iotest.ErrReader(errors.New("gone")))
				s.call(path(first, x.ID, 1), body).Problem(t, 503, task.CodeUnavailable)
			}
			if got := s.row(x.ID); got.Version != x.Version && state == "submitting" || got.Hint != nil {
				t.Errorf("%+v", got)
			}
		})
	}
	t.Run("submitting, then it is named", func(t *testing.T) {
		s := serve(t)
		x := states["submitting"](s)
		whole := named + strings.Repeat(" ", 1<<20-len(named)) // as long as is read
		s.post(path(first, x.ID, 1), strings.NewReader(whole)).received(t)
		s.post(path(first, x.ID, 1), nil).received(t) // its id is known now
		if got := s.row(x.ID); got.Status != task.Submitting || got.ProviderID != "" || got.Hint == nil || got.Hint.ProviderID != "f00d" {
			t.Errorf("%+v", got)
		}
	})
	t.Run("unconfirmed, then it is named", func(t *testing.T) {
		s := serve(t, lost)
		x := s.submit()
		made := s.Generated(t, 0)
		s.post(path(first, x.ID, 1), strings.NewReader(said(made.ID, 200, attacker))).received(t)
		if got := s.row(x.ID); got.Status != task.Storing || !slices.Equal(got.URLs, made.URLs) {
			t.Errorf("it is %s with %v", got.Status, got.URLs)
		}
	})
}

// What can change nothing is answered 200, and changes nothing.
func TestNothingToChange(t *testing.T) {
	t.Parallel()
	again := func(k *nanobananatest.Knobs) {
		k.Submit = nanobananatest.Fault{Kind: nanobananatest.FaultStatus, Code: 455, Times: 1}
	}
	end := func(s *site, x *task.Task) {
		made := s.Generated(s.t, 0)
		s.post(path(first, x.ID, 1), strings.NewReader(said(made.ID, 200, made.URLs...))).received(s.t)
		if err := s.Ingester.Ingest(s.t.Context(), x.ID); err != nil {
			s.t.Fatal(err)
		}
	}
	tests := map[string]struct {
		adjust  func(*nanobananatest.Knobs)
		prepare func(*site, *task.Task)
		status  task.Status
		attempt int // that calls back
	}{
		"an earlier attempt": {again, func(s *site, _ *task.Task) {
			s.Clock.Add(2 * time.Minute)
			if _, err := s.Sweep(s.t.Context()); err != nil {
				s.t.Fatal(err)
			}
		}, task.Generating, 1},
		"while it waits":                 {again, func(*site, *task.Task) {}, task.Waiting, 1},
		"an attempt that is yet to come": {running, func(*site, *task.Task) {}, task.Generating, 2},
		"after the end":                  {nil, end, task.Succeeded, 1},
		"after it was deleted": {nil, func(s *site, x *task.Task) {
			end(s, x)
			if _, err := task.Update(s.t.Context(), s.Rows.Store, s.row(x.ID), func(x *task.Task) error { return x.Delete(s.Rules, s.Now()) }); err != nil {
				s.t.Fatal(err)
			}
		}, task.Succeeded, 1},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			adjust := test.adjust
			if adjust == nil {
				adjust = func(*nanobananatest.Knobs) {}
			}
			s := serve(t, adjust)
			x := s.submit()
			test.prepare(s, x)
			before := s.row(x.ID)
			if before.Status != test.status {
				t.Fatalf("it is %s", before.Status)
			}
			reads := func() (n int) {
				for i := range s.Sim.Tasks() {
					n += s.reads(i)
				}
				return n
			}
			was := reads()
			s.Clock.Add(time.Hour)
			for _, body := range []string{said("f00d", 200, attacker), said(before.ProviderID, 400), said(before.ProviderID, 200, attacker), "", "<html>"} {
				s.post(path(first, x.ID, test.attempt), strings.NewReader(body)).received(t)
			}
			if after := s.row(x.ID); after.Version != before.Version || reads() != was || s.Sim.Posts() > 2 {
				t.Errorf("version %d, was %d; %d reads, were %d", after.Version, before.Version, reads(), was)
			}
		})
	}
}

// The store is away: the callback is to come again, and is not lost.
func TestStoreAway(t *testing.T) {
	t.Parallel()
	for _, failing := range []string{"task", "put"} {
		t.Run(failing, func(t *testing.T) {
			s := serve(t)
			x := s.submit()
			made := s.Generated(t, 0)
			body := said(made.ID, 200, made.URLs...)
			s.Rows.Fail(lifecycletest.On(failing, lifecycletest.ErrStore), nil)
			for range 3 {
				s.post(path(first, x.ID, 1), strings.NewReader(body)).Problem(t, 503, task.CodeUnavailable)
			}
			if s.reads(0) != 0 {
				t.Errorf("%d reads of the record that nobody has claimed", s.reads(0))
			}
			s.Rows.Fail(nil, nil)
			s.post(path(first, x.ID, 1), strings.NewReader(body)).received(t)
			if got := s.row(x.ID); got.Status != task.Storing {
				t.Errorf("it is %s", got.Status)
			}
		})
	}
}

// The provider is away: the callback is heard, and what it said is kept.
func TestProviderAway(t *testing.T) {
	t.Parallel()
	s := serve(t, func(k *nanobananatest.Knobs) {
		k.Record = nanobananatest.Fault{Kind: nanobananatest.FaultStatus, Code: 500}
	})
	x := s.submit()
	made := s.Generated(t, 0)
	s.post(path(first, x.ID, 1), strings.NewReader(said(made.ID, 200, made.URLs...))).received(t)
	if got := s.row(x.ID); got.Status != task.Generating || got.Hint == nil || !slices.Equal(got.Hint.URLs, made.URLs) || got.DueAt.IsZero() {
		t.Errorf("%+v", got)
	}
}

// A row that newer code wrote is left alone, for that code to hear.
func TestNewerRow(t *testing.T) {
	t.Parallel()
	s := serve(t)
	x := s.submit()
	if _, err := task.Update(t.Context(), s.Rows.Store, s.row(x.ID), func(x *task.Task) error { x.Status = "polishing"; return nil }); err != nil {
		t.Fatal(err)
	}
	before := s.row(x.ID)
	s.post(path(first, x.ID, 1), strings.NewReader(said(before.ProviderID, 200, attacker))).Problem(t, 503, task.CodeUnavailable)
	if after := s.row(x.ID); after.Version != before.Version {
		t.Error("it was written")
	}
}

// However often somebody with a true token calls, the record is read once in
// 36 s, and nothing else is asked of the provider.
func TestFlood(t *testing.T) {
	t.Parallel()
	s := serve(t, running)
	x := s.submit()
	id := s.Sim.Tasks()[0].ID
	var wg sync.WaitGroup
	for range 100 {
		wg.Go(func() { s.call(path(first, x.ID, 1), strings.NewReader(said(id, 200, attacker))).received(t) })
	}
	wg.Wait()
	if n := s.reads(0); n != 1 {
		t.Errorf("%d reads at once", n)
	}
	for range 400 { // of 0.9 s: six minutes
		s.Clock.Add(900 * time.Millisecond)
		s.call(path(first, x.ID, 1), nil).received(t)
	}
	if n := s.reads(0); n != 11 {
		t.Errorf("%d reads in six minutes, want 11", n)
	}
	if s.Sim.Posts() != 1 {
		t.Errorf("%d POSTs", s.Sim.Posts())
	}
}

// The log has no token, no link and nothing of what people wrote.
func TestNothingIsLogged(t *testing.T) {
	t.Parallel()
	s := serve(t, func(k *nanobananatest.Knobs) {
		k.Record = nanobananatest.Fault{Kind: nanobananatest.FaultStatus, Code: 500}
	})
	x := s.submit()
	made := s.Generated(t, 0)
	genuine := path(first, x.ID, 1)
	s.post(genuine, strings.NewReader(said(made.ID, 200, attacker))).received(t)
	s.post(genuine, strings.NewReader(said("f00d", 200, attacker))).received(t)
	s.post(path(first, x.ID, 7), nil).received(t)
	s.post(genuine+"x", nil).Problem(t, 404, task.CodeNotFound)
	s.Rows.Fail(func(string, *task.Task) error { return lifecycletest.ErrStore }, nil)
	s.post(genuine, nil).Problem(t, 503, task.CodeUnavailable)
	logged := s.Logged.Take()
	if strings.Count(logged, "\n") < 6 || !strings.Contains(logged, lifecycletest.ErrStore.Error()) {
		t.Errorf("logged: %s", logged)
	}
	for _, secret := range []string{genuine[strings.LastIndexByte(genuine, '/')+1:], string(first.Key), nanobananatest.DefaultKey, prompt, "attacker", "/result/"} {
		if strings.Contains(logged, secret) {
			t.Errorf("the log has %q: %s", secret, logged)
		}
	}
}
