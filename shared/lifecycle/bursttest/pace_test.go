package bursttest

import (
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// waiting returns a harness in which so many orders were refused, one a second, and the
// provider accepts again.
func waiting(t *testing.T, orders int) (h *harness, ids []string) {
	h = newHarness(t, 0)
	h.provider.close(true)
	for range orders {
		ids = append(ids, h.order(t).id)
		time.Sleep(time.Second)
	}
	h.provider.close(false)
	time.Sleep(time.Minute) // all are due, and the pause of POSTs is over
	return h, ids
}

// Two sweeps that begin together send at most 20 POSTs in 10 s, the oldest order first,
// and start none after their minute. The next sweep continues where they ended.
func TestSweepsKeepThePace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h, ids := waiting(t, 150)
		begun := time.Now()
		var sweeps sync.WaitGroup
		for range 2 {
			sweeps.Go(h.sweep)
		}
		sweeps.Wait()
		sent := h.provider.seen()
		if n := len(sent); n < 100 || n > 120 {
			t.Errorf("%d POSTs in a minute", n)
		}
		h.sweep()
		sent = h.provider.seen()
		for n, s := range sent {
			if n >= len(ids) || s.id != ids[n] {
				t.Fatalf("POST %d is not for order %d", n, n)
			}
			if n >= limit && s.at.Sub(sent[n-limit].at) < limitTime {
				t.Errorf("more than %d POSTs in %v, at %v", limit, limitTime, s.at.Sub(begun))
			}
		}
		if n := h.provider.taken(); n != len(ids) {
			t.Errorf("%d orders of %d are accepted after two minutes", n, len(ids))
		}
	})
}

// A sweep lasts a minute, plus the POSTs under way at its end.
func TestSweepEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h, _ := waiting(t, 150)
		begun := time.Now()
		h.sweep()
		if took := time.Since(begun); took > time.Minute+latency || took < 59*time.Second {
			t.Errorf("the sweep took %v", took)
		}
		for _, s := range h.provider.seen() {
			if at := s.at.Sub(begun); at > time.Minute+latency {
				t.Errorf("a POST arrived after %v", at)
			}
		}
	})
}

// While the provider refuses, a sweep tries one order every 10 s.
func TestRefusalStopsTheOthers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h, _ := waiting(t, 30)
		h.provider.close(true)
		h.sweep()
		sent := h.provider.seen()
		if n := len(sent); n != 6 {
			t.Errorf("%d POSTs in a minute, want 6", n)
		}
		for n := 1; n < len(sent); n++ {
			if apart := sent[n].at.Sub(sent[n-1].at); apart < 10*time.Second {
				t.Errorf("a POST came %v after a refused one", apart)
			}
		}
		ids := map[string]bool{}
		for _, s := range sent {
			ids[s.id] = true
		}
		if len(ids) != len(sent) {
			t.Errorf("one order was sent twice in a sweep: %v", sent)
		}
	})
}
