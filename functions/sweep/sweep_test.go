package sweep_test

import (
	"strings"
	"testing"
	"time"

	"github.com/preset/nanobanana-functions/functions/sweep"
	"github.com/preset/nanobanana-functions/shared/lifecycle"
	"github.com/preset/nanobanana-functions/shared/lifecycle/lifecycletest"
	"github.com/preset/nanobanana-functions/shared/task"
)

func TestSweep(t *testing.T) {
	w := lifecycletest.New(t)
	run := sweep.New(sweep.Function{Service: w.Service, Log: w.Log})
	got, _, err := w.Submit(t.Context(), lifecycle.Order{Owner: "ada", Request: task.Request{Prompt: "a lighthouse", NumImages: 1}})
	if err != nil {
		t.Fatal(err)
	}
	w.Generated(t, 0)
	w.Logged.Take()

	if swept, err := run(t.Context()); err != nil || swept != (lifecycle.Swept{}) {
		t.Errorf("at once: %+v, %v", swept, err)
	}
	if logged := w.Logged.Take(); logged != "" {
		t.Errorf("a sweep that had nothing to do logged %s", logged)
	}
	w.Clock.Add(2 * time.Minute)
	if swept, err := run(t.Context()); err != nil || swept.Done != 1 || swept.Failed != 0 {
		t.Errorf("when it is due: %+v, %v", swept, err)
	}
	if x, err := w.Rows.Task(t.Context(), got.ID); err != nil || x.Status != task.Storing {
		t.Errorf("task: %+v, %v", x, err)
	}
	if logged := w.Logged.Take(); !strings.Contains(logged, `"done":1`) {
		t.Errorf("logged %s", logged)
	}
}

// The index cannot be read: the schedule sees a failed run.
func TestSweepFails(t *testing.T) {
	w := lifecycletest.New(t)
	w.Rows.Fail(func(string, *task.Task) error { return lifecycletest.ErrStore }, nil)
	if _, err := sweep.New(sweep.Function{Service: w.Service, Log: w.Log})(t.Context()); err == nil {
		t.Error("no error")
	}
}
