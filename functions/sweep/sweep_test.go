package sweep_test

import (
	"encoding/json"
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
	run := sweep.New(sweep.Function{Sweeper: w.Sweeper, Log: w.Log})
	got, _, err := w.Submit(t.Context(), lifecycle.Order{Owner: "ada", Request: task.Request{Prompt: "a lighthouse", NumImages: 1}})
	if err != nil {
		t.Fatal(err)
	}
	w.Generated(t, 0)
	w.Logged.Take()

	if swept, err := run(t.Context()); err != nil || swept != (lifecycle.Swept{}) {
		t.Errorf("at once: %+v, %v", swept, err)
	}
	if line := lastLine(t, w); line.Event != "swept" || line.Level != "INFO" || line.OldestSeconds != 0 || line.Done != 0 {
		t.Errorf("a sweep that had nothing to do logged %+v", line)
	}
	w.Clock.Add(2 * time.Minute)
	if swept, err := run(t.Context()); err != nil || swept.Done != 1 || swept.Failed != 0 || !swept.Oldest.Equal(got.CreatedAt) {
		t.Errorf("when the task is due: %+v, %v", swept, err)
	}
	if x, err := w.Rows.Task(t.Context(), got.ID); err != nil || x.Status != task.Storing {
		t.Errorf("task: %+v, %v", x, err)
	}
	if line := lastLine(t, w); line.Event != "swept" || line.Done != 1 || line.Failed != 0 || line.OldestSeconds != 120 {
		t.Errorf("logged %+v", line)
	}
}

// sweptLine is the line that a sweep logs.
type sweptLine struct {
	Level, Event                string
	OldestSeconds, Done, Failed int
}

// lastLine decodes the last line of the log.
func lastLine(t *testing.T, w *lifecycletest.Harness) (line sweptLine) {
	t.Helper()
	lines := strings.Split(strings.TrimSpace(w.Logged.Take()), "\n")
	if err := json.Unmarshal([]byte(lines[len(lines)-1]), &line); err != nil {
		t.Fatal(err)
	}
	return line
}

// The oldest due unfinished task counts. One that has ended does not, even if
// its notice is pending.
func TestOldest(t *testing.T) {
	w := lifecycletest.New(t)
	w.Rules.Notify, w.Ingester.Rules.Notify = true, true
	run := sweep.New(sweep.Function{Sweeper: w.Sweeper, Log: w.Log})
	w.Succeeded(t, "ada") // its notice is pending
	w.Clock.Add(3 * time.Hour)
	var created []time.Time
	for i := range 3 {
		created = append(created, w.Submitted(t, "ada", 1).CreatedAt)
		w.Generated(t, i+1)
		w.Clock.Add(10 * time.Minute)
	}
	got, err := run(t.Context())
	if err != nil || got.Done != 4 || got.Failed != 0 || !got.Oldest.Equal(created[0]) {
		t.Errorf("%+v, %v; want the oldest of %v", got, err, created)
	}
	if line := lastLine(t, w); line.OldestSeconds != 1800 {
		t.Errorf("logged %+v", line)
	}
}

// If the index cannot be read, the run fails for the schedule.
func TestSweepFails(t *testing.T) {
	w := lifecycletest.New(t)
	w.Rows.Fail(func(string, *task.Task) error { return lifecycletest.ErrStore }, nil)
	if _, err := sweep.New(sweep.Function{Sweeper: w.Sweeper, Log: w.Log})(t.Context()); err == nil {
		t.Error("no error")
	}
}

// A task that fails is counted and comes again a minute later. It stops neither
// the sweep nor the other tasks.
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
			failing = false // the write that postpones it works
			panic("out of order")
		}
		return nil
	}, nil)
	w.Logged.Take()
	if swept, err := sweep.New(sweep.Function{Sweeper: w.Sweeper, Log: w.Log})(t.Context()); err != nil || swept.Done != 2 || swept.Failed != 1 {
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
