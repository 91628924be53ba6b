package deployed_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/preset/nanobanana-functions/shared/httpapi"
	"github.com/preset/nanobanana-functions/shared/nanobanana/nanobananatest"
	"github.com/preset/nanobanana-functions/shared/task"
)

// awaitOrder waits until the provider is done with its nth order and has sent
// its last callback.
func (h *harness) awaitOrder(n int) (made nanobananatest.Task) {
	h.t.Helper()
	eventually(h.t, fmt.Sprintf("order %d is not over", n), func() bool {
		if all := h.sim.Tasks(); len(all) > n {
			made = all[n]
		}
		return made.CallbacksDone
	})
	return made
}

// callBack repeats the callback of what the provider made.
func (h *harness) callBack(made nanobananatest.Task, want int) {
	h.t.Helper()
	body := map[string]any{"code": 200, "msg": "success", "data": map[string]any{
		"taskId": made.ID, "info": map[string]any{"resultImageUrl": made.URLs[0]},
	}}
	if a := h.call("", http.MethodPost, made.CallbackURL, body); a.status != want {
		h.t.Errorf("a callback was answered %d, want %d: %s", a.status, want, a.body)
	}
}

// forgedCallbackURL returns a callback URL whose token differs by one letter.
func (h *harness) forgedCallbackURL(made nanobananatest.Task) string {
	last := len(made.CallbackURL) - 1
	other := "A"
	if made.CallbackURL[last:] == other {
		other = "Q" // not B, whose last bits base64 drops
	}
	return made.CallbackURL[:last] + other
}

// sweepUntilDone sweeps until the task has ended.
func (h *harness) sweepUntilDone(owner, id string) (t httpapi.Task) {
	h.t.Helper()
	eventually(h.t, "the sweep does not end it", func() bool {
		h.sweep()
		h.call(owner, http.MethodGet, "/v1/tasks/"+id, nil).decode(h.t, http.StatusOK, &t)
		return t.Done
	})
	return t
}

// fastPolling lets the sweep ask the provider at once, which is allowed on
// loopback.
var fastPolling = map[string]string{"POLL_EVERY": "100ms"}

// With every callback lost, the sweep alone ends the task.
func TestCallbacksLost(t *testing.T) {
	t.Parallel()
	h := newHarness(t, fastPolling, func(k *nanobananatest.Knobs) { k.LoseCallbacks = true })
	x := h.submit("ada", map[string]any{"prompt": "a lighthouse"}, "k")
	h.checkImages(h.sweepUntilDone("ada", x.ID), 0)
	if n := len(h.sim.Tasks()[0].Callbacks); n != 0 || h.sim.Posts() != 1 {
		t.Errorf("%d callbacks, %d POSTs", n, h.sim.Posts())
	}
}

// Each callback comes five times after forged ones: with a wrong token, about
// another task, and about this task with somebody else's picture.
func TestCallbacksRepeatedAndForged(t *testing.T) {
	t.Parallel()
	h := newHarness(t, fastPolling, func(k *nanobananatest.Knobs) {
		k.RepeatCallbacks, k.ForgeCallbacks, k.Delay = 5, true, nanobananatest.Duration(200e6)
	})
	x := h.submit("ada", map[string]any{"prompt": "a lighthouse"}, "k")
	if a := h.call("", http.MethodPost, h.forgedCallbackURL(h.sim.Tasks()[0]), map[string]int{"code": 200}); a.status != http.StatusNotFound {
		t.Errorf("a forged callback: %d", a.status)
	}
	got := h.sweepUntilDone("ada", x.ID)
	h.checkImages(got, 0)
	made := h.awaitOrder(0)
	if len(made.Callbacks) != 5 {
		t.Errorf("%d callbacks", len(made.Callbacks))
	}
	for _, c := range made.Callbacks {
		if c.Status != http.StatusOK {
			t.Errorf("a callback was answered %d", c.Status)
		}
	}
	before := h.row(x.ID)
	h.callBack(made, http.StatusOK)
	if after := h.row(x.ID); after.Version != before.Version || len(after.Images) != 1 || after.Status != task.Succeeded {
		t.Errorf("version %d, then %d; %+v", before.Version, after.Version, after.Images)
	}
	if n := h.sim.Posts(); n != 1 {
		t.Errorf("%d POSTs", n)
	}
}

// A task that the provider refuses by policy fails with that reason, after one
// POST.
func TestRefusedByPolicy(t *testing.T) {
	t.Parallel()
	h := newHarness(t, map[string]string{"DAILY_QUOTA": "5"}, func(k *nanobananatest.Knobs) {
		k.Outcome = nanobananatest.Outcome{ErrorCode: 400}
	})
	got := h.awaitEnd("ada", h.submit("ada", map[string]any{"prompt": "a lighthouse"}, "k").ID)
	if got.Status != task.Failed || got.Error.Code != task.CodeContentPolicy || h.sim.Posts() != 1 {
		t.Errorf("%s, %+v, %d POSTs", got.Status, got.Error, h.sim.Posts())
	}
}

// Without PUBLIC_URL, links and each attempt's callbacks use the host that the
// order was sent to. A failed generation is tried again after a minute.
func TestRequestHostAndAnotherGeneration(t *testing.T) {
	t.Parallel()
	h := newHarness(t, map[string]string{"POLL_EVERY": "100ms", "PUBLIC_URL": ""}, func(k *nanobananatest.Knobs) {
		k.LoseCallbacks, k.Outcome = true, nanobananatest.Outcome{ErrorCode: 500, Times: 1}
	})
	x := h.submit("ada", map[string]any{"prompt": "a lighthouse"}, "k")
	eventually(t, "the failure is not found", func() bool { h.sweep(); return h.row(x.ID).Status == task.Waiting })
	h.sweep()
	if n := h.sim.Posts(); n != 1 {
		t.Errorf("%d POSTs at once", n)
	}
	h.age(x.ID, time.Minute)
	got := h.sweepUntilDone("ada", x.ID)
	if got.Status != task.Succeeded || h.sim.Posts() != 2 {
		t.Fatalf("%s, %+v, %d POSTs", got.Status, got.Error, h.sim.Posts())
	}
	own := "https://" + strings.TrimPrefix(h.url, "http://")
	for i, made := range h.sim.Tasks() {
		if want := fmt.Sprintf("%s/v1/callbacks/%s/%d/", own, x.ID, i+1); !strings.HasPrefix(made.CallbackURL, want) {
			t.Errorf("attempt %d has another callback address than %s", i+1, want)
		}
	}
	if link := got.Images[0].URL; !strings.HasPrefix(link, own+"/v1/images/") {
		t.Errorf("the picture's link is %s", link)
	}
}
