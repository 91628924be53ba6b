// Package bursttest submits more orders than the provider accepts at once, in
// synctest's time. The submits and sweeps are the real ones.
package bursttest

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/preset/nanobanana-functions/shared/config"
	"github.com/preset/nanobanana-functions/shared/lifecycle"
	"github.com/preset/nanobanana-functions/shared/task"
	"github.com/preset/nanobanana-functions/shared/task/tasktest"
)

// load is a number of orders, spread evenly over a time, with the limits that must hold
// for them. No order may fail.
type load struct {
	name     string
	orders   int
	over     time.Duration
	maxLast  time.Duration // from the first order until the last is accepted; 0: no limit
	maxP99   time.Duration // of an order's wait; 0: no limit
	maxPosts float64       // POSTs per order, 429s included; 0: no limit
}

// minTime returns how long the provider needs at least for so many orders.
func minTime(orders int) time.Duration { return time.Duration(orders) * limitTime / limit }

func steady(over time.Duration) load {
	return load{name: "119 a minute for " + over.String(), orders: 119 * int(over/time.Minute), over: over, maxP99: 5 * time.Minute}
}

// phases are the times from the first order to the first sweep.
var phases = []time.Duration{0, 7 * time.Second, 20 * time.Second, 33 * time.Second, 47 * time.Second, 59 * time.Second}

// TestBurst runs for a few seconds. BURST=full, as in make proof, adds what takes
// minutes: every phase with and without Retry-After, a thousand orders, and two hours
// just below the provider's limit.
func TestBurst(t *testing.T) {
	full := os.Getenv("BURST") == "full"
	never, soon := time.Duration(0), 10*time.Second
	for _, x := range []struct {
		load
		phases, retryAfter []time.Duration // without BURST=full
	}{
		{load{name: "300 in a minute", orders: 300, over: time.Minute, maxLast: 5 * time.Minute, maxPosts: 2}, phases[2:3], []time.Duration{never, soon}},
		{load{name: "1000 in a minute", orders: 1000, over: time.Minute, maxLast: 2 * minTime(1000)}, nil, nil},
		{steady(5 * time.Minute), phases[2:3], []time.Duration{never}},
		{steady(2 * time.Hour), nil, nil},
	} {
		if full {
			x.phases, x.retryAfter = phases, []time.Duration{never, soon}
		}
		for _, retryAfter := range x.retryAfter {
			for _, phase := range x.phases {
				t.Run(fmt.Sprintf("%s, Retry-After %v, first sweep at %v", x.name, retryAfter, phase), func(t *testing.T) {
					run(t, x.load, retryAfter, phase)
				})
			}
		}
	}
}

// run submits the orders and sweeps each minute until all are accepted.
func run(t *testing.T, l load, retryAfter, phase time.Duration) {
	synctest.Test(t, func(t *testing.T) {
		h := newHarness(t, retryAfter)
		begun := time.Now()
		orders := make([]order, l.orders)
		stop := h.sweepEach(time.Minute, phase)
		var wg sync.WaitGroup
		for i := range orders {
			wg.Go(func() {
				time.Sleep(l.over * time.Duration(i) / time.Duration(l.orders))
				orders[i] = h.order(t)
			})
		}
		wg.Wait()
		for h.provider.taken() < l.orders && time.Since(begun) < l.over+12*time.Hour {
			time.Sleep(time.Second)
		}
		stop()
		h.check(t, l, begun, orders)
	})
}

type order struct {
	id string
	at time.Time
}

// order submits an order.
func (h *harness) order(t *testing.T) order {
	o := order{at: time.Now()}
	x, _, err := h.submitter.Submit(context.Background(), lifecycle.Order{Owner: "ada", Request: task.Request{Prompt: "a lighthouse", NumImages: 1}})
	if err != nil {
		t.Errorf("an order was refused: %v", err)
		return o
	}
	o.id = x.ID
	return o
}

// check checks the limits of a load.
func (h *harness) check(t *testing.T, l load, begun time.Time, orders []order) {
	var waits []time.Duration
	var last time.Duration
	failed := map[task.Code]int{}
	for _, o := range orders {
		at, accepted := h.provider.accepted[o.id]
		if !accepted {
			x, err := h.store.Task(context.Background(), o.id)
			if err != nil {
				t.Fatal(err)
			}
			failed[cmp.Or(x.Failure, task.Code(x.Status))]++
			continue
		}
		waits = append(waits, at.Sub(o.at))
		last = max(last, at.Sub(begun))
	}
	slices.Sort(waits)
	p99 := waits[len(waits)*99/100]
	posts := float64(len(h.provider.posts)) / float64(l.orders)
	t.Logf("%d POSTs (%.2f an order), the last accepted after %v (at least: %v), p99 of the wait %v, not accepted: %v",
		len(h.provider.posts), posts, last.Round(time.Second), minTime(l.orders), p99.Round(time.Second), failed)
	switch {
	case len(failed) > 0:
		t.Errorf("not accepted: %v", failed)
	case l.maxLast > 0 && last > l.maxLast:
		t.Errorf("the last order was accepted after %v, want at most %v", last, l.maxLast)
	case l.maxP99 > 0 && p99 > l.maxP99:
		t.Errorf("one order in a hundred waited %v, want at most %v", p99, l.maxP99)
	case l.maxPosts > 0 && posts > l.maxPosts:
		t.Errorf("%.2f POSTs an order, want at most %v", posts, l.maxPosts)
	}
}

// harness is the lifecycle with all that it works with.
type harness struct {
	submitter *lifecycle.Submitter
	sweeper   *lifecycle.Sweeper
	store     *tasktest.Memory
	provider  *provider
}

const key = "0123456789abcdef0123456789abcdef"

func newHarness(t *testing.T, retryAfter time.Duration) *harness {
	env := map[string]string{"NANOBANANA_BASE_URL": "http://127.0.0.1:1", "PUBLIC_URL": "https://api.example.com"}
	c, err := config.Load(func(name string) string { return env[name] }, config.Local)
	if err != nil {
		t.Fatal(err)
	}
	store := tasktest.NewMemory()
	keys := `[{"id":"1","key":"` + key + `"}]`
	secrets := config.NewSecrets(func(context.Context) ([]byte, error) {
		return []byte(`{"apiKey":"` + key + `","callbackKeys":` + keys + `,"imageKeys":` + keys + `}`), nil
	}, time.Now, slog.New(slog.DiscardHandler))
	p := &provider{retryAfter: retryAfter, accepted: map[string]time.Time{}}
	client := &http.Client{Transport: p}
	poster := lifecycle.NewPoster(c, store, secrets, nil, client, slog.New(slog.DiscardHandler))
	return &harness{submitter: lifecycle.NewSubmitter(c, poster, client), sweeper: lifecycle.NewSweeper(c, poster), store: store, provider: p}
}

// sweepEach sweeps as the schedule does: at each interval, even if the sweep before has
// not ended. stop waits for the sweeps under way.
func (h *harness) sweepEach(every, phase time.Duration) (stop func()) {
	ended := make(chan struct{})
	var sweeps sync.WaitGroup
	sweeps.Go(func() {
		next := time.After(phase)
		for {
			select {
			case <-ended:
				return
			case <-next:
				next = time.After(every)
				sweeps.Go(h.sweep)
			}
		}
	})
	return func() { close(ended); sweeps.Wait() }
}

// sweep sweeps once, within the timeout of the function.
func (h *harness) sweep() {
	ctx, cancel := context.WithTimeout(context.Background(), 90*time.Second)
	defer cancel()
	_, _ = h.sweeper.Sweep(ctx) // an error would show as orders not accepted
}
