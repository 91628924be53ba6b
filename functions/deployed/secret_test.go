package deployed_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/preset/nanobanana-functions/functions/credits"
	"github.com/preset/nanobanana-functions/shared/httpapi"
	"github.com/preset/nanobanana-functions/shared/nanobanana/nanobananatest"
	"github.com/preset/nanobanana-functions/shared/task"
)

// The provider's key and the callbacks' are rotated while every function is
// warm and has the old ones in memory: no order is lost, links that were given
// out with the old key are good, and new ones are signed with the new.
func TestSecretRotated(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil, func(k *nanobananatest.Knobs) { k.LoseCallbacks = true })
	old := w.submit("ada", map[string]any{"prompt": "a lighthouse"}, "old")
	w.calledBack(w.over(0), http.StatusOK)
	w.same(w.ended("ada", old.ID), 0) // and callback is warm
	second := w.submit("ada", map[string]any{"prompt": "a ship"}, "second")

	const apiKey, newKey = "another-key-of-the-provider", "another-callback-key-nobody-may-see"
	w.hide(apiKey)
	w.hide(newKey)
	w.setSecret(keys(apiKey, newKey, callbackKey))
	w.sim.SetKeys(apiKey)
	// Balance and secret are in memory: the POST itself is refused, and so the
	// key is read again.
	third := w.submit("ada", map[string]any{"prompt": "a harbour"}, "third")
	if third.Status != task.Waiting {
		t.Fatalf("after the refusal it is %s", third.Status)
	}
	w.sweep()
	w.calledBackBySomeFunction(w.over(1), second.ID)
	w.calledBackBySomeFunction(w.over(2), third.ID)
	if link := w.sim.Tasks()[2].CallbackURL; !strings.Contains(link, "/2/c2.") {
		t.Errorf("the second attempt is not signed with the new key")
	}
	w.same(w.ended("ada", second.ID), 1)
	w.same(w.ended("ada", third.ID), 2)
	if n := w.sim.Posts(); n != 4 {
		t.Errorf("%d POSTs, want 4: one was refused", n)
	}
}

// calledBackBySomeFunction calls back with callback cold: it has read the
// secret after the rotation.
func (w *world) calledBackBySomeFunction(made nanobananatest.Task, id string) {
	w.t.Helper()
	w.function["callback"].Kill()
	w.calledBack(made, http.StatusOK)
	if now := w.stored(id); now.Status != task.Storing && now.Status != task.Succeeded {
		w.t.Errorf("after its callback it is %s", now.Status)
	}
}

// With Secrets Manager away at its cold start, submit says so, and posts and
// writes nothing; the same order is taken when it is back, by the same process.
func TestSecretUnreachable(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	w.proxy["submit"].Fail(func(call string) int {
		if call == "GetSecretValue" {
			return http.StatusInternalServerError
		}
		return 0
	}, nil)
	order := map[string]any{"prompt": "a lighthouse"}
	submit := func() answer { return w.call("ada", http.MethodPost, "/v1/tasks", order, "Idempotency-Key", "k") }
	refused(t, submit(), http.StatusServiceUnavailable, task.CodeUnavailable)
	w.proxy["submit"].Fail(nil, nil)
	var taken answer
	eventually(t, "it is not taken", func() bool { taken = submit(); return taken.status != http.StatusServiceUnavailable })
	var x httpapi.Task
	taken.into(t, http.StatusAccepted, &x)
	w.same(w.ended("ada", x.ID), 0)
	if w.sim.Posts() != 1 || w.function["submit"].Starts() != 1 || taken.header.Get("Idempotency-Replayed") != "" {
		t.Errorf("%d POSTs, %d processes, %v", w.sim.Posts(), w.function["submit"].Starts(), taken.header)
	}
}

// Before the operator has set the provider's key nothing is taken; what needs
// no key works.
func TestNoKeyYet(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	w.setSecret(keys("", callbackKey))
	a := w.call("ada", http.MethodPost, "/v1/tasks", map[string]any{"prompt": "a lighthouse"})
	refused(t, a, http.StatusServiceUnavailable, task.CodeUnavailable)
	if a.header.Get("Retry-After") == "" || w.sim.Posts() != 0 {
		t.Errorf("%v, %d POSTs", a.header, w.sim.Posts())
	}
	if a := w.call("", http.MethodGet, "/v1/models", nil); a.status != http.StatusOK {
		t.Errorf("models: %d", a.status)
	}
	w.sweep()
}

// DynamoDB's answers get lost after the write, and the SDK sends it again: our
// own write is recognised, the order is posted once.
func TestAnswersLost(t *testing.T) {
	t.Parallel()
	w := newWorld(t, map[string]string{"DAILY_QUOTA": "5"}, func(k *nanobananatest.Knobs) {
		k.Delay = nanobananatest.Duration(300 * time.Millisecond)
	})
	for _, name := range []string{"submit", "callback", "ingest"} {
		lost := map[string]bool{}
		w.proxy[name].Fail(nil, func(call string) int {
			if lost[call] || call == "GetSecretValue" {
				return 0
			}
			lost[call] = true
			return http.StatusServiceUnavailable
		})
	}
	x := w.submit("ada", map[string]any{"prompt": "a lighthouse"}, "k")
	w.same(w.ended("ada", x.ID), 0)
	var left credits.Credits
	w.call("ada", http.MethodGet, "/v1/credits", nil).into(t, http.StatusOK, &left)
	if w.sim.Posts() != 1 || left.Quota.Used != 1 {
		t.Errorf("%d POSTs, %d of the quota used", w.sim.Posts(), left.Quota.Used)
	}
}
