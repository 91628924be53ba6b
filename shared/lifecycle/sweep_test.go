package lifecycle_test

import (
	"sync"
	"testing"
	"time"

	"github.com/preset/nanobanana-functions/shared/lifecycle"
	"github.com/preset/nanobanana-functions/shared/nanobanana/nanobananatest"
	"github.com/preset/nanobanana-functions/shared/task"
)

// A sweep with nothing due reads the index and the pauses once, and does nothing else.
func TestIdleSweep(t *testing.T) {
	h := newHarness(t)
	end := h.made()
	before, due, paused := h.Rows.Total(), h.Rows.Count("due"), h.Rows.Count("paused")
	posts, reads := h.Sim.Posts(), h.reads(0)
	h.sweep(time.Hour)
	if got := h.Rows.Total() - before; got != 2 || h.Rows.Count("due") != due+1 || h.Rows.Count("paused") != paused+1 {
		t.Errorf("%d calls of the store, %d of them of the index; want one, and one of the pauses", got, h.Rows.Count("due")-due)
	}
	if h.Sim.Posts() != posts || h.reads(0) != reads || h.task(end.ID).Version != end.Version {
		t.Error("it asked the provider, or wrote the row")
	}
}

// Without any callback the sweep finishes every task, and reads no record twice within
// 30 s.
func TestSweepAlone(t *testing.T) {
	h := newHarness(t)
	var ids []string
	for range 5 {
		ids = append(ids, h.submit().ID)
	}
	h.sweep(39 * time.Second)
	for i := range ids {
		if n := len(h.generated(i).Reads); n != 0 {
			t.Errorf("task %d was read %d times before 40 s", i, n)
		}
	}
	for _, id := range ids {
		h.until(id, task.Succeeded, 10*time.Minute)
	}
	h.posted(5)
}

// Records are read at the times of docs/decisions/claimed-reads.md, and overlapping
// sweeps read each once.
func TestPace(t *testing.T) {
	h := newHarness(t, func(k *nanobananatest.Knobs) { k.Delay = nanobananatest.Duration(time.Hour) })
	h.Sim.Now = h.Clock.Now
	h.submit()
	for range 3 * 60 * 10 { // three hours, every 6 s, two sweeps at once
		h.Clock.Add(6 * time.Second)
		var wg sync.WaitGroup
		for range 2 {
			wg.Go(func() { h.sweep(0) })
		}
		wg.Wait()
	}
	reads := h.Sim.Tasks()[0].Reads
	begun := h.Clock.Now().Add(-3 * time.Hour)
	gap := func(age time.Duration) time.Duration {
		switch {
		case age < 10*time.Minute:
			return 36 * time.Second
		case age < 2*time.Hour:
			return 5 * time.Minute
		}
		return 30 * time.Minute
	}
	if len(reads) == 0 || reads[0].Sub(begun) != 42*time.Second {
		t.Fatalf("%d reads, the first after %v; want one after 42 s", len(reads), reads[0].Sub(begun))
	}
	for i := 1; i < len(reads); i++ {
		want := gap(reads[i-1].Sub(begun))
		if got := reads[i].Sub(reads[i-1]); got < want || got > want+6*time.Second {
			t.Errorf("read %d came %v after the one before, want %v", i, got, want)
		}
	}
	if n := len(reads); n < 15+22+2 || n > 45 {
		t.Errorf("%d reads in three hours", n)
	}
}

// A bad row stops neither the sweep nor the others, and is due again later.
func TestSweepSurvives(t *testing.T) {
	for name, spoil := range map[string]func() error{
		"error": func() error { return errStore },
		"panic": func() error { panic("a bad row") },
	} {
		t.Run(name, func(t *testing.T) {
			h := newHarness(t, fault(nanobananatest.Fault{Kind: nanobananatest.FaultStatus, Code: 455, Times: 3}))
			bad, good, foreign := h.submit(), h.submit(), h.submit()
			h.Rows.Fail(func(call string, x *task.Task) error {
				if call == "put" && x.ID == bad.ID && x.Status == task.Submitting {
					return spoil()
				}
				return nil
			}, nil)
			strange := h.task(foreign.ID).Clone()
			strange.Status, strange.Version = "from-the-future", strange.Version+1
			if _, err := h.Rows.Store.Put(t.Context(), strange); err != nil {
				t.Fatal(err)
			}
			h.Clock.Add(2 * time.Minute)
			swept, err := h.Sweep(t.Context())
			if err != nil || swept.Done != 3 || swept.Failed != 1 {
				t.Errorf("swept %+v, %v; want 3 done and 1 failed", swept, err)
			}
			h.expect(good.ID, task.Generating, "")
			x := h.expect(bad.ID, task.Waiting, "")
			if x.DueAt.Sub(h.Now()) != time.Minute {
				t.Errorf("due in %v, want a minute", x.DueAt.Sub(h.Now()))
			}
			if h.task(foreign.ID).Version != strange.Version {
				t.Error("a row of a newer release was written")
			}
			h.Rows.Fail(nil, nil)
			h.sweep(time.Minute)
			h.expect(bad.ID, task.Generating, "")
			h.posted(5)
		})
	}
}

func TestSweepWithoutStore(t *testing.T) {
	h := newHarness(t)
	got := h.submit()
	h.Rows.Fail(always(errStore), nil)
	h.Clock.Add(2 * time.Minute)
	if _, err := h.Sweep(t.Context()); err == nil {
		t.Error("no error, though the index cannot be read")
	}
	h.Rows.Fail(nil, nil)
	h.until(got.ID, task.Succeeded, 10*time.Minute)
}

// However the record fails, the task goes on until it can be read.
func TestRecordFaults(t *testing.T) {
	seven := 7
	knobs := map[string]func(*nanobananatest.Knobs){
		"500": func(k *nanobananatest.Knobs) {
			k.Record = nanobananatest.Fault{Kind: nanobananatest.FaultStatus, Code: 500}
		},
		"404":       func(k *nanobananatest.Knobs) { k.RecordHiddenFor = nanobananatest.Duration(20 * time.Minute) },
		"HTML":      func(k *nanobananatest.Knobs) { k.Record = nanobananatest.Fault{Kind: nanobananatest.FaultHTML} },
		"reset":     func(k *nanobananatest.Knobs) { k.Record = nanobananatest.Fault{Kind: nanobananatest.FaultReset} },
		"truncated": func(k *nanobananatest.Knobs) { k.Record = nanobananatest.Fault{Kind: nanobananatest.FaultTruncated} },
		"flag 7":    func(k *nanobananatest.Knobs) { k.RecordFlag = &seven },
	}
	for name, change := range knobs {
		t.Run(name, func(t *testing.T) {
			h := newHarness(t)
			h.Sim.Now = h.Clock.Now
			h.Sim.SetKnobs(change)
			got := h.submit()
			h.generated(0)
			for range 19 {
				h.sweep(time.Minute)
			}
			h.expect(got.ID, task.Generating, "")
			h.Sim.SetKnobs(func(k *nanobananatest.Knobs) { k.Record, k.RecordFlag = nanobananatest.Fault{}, nil })
			h.until(got.ID, task.Succeeded, time.Hour)
		})
	}
}

// A task whose record can never be read ends all the same.
func TestRecordGone(t *testing.T) {
	h := newHarness(t, func(k *nanobananatest.Knobs) { k.Record = nanobananatest.Fault{Kind: nanobananatest.FaultHTML} })
	h.Quota = 1
	got := h.submit()
	for range 23*6 + 5 {
		h.sweep(10 * time.Minute)
	}
	h.expect(got.ID, task.Generating, "")
	for range 30 {
		h.sweep(time.Minute)
	}
	end := h.expect(got.ID, task.Failed, task.CodeTimedOut)
	if used, _ := h.Rows.UsedImages(t.Context(), owner, end.Quota.Day); used != 0 {
		t.Errorf("used is %d, want it returned", used)
	}
}

// A success counts even if the record takes it back later.
func TestRecordFlips(t *testing.T) {
	h := newHarness(t, func(k *nanobananatest.Knobs) { k.RecordFlips = true })
	got := h.submit()
	h.generated(0)
	h.until(got.ID, task.Succeeded, 10*time.Minute)
}

// If a record has fewer pictures than ordered, it is read once more; then they count.
func TestShort(t *testing.T) {
	h := newHarness(t, func(k *nanobananatest.Knobs) { k.ShortBy = 1 })
	got := h.submit(func(o *lifecycle.Order) { o.Request.NumImages = 3 })
	made := h.generated(0)
	h.settle(got.ID, callbackBody(made.ID, 200, made.URLs...))
	h.expect(got.ID, task.Generating, "")
	end := h.until(got.ID, task.Succeeded, 10*time.Minute)
	if len(end.Images) != 2 || end.Missing != 1 || h.reads(0) != 2 {
		t.Errorf("%d images, %d missing, %d reads; want 2, 1, 2", len(end.Images), end.Missing, h.reads(0))
	}
}
