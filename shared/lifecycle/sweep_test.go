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

// A sweep with nothing due reads the index once, and does nothing else.
func TestIdleSweep(t *testing.T) {
	h := newHarness(t)
	end := h.made()
	before, due := h.Rows.Total(), h.Rows.Count("due")
	posts, reads := h.Sim.Posts(), h.reads(0)
	h.sweep(time.Hour)
	if got := h.Rows.Total() - before; got != 1 || h.Rows.Count("due") != due+1 {
		t.Errorf("%d calls of the store, %d of them of the index; want one", got, h.Rows.Count("due")-due)
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
	h.sweep(89 * time.Second)
	for i := range ids {
		if n := len(h.generated(i).Reads); n != 0 {
			t.Errorf("task %d was read %d times before 90 s", i, n)
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

// A 429 to a read pauses the reads of all tasks, and only reads.
func TestPause(t *testing.T) {
	h := newHarness(t)
	for range 3 {
		h.submit()
	}
	h.Sim.SetKnobs(func(k *nanobananatest.Knobs) {
		k.Record = nanobananatest.Fault{Kind: nanobananatest.FaultStatus, Code: 429, RetryAfter: nanobananatest.Duration(time.Hour), Times: 3}
	})
	h.sweep(90 * time.Second)
	reads := func() (n int) {
		for _, made := range h.Sim.Tasks() {
			n += len(made.Reads)
		}
		return n
	}
	paused := reads()
	if paused < 1 || paused > 3 {
		t.Fatalf("%d reads", paused)
	}
	for range 4 {
		h.sweep(time.Minute)
	}
	if n := reads(); n != paused {
		t.Errorf("%d reads during the pause", n-paused)
	}
	h.submit() // POSTs are not paused
	h.posted(4)
	h.sweep(time.Minute) // a pause lasts five minutes at most
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
			h := newHarness(t, fault(test.fault))
			h.submit()
			paused := func(want time.Duration) {
				t.Helper()
				p, err := h.Rows.Paused(t.Context())
				if got := p.Posts.Sub(h.Now()); err != nil || want == 0 && !p.Posts.IsZero() || want > 0 && got != want || !p.Reads.IsZero() {
					t.Errorf("paused until %v, %v; want in %v", p, err, want)
				}
			}
			paused(test.rest)
			if test.rest == 0 {
				return
			}
			h.Clock.Add(time.Hour)
			h.Sim.SetKnobs(fault(test.fault))
			h.sweep(0) // posts, is refused, and pauses
			h.posted(2)
			paused(test.rest)
		})
	}
}

// A sweep waits until a pause of POSTs ends, if that is within its minute.
func TestSweepWaitsWhilePostsArePaused(t *testing.T) {
	for rest, sends := range map[time.Duration]bool{0: true, 30 * time.Second: true, 59 * time.Second: true, time.Minute: false, 5 * time.Minute: false} {
		h := newHarness(t, fault(nanobananatest.Fault{Kind: nanobananatest.FaultStatus, Code: 429, Times: 1}))
		var slept time.Duration
		h.Sleep = func(_ context.Context, d time.Duration) error {
			slept += d
			h.Clock.Add(d)
			return nil
		}
		waits := h.submit()
		h.Clock.Add(2 * time.Minute)
		if err := h.Rows.Pause(t.Context(), task.Posts, h.Now().Add(rest)); err != nil {
			t.Fatal(err)
		}
		h.sweep(0)
		status, wait := task.Waiting, time.Duration(0)
		if sends {
			status, wait = task.Generating, rest
		}
		h.expect(waits.ID, status, "")
		if slept != wait {
			t.Errorf("with POSTs paused for %v, the sweep waited %v, want %v", rest, slept, wait)
		}
	}
}

// A sweep waits no longer than until the next one begins: where only a few may run at
// once, waiting ones would hold up everything else that is due.
func TestSweepWaitsUntilTheNext(t *testing.T) {
	for rest, sends := range map[time.Duration]bool{4 * time.Second: true, 5 * time.Second: false, 30 * time.Second: false} {
		h := newHarness(t, fault(nanobananatest.Fault{Kind: nanobananatest.FaultStatus, Code: 429, Times: 1}))
		h.PostTime = 5 * time.Second
		h.Sleep = func(_ context.Context, d time.Duration) error {
			h.Clock.Add(d)
			return nil
		}
		waits := h.submit()
		h.Clock.Add(2 * time.Minute)
		if err := h.Rows.Pause(t.Context(), task.Posts, h.Now().Add(rest)); err != nil {
			t.Fatal(err)
		}
		begun := h.Now()
		h.sweep(0)
		status, wait := task.Waiting, time.Duration(0)
		if sends {
			status, wait = task.Generating, rest
		}
		h.expect(waits.ID, status, "")
		if took := h.Now().Sub(begun); took != wait {
			t.Errorf("with POSTs paused for %v, the sweep waited %v, want %v", rest, took, wait)
		}
	}
}

// The pauses of reads and of POSTs are independent.
func TestPausesAreIndependent(t *testing.T) {
	for _, kind := range []task.Calls{task.Reads, task.Posts} {
		h := newHarness(t)
		runs := h.submit()
		h.generated(0)
		h.Sim.SetKnobs(fault(nanobananatest.Fault{Kind: nanobananatest.FaultStatus, Code: 429, Times: 1}))
		waits := h.submit()
		h.Clock.Add(2 * time.Minute)
		if err := h.Rows.Pause(t.Context(), kind, h.Now().Add(5*time.Minute)); err != nil {
			t.Fatal(err)
		}
		h.sweep(0)
		if kind == task.Reads {
			h.expect(runs.ID, task.Generating, "")
			h.expect(waits.ID, task.Generating, "")
		} else {
			h.expect(runs.ID, task.Storing, "")
			h.expect(waits.ID, task.Waiting, "")
		}
	}
}

// While reads are paused, a wake reads no record and claims no read: the next wake may.
func TestWakeWhileReadsArePaused(t *testing.T) {
	h := newHarness(t)
	got, _ := h.storing()
	before := h.task(got.ID)
	reads := h.reads(0)
	h.Clock.Add(before.DueAt.Sub(h.Now()))
	if err := h.Rows.Pause(t.Context(), task.Reads, h.Now().Add(time.Second)); err != nil {
		t.Fatal(err)
	}
	h.sweep(0)
	after := h.task(got.ID)
	if h.reads(0) != reads || !after.ReadAt.Equal(before.ReadAt) || after.Tries != before.Tries+1 {
		t.Errorf("%d reads; read at %v, before %v; %d tries", h.reads(0)-reads, after.ReadAt, before.ReadAt, after.Tries)
	}
	h.sweep(after.DueAt.Sub(h.Now()))
	if after := h.task(got.ID); h.reads(0) != reads+1 || !after.ReadAt.Equal(h.Now()) {
		t.Errorf("after the pause: %d reads, read at %v", h.reads(0)-reads, after.ReadAt)
	}
}

// Wakes read records at the sweep's rate. If the turn to read does not come, the wake
// still wakes its task, and claims no read.
func TestWakesKeepTheRate(t *testing.T) {
	h := newHarness(t)
	var ids []string
	for range 3 {
		got, _ := h.storing()
		ids = append(ids, got.ID)
	}
	reads := func() (n int) {
		for i := range ids {
			n += h.reads(i)
		}
		return n
	}
	before := reads()
	h.Rate = rate.NewLimiter(rate.Every(time.Hour), 2) // two turns in the sweep's time
	h.Clock.Add(2 * time.Minute)
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	if _, err := h.Sweep(ctx); err != nil {
		t.Fatal(err)
	}
	if n := reads() - before; n != 2 {
		t.Errorf("%d reads, want 2", n)
	}
	claimed := 0
	for _, id := range ids {
		x := h.task(id)
		if x.Tries != 2 || x.Work != task.Ingest {
			t.Errorf("not woken: %d tries, work %q", x.Tries, x.Work)
		}
		if x.ReadAt.Equal(h.Now()) {
			claimed++
		}
	}
	if claimed != 2 {
		t.Errorf("%d reads claimed, want 2", claimed)
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
