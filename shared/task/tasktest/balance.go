package tasktest

import (
	"reflect"
	"testing"
	"time"

	"github.com/preset/nanobanana-functions/shared/task"
)

// testBalance stores one balance after another: the newest stays.
func testBalance(t *testing.T, h Harness) {
	if b, err := h.Store.Balance(t.Context()); b != (task.Balance{}) || err != nil {
		t.Errorf("at first: %+v, %v", b, err)
	}
	first := task.Balance{Credits: 1234.125, AsOf: start.Add(time.Millisecond), Level: task.LevelFine, Since: start.Add(-time.Hour)}
	later := task.Balance{Credits: -3.5, AsOf: start.Add(time.Minute), Level: task.LevelEmpty}
	huge := task.Balance{Credits: 1e15, AsOf: start.Add(time.Hour), Level: "a newer release's", Since: start, Unsure: true}
	for _, step := range []struct{ set, want task.Balance }{
		{first, first}, {later, later},
		{first, later}, // an older check that comes late
		{task.Balance{Credits: 9, AsOf: later.AsOf}, later},
		{huge, huge},
	} {
		if err := h.Store.SetBalance(t.Context(), step.set); err != nil {
			t.Fatalf("%+v: %v", step.set, err)
		}
		if b, err := h.Store.Balance(t.Context()); b != step.want || err != nil {
			t.Errorf("after %+v: %+v, %v; want %+v", step.set, b, err, step.want)
		}
	}
	for id, err := range h.Store.Due(t.Context(), start.Add(1000*time.Hour)) {
		t.Errorf("the balance is due as a task: %q, %v", id, err)
	}
	if paused, err := h.Store.Paused(t.Context()); !reflect.DeepEqual(paused, task.Pauses{}) || err != nil {
		t.Errorf("the balance pauses sweeps: %v, %v", paused, err)
	}
}
