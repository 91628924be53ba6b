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

// moment is a point in a function's run: around its nth call of a kind.
type moment struct {
	call  string
	nth   int
	after bool // the call has had its effect
}

// killAt kills a function, as kill -9 does, at a moment of its next runs, so
// many times. Its process sees no answer to that call.
func (w *world) killAt(name string, m moment, times int) {
	f := w.function[name]
	var seen, killed atomic.Int32
	strike := func(call string) int {
		if call != m.call || seen.Add(1) != int32(m.nth) {
			return 0
		}
		if killed.Add(1) < int32(times) {
			seen.Store(0) // the next run is killed at the same moment
		}
		f.Kill()
		return http.StatusInternalServerError
	}
	if m.after {
		w.proxy[name].Fail(nil, strike)
	} else {
		w.proxy[name].Fail(strike, nil)
	}
}

// lost submits an order whose answer never comes.
func (w *world) lost(order map[string]any, key string) {
	w.t.Helper()
	a, err := w.try(&http.Client{}, "ada", http.MethodPost, "/v1/tasks", order, "Idempotency-Key", key)
	if err != nil || a.status != http.StatusInternalServerError {
		w.t.Fatalf("%v, answered %d %s; want the gateway's 500", err, a.status, a.body)
	}
}

// Submit is killed at each moment that matters. The same order again, by its
// key, finds the one task there is; nothing is posted twice, and what was
// accepted is delivered, by its callback or by the sweep.
func TestSubmitKilled(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		at    moment
		posts int         // by the killed process
		found task.Status // by the replay
	}{
		"before the row":                         {moment{"PutItem", 1, false}, 0, task.Generating},
		"after the row, before the POST":         {moment{"PutItem", 1, true}, 0, task.Submitting},
		"before the answer is written":           {moment{"PutItem", 2, false}, 1, task.Submitting},
		"after the answer is written":            {moment{"PutItem", 2, true}, 1, task.Generating},
		"while the provider's answer is awaited": {moment{}, 1, task.Submitting},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, hasty, func(k *nanobananatest.Knobs) { k.CallbackDelay = nanobananatest.Duration(500 * time.Millisecond) })
			if test.at == (moment{}) {
				w.killedPosting()
			} else {
				w.killAt("submit", test.at, 1)
			}
			order := map[string]any{"prompt": "a lighthouse"}
			w.lost(order, "k")
			if n := w.sim.Posts(); n != test.posts {
				t.Errorf("%d POSTs by the killed process, want %d", n, test.posts)
			}
			x := w.submit("ada", order, "k")
			if x.Status != test.found && (test.posts == 0 || x.Status == task.Submitting) {
				t.Errorf("the replay finds it %s, want %s", x.Status, test.found)
			}
			w.settled(x, test.posts)
		})
	}
}

// killedPosting kills submit as soon as its POST has reached a provider that
// takes the order and does not answer.
func (w *world) killedPosting() {
	w.sim.SetKnobs(func(k *nanobananatest.Knobs) {
		k.Submit = nanobananatest.Fault{Kind: nanobananatest.FaultHang, Accepted: true, Times: 1}
	})
	go func() {
		for len(w.sim.Tasks()) == 0 && w.t.Context().Err() == nil {
			time.Sleep(time.Millisecond)
		}
		w.function["submit"].Kill()
	}()
}

// settled has time pass until the task has ended, and fails the test unless it
// ended as it must after so many POSTs by a process that was killed.
func (w *world) settled(x httpapi.Task, posts int) {
	w.t.Helper()
	if x.Status == task.Submitting && posts == 0 {
		w.age(x.ID, time.Minute)
		w.sweep() // nobody will say what became of it
		w.age(x.ID, 2*time.Hour)
		got := w.swept("ada", x.ID)
		if got.Status != task.Failed || got.Error.Code != task.CodeOutcomeUnknown || w.sim.Posts() != 0 {
			w.t.Errorf("%s, %+v, %d POSTs; want it given up, and nothing posted", got.Status, got.Error, w.sim.Posts())
		}
		return
	}
	w.over(0)
	if now := w.stored(x.ID); now.Status == task.Submitting {
		w.age(x.ID, time.Minute) // then the sweep may ask for what the callback named
	}
	w.same(w.swept("ada", x.ID), 0)
	if n := w.sim.Posts(); n != 1 {
		w.t.Errorf("%d POSTs, want 1", n)
	}
}

// Callback is killed before and after its writes. The provider repeats what got
// no 200, and the sweep does what is left.
func TestCallbackKilled(t *testing.T) {
	t.Parallel()
	for name, at := range map[string]moment{
		"before the read is claimed":        {"PutItem", 1, false},
		"after the read was claimed":        {"PutItem", 1, true},
		"before the record is written down": {"PutItem", 2, false},
		"after the record was written down": {"PutItem", 2, true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, hasty, func(k *nanobananatest.Knobs) {
				k.Delay = nanobananatest.Duration(300 * time.Millisecond)
				k.CallbackRetries = []nanobananatest.Duration{nanobananatest.Duration(50 * time.Millisecond)}
			})
			w.killAt("callback", at, 1)
			x := w.submit("ada", map[string]any{"prompt": "a lighthouse"}, "k")
			made := w.over(0)
			if len(made.Callbacks) != 2 || made.Callbacks[0].Status != http.StatusInternalServerError || made.Callbacks[1].Status != http.StatusOK {
				t.Errorf("callbacks %+v, want a 500 and then 200", made.Callbacks)
			}
			w.same(w.swept("ada", x.ID), 0)
		})
	}
}

// Ingest is killed at each moment: the stream hands its record over once more.
// Killed both times, it is woken by the sweep. Each picture is recorded once.
func TestIngestKilled(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		at    moment
		times int
	}{
		"before it reads":             {moment{"GetItem", 1, false}, 1},
		"before the picture is put":   {moment{"PUT", 1, false}, 1},
		"after the picture is put":    {moment{"PUT", 1, true}, 1},
		"before the last write":       {moment{"PutItem", 1, false}, 1},
		"after the last write":        {moment{"PutItem", 1, true}, 1},
		"twice before the last write": {moment{"PutItem", 1, false}, 2},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, nil)
			w.killAt("ingest", test.at, test.times)
			x := w.submit("ada", map[string]any{"prompt": "a lighthouse"}, "k")
			eventually(t, "ingest is not killed", func() bool { return w.function["ingest"].Starts() >= test.times })
			if test.times == 2 {
				w.givenUp(x.ID)
				w.age(x.ID, time.Minute)
				w.sweep()
			}
			w.same(w.ended("ada", x.ID), 0)
			eventually(t, "ingest does not start again", func() bool { return w.function["ingest"].Starts() == test.times+1 })
			if row := w.stored(x.ID); len(row.Images) != 1 {
				t.Errorf("%d images", len(row.Images))
			}
		})
	}
}

// givenUp waits until ingest has failed both times that the stream's record was
// handed to it.
func (w *world) givenUp(id string) {
	w.t.Helper()
	eventually(w.t, "the record is not given up", func() bool { return w.source["ingest"].GivenUp() == 1 })
	if now := w.stored(id); now.Status != task.Storing {
		w.t.Errorf("after both tries: %s", now.Status)
	}
}
