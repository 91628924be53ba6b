package lifecycle_test

import (
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/preset/nanobanana-functions/shared/nanobanana/nanobananatest"
	"github.com/preset/nanobanana-functions/shared/task"
)

// said is a callback's body, of the family that generate has.
func said(id string, code int, urls ...string) []byte {
	info := "null"
	if len(urls) > 0 {
		info = fmt.Sprintf(`{"resultImageUrl":%q}`, strings.Join(urls, ","))
	}
	return fmt.Appendf(nil, `{"code":%d,"msg":"said","data":{"taskId":%q,"info":%s}}`, code, id, info)
}

// settle calls back about the task's current attempt.
func (w *world) settle(id string, body []byte) {
	w.t.Helper()
	if err := w.Settle(w.t.Context(), id, w.task(id).Attempt, body); err != nil {
		w.t.Fatalf("settle: %v", err)
	}
}

func (w *world) reads(n int) int { return len(w.Sim.Tasks()[n].Reads) }

func TestCallback(t *testing.T) {
	w := newWorld(t)
	got := w.submit()
	made := w.generated(0)
	w.settle(got.ID, said(made.ID, 200, made.URLs...))
	w.expect(got.ID, task.Storing, "")
	w.work(got.ID)
	end := w.expect(got.ID, task.Succeeded, "")
	if len(end.Images) != 1 || end.Images[0].Width != 32 {
		t.Errorf("images: %+v", end.Images)
	}
	if n := w.reads(0); n != 1 {
		t.Errorf("the record was read %d times, want once", n)
	}
}

// A hundred callbacks at once are one read; more, after the end, are nothing.
func TestManyCallbacks(t *testing.T) {
	w := newWorld(t)
	got := w.submit()
	made := w.generated(0)
	var wg sync.WaitGroup
	for range 100 {
		wg.Go(func() { w.settle(got.ID, said(made.ID, 200, made.URLs...)) })
	}
	wg.Wait()
	if n := w.reads(0); n != 1 {
		t.Errorf("the record was read %d times, want once", n)
	}
	w.work(got.ID)
	end := w.expect(got.ID, task.Succeeded, "")
	w.Clock.Add(time.Hour)
	w.settle(got.ID, said(made.ID, 501))
	w.settle(got.ID, said(made.ID, 200, made.URLs...))
	if after := w.expect(got.ID, task.Succeeded, ""); after.Version != end.Version {
		t.Error("a callback after the end wrote the row")
	}
	if n := w.reads(0); n != 1 {
		t.Errorf("the record was read %d times, want once", n)
	}
}

// The record decides: what a callback alone says moves nothing.
func TestRecordDecides(t *testing.T) {
	attacker := "https://attacker.example/a.png"
	running := func(k *nanobananatest.Knobs) { k.Delay = nanobananatest.Duration(time.Hour) }
	bodies := map[string]func(made nanobananatest.Task) []byte{
		"success while it runs":   func(made nanobananatest.Task) []byte { return said(made.ID, 200, attacker) },
		"failure while it runs":   func(made nanobananatest.Task) []byte { return said(made.ID, 501) },
		"policy while it runs":    func(made nanobananatest.Task) []byte { return said(made.ID, 400) },
		"a foreign id":            func(nanobananatest.Task) []byte { return said("somebody-else", 200, attacker) },
		"nothing":                 func(nanobananatest.Task) []byte { return nil },
		"not JSON":                func(nanobananatest.Task) []byte { return []byte("<html>") },
		"null":                    func(nanobananatest.Task) []byte { return []byte("null") },
		"a code that is text":     func(made nanobananatest.Task) []byte { return []byte(`{"code":"200","data":{}}`) },
		"success with no picture": func(made nanobananatest.Task) []byte { return said(made.ID, 200) },
	}
	for name, body := range bodies {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, running)
			got := w.submit()
			w.settle(got.ID, body(w.Sim.Tasks()[0]))
			for range 20 { // nor does the sweep, while the record says that it runs
				w.sweep(time.Minute)
			}
			w.expect(got.ID, task.Generating, "")
		})
	}
}

func TestUnknownTask(t *testing.T) {
	w := newWorld(t)
	var e *task.Error
	if err := w.Settle(t.Context(), task.NewID("x", "y"), 1, nil); !errors.As(err, &e) || e.Code != task.CodeNotFound {
		t.Errorf("got %v", err)
	}
}

// A callback of an earlier attempt changes nothing and reads nothing.
func TestStaleCallback(t *testing.T) {
	w := newWorld(t, fault(nanobananatest.Fault{Kind: nanobananatest.FaultStatus, Code: 455, Times: 1}))
	got := w.submit()
	w.sweep(2 * time.Minute)
	before := w.expect(got.ID, task.Generating, "")
	made := w.generated(0)
	if err := w.Settle(t.Context(), got.ID, 1, said(made.ID, 200, made.URLs...)); err != nil {
		t.Fatal(err)
	}
	if after := w.task(got.ID); after.Version != before.Version || w.reads(0) != 0 {
		t.Errorf("version %d to %d, %d reads", before.Version, after.Version, w.reads(0))
	}
}

// A callback that is faster than the answer to its submit attaches nothing by
// itself, and is not lost either.
func TestEarlyCallback(t *testing.T) {
	w := newWorld(t, func(k *nanobananatest.Knobs) { k.LoseCallbacks, k.EarlyCallbacks = false, true })
	got := w.submit()
	w.until(got.ID, task.Succeeded, time.Minute)
	w.posted(1)
}

// While nobody knows the provider's id, a callback without one cannot be let go.
func TestUnconfirmedCallback(t *testing.T) {
	lost := nanobananatest.Fault{Kind: nanobananatest.FaultReset, Accepted: true}
	t.Run("unreadable", func(t *testing.T) {
		w := newWorld(t, fault(lost))
		got := w.submit()
		var e *task.Error
		if err := w.Settle(t.Context(), got.ID, 1, nil); !errors.As(err, &e) || e.Code != task.CodeUnavailable {
			t.Errorf("got %v, want it to come again", err)
		}
	})
	t.Run("of somebody else's task", func(t *testing.T) {
		w := newWorld(t)
		w.submit()
		foreign := w.generated(0)
		w.Sim.SetKnobs(fault(lost))
		got := w.submit()
		w.settle(got.ID, said(foreign.ID, 200, foreign.URLs...))
		if x := w.expect(got.ID, task.Unconfirmed, ""); x.ProviderID != "" || x.Hint != nil {
			t.Errorf("id %q, hint %v; its record names another task", x.ProviderID, x.Hint)
		}
		own := w.generated(1)
		w.Clock.Add(time.Minute)
		w.settle(got.ID, said(own.ID, 200, own.URLs...))
		w.until(got.ID, task.Succeeded, time.Hour)
	})
	t.Run("ten thousand of them", func(t *testing.T) {
		w := newWorld(t, func(k *nanobananatest.Knobs) { k.Delay = nanobananatest.Duration(time.Hour) })
		got := w.submit()
		id := w.Sim.Tasks()[0].ID
		for range 1000 {
			w.Clock.Add(100 * time.Millisecond)
			w.settle(got.ID, said(id, 200, "https://attacker.example/a.png"))
		}
		reads := w.Sim.Tasks()[0].Reads
		if len(reads) > 4 { // 100 s
			t.Errorf("%d reads in 100 s", len(reads))
		}
	})
}

// Only the callback says "policy"; the record says a bare failure. It is never
// generated again.
func TestPolicyInCallbackAlone(t *testing.T) {
	w := newWorld(t, func(k *nanobananatest.Knobs) { k.Outcome.ErrorCode, k.BareFailures = 501, true })
	w.Quota = 10
	got := w.submit()
	made := w.generated(0)
	w.settle(got.ID, said(made.ID, 400))
	end := w.expect(got.ID, task.Failed, task.CodeContentPolicy)
	if used, _ := w.Rows.UsedImages(t.Context(), owner, end.Quota.Day); used != 1 {
		t.Errorf("used is %d; a refusal by policy is not given back", used)
	}
	w.sweep(time.Hour)
	w.posted(1)
}

// A failed generation is tried once more, unless a policy refusal comes after.
func TestAnotherGeneration(t *testing.T) {
	failed := func(k *nanobananatest.Knobs) { k.Outcome.ErrorCode, k.Outcome.Times = 501, 1 }
	t.Run("once more", func(t *testing.T) {
		w := newWorld(t, failed)
		got := w.submit()
		made := w.generated(0)
		w.settle(got.ID, said(made.ID, 501))
		w.expect(got.ID, task.Waiting, "")
		w.sweep(59 * time.Second)
		w.posted(1)
		w.sweep(time.Second)
		w.until(got.ID, task.Succeeded, time.Hour)
		w.posted(2)
	})
	t.Run("never, if it may not", func(t *testing.T) {
		w := newWorld(t, failed)
		w.Rules.MaxGenerations = 1
		got := w.submit()
		made := w.generated(0)
		w.settle(got.ID, said(made.ID, 501))
		w.expect(got.ID, task.Failed, task.CodeGenerationFailed)
	})
	t.Run("policy while it waits", func(t *testing.T) {
		w := newWorld(t, failed)
		got := w.submit()
		made := w.generated(0)
		w.settle(got.ID, said(made.ID, 501))
		w.settle(got.ID, said(made.ID, 400))
		w.expect(got.ID, task.Failed, task.CodeContentPolicy)
		w.sweep(time.Hour)
		w.posted(1)
	})
}

// While the record cannot be read for two minutes, a success from a host that
// is known for results counts alone; any other does not.
func TestHintAlone(t *testing.T) {
	down := nanobananatest.Fault{Kind: nanobananatest.FaultStatus, Code: 500}
	settled := func(t *testing.T, urls func(nanobananatest.Task) []string) (*world, *task.Task) {
		w := newWorld(t, func(k *nanobananatest.Knobs) { k.Record = down })
		got := w.submit()
		made := w.generated(0)
		w.settle(got.ID, said(made.ID, 200, urls(made)...))
		w.expect(got.ID, task.Generating, "")
		return w, got
	}
	t.Run("known host", func(t *testing.T) {
		w, got := settled(t, func(made nanobananatest.Task) []string { return made.URLs })
		w.sweep(time.Minute)
		w.expect(got.ID, task.Generating, "")
		w.until(got.ID, task.Succeeded, 5*time.Minute)
	})
	t.Run("another host", func(t *testing.T) {
		w, got := settled(t, func(nanobananatest.Task) []string { return []string{"https://attacker.example/a.png"} })
		for range 60 {
			w.sweep(time.Minute)
		}
		w.expect(got.ID, task.Generating, "")
		w.Sim.SetKnobs(func(k *nanobananatest.Knobs) { k.Record = nanobananatest.Fault{} })
		w.until(got.ID, task.Succeeded, time.Hour)
	})
}

// A store that is away while a callback comes lets it come again.
func TestCallbackWithoutStore(t *testing.T) {
	for _, call := range []string{"task", "put"} {
		t.Run(call, func(t *testing.T) {
			w := newWorld(t)
			got := w.submit()
			made := w.generated(0)
			w.Rows.Fail(func(c string, _ *task.Task) error {
				if c == call {
					return errStore
				}
				return nil
			}, nil)
			var e *task.Error
			if err := w.Settle(t.Context(), got.ID, 1, said(made.ID, 200, made.URLs...)); !errors.As(err, &e) || e.Code != task.CodeUnavailable {
				t.Errorf("got %v, want it to come again", err)
			}
			w.Rows.Fail(nil, nil)
			w.Clock.Add(time.Minute)
			w.settle(got.ID, said(made.ID, 200, made.URLs...))
			w.expect(got.ID, task.Storing, "")
		})
	}
}
