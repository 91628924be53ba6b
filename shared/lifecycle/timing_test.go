package lifecycle_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/preset/nanobanana-functions/shared/lifecycle"
	"github.com/preset/nanobanana-functions/shared/task"
)

// keyed gives an order a key whose task is timed, or one whose task is not.
func keyed(timed bool) func(*lifecycle.Order) {
	return func(o *lifecycle.Order) {
		for n := 0; ; n++ {
			o.IdempotencyKey = fmt.Sprint(n)
			x := &task.Task{ID: task.NewID(o.Owner, o.IdempotencyKey), Status: task.Succeeded}
			if _, is := x.Timing(); is == timed {
				return
			}
		}
	}
}

// Ingest stores how long a task took, for one task in four.
func TestIngestTimes(t *testing.T) {
	h := newHarness(t)
	got, _ := h.storing(keyed(true))
	h.Clock.Add(31 * time.Second)
	h.work(got.ID)
	end := h.expect(got.ID, task.Succeeded, "")
	timing, _ := end.Timing()
	timings, err := h.Rows.Timings(t.Context())
	if err != nil || len(timings) != 1 || len(timings[end.Model]) != 1 || timings[end.Model][0] != timing.Seconds || timing.Seconds < 31 {
		t.Errorf("the timings are %v, %v; want %+v", timings, err, timing)
	}
	other, _ := h.storing(keyed(false))
	h.work(other.ID)
	h.expect(other.ID, task.Succeeded, "")
	if timings, err := h.Rows.Timings(t.Context()); err != nil || len(timings[end.Model]) != 1 {
		t.Errorf("the timings are %v, %v", timings, err)
	}
}

// timeless is a store that cannot store timings.
type timeless struct{ task.Store }

func (timeless) SetTiming(context.Context, task.Timing) error { return errors.New("unavailable") }

// A task succeeds even if its timing cannot be stored.
func TestIngestTimingFails(t *testing.T) {
	h := newHarness(t)
	got, _ := h.storing(keyed(true))
	h.Ingester.Store = timeless{h.Ingester.Store}
	if err := h.Ingester.Ingest(t.Context(), got.ID); err != nil {
		t.Error(err)
	}
	h.expect(got.ID, task.Succeeded, "")
}
