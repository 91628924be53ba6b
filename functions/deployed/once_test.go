package deployed_test

import (
	"fmt"
	"net/http"
	"sync"
	"testing"

	"github.com/preset/nanobanana-functions/shared/httpapi"
	"github.com/preset/nanobanana-functions/shared/task"
)

// refused fails the test unless the answer is a Problem of this code.
func refused(t testing.TB, a answer, status int, code task.Code) {
	t.Helper()
	var p httpapi.Problem
	a.into(t, status, &p)
	if p.Code != code {
		t.Errorf("code %q, want %q", p.Code, code)
	}
}

// The same order under the same key is the same task, whatever process it comes
// to; the quota is refused at its limit, and before anything is posted.
func TestReplayAndQuota(t *testing.T) {
	t.Parallel()
	w := newWorld(t, map[string]string{"DAILY_QUOTA": "3"})
	order := map[string]any{"prompt": "a lighthouse", "numImages": 2}
	x := w.submit("ada", order, "k")
	for _, restart := range []bool{false, true} {
		if restart {
			w.function["submit"].Kill()
		}
		a := w.call("ada", http.MethodPost, "/v1/tasks", order, "Idempotency-Key", "k")
		var again httpapi.Task
		a.into(t, http.StatusAccepted, &again)
		if again.ID != x.ID || a.header.Get("Idempotency-Replayed") != "true" {
			t.Errorf("a replay: task %s, want %s; %v", again.ID, x.ID, a.header)
		}
	}
	other := w.call("ada", http.MethodPost, "/v1/tasks", map[string]any{"prompt": "a ship"}, "Idempotency-Key", "k")
	refused(t, other, http.StatusUnprocessableEntity, task.CodeIdempotencyKeyReused)
	refused(t, w.call("ada", http.MethodPost, "/v1/tasks", order, "Idempotency-Key", "k2"), http.StatusTooManyRequests, task.CodeQuotaExceeded)
	if n := w.sim.Posts(); n != 1 {
		t.Errorf("%d POSTs, want 1", n)
	}
	w.same(w.ended("ada", x.ID), 0)
	w.submit("bob", order, "k") // another's key and another's quota
	if n := w.sim.Posts(); n != 2 {
		t.Errorf("%d POSTs, want 2", n)
	}
}

// Orders that come at once come to as many processes: one key is one task and
// one POST, and a quota of 3 is three pictures.
func TestAtOnce(t *testing.T) {
	t.Parallel()
	w := newWorld(t, map[string]string{"DAILY_QUOTA": "3"})
	const n = 6
	order := map[string]any{"prompt": "a lighthouse"}
	same := w.atOnce("ada", n, order, func(int) string { return "k" })
	if len(same) != 1 || same[0].count != n || w.sim.Posts() != 1 {
		t.Errorf("one key: %+v, %d POSTs", same, w.sim.Posts())
	}
	each := w.atOnce("bob", n, order, func(i int) string { return fmt.Sprint("k", i) })
	taken, over := 0, 0
	for _, a := range each {
		if a.status == http.StatusAccepted {
			taken += a.count
		} else if a.status == http.StatusTooManyRequests {
			over += a.count
		}
	}
	if taken != 3 || over != n-3 || w.sim.Posts() != 4 {
		t.Errorf("quota of 3: %d taken, %d refused, %d POSTs in all", taken, over, w.sim.Posts())
	}
	if n := w.function["submit"].Starts(); n < 2 {
		t.Errorf("%d processes: nothing came at once", n)
	}
}

// counted is how many orders were answered with one status and one task.
type counted struct {
	status int
	id     string
	count  int
}

// atOnce submits an order n times at once.
func (w *world) atOnce(owner string, n int, order map[string]any, key func(i int) string) []counted {
	w.t.Helper()
	var wg sync.WaitGroup
	answers := make([]answer, n)
	for i := range n {
		wg.Go(func() {
			var err error
			answers[i], err = w.try(w.client, owner, http.MethodPost, "/v1/tasks", order, "Idempotency-Key", key(i))
			if err != nil {
				w.t.Error(err)
			}
		})
	}
	wg.Wait()
	var all []counted
	for _, a := range answers {
		c := counted{status: a.status, count: 1}
		if a.status == http.StatusAccepted {
			var t httpapi.Task
			a.into(w.t, http.StatusAccepted, &t)
			c.id = t.ID
		}
		all = add(all, c)
	}
	return all
}

func add(all []counted, c counted) []counted {
	for i := range all {
		if all[i].status == c.status && all[i].id == c.id {
			all[i].count++
			return all
		}
	}
	return append(all, c)
}
