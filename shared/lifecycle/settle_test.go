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

// callbackBody returns a callback's body in the form of generate.
func callbackBody(id string, code int, urls ...string) []byte {
	info := "null"
	if len(urls) > 0 {
		info = fmt.Sprintf(`{"resultImageUrl":%q}`, strings.Join(urls, ","))
	}
	return fmt.Appendf(nil, `{"code":%d,"msg":"said","data":{"taskId":%q,"info":%s}}`, code, id, info)
}

// settle sends a callback for the task's current attempt.
func (h *harness) settle(id string, body []byte) {
	h.t.Helper()
	if err := h.Settle(h.t.Context(), id, h.task(id).Attempt, body); err != nil {
		h.t.Fatalf("settle: %v", err)
	}
}

func (h *harness) reads(n int) int { return len(h.Sim.Tasks()[n].Reads) }

func TestCallback(t *testing.T) {
	h := newHarness(t)
	got := h.submit()
	made := h.generated(0)
	h.settle(got.ID, callbackBody(made.ID, 200, made.URLs...))
	h.expect(got.ID, task.Storing, "")
	h.work(got.ID)
	end := h.expect(got.ID, task.Succeeded, "")
	if len(end.Images) != 1 || end.Images[0].Width != 32 {
		t.Errorf("images: %+v", end.Images)
	}
	if n := h.reads(0); n != 1 {
		t.Errorf("the record was read %d times, want once", n)
	}
}

// A hundred callbacks at once cause one read; later ones, after the end, change nothing.
func TestManyCallbacks(t *testing.T) {
	h := newHarness(t)
	got := h.submit()
	made := h.generated(0)
	var wg sync.WaitGroup
	for range 100 {
		wg.Go(func() { h.settle(got.ID, callbackBody(made.ID, 200, made.URLs...)) })
	}
	wg.Wait()
	if n := h.reads(0); n != 1 {
		t.Errorf("the record was read %d times, want once", n)
	}
	h.work(got.ID)
	end := h.expect(got.ID, task.Succeeded, "")
	h.Clock.Add(time.Hour)
	h.settle(got.ID, callbackBody(made.ID, 501))
	h.settle(got.ID, callbackBody(made.ID, 200, made.URLs...))
	if after := h.expect(got.ID, task.Succeeded, ""); after.Version != end.Version {
		t.Error("a callback after the end wrote the row")
	}
	if n := h.reads(0); n != 1 {
		t.Errorf("the record was read %d times, want once", n)
	}
}

// The record decides: a callback alone changes nothing.
func TestRecordDecides(t *testing.T) {
	attacker := "https://attacker.example/a.png"
	running := func(k *nanobananatest.Knobs) { k.Delay = nanobananatest.Duration(time.Hour) }
	bodies := map[string]func(made nanobananatest.Task) []byte{
		"success while it runs":   func(made nanobananatest.Task) []byte { return callbackBody(made.ID, 200, attacker) },
		"failure while it runs":   func(made nanobananatest.Task) []byte { return callbackBody(made.ID, 501) },
		"policy while it runs":    func(made nanobananatest.Task) []byte { return callbackBody(made.ID, 400) },
		"a foreign id":            func(nanobananatest.Task) []byte { return callbackBody("somebody-else", 200, attacker) },
		"nothing":                 func(nanobananatest.Task) []byte { return nil },
		"not JSON":                func(nanobananatest.Task) []byte { return []byte("<html>") },
		"null":                    func(nanobananatest.Task) []byte { return []byte("null") },
		"a code that is text":     func(made nanobananatest.Task) []byte { return []byte(`{"code":"200","data":{}}`) },
		"success with no picture": func(made nanobananatest.Task) []byte { return callbackBody(made.ID, 200) },
	}
	for name, body := range bodies {
		t.Run(name, func(t *testing.T) {
			h := newHarness(t, running)
			got := h.submit()
			h.settle(got.ID, body(h.Sim.Tasks()[0]))
			for range 20 { // nor does the sweep, while the record says running
				h.sweep(time.Minute)
			}
			h.expect(got.ID, task.Generating, "")
		})
	}
}

func TestUnknownTask(t *testing.T) {
	h := newHarness(t)
	var e *task.Error
	if err := h.Settle(t.Context(), task.NewID("x", "y"), 1, nil); !errors.As(err, &e) || e.Code != task.CodeNotFound {
		t.Errorf("got %v", err)
	}
}

// A callback of an earlier attempt changes nothing and reads nothing.
func TestStaleCallback(t *testing.T) {
	h := newHarness(t, fault(nanobananatest.Fault{Kind: nanobananatest.FaultStatus, Code: 455, Times: 1}))
	got := h.submit()
	h.sweep(2 * time.Minute)
	before := h.expect(got.ID, task.Generating, "")
	made := h.generated(0)
	if err := h.Settle(t.Context(), got.ID, 1, callbackBody(made.ID, 200, made.URLs...)); err != nil {
		t.Fatal(err)
	}
	if after := h.task(got.ID); after.Version != before.Version || h.reads(0) != 0 {
		t.Errorf("version %d to %d, %d reads", before.Version, after.Version, h.reads(0))
	}
}

// A callback that arrives before the POST's answer attaches nothing by itself, and is not
// lost.
func TestEarlyCallback(t *testing.T) {
	h := newHarness(t, func(k *nanobananatest.Knobs) { k.LoseCallbacks, k.EarlyCallbacks = false, true })
	got := h.submit()
	h.until(got.ID, task.Succeeded, time.Minute)
	h.posted(1)
}

// While the provider's id is unknown, a callback without one must be sent again.
func TestUnconfirmedCallback(t *testing.T) {
	lost := nanobananatest.Fault{Kind: nanobananatest.FaultReset, Accepted: true}
	t.Run("unreadable", func(t *testing.T) {
		h := newHarness(t, fault(lost))
		got := h.submit()
		var e *task.Error
		if err := h.Settle(t.Context(), got.ID, 1, nil); !errors.As(err, &e) || e.Code != task.CodeUnavailable {
			t.Errorf("got %v, want it to be sent again", err)
		}
	})
	t.Run("of somebody else's task", func(t *testing.T) {
		h := newHarness(t)
		h.submit()
		foreign := h.generated(0)
		h.Sim.SetKnobs(fault(lost))
		got := h.submit()
		h.settle(got.ID, callbackBody(foreign.ID, 200, foreign.URLs...))
		if x := h.expect(got.ID, task.Unconfirmed, ""); x.ProviderID != "" || x.Hint != nil {
			t.Errorf("id %q, hint %v; want neither, since its record names another task", x.ProviderID, x.Hint)
		}
		own := h.generated(1)
		h.Clock.Add(time.Minute)
		h.settle(got.ID, callbackBody(own.ID, 200, own.URLs...))
		h.until(got.ID, task.Succeeded, time.Hour)
	})
	t.Run("ten thousand of them", func(t *testing.T) {
		h := newHarness(t, func(k *nanobananatest.Knobs) { k.Delay = nanobananatest.Duration(time.Hour) })
		got := h.submit()
		id := h.Sim.Tasks()[0].ID
		for range 1000 {
			h.Clock.Add(100 * time.Millisecond)
			h.settle(got.ID, callbackBody(id, 200, "https://attacker.example/a.png"))
		}
		reads := h.Sim.Tasks()[0].Reads
		if len(reads) > 4 { // 100 s
			t.Errorf("%d reads in 100 s", len(reads))
		}
	})
}

// Only the callback says "policy", and the record just says failed. There is no other
// generation.
func TestPolicyInCallbackAlone(t *testing.T) {
	h := newHarness(t, func(k *nanobananatest.Knobs) { k.Outcome.ErrorCode, k.BareFailures = 501, true })
	h.Quota = 10
	got := h.submit()
	made := h.generated(0)
	h.settle(got.ID, callbackBody(made.ID, 400))
	end := h.expect(got.ID, task.Failed, task.CodeContentPolicy)
	if used, _ := h.Rows.UsedImages(t.Context(), owner, end.Quota.Day); used != 1 {
		t.Errorf("used is %d; a policy refusal does not return the quota", used)
	}
	h.sweep(time.Hour)
	h.posted(1)
}

// A failed generation is tried once more, unless a policy refusal comes after.
func TestAnotherGeneration(t *testing.T) {
	failed := func(k *nanobananatest.Knobs) { k.Outcome.ErrorCode, k.Outcome.Times = 501, 1 }
	t.Run("once more", func(t *testing.T) {
		h := newHarness(t, failed)
		got := h.submit()
		made := h.generated(0)
		h.settle(got.ID, callbackBody(made.ID, 501))
		h.expect(got.ID, task.Waiting, "")
		h.sweep(59 * time.Second)
		h.posted(1)
		h.sweep(time.Second)
		h.until(got.ID, task.Succeeded, time.Hour)
		h.posted(2)
	})
	t.Run("never, if it may not", func(t *testing.T) {
		h := newHarness(t, failed)
		h.Rules.MaxGenerations = 1
		got := h.submit()
		made := h.generated(0)
		h.settle(got.ID, callbackBody(made.ID, 501))
		h.expect(got.ID, task.Failed, task.CodeGenerationFailed)
	})
	t.Run("policy while it waits", func(t *testing.T) {
		h := newHarness(t, failed)
		got := h.submit()
		made := h.generated(0)
		h.settle(got.ID, callbackBody(made.ID, 501))
		h.settle(got.ID, callbackBody(made.ID, 400))
		h.expect(got.ID, task.Failed, task.CodeContentPolicy)
		h.sweep(time.Hour)
		h.posted(1)
	})
}

// If the record cannot be read for two minutes, a callback's success counts alone, but only
// with links to RESULT_HOSTS.
func TestHintAlone(t *testing.T) {
	down := nanobananatest.Fault{Kind: nanobananatest.FaultStatus, Code: 500}
	settled := func(t *testing.T, urls func(nanobananatest.Task) []string) (*harness, *task.Task) {
		h := newHarness(t, func(k *nanobananatest.Knobs) { k.Record = down })
		got := h.submit()
		made := h.generated(0)
		h.settle(got.ID, callbackBody(made.ID, 200, urls(made)...))
		h.expect(got.ID, task.Generating, "")
		return h, got
	}
	t.Run("known host", func(t *testing.T) {
		h, got := settled(t, func(made nanobananatest.Task) []string { return made.URLs })
		h.sweep(time.Minute)
		h.expect(got.ID, task.Generating, "")
		h.until(got.ID, task.Succeeded, 5*time.Minute)
	})
	t.Run("another host", func(t *testing.T) {
		h, got := settled(t, func(nanobananatest.Task) []string { return []string{"https://attacker.example/a.png"} })
		for range 60 {
			h.sweep(time.Minute)
		}
		h.expect(got.ID, task.Generating, "")
		h.Sim.SetKnobs(func(k *nanobananatest.Knobs) { k.Record = nanobananatest.Fault{} })
		h.until(got.ID, task.Succeeded, time.Hour)
	})
}

// If the store fails, a callback must be sent again.
func TestCallbackWithoutStore(t *testing.T) {
	for _, call := range []string{"task", "put"} {
		t.Run(call, func(t *testing.T) {
			h := newHarness(t)
			got := h.submit()
			made := h.generated(0)
			h.Rows.Fail(func(c string, _ *task.Task) error {
				if c == call {
					return errStore
				}
				return nil
			}, nil)
			var e *task.Error
			if err := h.Settle(t.Context(), got.ID, 1, callbackBody(made.ID, 200, made.URLs...)); !errors.As(err, &e) || e.Code != task.CodeUnavailable {
				t.Errorf("got %v, want it to be sent again", err)
			}
			h.Rows.Fail(nil, nil)
			h.Clock.Add(time.Minute)
			h.settle(got.ID, callbackBody(made.ID, 200, made.URLs...))
			h.expect(got.ID, task.Storing, "")
		})
	}
}
