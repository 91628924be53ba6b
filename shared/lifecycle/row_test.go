package lifecycle_test

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/preset/nanobanana-functions/shared/lifecycle"
	"github.com/preset/nanobanana-functions/shared/nanobanana/nanobananatest"
	"github.com/preset/nanobanana-functions/shared/task"
)

// moves returns the changes of status that were logged since the last call.
func (h *harness) moves() (all []string) {
	h.t.Helper()
	for text := range strings.Lines(h.Logged.Take()) {
		var l struct {
			Event, Task, From, To, Cause, Model, Charge, Code string
			Ms, Attempt                                       int
			Credits                                           float64
		}
		if err := json.Unmarshal([]byte(text), &l); err != nil {
			h.t.Fatal(err)
		}
		if l.Event == lifecycle.EventTransition {
			if l.Task == "" || l.Model != "nano-banana" {
				h.t.Errorf("a task and a model are missing: %s", text)
			}
			all = append(all, fmt.Sprintf("%s->%s %s %ds #%d %s %v %s", l.From, l.To, l.Cause, l.Ms/1000, l.Attempt, l.Charge, l.Credits, l.Code))
		}
	}
	return all
}

func TestTransitionsAreLogged(t *testing.T) {
	for name, c := range map[string]struct {
		knobs []func(*nanobananatest.Knobs)
		do    func(*harness)
		want  []string
	}{
		"a picture": {nil, func(h *harness) { h.Succeeded(h.t, owner) }, []string{
			"->submitting order 0s #1 doubtful 4 ", "submitting->generating answer 0s #1 sure 4 ", "generating->storing record 0s #1 sure 4 ", "storing->succeeded ingest 0s #1 sure 4 ",
		}},
		"an order whose answer is lost": {[]func(*nanobananatest.Knobs){fault(nanobananatest.Fault{Kind: nanobananatest.FaultReset})}, func(h *harness) {
			h.submit()
			h.sweep(2 * time.Hour)
		}, []string{"->submitting order 0s #1 doubtful 4 ", "submitting->unconfirmed silence 0s #1 doubtful 4 ", "unconfirmed->failed deadline 7200s #1 doubtful 4 outcome_unknown"}},
		"an order that is sent again": {[]func(*nanobananatest.Knobs){fault(nanobananatest.Fault{Kind: nanobananatest.FaultStatus, Code: 429, RetryAfter: nanobananatest.Duration(time.Minute), Times: 1})}, func(h *harness) {
			h.submit()
			h.sweep(time.Minute)
		}, []string{
			"->submitting order 0s #1 doubtful 4 ", "submitting->waiting answer 0s #1 none 4 ",
			"waiting->submitting sweep 60s #2 doubtful 4 ", "submitting->generating answer 0s #2 sure 4 ",
		}},
		"an order that is canceled while it waits": {[]func(*nanobananatest.Knobs){fault(nanobananatest.Fault{Kind: nanobananatest.FaultStatus, Code: 455})}, func(h *harness) {
			x := h.submit()
			h.Clock.Add(time.Minute)
			if _, err := lifecycle.Update(h.t.Context(), h.Poster.Service.Log, h.Rows, h.task(x.ID), func(x *task.Task) error { return x.Delete(h.Rules, h.Now()) }); err != nil {
				h.t.Fatal(err)
			}
		}, []string{
			"->submitting order 0s #1 doubtful 4 ", "submitting->waiting answer 0s #1 none 4 ", "waiting->failed delete 60s #1 none 4 canceled",
		}},
		"a replay": {nil, func(h *harness) {
			h.submit(key("k"))
			h.Logged.Take()
			h.submit(key("k"))
		}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			h := newHarness(t, c.knobs...)
			c.do(h)
			if got := h.moves(); !slices.Equal(got, c.want) {
				t.Errorf("%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(c.want, "\n"))
			}
		})
	}
}

// A write that changes no status is no transition, also of a task that one moved before.
func TestNoTransitionIsLoggedTwice(t *testing.T) {
	h := newHarness(t)
	x := h.submit()
	if got := h.moves(); len(got) != 2 {
		t.Fatalf("%q", got)
	}
	for name, change := range map[string]func(*task.Task) error{
		"nothing": func(*task.Task) error { return nil },
		"a field": func(x *task.Task) error { x.Refusals++; return nil },
	} {
		after, err := lifecycle.Update(t.Context(), h.Poster.Service.Log, h.Rows, x, change)
		if err != nil {
			t.Fatal(err)
		}
		if x = after; len(h.moves()) != 0 {
			t.Errorf("a write of %s is a transition", name)
		}
	}
}
