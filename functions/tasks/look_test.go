package tasks_test

import (
	"cmp"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/preset/nanobanana-functions/functions/tasks"
	"github.com/preset/nanobanana-functions/shared/task"
)

// A task is looked at often once its pictures are made, and around the time at
// which such tasks end; neither for ever.
func TestLookEvery(t *testing.T) {
	t.Parallel()
	const often, seldom = 250 * time.Millisecond, time.Second
	tests := []struct {
		status          task.Status
		since, expected float64 // seconds
		want            time.Duration
	}{
		{task.Submitting, 20, 20, seldom},
		{task.Waiting, 20, 20, seldom},
		{task.Unconfirmed, 20, 20, seldom},
		{"of another release", 20, 20, seldom},

		{task.Generating, 9.999, 20, seldom}, // from half of it
		{task.Generating, 10, 20, often},
		{task.Generating, 39.999, 20, often},
		{task.Generating, 40, 20, seldom},
		{task.Generating, 44.999, 30, often}, // both ends are the same
		{task.Generating, 45, 30, seldom},
		{task.Generating, 44.999, 90, seldom}, // for as long as it is expected to take
		{task.Generating, 45, 90, often},
		{task.Generating, 134.999, 90, often},
		{task.Generating, 135, 90, seldom},
		{task.Generating, 0.5, 1, often},
		{task.Generating, -1, 20, seldom}, // written by a clock that is ahead

		{task.Storing, -1, 20, often},
		{task.Storing, 0, 20, often},
		{task.Storing, 29.999, 20, often},
		{task.Storing, 30, 20, seldom},
	}
	seconds := func(s float64) time.Duration { return time.Duration(s * float64(time.Second)) }
	for _, x := range tests {
		if got := tasks.LookEvery(x.status, seconds(x.since), seconds(x.expected)); got != x.want {
			t.Errorf("%s for %g s, expected %g s: a look every %v, want %v", x.status, x.since, x.expected, got, x.want)
		}
	}
}

// clocked runs do in a bubble in which the function's clock moves on.
func (h *harness) clocked(t *testing.T, do func(*testing.T)) {
	h.t = t
	h.bubble(func(t *testing.T) {
		start, begun := h.Now(), time.Now()
		h.function.Now = func() time.Time { return start.Add(time.Since(begun)) }
		h.handler = tasks.New(h.function)
		do(t)
	})
}

// since returns a change that makes a task's status this old.
func (h *harness) since(age time.Duration) func(*task.Task) error {
	return func(x *task.Task) error { x.Since = h.Now().Add(-age); return nil }
}

// How many reads a wait costs in which phase. A wait ends when it should, whichever
// look comes last, and one for several tasks reads them together.
func TestLooksPerWait(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	row := func(age time.Duration, change ...func(*task.Task) error) string {
		return h.addRow("ada", append(change, h.since(age))...).ID
	}
	tests := map[string]struct {
		ids   []string
		wait  time.Duration
		reads int
	}{
		"it is submitted":                {[]string{row(15 * time.Second)}, 5 * time.Second, 6},
		"it waits":                       {[]string{row(15*time.Second, waiting(h))}, 5 * time.Second, 6},
		"its outcome is unknown":         {[]string{row(15*time.Second, h.unanswered)}, 5 * time.Second, 6},
		"it is generated, and young":     {[]string{row(0, h.accepted)}, 5 * time.Second, 6},
		"its end comes near":             {[]string{row(8*time.Second, h.accepted)}, 5 * time.Second, 15},
		"its end is near":                {[]string{row(15*time.Second, h.accepted)}, 5 * time.Second, 21},
		"its end is late":                {[]string{row(38*time.Second, h.accepted)}, 5 * time.Second, 12},
		"it is long overdue":             {[]string{row(time.Hour, h.accepted)}, 5 * time.Second, 6},
		"it is stored":                   {[]string{row(0, h.made)}, 5 * time.Second, 21},
		"storing goes on":                {[]string{row(28*time.Second, h.made)}, 5 * time.Second, 12},
		"it has been stored for an hour": {[]string{row(time.Hour, h.made)}, 5 * time.Second, 6},
		"the last look is a short one":   {[]string{row(39750*time.Millisecond, h.accepted)}, 2 * time.Second, 4},

		"several, none near":           {[]string{row(0, h.accepted), row(0, h.accepted), row(0)}, 5 * time.Second, 6},
		"several, one near":            {[]string{row(0, h.accepted), row(0, h.made), row(0, h.accepted), row(0, h.succeeded)}, 5 * time.Second, 21},
		"several, all near":            {[]string{row(0, h.made), row(0, h.made), row(15*time.Second, h.accepted)}, 5 * time.Second, 21},
		"several, only an ended is":    {[]string{row(0), row(0, h.succeeded)}, 5 * time.Second, 6},
		"several, another owner's is":  {[]string{row(0), h.addRow("bob", h.made).ID}, 5 * time.Second, 6},
		"several, another after those": {[]string{h.addRow("bob").ID, row(0, h.succeeded), row(0), row(0, h.made)}, 5 * time.Second, 21},
	}
	for name, x := range tests {
		t.Run(name, func(t *testing.T) {
			path, call := "/v1/tasks/"+x.ids[0]+"?wait=", "task"
			if len(x.ids) > 1 {
				path, call = "/v1/tasks?ids="+strings.Join(x.ids, ",")+"&wait=", "tasks"
			}
			h.clocked(t, func(t *testing.T) {
				before, begun := h.Rows.Count(call), time.Now()
				h.serve(t.Context(), path+x.wait.String()[:1])
				if took, n := time.Since(begun), h.Rows.Count(call)-before; took != x.wait || n != x.reads {
					t.Errorf("%d reads in %v, want %d in %v", n, took, x.reads, x.wait)
				}
			})
		})
	}
}

// The function does what BenchmarkLastSecond computes, whether the client waits for
// one task or for several.
func TestFollow(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	all := lives(task.TypicalSeconds(task.DefaultModel))
	for i := 0; i < len(all); i += len(all)/8 + 1 { // a few, from all parts
		l := all[i]
		for call, path := range map[string]string{"task": "/v1/tasks/ID?", "tasks": "/v1/tasks?ids=ID"} {
			h.clocked(t, func(t *testing.T) {
				x := h.addRow("ada")
				path := strings.Replace(path, "ID", x.ID, 1)
				begun, before := time.Now(), h.Rows.Count(call)
				for at, change := range map[time.Duration]func(*task.Task) error{acceptedAfter: h.accepted, l.made: h.recorded, l.stored: h.stored} {
					time.AfterFunc(at, func() {
						h.change(x.ID, func(x *task.Task) error { return cmp.Or(change(x), h.since(-at)(x)) })
					})
				}
				time.Sleep(l.asks)
				got, tag, shown := followed{}, "", task.Status("")
				for ; shown != task.Succeeded; time.Sleep(l.between) {
					a := h.serve(t.Context(), path+map[bool]string{true: "&wait=20"}[tag != ""], "If-None-Match", tag)
					got.requests++
					got.late, tag = time.Since(begun)-l.stored, a.Header.Get("Etag")
					if a.Status == http.StatusOK {
						shown = a.first(t).Status
					}
				}
				got.reads = h.Rows.Count(call) - before
				if want := l.follow(tasks.LookEvery); got != want {
					t.Errorf("%s of a task made at %v and stored at %v, asked for at %v: %+v, want %+v", call, l.made, l.stored, l.asks, got, want)
				}
			})
		}
	}
}
