package lifecycle_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/preset/nanobanana-functions/shared/lifecycle"
	"github.com/preset/nanobanana-functions/shared/lifecycle/lifecycletest"
	"github.com/preset/nanobanana-functions/shared/nanobanana/nanobananatest"
	"github.com/preset/nanobanana-functions/shared/task"
)

const owner = "ada"

// harness is a lifecycletest.Harness with what these tests do with it.
type harness struct {
	*lifecycletest.Harness
	t testing.TB
}

func newHarness(t testing.TB, adjust ...func(*nanobananatest.Knobs)) *harness {
	t.Helper()
	return &harness{lifecycletest.New(t, adjust...), t}
}

var (
	eventually = lifecycletest.Eventually
	errStore   = lifecycletest.ErrStore
)

// order returns a valid order, changed by change.
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

// submit submits an order and returns its task.
func (h *harness) submit(change ...func(*lifecycle.Order)) *task.Task {
	h.t.Helper()
	t, _, err := h.Submit(h.t.Context(), order(change...))
	if err != nil {
		h.t.Fatalf("submit: %v", err)
	}
	return t
}

// task returns the row.
func (h *harness) task(id string) *task.Task {
	h.t.Helper()
	t, err := h.Rows.Store.Task(context.Background(), id)
	if err != nil {
		h.t.Fatal(err)
	}
	return t
}

// sweep sweeps once, d later.
func (h *harness) sweep(d time.Duration) {
	h.t.Helper()
	h.Clock.Add(d)
	if _, err := h.Sweep(h.t.Context()); err != nil {
		h.t.Fatalf("sweep: %v", err)
	}
}

// until sweeps, and does the stream's work, every minute until the task has the wanted
// status.
func (h *harness) until(id string, want task.Status, within time.Duration) *task.Task {
	h.t.Helper()
	for begun := h.Clock.Now(); h.Clock.Now().Sub(begun) <= within; {
		h.work(id)
		t := h.task(id)
		if t.Status == want {
			return t
		}
		if t.Done() {
			h.t.Fatalf("the task ended %s %s, want %s", t.Status, t.Failure, want)
		}
		h.provided(id)
		h.sweep(time.Minute)
	}
	h.t.Fatalf("the task is %s after %v, want %s", h.task(id).Status, within, want)
	return nil
}

// provided waits until the provider has done its part for a task. The test's clock moves
// hours in no time, and a provider on a busy machine would seem to take as long.
func (h *harness) provided(id string) {
	h.t.Helper()
	x := h.task(id)
	if x.Status != task.Generating || h.Sim.Knobs().Delay > 0 {
		return
	}
	eventually(h.t, func() error {
		if made, is := h.Sim.Task(x.ProviderID); is && made.Flag == nanobananatest.FlagRunning {
			return errors.New("the provider's task is still running")
		}
		return nil
	})
}

// work does a task's work, as the stream's consumer does.
func (h *harness) work(id string) {
	h.t.Helper()
	if h.task(id).Work == task.Ingest || h.task(id).Work == task.Erase {
		if err := h.Ingester.Ingest(h.t.Context(), id); err != nil {
			h.t.Logf("ingest: %v", err)
		}
	}
}

// generated waits until the provider has finished its nth task, counted from 0.
func (h *harness) generated(n int) nanobananatest.Task { return h.Generated(h.t, n) }

// expect fails the test unless the task has this status and code.
func (h *harness) expect(id string, status task.Status, failure task.Code) *task.Task {
	h.t.Helper()
	t := h.task(id)
	if t.Status != status || t.Failure != failure {
		h.t.Fatalf("task is %s %s, want %s %s", t.Status, t.Failure, status, failure)
	}
	return t
}

// posted fails the test unless the provider has seen n POSTs.
func (h *harness) posted(n int) {
	h.t.Helper()
	if got := h.Sim.Posts(); got != n {
		h.t.Errorf("the provider saw %d POSTs, want %d", got, n)
	}
}
