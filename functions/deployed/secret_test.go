package deployed_test

import (
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/preset/nanobanana-functions/functions/credits"
	"github.com/preset/nanobanana-functions/shared/httpapi"
	"github.com/preset/nanobanana-functions/shared/nanobanana/nanobananatest"
	"github.com/preset/nanobanana-functions/shared/task"
)

// The provider's key and the callback key are rotated while every function is
// warm and has the old ones in memory: no order is lost, URLs signed with the
// old key stay valid, and new ones are signed with the new key.
func TestSecretRotated(t *testing.T) {
	t.Parallel()
	h := newHarness(t, nil, func(k *nanobananatest.Knobs) { k.LoseCallbacks = true })
	old := h.submit("ada", map[string]any{"prompt": "a lighthouse"}, "old")
	h.callBack(h.awaitOrder(0), http.StatusOK)
	h.checkImages(h.awaitEnd("ada", old.ID), 0) // callback is now warm
	second := h.submit("ada", map[string]any{"prompt": "a ship"}, "second")

	const apiKey, newKey = "another-key-of-the-provider", "another-callback-key-nobody-may-see"
	h.hide(apiKey)
	h.hide(newKey)
	h.setSecret(secretValue(apiKey, newKey, callbackKey))
	h.sim.SetKeys(apiKey)
	// Balance and secret are cached, so the POST itself is refused, and then
	// the key is read again.
	third := h.submit("ada", map[string]any{"prompt": "a harbour"}, "third")
	if third.Status != task.Waiting {
		t.Fatalf("after the refusal it is %s", third.Status)
	}
	h.sweep()
	h.callBackCold(h.awaitOrder(1), second.ID)
	h.callBackCold(h.awaitOrder(2), third.ID)
	if link := h.sim.Tasks()[2].CallbackURL; !strings.Contains(link, "/2/c2.") {
		t.Errorf("the second attempt is not signed with the new key")
	}
	h.checkImages(h.awaitEnd("ada", second.ID), 1)
	h.checkImages(h.awaitEnd("ada", third.ID), 2)
	if n := h.sim.Posts(); n != 4 {
		t.Errorf("%d POSTs, want 4: one was refused", n)
	}
}

// callBackCold sends a callback to a cold function, which reads the rotated
// secret.
func (h *harness) callBackCold(made nanobananatest.Task, id string) {
	h.t.Helper()
	h.function["callback"].Kill()
	h.callBack(made, http.StatusOK)
	if now := h.row(id); now.Status != task.Storing && now.Status != task.Succeeded {
		h.t.Errorf("after its callback it is %s", now.Status)
	}
}

// While a start gets no answer from AWS, what needs none is answered; once AWS answers,
// the same process takes an order, at once.
func TestStartWhileServicesHang(t *testing.T) {
	t.Parallel()
	h := newHarness(t, nil)
	release := make(chan struct{})
	h.proxy["submit"].Fail(func(call string) int {
		<-release
		return 0
	}, nil)
	order := map[string]any{"prompt": "a lighthouse"}
	checkRefused(t, h.call("", http.MethodPost, "/v1/tasks", order), http.StatusUnauthorized, task.CodeUnauthorized)
	h.proxy["submit"].Fail(nil, nil)
	close(release)
	h.submit("ada", order, "k")
	if n := h.function["submit"].Starts(); n != 1 {
		t.Errorf("%d starts", n)
	}
}

// If Secrets Manager fails at its cold start, submit answers 503 and neither
// posts nor writes. The same process takes the same order when the secret can
// be read.
func TestSecretUnreachable(t *testing.T) {
	t.Parallel()
	h := newHarness(t, nil)
	h.proxy["submit"].Fail(func(call string) int {
		if call == "GetSecretValue" {
			return http.StatusInternalServerError
		}
		return 0
	}, nil)
	order := map[string]any{"prompt": "a lighthouse"}
	submit := func() answer { return h.call("ada", http.MethodPost, "/v1/tasks", order, "Idempotency-Key", "k") }
	checkRefused(t, submit(), http.StatusServiceUnavailable, task.CodeUnavailable)
	h.proxy["submit"].Fail(nil, nil)
	var taken answer
	eventually(t, "it is not taken", func() bool { taken = submit(); return taken.status != http.StatusServiceUnavailable })
	var x httpapi.Task
	taken.decode(t, http.StatusAccepted, &x)
	h.checkImages(h.awaitEnd("ada", x.ID), 0)
	if h.sim.Posts() != 1 || h.function["submit"].Starts() != 1 || taken.header.Get("Idempotency-Replayed") != "" {
		t.Errorf("%d POSTs, %d processes, %v", h.sim.Posts(), h.function["submit"].Starts(), taken.header)
	}
}

// Before the operator has set the provider's key no order is accepted; what
// needs no key works.
func TestNoAPIKeyYet(t *testing.T) {
	t.Parallel()
	h := newHarness(t, nil)
	h.setSecret(secretValue("", callbackKey))
	a := h.call("ada", http.MethodPost, "/v1/tasks", map[string]any{"prompt": "a lighthouse"})
	checkRefused(t, a, http.StatusServiceUnavailable, task.CodeUnavailable)
	if a.header.Get("Retry-After") == "" || h.sim.Posts() != 0 {
		t.Errorf("%v, %d POSTs", a.header, h.sim.Posts())
	}
	if a := h.call("", http.MethodGet, "/v1/models", nil); a.status != http.StatusOK {
		t.Errorf("models: %d", a.status)
	}
	h.sweep()
}

// If DynamoDB's answer to a write is lost, the SDK repeats the write; we
// recognize our own write, and the order is posted once.
func TestLostStoreAnswers(t *testing.T) {
	t.Parallel()
	h := newHarness(t, map[string]string{"DAILY_QUOTA": "5"}, func(k *nanobananatest.Knobs) {
		k.Delay = nanobananatest.Duration(300 * time.Millisecond)
	})
	for _, name := range []string{"submit", "callback", "ingest"} {
		var lost sync.Map // a picture and its thumbnail are put at once
		h.proxy[name].Fail(nil, func(call string) int {
			if call == "GetSecretValue" {
				return 0
			}
			if _, again := lost.LoadOrStore(call, true); again {
				return 0
			}
			return http.StatusServiceUnavailable
		})
	}
	x := h.submit("ada", map[string]any{"prompt": "a lighthouse"}, "k")
	h.checkImages(h.awaitEnd("ada", x.ID), 0)
	var left credits.Credits
	h.call("ada", http.MethodGet, "/v1/credits", nil).decode(t, http.StatusOK, &left)
	if h.sim.Posts() != 1 || left.Quota.Used != 1 {
		t.Errorf("%d POSTs, %d of the quota used", h.sim.Posts(), left.Quota.Used)
	}
}
