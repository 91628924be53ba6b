package serve

import (
	"context"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/preset/nanobanana-functions/local/client/clienttest"
	"github.com/preset/nanobanana-functions/local/ops"
	"github.com/preset/nanobanana-functions/shared/nanobanana/nanobananatest"
	"github.com/preset/nanobanana-functions/shared/task"
)

// lose makes a running task one that timed out a day ago.
func lose(t *testing.T, s task.Store, id string) {
	t.Helper()
	x, err := s.Task(t.Context(), id)
	if err == nil {
		_, err = task.Update(t.Context(), s, x, func(x *task.Task) error {
			late := x.Deadline
			c, _ := x.Claim(task.DefaultRules(), late)
			err := x.ApplyRecord(task.DefaultRules(), late, c, task.Record{State: task.RecordRunning})
			x.ReadAt = x.CreatedAt.Add(-24 * time.Hour)
			return err
		})
	}
	if err != nil {
		t.Fatal(err)
	}
}

// A running local run stores the picture of a task that is rescued; a stopped one has no
// simulator to ask, and says so.
func TestRescueInALocalRun(t *testing.T) {
	data := t.TempDir()
	s, stop := startToStop(t, data, io.Discard)
	s.studio.simulator.SetKnobs(func(k *nanobananatest.Knobs) {
		k.Delay, k.PictureSide, k.LoseCallbacks, k.Record.Kind = 0, 64, true, nanobananatest.FaultHTML
	})
	ada := clienttest.SignIn(t, s.URL, data, "ada")
	var ids []string
	for _, key := range []string{"1", "2"} {
		id := ada.Submit(t, map[string]any{"prompt": "nobody may see this"}, key).ID
		lose(t, s.store, id)
		ids = append(ids, id)
	}
	made := func() bool {
		for _, x := range s.studio.simulator.Tasks() {
			if x.Flag != nanobananatest.FlagSucceeded {
				return false
			}
		}
		return true
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	for !made() && ctx.Err() == nil {
		time.Sleep(5 * time.Millisecond)
	}
	s.studio.simulator.SetKnobs(func(k *nanobananatest.Knobs) { k.Record = nanobananatest.Fault{} })

	addr := strings.TrimPrefix(s.URL, "http://")
	rescued := task.RescueID(ids[0])
	if out := operate(t, ops.Fine, "rescue", ids[0], "-addr", addr); !strings.Contains(out, "bin/ops inspect "+rescued) || strings.Contains(out, "nobody may see") {
		t.Errorf("it says %s", out)
	}
	if x := ada.AwaitSuccess(t, rescued); len(x.Images) != 1 || x.RescuedFrom != ids[0] {
		t.Errorf("rescued as %+v", x)
	}
	stop()
	if out := operate(t, ops.Failed, "rescue", ids[1], "-data", data); !strings.Contains(oneLine(out), "simulator answers only while the run does") {
		t.Errorf("the stopped run says %s", out)
	}
	if out := operate(t, ops.Failed, "rescue", ids[0], "-data", data); !strings.Contains(oneLine(out), rescued+", which has the pictures") {
		t.Errorf("the stopped run says %s", out)
	}
}

// oneLine undoes the breaking of lines.
func oneLine(text string) string { return strings.Join(strings.Fields(text), " ") }
