package deployed_test

import (
	"net/http"
	"sync/atomic"
	"testing"
	"time"

	"github.com/preset/nanobanana-functions/shared/httpapi"
	"github.com/preset/nanobanana-functions/shared/nanobanana/nanobananatest"
	"github.com/preset/nanobanana-functions/shared/task"
)

// killPoint is a point in a function's run: just before or after its nth call
// of a kind.
type killPoint struct {
	call  string
	nth   int
	after bool // the call has had its effect
}

// killAt kills a function, as kill -9 does, at a point of its next runs, this
// many times. The killed process never sees the answer to that call.
func (h *harness) killAt(name string, m killPoint, times int) {
	f := h.function[name]
	var seen, killed atomic.Int32
	strike := func(call string) int {
		if call != m.call || seen.Add(1) != int32(m.nth) {
			return 0
		}
		if killed.Add(1) < int32(times) {
			seen.Store(0) // the next run is killed at the same point
		}
		f.Kill()
		return http.StatusInternalServerError
	}
	if m.after {
		h.proxy[name].Fail(nil, strike)
	} else {
		h.proxy[name].Fail(strike, nil)
	}
}

// submitUnanswered submits an order that gets no answer from the function.
func (h *harness) submitUnanswered(order map[string]any, key string) {
	h.t.Helper()
	a, err := h.send(&http.Client{}, "ada", http.MethodPost, "/v1/tasks", order, "Idempotency-Key", key)
	if err != nil || a.status != http.StatusInternalServerError {
		h.t.Fatalf("%v, answered %d %s; want the gateway's 500", err, a.status, a.body)
	}
}

// Submit is killed at every point that matters. The same order under the same
// key finds the one task, nothing is posted twice, and what was accepted is
// delivered by its callback or by the sweep.
func TestSubmitKilled(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		at    killPoint
		posts int         // by the killed process
		found task.Status // by the replay
	}{
		"before the row":                         {killPoint{"PutItem", 1, false}, 0, task.Generating},
		"after the row, before the POST":         {killPoint{"PutItem", 1, true}, 0, task.Submitting},
		"before the answer is written":           {killPoint{"PutItem", 2, false}, 1, task.Submitting},
		"after the answer is written":            {killPoint{"PutItem", 2, true}, 1, task.Generating},
		"while the provider's answer is awaited": {killPoint{}, 1, task.Submitting},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := newHarness(t, fastPolling, func(k *nanobananatest.Knobs) { k.CallbackDelay = nanobananatest.Duration(500 * time.Millisecond) })
			if test.at == (killPoint{}) {
				h.killWhilePosting()
			} else {
				h.killAt("submit", test.at, 1)
			}
			order := map[string]any{"prompt": "a lighthouse"}
			h.submitUnanswered(order, "k")
			if n := h.sim.Posts(); n != test.posts {
				t.Errorf("%d POSTs by the killed process, want %d", n, test.posts)
			}
			x := h.submit("ada", order, "k")
			if x.Status != test.found && (test.posts == 0 || x.Status == task.Submitting) {
				t.Errorf("the replay finds it %s, want %s", x.Status, test.found)
			}
			h.checkOutcome(x, test.posts)
		})
	}
}

// killWhilePosting kills submit as soon as its POST has reached a provider that
// accepts the order and does not answer.
func (h *harness) killWhilePosting() {
	h.sim.SetKnobs(func(k *nanobananatest.Knobs) {
		k.Submit = nanobananatest.Fault{Kind: nanobananatest.FaultHang, Accepted: true, Times: 1}
	})
	go func() {
		for len(h.sim.Tasks()) == 0 && h.t.Context().Err() == nil {
			time.Sleep(time.Millisecond)
		}
		h.function["submit"].Kill()
	}()
}

// checkOutcome lets time pass until the task has ended, and fails the test
// unless it ended as it must after this many POSTs by a process that was
// killed.
func (h *harness) checkOutcome(x httpapi.Task, posts int) {
	h.t.Helper()
	if x.Status == task.Submitting && posts == 0 {
		h.age(x.ID, time.Minute)
		h.sweep() // the task becomes unconfirmed
		h.age(x.ID, 2*time.Hour)
		got := h.sweepUntilDone("ada", x.ID)
		if got.Status != task.Failed || got.Error.Code != task.CodeOutcomeUnknown || h.sim.Posts() != 0 {
			h.t.Errorf("%s, %+v, %d POSTs; want it given up, and nothing posted", got.Status, got.Error, h.sim.Posts())
		}
		return
	}
	h.awaitOrder(0)
	if now := h.row(x.ID); now.Status == task.Submitting {
		h.age(x.ID, time.Minute) // then the sweep may ask for what the callback named
	}
	h.checkImages(h.sweepUntilDone("ada", x.ID), 0)
	if n := h.sim.Posts(); n != 1 {
		h.t.Errorf("%d POSTs, want 1", n)
	}
}

// Callback is killed before and after its writes. The provider repeats
// callbacks that got no 200, and the sweep does the rest.
func TestCallbackKilled(t *testing.T) {
	t.Parallel()
	for name, at := range map[string]killPoint{
		"before the read is claimed":        {"PutItem", 1, false},
		"after the read was claimed":        {"PutItem", 1, true},
		"before the record is written down": {"PutItem", 2, false},
		"after the record was written down": {"PutItem", 2, true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := newHarness(t, fastPolling, func(k *nanobananatest.Knobs) {
				k.Delay = nanobananatest.Duration(300 * time.Millisecond)
				k.CallbackRetries = []nanobananatest.Duration{nanobananatest.Duration(50 * time.Millisecond)}
			})
			h.killAt("callback", at, 1)
			x := h.submit("ada", map[string]any{"prompt": "a lighthouse"}, "k")
			made := h.awaitOrder(0)
			if len(made.Callbacks) != 2 || made.Callbacks[0].Status != http.StatusInternalServerError || made.Callbacks[1].Status != http.StatusOK {
				t.Errorf("callbacks %+v, want a 500 and then 200", made.Callbacks)
			}
			h.checkImages(h.sweepUntilDone("ada", x.ID), 0)
		})
	}
}

// Ingest is killed at every step. The stream retries its record once; if both
// runs are killed, the sweep wakes the task. Each picture is stored once.
func TestIngestKilled(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		at    killPoint
		times int
	}{
		"before it reads":             {killPoint{"GetItem", 1, false}, 1},
		"before the picture is put":   {killPoint{"PUT", 1, false}, 1},
		"after the picture is put":    {killPoint{"PUT", 1, true}, 1},
		"before the last write":       {killPoint{"PutItem", 1, false}, 1},
		"after the last write":        {killPoint{"PutItem", 1, true}, 1},
		"twice before the last write": {killPoint{"PutItem", 1, false}, 2},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := newHarness(t, nil)
			h.killAt("ingest", test.at, test.times)
			x := h.submit("ada", map[string]any{"prompt": "a lighthouse"}, "k")
			eventually(t, "ingest is not killed", func() bool { return h.function["ingest"].Starts() >= test.times })
			if test.times == 2 {
				h.awaitGivenUp(x.ID)
				h.age(x.ID, time.Minute)
				h.sweep()
			}
			h.checkImages(h.awaitEnd("ada", x.ID), 0)
			eventually(t, "ingest does not start again", func() bool { return h.function["ingest"].Starts() == test.times+1 })
			if row := h.row(x.ID); len(row.Images) != 1 {
				t.Errorf("%d images", len(row.Images))
			}
		})
	}
}

// awaitGivenUp waits until ingest has failed both times with the stream's
// record.
func (h *harness) awaitGivenUp(id string) {
	h.t.Helper()
	eventually(h.t, "the record is not given up", func() bool { return h.source["ingest"].GivenUp() == 1 })
	if now := h.row(id); now.Status != task.Storing {
		h.t.Errorf("after both tries: %s", now.Status)
	}
}
