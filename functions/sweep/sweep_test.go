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

	if swept, err := run(t.Context(), sweep.Event{}); err != nil || swept != (lifecycle.Swept{}) {
		t.Errorf("at once: %+v, %v", swept, err)
	}
	if logged := w.Logged.Take(); logged != "" {
		t.Errorf("a sweep that had nothing to do logged %s", logged)
	}
	w.Clock.Add(2 * time.Minute)
	if swept, err := run(t.Context(), sweep.Event{}); err != nil || swept.Done != 1 || swept.Failed != 0 {
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
	if _, err := sweep.New(sweep.Function{Service: w.Service, Log: w.Log})(t.Context(), sweep.Event{}); err == nil {
		t.Error("no error")
	}
}

// One task that fails is counted and comes again a minute later; it stops
// neither the sweep nor the others.
func TestOneFails(t *testing.T) {
	w := lifecycletest.New(t)
	var ids []string
	for i := range 2 {
		got, _, err := w.Submit(t.Context(), lifecycle.Order{Owner: "ada", Request: task.Request{Prompt: "a lighthouse", NumImages: 1}})
		if err != nil {
			t.Fatal(err)
		}
		w.Generated(t, i)
		ids = append(ids, got.ID)
	}
	w.Clock.Add(2 * time.Minute)
	failing := true
	w.Rows.Fail(func(call string, x *task.Task) error {
		if call == "put" && x.ID == ids[0] && failing {
			failing = false // its postponement is written
			panic("out of order")
		}
		return nil
	}, nil)
	w.Logged.Take()
	if swept, err := sweep.New(sweep.Function{Service: w.Service, Log: w.Log})(t.Context(), sweep.Event{}); err != nil || swept != (lifecycle.Swept{Done: 2, Failed: 1}) {
		t.Errorf("%+v, %v", swept, err)
	}
	for id, want := range map[string]task.Status{ids[0]: task.Generating, ids[1]: task.Storing} {
		if x, err := w.Rows.Task(t.Context(), id); err != nil || x.Status != want || !x.DueAt.After(w.Now()) {
			t.Errorf("want %s: %+v, %v", want, x, err)
		}
	}
	if logged := w.Logged.Take(); !strings.Contains(logged, `"failed":1`) || !strings.Contains(logged, ids[0]) {
		t.Errorf("logged %s", logged)
	}
}

// By the operator's word notices are taken up again that were given up, and
// what is due waits for the schedule.
func TestRedrive(t *testing.T) {
	w := lifecycletest.New(t)
	w.Rules.Notify, w.Ingester.Rules.Notify = true, true
	run := sweep.New(sweep.Function{Service: w.Service, Log: w.Log})
	x := w.Succeeded(t, "ada")
	for range 50 { // nobody is there to tell it
		if x.Work == "" {
			break
		}
		w.Clock.Add(x.DueAt.Sub(w.Now()))
		if _, err := run(t.Context(), sweep.Event{}); err != nil {
			t.Fatal(err)
		}
		x = row(t, w, x.ID)
	}
	if x.NoticeGivenUpAt.IsZero() {
		t.Fatalf("it is not given up: %+v", x)
	}
	due := w.Ordered(t, "ada", 1)
	w.Clock.Add(time.Hour)
	if done, err := run(t.Context(), sweep.Event{Redrive: []string{x.ID}}); err != nil || done != (lifecycle.Swept{Done: 1}) {
		t.Errorf("%+v, %v", done, err)
	}
	if after := row(t, w, x.ID); after.Work != task.Notify || !after.NoticeGivenUpAt.IsZero() {
		t.Errorf("work %q, given up at %v", after.Work, after.NoticeGivenUpAt)
	}
	if after := row(t, w, due.ID); after.Version != due.Version {
		t.Error("what is due was done, too")
	}
}

func row(t *testing.T, w *lifecycletest.World, id string) *task.Task {
	t.Helper()
	x, err := w.Rows.Task(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	return x
}
