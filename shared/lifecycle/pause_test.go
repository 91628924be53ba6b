package lifecycle_test

import (
	"context"
	"testing"
	"time"

	"golang.org/x/time/rate"

	"github.com/preset/nanobanana-functions/shared/nanobanana/nanobananatest"
	"github.com/preset/nanobanana-functions/shared/task"
)

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
