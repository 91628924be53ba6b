package lifecycle_test

import (
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/preset/nanobanana-functions/shared/lifecycle"
	"github.com/preset/nanobanana-functions/shared/nanobanana/nanobananatest"
	"github.com/preset/nanobanana-functions/shared/task"
)

// A sweep with nothing due reads the index once, and nothing else.
func TestIdleSweep(t *testing.T) {
	w := newWorld(t)
	end := w.made()
	before, due := w.Rows.Total(), w.Rows.Count("due")
	posts, reads := w.Sim.Posts(), w.reads(0)
	w.sweep(time.Hour)
	if got := w.Rows.Total() - before; got != 1 || w.Rows.Count("due") != due+1 {
		t.Errorf("%d calls of the store, %d of them of the index; want one", got, w.Rows.Count("due")-due)
	}
	if w.Sim.Posts() != posts || w.reads(0) != reads || w.task(end.ID).Version != end.Version {
		t.Error("it asked the provider, or wrote the row")
	}
}

// With every callback lost the sweep finishes all, and reads no record twice
// within 30 s.
func TestSweepAlone(t *testing.T) {
	w := newWorld(t)
	var ids []string
	for range 5 {
		ids = append(ids, w.submit().ID)
	}
	w.sweep(89 * time.Second)
	for i := range ids {
		if n := len(w.generated(i).Reads); n != 0 {
			t.Errorf("task %d was read %d times before 90 s", i, n)
		}
	}
	for _, id := range ids {
		w.until(id, task.Succeeded, 10*time.Minute)
	}
	w.posted(5)
}

// Records are read when the design says so, and sweeps that overlap read each
// once.
func TestPace(t *testing.T) {
	w := newWorld(t, func(k *nanobananatest.Knobs) { k.Delay = nanobananatest.Duration(time.Hour) })
	w.Sim.Now = w.Clock.Now
	w.submit()
	for range 3 * 60 * 10 { // three hours, every 6 s, two sweeps at once
		w.Clock.Add(6 * time.Second)
		var wg sync.WaitGroup
		for range 2 {
			wg.Go(func() { w.sweep(0) })
		}
		wg.Wait()
	}
	reads := w.Sim.Tasks()[0].Reads
	begun := w.Clock.Now().Add(-3 * time.Hour)
	gap := func(age time.Duration) time.Duration {
		switch {
		case age < 10*time.Minute:
			return 36 * time.Second
		case age < 2*time.Hour:
			return 5 * time.Minute
		}
		return 30 * time.Minute
	}
	if len(reads) == 0 || reads[0].Sub(begun) != 90*time.Second {
		t.Fatalf("%d reads, the first after %v; want one after 90 s", len(reads), reads[0].Sub(begun))
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

// The oldest first, and with as little patience as the rate allows.
func TestSweepOrder(t *testing.T) {
	w := newWorld(t, fault(nanobananatest.Fault{Kind: nanobananatest.FaultStatus, Code: 455}))
	var ids []string
	for range 30 {
		ids = append(ids, w.submit().ID)
		w.Clock.Add(time.Second)
	}
	var due []string
	for id, err := range w.Rows.Due(t.Context(), w.Now().Add(time.Hour)) {
		if err != nil {
			t.Fatal(err)
		}
		due = append(due, id)
	}
	if !slices.Equal(due, ids) {
		t.Errorf("due %v, want %v", due, ids)
	}
	w.Sim.SetKnobs(fault(nanobananatest.Fault{}))
	w.sweep(time.Hour)
	for _, id := range ids {
		w.expect(id, task.Generating, "")
	}
	w.posted(60)
}

// One bad row stops neither the sweep nor the others, and comes again later.
func TestSweepSurvives(t *testing.T) {
	for name, spoil := range map[string]func() error{
		"error": func() error { return errStore },
		"panic": func() error { panic("a bad row") },
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, fault(nanobananatest.Fault{Kind: nanobananatest.FaultStatus, Code: 455, Times: 3}))
			bad, good, foreign := w.submit(), w.submit(), w.submit()
			w.Rows.Fail(func(call string, x *task.Task) error {
				if call == "put" && x.ID == bad.ID && x.Status == task.Submitting {
					return spoil()
				}
				return nil
			}, nil)
			strange := w.task(foreign.ID).Clone()
			strange.Status, strange.Version = "from-the-future", strange.Version+1
			if _, err := w.Rows.Store.Put(t.Context(), strange); err != nil {
				t.Fatal(err)
			}
			w.Clock.Add(2 * time.Minute)
			swept, err := w.Sweep(t.Context())
			if err != nil || swept.Done != 3 || swept.Failed != 1 {
				t.Errorf("swept %+v, %v; want 3 done and 1 failed", swept, err)
			}
			w.expect(good.ID, task.Generating, "")
			x := w.expect(bad.ID, task.Waiting, "")
			if x.DueAt.Sub(w.Now()) != time.Minute {
				t.Errorf("due in %v, want a minute", x.DueAt.Sub(w.Now()))
			}
			if w.task(foreign.ID).Version != strange.Version {
				t.Error("a row of a newer release was written")
			}
			w.Rows.Fail(nil, nil)
			w.sweep(time.Minute)
			w.expect(bad.ID, task.Generating, "")
			w.posted(5)
		})
	}
}

func TestSweepWithoutStore(t *testing.T) {
	w := newWorld(t)
	got := w.submit()
	w.Rows.Fail(always(errStore), nil)
	w.Clock.Add(2 * time.Minute)
	if _, err := w.Sweep(t.Context()); err == nil {
		t.Error("a sweep without its index is no success")
	}
	w.Rows.Fail(nil, nil)
	w.until(got.ID, task.Succeeded, 10*time.Minute)
}

// The record fails in every way: the task stays, until it can be read.
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
			w := newWorld(t)
			w.Sim.Now = w.Clock.Now
			w.Sim.SetKnobs(change)
			got := w.submit()
			w.generated(0)
			for range 19 {
				w.sweep(time.Minute)
			}
			w.expect(got.ID, task.Generating, "")
			w.Sim.SetKnobs(func(k *nanobananatest.Knobs) { k.Record, k.RecordFlag = nanobananatest.Fault{}, nil })
			w.until(got.ID, task.Succeeded, time.Hour)
		})
	}
}

// A record that can never be read does not keep the task for ever.
func TestRecordGone(t *testing.T) {
	w := newWorld(t, func(k *nanobananatest.Knobs) { k.Record = nanobananatest.Fault{Kind: nanobananatest.FaultHTML} })
	w.Quota = 1
	got := w.submit()
	for range 23*6 + 5 {
		w.sweep(10 * time.Minute)
	}
	w.expect(got.ID, task.Generating, "")
	for range 30 {
		w.sweep(time.Minute)
	}
	end := w.expect(got.ID, task.Failed, task.CodeTimedOut)
	if used, _ := w.Rows.Used(t.Context(), owner, end.Quota.Day); used != 0 {
		t.Errorf("used is %d, want it given back", used)
	}
}

// One 429 pauses the reads of all tasks, and reads alone.
func TestPause(t *testing.T) {
	w := newWorld(t)
	for range 3 {
		w.submit()
	}
	w.Sim.SetKnobs(func(k *nanobananatest.Knobs) {
		k.Record = nanobananatest.Fault{Kind: nanobananatest.FaultStatus, Code: 429, RetryAfter: nanobananatest.Duration(time.Hour), Times: 3}
	})
	w.sweep(90 * time.Second)
	reads := func() (n int) {
		for _, made := range w.Sim.Tasks() {
			n += len(made.Reads)
		}
		return n
	}
	paused := reads()
	if paused < 1 || paused > 3 {
		t.Fatalf("%d reads", paused)
	}
	for range 4 {
		w.sweep(time.Minute)
	}
	if n := reads(); n != paused {
		t.Errorf("%d reads during the pause", n-paused)
	}
	w.submit() // is not paused
	w.posted(4)
	w.sweep(time.Minute) // Retry-After counts for five minutes at most
	if reads() == paused {
		t.Error("no reads after the pause")
	}
}

// A record that takes its success back has been believed already.
func TestRecordFlips(t *testing.T) {
	w := newWorld(t, func(k *nanobananatest.Knobs) { k.RecordFlips = true })
	got := w.submit()
	w.generated(0)
	w.until(got.ID, task.Succeeded, 10*time.Minute)
}

// Fewer pictures than asked for: the record is read once more, then they count.
func TestShort(t *testing.T) {
	w := newWorld(t, func(k *nanobananatest.Knobs) { k.ShortBy = 1 })
	got := w.submit(func(o *lifecycle.Order) { o.Request.NumImages = 3 })
	made := w.generated(0)
	w.settle(got.ID, said(made.ID, 200, made.URLs...))
	w.expect(got.ID, task.Generating, "")
	end := w.until(got.ID, task.Succeeded, 10*time.Minute)
	if len(end.Images) != 2 || end.Missing != 1 || w.reads(0) != 2 {
		t.Errorf("%d images, %d missing, %d reads; want 2, 1, 2", len(end.Images), end.Missing, w.reads(0))
	}
}
