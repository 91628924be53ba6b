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

// keyed gives an order a key by which its task is timed, or is not.
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

// Ingest keeps how long a task took, of one in four.
func TestIngestTimes(t *testing.T) {
	w := newWorld(t)
	got, _ := w.storing(keyed(true))
	w.Clock.Add(31 * time.Second)
	w.work(got.ID)
	end := w.expect(got.ID, task.Succeeded, "")
	timing, _ := end.Timing()
	timings, err := w.Rows.Timings(t.Context())
	if err != nil || len(timings) != 1 || len(timings[end.Model]) != 1 || timings[end.Model][0] != timing.Seconds || timing.Seconds < 31 {
		t.Errorf("the timings are %v, %v; want %+v", timings, err, timing)
	}
	other, _ := w.storing(keyed(false))
	w.work(other.ID)
	w.expect(other.ID, task.Succeeded, "")
	if timings, err := w.Rows.Timings(t.Context()); err != nil || len(timings[end.Model]) != 1 {
		t.Errorf("the timings are %v, %v", timings, err)
	}
}

// timeless is a store that keeps no timings.
type timeless struct{ task.Store }

func (timeless) SetTiming(context.Context, task.Timing) error { return errors.New("away") }

// A timing that cannot be kept is no concern of the task's.
func TestIngestTimingFails(t *testing.T) {
	w := newWorld(t)
	got, _ := w.storing(keyed(true))
	w.Ingester.Store = timeless{w.Ingester.Store}
	if err := w.Ingester.Ingest(t.Context(), got.ID); err != nil {
		t.Error(err)
	}
	w.expect(got.ID, task.Succeeded, "")
}
