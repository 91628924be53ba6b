package lifecycle_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/preset/nanobanana-functions/shared/lifecycle"
	"github.com/preset/nanobanana-functions/shared/nanobanana/nanobananatest"
)

// contradictions returns what callbacks contradicted since the last call, by the log.
func (h *harness) contradictions() (all []string) {
	h.t.Helper()
	for line := range strings.Lines(h.Logged.Take()) {
		if !strings.Contains(line, `"event":"`+lifecycle.EventContradicted+`"`) {
			continue
		}
		_, after, _ := strings.Cut(line, `"contradicts":"`)
		what, _, _ := strings.Cut(after, `"`)
		if !strings.Contains(line, `"level":"WARN"`) || !strings.Contains(line, `"task":"`) || strings.Contains(line, "http") {
			h.t.Errorf("logged %s", line)
		}
		all = append(all, what)
	}
	return all
}

const (
	madeBody   = `{"code":200,"data":{"taskId":%q,"info":{"resultImageUrl":"https://example.com/a.png"}}}`
	failedBody = `{"code":501,"msg":"failed","data":{"taskId":%q}}`
)

// A callback that contradicts what is known about its task is one line, and changes
// nothing; one that merely repeats or comes late is none.
func TestContradictionsAreLogged(t *testing.T) {
	again := fault(nanobananatest.Fault{Kind: nanobananatest.FaultStatus, Code: 429, Times: 1})
	lost := fault(nanobananatest.Fault{Kind: nanobananatest.FaultReset})
	for name, c := range map[string]struct {
		knobs   []func(*nanobananatest.Knobs)
		prepare func(*harness) (id, providerID string)
		attempt int
		body    string
		want    []string
	}{
		"a picture for a task that was given up": {[]func(*nanobananatest.Knobs){lost}, func(h *harness) (string, string) {
			x := h.submit()
			h.sweep(3 * time.Hour)
			return x.ID, "late"
		}, 1, madeBody, []string{"failure"}},
		"a failure of a task that was given up": {[]func(*nanobananatest.Knobs){lost}, func(h *harness) (string, string) {
			x := h.submit()
			h.sweep(3 * time.Hour)
			return x.ID, "late"
		}, 1, failedBody, nil},
		"a picture for an attempt that was refused": {[]func(*nanobananatest.Knobs){again}, func(h *harness) (string, string) {
			return h.submit().ID, "early"
		}, 1, madeBody, []string{"refusal"}},
		"the same, after another attempt": {[]func(*nanobananatest.Knobs){again}, func(h *harness) (string, string) {
			x := h.submit()
			h.sweep(time.Minute)
			return x.ID, "early"
		}, 1, madeBody, []string{"refusal"}},
		"a failure of the attempt before": {[]func(*nanobananatest.Knobs){again}, func(h *harness) (string, string) {
			x := h.submit()
			h.sweep(time.Minute)
			return x.ID, "early"
		}, 1, failedBody, nil},
		"a failure after the pictures were stored": {nil, func(h *harness) (string, string) {
			x := h.Succeeded(h.t, owner)
			return x.ID, x.ProviderID
		}, 1, failedBody, []string{"success"}},
		"a success that is repeated": {nil, func(h *harness) (string, string) {
			x := h.Succeeded(h.t, owner)
			return x.ID, x.ProviderID
		}, 1, madeBody, nil},
		"another task's id":              {nil, func(h *harness) (string, string) { return h.submit().ID, "another" }, 1, madeBody, []string{"id"}},
		"an attempt that was never made": {nil, func(h *harness) (string, string) { return h.submit().ID, "another" }, 7, madeBody, nil},
		"no id":                          {nil, func(h *harness) (string, string) { return h.submit().ID, "" }, 1, failedBody, nil},
	} {
		t.Run(name, func(t *testing.T) {
			h := newHarness(t, c.knobs...)
			id, providerID := c.prepare(h)
			before := h.task(id)
			h.Logged.Take()
			if err := h.Settle(t.Context(), id, c.attempt, fmt.Appendf(nil, c.body, providerID)); err != nil {
				t.Fatal(err)
			}
			if got := h.contradictions(); !slices.Equal(got, c.want) {
				t.Errorf("it contradicts %q, want %q", got, c.want)
			}
			if after := h.task(id); len(c.want) > 0 && after.Version != before.Version {
				t.Errorf("the row was written: version %d, was %d", after.Version, before.Version)
			}
		})
	}
}

// An id that only a callback named, and whose record belongs to another order, is dropped.
func TestADroppedIDIsLogged(t *testing.T) {
	h := newHarness(t)
	stranger := h.submit()
	h.Generated(t, 0)
	h.Sim.SetKnobs(func(k *nanobananatest.Knobs) { k.Submit = nanobananatest.Fault{Kind: nanobananatest.FaultReset} })
	x := h.submit()
	h.Clock.Add(time.Minute)
	h.Logged.Take()
	if err := h.Settle(t.Context(), x.ID, 1, fmt.Appendf(nil, madeBody, h.task(stranger.ID).ProviderID)); err != nil {
		t.Fatal(err)
	}
	if got := h.contradictions(); !slices.Equal(got, []string{"id"}) {
		t.Errorf("it contradicts %q", got)
	}
	if after := h.task(x.ID); after.Hint != nil || after.ProviderID != "" {
		t.Errorf("the id stays: %+v", after)
	}
}
