package lifecycle_test

import (
	"context"
	"sync"
	"testing"
	"time"

	"golang.org/x/time/rate"

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
	if used, _ := w.Rows.UsedImages(t.Context(), owner, end.Quota.Day); used != 0 {
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

// A 429 or 455 to any POST, a submit's or a sweep's, pauses the POSTs of all
// sweeps: for Retry-After, else 10 s, at most 5 min. Reads go on.
func TestPostsPause(t *testing.T) {
	for name, test := range map[string]struct {
		fault nanobananatest.Fault
		rest  time.Duration
	}{
		"429":                         {nanobananatest.Fault{Kind: nanobananatest.FaultStatus, Code: 429}, 10 * time.Second},
		"455 in the body":             {nanobananatest.Fault{Kind: nanobananatest.FaultCode, Code: 455}, 10 * time.Second},
		"429 with Retry-After":        {nanobananatest.Fault{Kind: nanobananatest.FaultStatus, Code: 429, RetryAfter: nanobananatest.Duration(37 * time.Second)}, 37 * time.Second},
		"429 with a long Retry-After": {nanobananatest.Fault{Kind: nanobananatest.FaultStatus, Code: 429, RetryAfter: nanobananatest.Duration(time.Hour)}, 5 * time.Minute},
		"401":                         {nanobananatest.Fault{Kind: nanobananatest.FaultStatus, Code: 401}, 0},
		"500":                         {nanobananatest.Fault{Kind: nanobananatest.FaultStatus, Code: 500}, 0},
	} {
		t.Run(name, func(t *testing.T) {
			test.fault.Times = 1
			w := newWorld(t, fault(test.fault))
			w.submit()
			paused := func(want time.Duration) {
				t.Helper()
				p, err := w.Rows.Paused(t.Context())
				if got := p.Posts.Sub(w.Now()); err != nil || want == 0 && !p.Posts.IsZero() || want > 0 && got != want || !p.Reads.IsZero() {
					t.Errorf("paused until %v, %v; want in %v", p, err, want)
				}
			}
			paused(test.rest)
			if test.rest == 0 {
				return
			}
			w.Clock.Add(time.Hour)
			w.Sim.SetKnobs(fault(test.fault))
			w.sweep(0) // sends it, is refused, and pauses
			w.posted(2)
			paused(test.rest)
		})
	}
}

// A sweep waits while POSTs are paused, and sends then, if that is within its minute.
func TestSweepWaitsWhilePostsArePaused(t *testing.T) {
	for rest, sends := range map[time.Duration]bool{0: true, 30 * time.Second: true, 59 * time.Second: true, time.Minute: false, 5 * time.Minute: false} {
		w := newWorld(t, fault(nanobananatest.Fault{Kind: nanobananatest.FaultStatus, Code: 429, Times: 1}))
		var slept time.Duration
		w.Sleep = func(_ context.Context, d time.Duration) error {
			slept += d
			w.Clock.Add(d)
			return nil
		}
		waits := w.submit()
		w.Clock.Add(2 * time.Minute)
		if err := w.Rows.Pause(t.Context(), task.Posts, w.Now().Add(rest)); err != nil {
			t.Fatal(err)
		}
		w.sweep(0)
		status, wait := task.Waiting, time.Duration(0)
		if sends {
			status, wait = task.Generating, rest
		}
		w.expect(waits.ID, status, "")
		if slept != wait {
			t.Errorf("POSTs being paused for %v, the sweep waited for %v, want %v", rest, slept, wait)
		}
	}
}

// A sweep does not wait for longer than until the next one begins: where only so many
// may run at once, those that wait would hold up everything else that is due.
func TestSweepWaitsUntilTheNext(t *testing.T) {
	for rest, sends := range map[time.Duration]bool{4 * time.Second: true, 5 * time.Second: false, 30 * time.Second: false} {
		w := newWorld(t, fault(nanobananatest.Fault{Kind: nanobananatest.FaultStatus, Code: 429, Times: 1}))
		w.PostTime = 5 * time.Second
		w.Sleep = func(_ context.Context, d time.Duration) error {
			w.Clock.Add(d)
			return nil
		}
		waits := w.submit()
		w.Clock.Add(2 * time.Minute)
		if err := w.Rows.Pause(t.Context(), task.Posts, w.Now().Add(rest)); err != nil {
			t.Fatal(err)
		}
		begun := w.Now()
		w.sweep(0)
		status, wait := task.Waiting, time.Duration(0)
		if sends {
			status, wait = task.Generating, rest
		}
		w.expect(waits.ID, status, "")
		if took := w.Now().Sub(begun); took != wait {
			t.Errorf("POSTs being paused for %v, the sweep waited for %v, want %v", rest, took, wait)
		}
	}
}

// The two pauses know nothing of each other.
func TestPausesAreApart(t *testing.T) {
	for _, kind := range []task.Calls{task.Reads, task.Posts} {
		w := newWorld(t)
		runs := w.submit()
		w.generated(0)
		w.Sim.SetKnobs(fault(nanobananatest.Fault{Kind: nanobananatest.FaultStatus, Code: 429, Times: 1}))
		waits := w.submit()
		w.Clock.Add(2 * time.Minute)
		if err := w.Rows.Pause(t.Context(), kind, w.Now().Add(5*time.Minute)); err != nil {
			t.Fatal(err)
		}
		w.sweep(0)
		if kind == task.Reads {
			w.expect(runs.ID, task.Generating, "")
			w.expect(waits.ID, task.Generating, "")
		} else {
			w.expect(runs.ID, task.Storing, "")
			w.expect(waits.ID, task.Waiting, "")
		}
	}
}

// A wake reads no record while a 429 pauses that, and has not claimed it then: the
// next wake may.
func TestWakeWhileReadsArePaused(t *testing.T) {
	w := newWorld(t)
	got, _ := w.storing()
	before := w.task(got.ID)
	reads := w.reads(0)
	w.Clock.Add(before.DueAt.Sub(w.Now()))
	if err := w.Rows.Pause(t.Context(), task.Reads, w.Now().Add(time.Second)); err != nil {
		t.Fatal(err)
	}
	w.sweep(0)
	after := w.task(got.ID)
	if w.reads(0) != reads || !after.ReadAt.Equal(before.ReadAt) || after.Tries != before.Tries+1 {
		t.Errorf("%d reads; read at %v, before %v; %d tries", w.reads(0)-reads, after.ReadAt, before.ReadAt, after.Tries)
	}
	w.sweep(after.DueAt.Sub(w.Now()))
	if after := w.task(got.ID); w.reads(0) != reads+1 || !after.ReadAt.Equal(w.Now()) {
		t.Errorf("after the pause: %d reads, read at %v", w.reads(0)-reads, after.ReadAt)
	}
}

// Wakes read records at the sweep's rate. One whose turn does not come wakes its task
// all the same, and has claimed no read.
func TestWakesKeepToTheRate(t *testing.T) {
	w := newWorld(t)
	var ids []string
	for range 3 {
		got, _ := w.storing()
		ids = append(ids, got.ID)
	}
	reads := func() (n int) {
		for i := range ids {
			n += w.reads(i)
		}
		return n
	}
	before := reads()
	w.Rate = rate.NewLimiter(rate.Every(time.Hour), 2) // two turns, and no more in the sweep's time
	w.Clock.Add(2 * time.Minute)
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	if _, err := w.Sweep(ctx); err != nil {
		t.Fatal(err)
	}
	if n := reads() - before; n != 2 {
		t.Errorf("%d reads, want 2", n)
	}
	claimed := 0
	for _, id := range ids {
		x := w.task(id)
		if x.Tries != 2 || x.Work != task.Ingest {
			t.Errorf("not woken: %d tries, work %q", x.Tries, x.Work)
		}
		if x.ReadAt.Equal(w.Now()) {
			claimed++
		}
	}
	if claimed != 2 {
		t.Errorf("%d reads claimed, want 2", claimed)
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
