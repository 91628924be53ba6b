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

// over waits until the provider is done with its nth order, and has called back
// for the last time.
func (w *world) over(n int) (made nanobananatest.Task) {
	w.t.Helper()
	eventually(w.t, fmt.Sprintf("order %d is not over", n), func() bool {
		if all := w.sim.Tasks(); len(all) > n {
			made = all[n]
		}
		return made.CallbacksDone
	})
	return made
}

// calledBack calls back, once more, what the provider made.
func (w *world) calledBack(made nanobananatest.Task, want int) {
	w.t.Helper()
	body := map[string]any{"code": 200, "msg": "success", "data": map[string]any{
		"taskId": made.ID, "info": map[string]any{"resultImageUrl": made.URLs[0]},
	}}
	if a := w.call("", http.MethodPost, made.CallbackURL, body); a.status != want {
		w.t.Errorf("a callback was answered %d, want %d: %s", a.status, want, a.body)
	}
}

// forgedLink is where a callback would go whose token is off by one letter.
func (w *world) forgedLink(made nanobananatest.Task) string {
	last := len(made.CallbackURL) - 1
	other := "A"
	if made.CallbackURL[last:] == other {
		other = "Q" // not B, whose last bits base64 drops
	}
	return made.CallbackURL[:last] + other
}

// swept sweeps until the task has ended.
func (w *world) swept(owner, id string) (t httpapi.Task) {
	w.t.Helper()
	eventually(w.t, "the sweep does not end it", func() bool {
		w.sweep()
		w.call(owner, http.MethodGet, "/v1/tasks/"+id, nil).into(w.t, http.StatusOK, &t)
		return t.Done
	})
	return t
}

// hasty lets the sweep ask the provider at once: it is on loopback.
var hasty = map[string]string{"POLL_EVERY": "100ms"}

// With every callback lost, the schedule alone ends the task.
func TestCallbacksLost(t *testing.T) {
	t.Parallel()
	w := newWorld(t, hasty, func(k *nanobananatest.Knobs) { k.LoseCallbacks = true })
	x := w.submit("ada", map[string]any{"prompt": "a lighthouse"}, "k")
	w.same(w.swept("ada", x.ID), 0)
	if n := len(w.sim.Tasks()[0].Callbacks); n != 0 || w.sim.Posts() != 1 {
		t.Errorf("%d callbacks, %d POSTs", n, w.sim.Posts())
	}
}

// Each callback comes five times, and forged ones come first: with a wrong
// token, about another task, and about this one with somebody else's picture.
func TestCallbacksRepeatedAndForged(t *testing.T) {
	t.Parallel()
	w := newWorld(t, hasty, func(k *nanobananatest.Knobs) {
		k.RepeatCallbacks, k.ForgeCallbacks, k.Delay = 5, true, nanobananatest.Duration(200e6)
	})
	x := w.submit("ada", map[string]any{"prompt": "a lighthouse"}, "k")
	if a := w.call("", http.MethodPost, w.forgedLink(w.sim.Tasks()[0]), map[string]int{"code": 200}); a.status != http.StatusNotFound {
		t.Errorf("a forged callback: %d", a.status)
	}
	got := w.swept("ada", x.ID)
	w.same(got, 0)
	made := w.over(0)
	if len(made.Callbacks) != 5 {
		t.Errorf("%d callbacks", len(made.Callbacks))
	}
	for _, c := range made.Callbacks {
		if c.Status != http.StatusOK {
			t.Errorf("a callback was answered %d", c.Status)
		}
	}
	before := w.stored(x.ID)
	w.calledBack(made, http.StatusOK)
	if after := w.stored(x.ID); after.Version != before.Version || len(after.Images) != 1 || after.Status != task.Succeeded {
		t.Errorf("version %d, then %d; %+v", before.Version, after.Version, after.Images)
	}
	if n := w.sim.Posts(); n != 1 {
		t.Errorf("%d POSTs", n)
	}
}

// What the provider does wrong: its task's failure is told with its reason,
// and its credits stand as it said.
func TestRefusedByPolicy(t *testing.T) {
	t.Parallel()
	w := newWorld(t, map[string]string{"DAILY_QUOTA": "5"}, func(k *nanobananatest.Knobs) {
		k.Outcome = nanobananatest.Outcome{ErrorCode: 400}
	})
	got := w.ended("ada", w.submit("ada", map[string]any{"prompt": "a lighthouse"}, "k").ID)
	if got.Status != task.Failed || got.Error.Code != task.CodeContentPolicy || w.sim.Posts() != 1 {
		t.Errorf("%s, %+v, %d POSTs", got.Status, got.Error, w.sim.Posts())
	}
}

// Where nobody names a public address it is the one that the order came to: the
// links and each attempt's callbacks go there. A generation that failed is tried
// again, not before a minute has passed.
func TestOwnAddressAndAnotherGeneration(t *testing.T) {
	t.Parallel()
	w := newWorld(t, map[string]string{"POLL_EVERY": "100ms", "PUBLIC_URL": ""}, func(k *nanobananatest.Knobs) {
		k.LoseCallbacks, k.Outcome = true, nanobananatest.Outcome{ErrorCode: 500, Times: 1}
	})
	x := w.submit("ada", map[string]any{"prompt": "a lighthouse"}, "k")
	eventually(t, "the failure is not found", func() bool { w.sweep(); return w.stored(x.ID).Status == task.Waiting })
	w.sweep()
	if n := w.sim.Posts(); n != 1 {
		t.Errorf("%d POSTs at once", n)
	}
	w.age(x.ID, time.Minute)
	got := w.swept("ada", x.ID)
	if got.Status != task.Succeeded || w.sim.Posts() != 2 {
		t.Fatalf("%s, %+v, %d POSTs", got.Status, got.Error, w.sim.Posts())
	}
	own := "https://" + strings.TrimPrefix(w.url, "http://")
	for i, made := range w.sim.Tasks() {
		if want := fmt.Sprintf("%s/v1/callbacks/%s/%d/", own, x.ID, i+1); !strings.HasPrefix(made.CallbackURL, want) {
			t.Errorf("attempt %d is to call back another address than %s", i+1, want)
		}
	}
	if link := got.Images[0].URL; !strings.HasPrefix(link, own+"/v1/images/") {
		t.Errorf("the picture's link is %s", link)
	}
}
