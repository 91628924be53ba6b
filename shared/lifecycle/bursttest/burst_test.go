// Package bursttest has more orders placed than the provider accepts at once, in
// synctest's time: the service, its sweeps and its store are the real ones.
package bursttest

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/preset/nanobanana-functions/shared/config"
	"github.com/preset/nanobanana-functions/shared/lifecycle"
	"github.com/preset/nanobanana-functions/shared/task"
	"github.com/preset/nanobanana-functions/shared/taskbolt"
)

// load is how many orders are placed, evenly spread over a time, and what has to
// come of them. None may be given up in any case.
type load struct {
	name   string
	orders int
	over   time.Duration
	last   time.Duration // until the last is accepted, from the first order on; 0: any
	p99    time.Duration // of the wait of an order; 0: any
	posts  float64       // an order, 429s counted; 0: any
}

// least is how long the provider needs for so many orders.
func least(orders int) time.Duration { return time.Duration(orders) * limitTime / limit }

func steady(over time.Duration) load {
	return load{name: "119 a minute for " + over.String(), orders: 119 * int(over/time.Minute), over: over, p99: 5 * time.Minute}
}

// phases are when the first sweep comes, after the first order.
var phases = []time.Duration{0, 7 * time.Second, 20 * time.Second, 33 * time.Second, 47 * time.Second, 59 * time.Second}

// TestBurst runs for some seconds. BURST=full, as in make proof, adds what takes
// minutes: every phase with and without Retry-After, a thousand orders, and two hours
// at just below the provider's limit.
func TestBurst(t *testing.T) {
	full := os.Getenv("BURST") == "full"
	never, soon := time.Duration(0), 10*time.Second
	for _, x := range []struct {
		load
		phases, retryAfter []time.Duration // where not all are tried
	}{
		{load{name: "300 in a minute", orders: 300, over: time.Minute, last: 5 * time.Minute, posts: 2}, phases[2:3], []time.Duration{never, soon}},
		{load{name: "1000 in a minute", orders: 1000, over: time.Minute, last: 2 * least(1000)}, nil, nil},
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

// run places the orders and sweeps each minute until all are accepted.
func run(t *testing.T, l load, retryAfter, phase time.Duration) {
	dir := ramDir(t)
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, dir, retryAfter)
		begun := time.Now()
		placed := make([]order, l.orders)
		stop := w.sweepEach(time.Minute, phase)
		var wg sync.WaitGroup
		for i := range placed {
			wg.Go(func() {
				time.Sleep(l.over * time.Duration(i) / time.Duration(l.orders))
				placed[i] = w.order(t)
			})
		}
		wg.Wait()
		for w.provider.taken() < l.orders && time.Since(begun) < l.over+12*time.Hour {
			time.Sleep(time.Second)
		}
		stop()
		w.judge(t, l, begun, placed)
	})
}

type order struct {
	id string
	at time.Time
}

// order places one.
func (w *world) order(t *testing.T) order {
	o := order{at: time.Now()}
	x, _, err := w.submitter.Submit(context.Background(), lifecycle.Order{Owner: "ada", Request: task.Request{Prompt: "a lighthouse", NumImages: 1}})
	if err != nil {
		t.Errorf("an order is refused: %v", err)
		return o
	}
	o.id = x.ID
	return o
}

// judge holds what became of the orders against what has to.
func (w *world) judge(t *testing.T, l load, begun time.Time, placed []order) {
	var waits []time.Duration
	var last time.Duration
	failed := map[task.Code]int{}
	for _, o := range placed {
		at, accepted := w.provider.accepted[o.id]
		if !accepted {
			x, err := w.store.Task(context.Background(), o.id)
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
	posts := float64(len(w.provider.posts)) / float64(l.orders)
	t.Logf("%d POSTs (%.2f an order), the last accepted after %v (least: %v), p99 of the wait %v, not accepted: %v",
		len(w.provider.posts), posts, last.Round(time.Second), least(l.orders), p99.Round(time.Second), failed)
	switch {
	case len(failed) > 0:
		t.Errorf("not accepted: %v", failed)
	case l.last > 0 && last > l.last:
		t.Errorf("the last order was accepted after %v, want at most %v", last, l.last)
	case l.p99 > 0 && p99 > l.p99:
		t.Errorf("one order in a hundred waited %v, want at most %v", p99, l.p99)
	case l.posts > 0 && posts > l.posts:
		t.Errorf("%.2f POSTs an order, want at most %v", posts, l.posts)
	}
}

// world is the service with all that it works with.
type world struct {
	submitter *lifecycle.Submitter
	sweeper   *lifecycle.Sweeper
	store     *taskbolt.Store
	provider  *provider
}

const key = "0123456789abcdef0123456789abcdef"

func newWorld(t *testing.T, dir string, retryAfter time.Duration) *world {
	env := map[string]string{"NANOBANANA_BASE_URL": "http://127.0.0.1:1", "PUBLIC_URL": "https://api.example.com"}
	c, err := config.Load(func(name string) string { return env[name] }, config.Local)
	if err != nil {
		t.Fatal(err)
	}
	store, err := taskbolt.Open(filepath.Join(dir, "tasks.db"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := store.Close(); err != nil {
			t.Error(err)
		}
	})
	keys := `[{"id":"1","key":"` + key + `"}]`
	secrets := config.NewSecrets(func(context.Context) ([]byte, error) {
		return []byte(`{"apiKey":"` + key + `","callbackKeys":` + keys + `,"imageKeys":` + keys + `}`), nil
	}, time.Now, slog.New(slog.DiscardHandler))
	p := &provider{retryAfter: retryAfter, accepted: map[string]time.Time{}}
	client := &http.Client{Transport: p}
	poster := lifecycle.NewPoster(c, store, secrets, nil, client, slog.New(slog.DiscardHandler))
	return &world{submitter: lifecycle.NewSubmitter(c, poster, client), sweeper: lifecycle.NewSweeper(c, poster), store: store, provider: p}
}

// sweepEach sweeps as the schedule does: whether or not the sweep before has ended,
// each with the time that the function has. stop waits for those under way.
func (w *world) sweepEach(every, phase time.Duration) (stop func()) {
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
				sweeps.Go(w.sweep)
			}
		}
	})
	return func() { close(ended); sweeps.Wait() }
}

// sweep sweeps once, in the time that the function has.
func (w *world) sweep() {
	ctx, cancel := context.WithTimeout(context.Background(), 90*time.Second)
	defer cancel()
	_, _ = w.sweeper.Sweep(ctx) // its error is the store's: what was not sent shows it
}

// ramDir returns a folder in memory where there is one: the store waits for the disk
// at each write, thousands of times here.
func ramDir(t *testing.T) string {
	dir, err := os.MkdirTemp("/dev/shm", "bursttest")
	if err != nil {
		return t.TempDir()
	}
	t.Cleanup(func() {
		if err := os.RemoveAll(dir); err != nil {
			t.Error(err)
		}
	})
	return dir
}
