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

// bodies are what a caller with a valid token may send about a provider's task
// whose id is known.
func bodies(id string) map[string]string {
	return map[string]string{
		"nothing":                "",
		"null":                   "null",
		"a list":                 "[1]",
		"HTML":                   "<!DOCTYPE html><title>502</title>",
		"2 MiB":                  strings.Repeat("x", 2<<20),
		"2 MiB of a callback":    callbackBody(id, 200, attacker) + strings.Repeat(" ", 2<<20),
		"a byte too long":        callbackBody(id, 200, attacker) + strings.Repeat(" ", 1<<20+1-len(callbackBody(id, 200, attacker))),
		"deep":                   strings.Repeat("[", 200_000),
		"deep inside":            `{"data":` + strings.Repeat(`{"data":`, 100_000),
		"cut off":                callbackBody(id, 200, attacker)[:40],
		"two values":             callbackBody(id, 501) + callbackBody(id, 200, attacker),
		"not UTF-8":              "{\"code\":200,\"msg\":\"\xff\",\"data\":null}",
		"code as text":           `{"code":"200","data":{"taskId":"` + id + `","info":{"resultImageUrl":"` + attacker + `"}}}`,
		"code as object":         `{"code":{},"data":[]}`,
		"a code of 1e30":         `{"code":1e30,"data":{"taskId":"` + id + `"}}`,
		"duplicate keys":         `{"code":501,"code":200,"data":{"taskId":"x","taskId":"` + id + `","info":{"resultImageUrl":"` + attacker + `"}}}`,
		"a foreign id":           callbackBody("somebody-elses", 200, attacker),
		"an id of 10 kB":         callbackBody(strings.Repeat("a", 10<<10), 200, attacker),
		"an id that climbs":      callbackBody("../../x", 200, attacker),
		"the attacker's URL":     callbackBody(id, 200, attacker),
		"a file's URL":           callbackBody(id, 200, "file:///etc/passwd"),
		"a URL inside":           callbackBody(id, 200, "http://169.254.169.254/latest/meta-data"),
		"success, no picture":    callbackBody(id, 200),
		"failure":                callbackBody(id, 501),
		"policy":                 callbackBody(id, 400),
		"failure, family B":      `{"code":200,"data":{"taskId":"` + id + `","successFlag":3,"errorCode":500}}`,
		"success, family B":      `{"code":200,"data":{"taskId":"` + id + `","successFlag":1,"response":{"resultImageUrl":"` + attacker + `"}}}`,
		"an unknown successFlag": `{"code":200,"data":{"taskId":"` + id + `","successFlag":99}}`,
	}
}

// While the record says that the task runs, every body is answered 200 and
// wakes a read, and changes nothing.
func TestBodyHarmsNothing(t *testing.T) {
	t.Parallel()
	h := newHarness(t, slowProvider)
	x := h.submit()
	id := h.Sim.Tasks()[0].ID
	for name, body := range bodies(id) {
		t.Run(name, func(t *testing.T) {
			h.Clock.Add(36 * time.Second)
			before := h.countReads(0)
			h.post(callbackPath(first, x.ID, 1), strings.NewReader(body)).received(t)
			got := h.row(x.ID)
			if got.Status != task.Generating || got.ProviderID != id || len(got.URLs) > 0 || got.Generations != 1 || got.Attempt != 1 {
				t.Errorf("%+v", got)
			}
			want := 1
			if name == "a foreign id" {
				want = 0
			}
			if woken := h.countReads(0) - before; woken != want {
				t.Errorf("%d reads of the record, want %d", woken, want)
			}
		})
	}
	if h.Sim.Posts() != 1 {
		t.Errorf("%d POSTs", h.Sim.Posts())
	}
}

// The record decides: whatever a genuine body says about a finished picture,
// what is stored comes from the record.
func TestRecordDecides(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	for name := range bodies("") {
		if name == "a foreign id" { // not heard
			continue
		}
		t.Run(name, func(t *testing.T) {
			n := len(h.Sim.Tasks())
			x := h.submit()
			made := h.Generated(t, n)
			h.post(callbackPath(first, x.ID, 1), strings.NewReader(bodies(made.ID)[name])).received(t)
			if got := h.row(x.ID); got.Status != task.Storing || !slices.Equal(got.URLs, made.URLs) {
				t.Errorf("it is %s with %v, want %v", got.Status, got.URLs, made.URLs)
			}
		})
	}
}

// A body that arrives slowly in pieces is read; one that breaks off still wakes
// the task.
func TestBodyInPieces(t *testing.T) {
	t.Parallel()
	t.Run("slow", func(t *testing.T) {
		h := newHarness(t)
		x := h.submit()
		made := h.Generated(t, 0)
		body, pieces := io.Pipe()
		go func() {
			for _, c := range callbackBody(made.ID, 200, made.URLs...) {
				fmt.Fprintf(pieces, "%c", c)
			}
			_ = pieces.Close()
		}()
		h.post(callbackPath(first, x.ID, 1)+"?added=by-somebody", body).received(t)
		if got := h.row(x.ID); got.Status != task.Storing {
			t.Errorf("it is %s", got.Status)
		}
	})
	t.Run("unreadable", func(t *testing.T) {
		h := newHarness(t)
		x := h.submit()
		h.Generated(t, 0)
		h.call(callbackPath(first, x.ID, 1), io.MultiReader(strings.NewReader(`{"code":501,`), iotest.ErrReader(errors.New("gone")))).received(t)
		if got := h.row(x.ID); got.Status != task.Storing {
			t.Errorf("it is %s", got.Status)
		}
	})
	t.Run("the connection breaks", func(t *testing.T) {
		h := newHarness(t)
		x := h.submit()
		h.Generated(t, 0)
		conn, err := net.Dial("tcp", strings.TrimPrefix(h.url, "http://"))
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprintf(conn, "POST %s HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\n{\"code\":", callbackPath(first, x.ID, 1))
		_ = conn.Close()
		lifecycletest.Eventually(t, func() error {
			if got := h.row(x.ID); got.Status != task.Storing {
				return fmt.Errorf("it is %s", got.Status)
			}
			return nil
		})
	})
}

// While only a callback can name the provider's id, one without an id is
// answered 503 so that it comes again; one with an id is kept.
func TestNoIDKnown(t *testing.T) {
	t.Parallel()
	lost := func(k *nanobananatest.Knobs) {
		k.Submit = nanobananatest.Fault{Kind: nanobananatest.FaultReset, Accepted: true}
	}
	states := map[string]func(*harness) *task.Task{
		"submitting": func(h *harness) *task.Task {
			x := task.New(task.Draft{Owner: "ada", Request: task.Request{Prompt: prompt, NumImages: 1, Model: task.DefaultModel}}, h.Now())
			if _, err := h.Rows.Create(h.t.Context(), x, 0); err != nil {
				h.t.Fatal(err)
			}
			return x
		},
		"unconfirmed": (*harness).submit,
	}
	named := callbackBody("f00d", 200, attacker)
	for state, make := range states {
		t.Run(state, func(t *testing.T) {
			h := newHarness(t, lost)
			x := make(h)
			if x.Status != task.Status(state) {
				t.Fatalf("it is %s", x.Status)
			}
			for _, body := range []string{
				"", "null", "<html>", "{}", `{"code":200}`, callbackBody("../x", 200, attacker),
				strings.Repeat("x", 2<<20), named + strings.Repeat(" ", 1<<20+1-len(named)),
			} {
				h.call(callbackPath(first, x.ID, 1), strings.NewReader(body)).Problem(t, 503, task.CodeUnavailable)
			}
			for _, read := range []string{"", named[:20], named} { // before it breaks off
				body := io.MultiReader(strings.NewReader(read), iotest.ErrReader(errors.New("gone")))
				h.call(callbackPath(first, x.ID, 1), body).Problem(t, 503, task.CodeUnavailable)
			}
			if got := h.row(x.ID); got.Version != x.Version && state == "submitting" || got.Hint != nil {
				t.Errorf("%+v", got)
			}
		})
	}
	t.Run("submitting, then it is named", func(t *testing.T) {
		h := newHarness(t)
		x := states["submitting"](h)
		whole := named + strings.Repeat(" ", 1<<20-len(named)) // the longest that is read
		h.post(callbackPath(first, x.ID, 1), strings.NewReader(whole)).received(t)
		h.post(callbackPath(first, x.ID, 1), nil).received(t) // its id is known now
		if got := h.row(x.ID); got.Status != task.Submitting || got.ProviderID != "" || got.Hint == nil || got.Hint.ProviderID != "f00d" {
			t.Errorf("%+v", got)
		}
	})
	t.Run("unconfirmed, then it is named", func(t *testing.T) {
		h := newHarness(t, lost)
		x := h.submit()
		made := h.Generated(t, 0)
		h.post(callbackPath(first, x.ID, 1), strings.NewReader(callbackBody(made.ID, 200, attacker))).received(t)
		if got := h.row(x.ID); got.Status != task.Storing || !slices.Equal(got.URLs, made.URLs) {
			t.Errorf("it is %s with %v", got.Status, got.URLs)
		}
	})
}

// A callback that can change nothing is answered 200 and changes nothing.
func TestNothingToChange(t *testing.T) {
	t.Parallel()
	again := func(k *nanobananatest.Knobs) {
		k.Submit = nanobananatest.Fault{Kind: nanobananatest.FaultStatus, Code: 455, Times: 1}
	}
	end := func(h *harness, x *task.Task) {
		made := h.Generated(h.t, 0)
		h.post(callbackPath(first, x.ID, 1), strings.NewReader(callbackBody(made.ID, 200, made.URLs...))).received(h.t)
		if err := h.Ingester.Ingest(h.t.Context(), x.ID); err != nil {
			h.t.Fatal(err)
		}
	}
	tests := map[string]struct {
		adjust  func(*nanobananatest.Knobs)
		prepare func(*harness, *task.Task)
		status  task.Status
		attempt int // that calls back
	}{
		"an earlier attempt": {again, func(h *harness, _ *task.Task) {
			h.Clock.Add(2 * time.Minute)
			if _, err := h.Sweep(h.t.Context()); err != nil {
				h.t.Fatal(err)
			}
		}, task.Generating, 1},
		"while it waits":   {again, func(*harness, *task.Task) {}, task.Waiting, 1},
		"a future attempt": {slowProvider, func(*harness, *task.Task) {}, task.Generating, 2},
		"after the end":    {nil, end, task.Succeeded, 1},
		"after it was deleted": {nil, func(h *harness, x *task.Task) {
			end(h, x)
			if _, err := task.Update(h.t.Context(), h.Rows.Store, h.row(x.ID), func(x *task.Task) error { return x.Delete(h.Rules, h.Now()) }); err != nil {
				h.t.Fatal(err)
			}
		}, task.Succeeded, 1},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			adjust := test.adjust
			if adjust == nil {
				adjust = func(*nanobananatest.Knobs) {}
			}
			h := newHarness(t, adjust)
			x := h.submit()
			test.prepare(h, x)
			before := h.row(x.ID)
			if before.Status != test.status {
				t.Fatalf("it is %s", before.Status)
			}
			reads := func() (n int) {
				for i := range h.Sim.Tasks() {
					n += h.countReads(i)
				}
				return n
			}
			was := reads()
			h.Clock.Add(time.Hour)
			for _, body := range []string{callbackBody("f00d", 200, attacker), callbackBody(before.ProviderID, 400), callbackBody(before.ProviderID, 200, attacker), "", "<html>"} {
				h.post(callbackPath(first, x.ID, test.attempt), strings.NewReader(body)).received(t)
			}
			if after := h.row(x.ID); after.Version != before.Version || reads() != was || h.Sim.Posts() > 2 {
				t.Errorf("version %d, was %d; %d reads, were %d", after.Version, before.Version, reads(), was)
			}
		})
	}
}

// While the store fails, a callback is answered 503 so that it comes again.
func TestStoreFails(t *testing.T) {
	t.Parallel()
	for _, failing := range []string{"task", "put"} {
		t.Run(failing, func(t *testing.T) {
			h := newHarness(t)
			x := h.submit()
			made := h.Generated(t, 0)
			body := callbackBody(made.ID, 200, made.URLs...)
			h.Rows.Fail(lifecycletest.On(failing, lifecycletest.ErrStore), nil)
			for range 3 {
				h.post(callbackPath(first, x.ID, 1), strings.NewReader(body)).Problem(t, 503, task.CodeUnavailable)
			}
			if h.countReads(0) != 0 {
				t.Errorf("%d unclaimed reads of the record", h.countReads(0))
			}
			h.Rows.Fail(nil, nil)
			h.post(callbackPath(first, x.ID, 1), strings.NewReader(body)).received(t)
			if got := h.row(x.ID); got.Status != task.Storing {
				t.Errorf("it is %s", got.Status)
			}
		})
	}
}

// While the provider fails, a callback is answered 200 and its content is kept.
func TestProviderFails(t *testing.T) {
	t.Parallel()
	h := newHarness(t, func(k *nanobananatest.Knobs) {
		k.Record = nanobananatest.Fault{Kind: nanobananatest.FaultStatus, Code: 500}
	})
	x := h.submit()
	made := h.Generated(t, 0)
	h.post(callbackPath(first, x.ID, 1), strings.NewReader(callbackBody(made.ID, 200, made.URLs...))).received(t)
	if got := h.row(x.ID); got.Status != task.Generating || got.Hint == nil || !slices.Equal(got.Hint.URLs, made.URLs) || got.DueAt.IsZero() {
		t.Errorf("%+v", got)
	}
}

// A row of a newer release is left alone; the callback is answered 503 for that
// release.
func TestNewerRow(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	x := h.submit()
	if _, err := task.Update(t.Context(), h.Rows.Store, h.row(x.ID), func(x *task.Task) error { x.Status = "polishing"; return nil }); err != nil {
		t.Fatal(err)
	}
	before := h.row(x.ID)
	h.post(callbackPath(first, x.ID, 1), strings.NewReader(callbackBody(before.ProviderID, 200, attacker))).Problem(t, 503, task.CodeUnavailable)
	if after := h.row(x.ID); after.Version != before.Version {
		t.Error("it was written")
	}
}

// However often somebody with a valid token calls, the record is read once in
// 36 s, and the provider gets no other request.
func TestFlood(t *testing.T) {
	t.Parallel()
	h := newHarness(t, slowProvider)
	x := h.submit()
	id := h.Sim.Tasks()[0].ID
	var wg sync.WaitGroup
	for range 100 {
		wg.Go(func() {
			h.call(callbackPath(first, x.ID, 1), strings.NewReader(callbackBody(id, 200, attacker))).received(t)
		})
	}
	wg.Wait()
	if n := h.countReads(0); n != 1 {
		t.Errorf("%d reads at once", n)
	}
	for range 400 { // of 0.9 s: six minutes
		h.Clock.Add(900 * time.Millisecond)
		h.call(callbackPath(first, x.ID, 1), nil).received(t)
	}
	if n := h.countReads(0); n != 11 {
		t.Errorf("%d reads in six minutes, want 11", n)
	}
	if h.Sim.Posts() != 1 {
		t.Errorf("%d POSTs", h.Sim.Posts())
	}
}

// The log contains no token, no link and nothing that users wrote.
func TestNothingIsLogged(t *testing.T) {
	t.Parallel()
	h := newHarness(t, func(k *nanobananatest.Knobs) {
		k.Record = nanobananatest.Fault{Kind: nanobananatest.FaultStatus, Code: 500}
	})
	x := h.submit()
	made := h.Generated(t, 0)
	genuine := callbackPath(first, x.ID, 1)
	h.post(genuine, strings.NewReader(callbackBody(made.ID, 200, attacker))).received(t)
	h.post(genuine, strings.NewReader(callbackBody("f00d", 200, attacker))).received(t)
	h.post(callbackPath(first, x.ID, 7), nil).received(t)
	h.post(genuine+"x", nil).Problem(t, 404, task.CodeNotFound)
	h.Rows.Fail(func(string, *task.Task) error { return lifecycletest.ErrStore }, nil)
	h.post(genuine, nil).Problem(t, 503, task.CodeUnavailable)
	logged := h.Logged.Take()
	if strings.Count(logged, "\n") < 6 || !strings.Contains(logged, lifecycletest.ErrStore.Error()) {
		t.Errorf("logged: %s", logged)
	}
	for _, secret := range []string{genuine[strings.LastIndexByte(genuine, '/')+1:], string(first.Key), nanobananatest.DefaultKey, prompt, "attacker", "/result/"} {
		if strings.Contains(logged, secret) {
			t.Errorf("the log has %q: %s", secret, logged)
		}
	}
}
