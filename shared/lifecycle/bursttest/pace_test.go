package bursttest

import (
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// waiting makes a world in which so many orders have been refused, one a second, and
// the provider accepts again.
func waiting(t *testing.T, dir string, orders int) (w *world, ids []string) {
	w = newWorld(t, dir, 0)
	w.provider.close(true)
	for range orders {
		ids = append(ids, w.order(t).id)
		time.Sleep(time.Second)
	}
	w.provider.close(false)
	time.Sleep(time.Minute) // all are due, and no POST was refused of late
	return w, ids
}

// Two sweeps that begin together send 20 POSTs in 10 s at most, the oldest order
// first, and start none after their minute. The next goes on where they ended.
func TestSweepsKeepThePace(t *testing.T) {
	dir := ramDir(t)
	synctest.Test(t, func(t *testing.T) {
		w, ids := waiting(t, dir, 150)
		begun := time.Now()
		var sweeps sync.WaitGroup
		for range 2 {
			sweeps.Go(w.sweep)
		}
		sweeps.Wait()
		sent := w.provider.seen()
		if n := len(sent); n < 100 || n > 120 {
			t.Errorf("%d POSTs in a minute", n)
		}
		w.sweep()
		sent = w.provider.seen()
		for n, s := range sent {
			if n >= len(ids) || s.id != ids[n] {
				t.Fatalf("POST %d is not that of order %d", n, n)
			}
			if n >= limit && s.at.Sub(sent[n-limit].at) < limitTime {
				t.Errorf("more than %d POSTs in %v, at %v", limit, limitTime, s.at.Sub(begun))
			}
		}
		if n := w.provider.taken(); n != len(ids) {
			t.Errorf("%d orders of %d are accepted after two minutes", n, len(ids))
		}
	})
}

// A sweep lasts for its minute, and for what is on its way then.
func TestSweepEnds(t *testing.T) {
	dir := ramDir(t)
	synctest.Test(t, func(t *testing.T) {
		w, _ := waiting(t, dir, 150)
		begun := time.Now()
		w.sweep()
		if took := time.Since(begun); took > time.Minute+latency || took < 59*time.Second {
			t.Errorf("the sweep took %v", took)
		}
		for _, s := range w.provider.seen() {
			if at := s.at.Sub(begun); at > time.Minute+latency {
				t.Errorf("a POST arrived after %v", at)
			}
		}
	})
}

// While the provider refuses, a sweep tries one order each 10 s, instead of each order.
func TestRefusalStopsTheOthers(t *testing.T) {
	dir := ramDir(t)
	synctest.Test(t, func(t *testing.T) {
		w, _ := waiting(t, dir, 30)
		w.provider.close(true)
		w.sweep()
		sent := w.provider.seen()
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
