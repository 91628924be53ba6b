package task_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/preset/nanobanana-functions/shared/task"
)

func TestTiming(t *testing.T) {
	created := time.Date(2026, 3, 14, 12, 0, 0, 0, time.UTC)
	kept, slots := 0, map[int]bool{}
	for n := range 1000 {
		x := &task.Task{
			ID: task.NewID("ada", fmt.Sprint(n)), Status: task.Succeeded, CreatedAt: created, EndedAt: created.Add(23400 * time.Millisecond),
			Request: task.Request{Model: "nano-banana-2", Resolution: "2K"},
		}
		timing, ok := x.Timing()
		if again, same := x.Timing(); again != timing || same != ok {
			t.Fatalf("%s is timed as %v, then as %v", x.ID, timing, again)
		}
		if !ok {
			continue
		}
		kept++
		slots[timing.Slot] = true
		if timing.Kind != "nano-banana-2/2K" || timing.Seconds != 23 || timing.Slot < 0 || timing.Slot >= task.TimingSlots {
			t.Errorf("%+v", timing)
		}
		x.Missing = 1
		if _, ok := x.Timing(); ok {
			t.Error("a partial success is timed, although it waited for its deadline")
		}
		x.Missing, x.Status = 0, task.Failed
		if _, ok := x.Timing(); ok {
			t.Error("a failure is timed")
		}
	}
	if kept < 200 || kept > 300 || len(slots) != task.TimingSlots {
		t.Errorf("%d of 1000 are timed, in %d slots; want a quarter, in %d", kept, len(slots), task.TimingSlots)
	}
}

// timingStore is a Store with only timings.
type timingStore struct {
	task.Store
	timings map[string][]int
	err     error
	reads   int
}

func (s *timingStore) Timings(context.Context) (map[string][]int, error) {
	s.reads++
	return s.timings, s.err
}

func TestDurations(t *testing.T) {
	now := time.Date(2026, 3, 14, 12, 0, 0, 0, time.UTC)
	s := &timingStore{timings: map[string][]int{"nano-banana": {31, 300, 30}, "nano-banana-2/1K": {50, 51}, "nano-banana-2/2K": {70, 60, 50, 40}}}
	p := &task.Durations{Store: s, Now: func() time.Time { return now }}
	want := func(seconds int, model, resolution string) {
		t.Helper()
		if got := p.Expected(t.Context(), model, resolution); got != seconds {
			t.Errorf("%s %s takes %d s, want %d", model, resolution, got, seconds)
		}
	}
	want(31, "nano-banana", "")
	want(40, "nano-banana-2", "1K") // two are too few for a median
	want(60, "nano-banana-2", "2K")
	want(90, "nano-banana-pro", "4K")
	want(20, "of-a-newer-release", "")

	s.timings = map[string][]int{"nano-banana": {9, 9, 9}}
	now = now.Add(59 * time.Second)
	want(31, "nano-banana", "")
	if s.reads != 1 {
		t.Errorf("%d reads within a minute", s.reads)
	}
	now = now.Add(time.Second)
	s.err = errors.New("down")
	want(31, "nano-banana", "") // the last medians stay
	want(31, "nano-banana", "")
	if s.reads != 2 {
		t.Errorf("%d reads while the store is down", s.reads)
	}
	now = now.Add(time.Minute)
	s.err = nil
	want(9, "nano-banana", "")
}
