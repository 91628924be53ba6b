package tasks_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/preset/nanobanana-functions/shared/nanobanana/nanobananatest"
	"github.com/preset/nanobanana-functions/shared/task"
)

// A client that waits for overdue tasks has one record read, if the wait is long enough
// to end on time even so.
func TestWaitForOverdue(t *testing.T) {
	t.Parallel()
	running := nanobananatest.FlagRunning
	for name, x := range map[string]struct {
		age         time.Duration
		tasks       int
		query       string
		record      *int
		reads       int
		took        time.Duration
		wantStoring bool
	}{
		"it is made":                {40 * time.Second, 1, "wait=20", nil, 1, 0, true},
		"it is not overdue":         {39 * time.Second, 1, "wait=20", nil, 0, 20 * time.Second, false},
		"several are made":          {40 * time.Second, 3, "wait=20", nil, 1, 0, true},
		"several are still running": {40 * time.Second, 3, "wait=20", &running, 1, 20 * time.Second, false},
		"the shortest sufficient":   {40 * time.Second, 1, "wait=7", nil, 1, 0, true},
		"the wait is too short":     {40 * time.Second, 1, "wait=6", nil, 0, 6 * time.Second, false},
		"the client does not wait":  {40 * time.Second, 1, "", nil, 0, 0, false},
	} {
		t.Run(name, func(t *testing.T) {
			h := newHarness(t)
			h.Sim.Now = h.Clock.Now
			h.Sim.SetKnobs(func(k *nanobananatest.Knobs) { k.RecordFlag = x.record })
			var ids []string
			for n := range x.tasks {
				ids = append(ids, h.Submitted(t, "ada", 1).ID)
				h.Generated(t, n)
			}
			h.Clock.Add(x.age)
			// A connection that stays open would keep the bubble open.
			h.Service.Provider.HTTP = &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
			h.bubble(func(t *testing.T) {
				begun := time.Now()
				got := h.serve(t.Context(), "/v1/tasks?ids="+strings.Join(ids, ",")+"&"+x.query)
				if took := time.Since(begun); took != x.took {
					t.Errorf("answered after %v, want %v", took, x.took)
				}
				if storing := got.first(t).Status == task.Storing; storing != x.wantStoring {
					t.Errorf("it is %s", got.first(t).Status)
				}
			})
			reads := 0
			for _, made := range h.Sim.Tasks() {
				reads += len(made.Reads)
			}
			if reads != x.reads {
				t.Errorf("%d reads, want %d", reads, x.reads)
			}
		})
	}
}
