package lifecycle_test

import (
	"context"
	"testing"
	"time"

	"github.com/preset/nanobanana-functions/shared/lifecycle"
	"github.com/preset/nanobanana-functions/shared/lifecycle/lifecycletest"
	"github.com/preset/nanobanana-functions/shared/nanobanana/nanobananatest"
	"github.com/preset/nanobanana-functions/shared/task"
)

const owner = "ada"

// world is a lifecycletest.Harness with what these tests do to it.
type world struct {
	*lifecycletest.Harness
	t testing.TB
}

func newWorld(t testing.TB, adjust ...func(*nanobananatest.Knobs)) *world {
	t.Helper()
	return &world{lifecycletest.New(t, adjust...), t}
}

var (
	eventually = lifecycletest.Eventually
	errStore   = lifecycletest.ErrStore
)

// order is a good order, with what change makes of it.
func order(change ...func(*lifecycle.Order)) lifecycle.Order {
	o := lifecycle.Order{Owner: owner, Request: task.Request{Prompt: "a lighthouse", NumImages: 1}}
	for _, c := range change {
		c(&o)
	}
	return o
}

func key(k string) func(*lifecycle.Order) {
	return func(o *lifecycle.Order) { o.IdempotencyKey = k }
}

// submit submits, and expects a task.
func (w *world) submit(change ...func(*lifecycle.Order)) *task.Task {
	w.t.Helper()
	t, _, err := w.Submit(w.t.Context(), order(change...))
	if err != nil {
		w.t.Fatalf("submit: %v", err)
	}
	return t
}

// task reads the row.
func (w *world) task(id string) *task.Task {
	w.t.Helper()
	t, err := w.Rows.Store.Task(context.Background(), id)
	if err != nil {
		w.t.Fatal(err)
	}
	return t
}

// sweep sweeps once, d later.
func (w *world) sweep(d time.Duration) {
	w.t.Helper()
	w.Clock.Add(d)
	if _, err := w.Sweep(w.t.Context()); err != nil {
		w.t.Fatalf("sweep: %v", err)
	}
}

// until sweeps, and does what the stream would, a minute at a time until the
// task is as wanted.
func (w *world) until(id string, want task.Status, within time.Duration) *task.Task {
	w.t.Helper()
	for begun := w.Clock.Now(); w.Clock.Now().Sub(begun) <= within; {
		w.work(id)
		t := w.task(id)
		if t.Status == want {
			return t
		}
		if t.Done() {
			w.t.Fatalf("it ended %s %s, want %s", t.Status, t.Failure, want)
		}
		w.sweep(time.Minute)
	}
	w.t.Fatalf("it is %s after %v, want %s", w.task(id).Status, within, want)
	return nil
}

// work does a task's work, as the stream's consumer does.
func (w *world) work(id string) {
	w.t.Helper()
	if w.task(id).Work == task.Ingest || w.task(id).Work == task.Erase {
		if err := w.Ingester.Ingest(w.t.Context(), id); err != nil {
			w.t.Logf("ingest: %v", err)
		}
	}
}

// generated waits until the provider is done with its nth task, from 0.
func (w *world) generated(n int) nanobananatest.Task { return w.Generated(w.t, n) }

// expect fails the test if the task is not so.
func (w *world) expect(id string, status task.Status, failure task.Code) *task.Task {
	w.t.Helper()
	t := w.task(id)
	if t.Status != status || t.Failure != failure {
		w.t.Fatalf("task is %s %s, want %s %s", t.Status, t.Failure, status, failure)
	}
	return t
}

// posted fails the test if the provider has not seen n POSTs.
func (w *world) posted(n int) {
	w.t.Helper()
	if got := w.Sim.Posts(); got != n {
		w.t.Errorf("the provider saw %d POSTs, want %d", got, n)
	}
}
