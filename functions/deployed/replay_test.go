package deployed_test

import (
	"fmt"
	"net/http"
	"sync"
	"testing"

	"github.com/preset/nanobanana-functions/shared/httpapi"
	"github.com/preset/nanobanana-functions/shared/task"
)

// checkRefused fails the test unless the answer is a Problem with this code.
func checkRefused(t testing.TB, a answer, status int, code task.Code) {
	t.Helper()
	var p httpapi.Problem
	a.decode(t, status, &p)
	if p.Code != code {
		t.Errorf("code %q, want %q", p.Code, code)
	}
}

// The same order under the same key is the same task in every process. An order
// over the quota is refused before anything is posted.
func TestReplayAndQuota(t *testing.T) {
	t.Parallel()
	h := newHarness(t, map[string]string{"DAILY_QUOTA": "3"})
	order := map[string]any{"prompt": "a lighthouse", "numImages": 2}
	x := h.submit("ada", order, "k")
	for _, restart := range []bool{false, true} {
		if restart {
			h.function["submit"].Kill()
		}
		a := h.call("ada", http.MethodPost, "/v1/tasks", order, "Idempotency-Key", "k")
		var again httpapi.Task
		a.decode(t, http.StatusAccepted, &again)
		if again.ID != x.ID || a.header.Get("Idempotency-Replayed") != "true" {
			t.Errorf("a replay: task %s, want %s; %v", again.ID, x.ID, a.header)
		}
	}
	other := h.call("ada", http.MethodPost, "/v1/tasks", map[string]any{"prompt": "a ship"}, "Idempotency-Key", "k")
	checkRefused(t, other, http.StatusUnprocessableEntity, task.CodeIdempotencyKeyReused)
	checkRefused(t, h.call("ada", http.MethodPost, "/v1/tasks", order, "Idempotency-Key", "k2"), http.StatusTooManyRequests, task.CodeQuotaExceeded)
	if n := h.sim.Posts(); n != 1 {
		t.Errorf("%d POSTs, want 1", n)
	}
	h.checkImages(h.awaitEnd("ada", x.ID), 0)
	h.submit("bob", order, "k") // bob's key and bob's quota
	if n := h.sim.Posts(); n != 2 {
		t.Errorf("%d POSTs, want 2", n)
	}
}

// Concurrent orders run in separate processes: one key is one task and one
// POST, and a quota of 3 allows three pictures.
func TestConcurrentOrders(t *testing.T) {
	t.Parallel()
	h := newHarness(t, map[string]string{"DAILY_QUOTA": "3"})
	const n = 6
	order := map[string]any{"prompt": "a lighthouse"}
	same := h.atOnce("ada", n, order, func(int) string { return "k" })
	if len(same) != 1 || same[0].count != n || h.sim.Posts() != 1 {
		t.Errorf("one key: %+v, %d POSTs", same, h.sim.Posts())
	}
	each := h.atOnce("bob", n, order, func(i int) string { return fmt.Sprint("k", i) })
	taken, over := 0, 0
	for _, a := range each {
		if a.status == http.StatusAccepted {
			taken += a.count
		} else if a.status == http.StatusTooManyRequests {
			over += a.count
		}
	}
	if taken != 3 || over != n-3 || h.sim.Posts() != 4 {
		t.Errorf("quota of 3: %d taken, %d refused, %d POSTs in all", taken, over, h.sim.Posts())
	}
	if n := h.function["submit"].Starts(); n < 2 {
		t.Errorf("%d processes, want at least 2", n)
	}
}

// outcome is how many orders got the same status and task.
type outcome struct {
	status int
	id     string
	count  int
}

// atOnce submits an order n times concurrently.
func (h *harness) atOnce(owner string, n int, order map[string]any, key func(i int) string) []outcome {
	h.t.Helper()
	var wg sync.WaitGroup
	answers := make([]answer, n)
	for i := range n {
		wg.Go(func() {
			var err error
			answers[i], err = h.send(h.client, owner, http.MethodPost, "/v1/tasks", order, "Idempotency-Key", key(i))
			if err != nil {
				h.t.Error(err)
			}
		})
	}
	wg.Wait()
	var all []outcome
	for _, a := range answers {
		c := outcome{status: a.status, count: 1}
		if a.status == http.StatusAccepted {
			var t httpapi.Task
			a.decode(h.t, http.StatusAccepted, &t)
			c.id = t.ID
		}
		all = addOutcome(all, c)
	}
	return all
}

func addOutcome(all []outcome, c outcome) []outcome {
	for i := range all {
		if all[i].status == c.status && all[i].id == c.id {
			all[i].count++
			return all
		}
	}
	return append(all, c)
}
