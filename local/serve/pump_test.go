package serve

import (
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/preset/nanobanana-functions/shared/media"
	"github.com/preset/nanobanana-functions/shared/nanobanana/nanobananatest"
)

// A run that hangs does not hold up the next. At most two overlap, and each has a
// timeout.
func TestScheduleOverlaps(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		started := time.Now()
		var mu sync.Mutex
		var starts []time.Duration // of runs, since started
		hang := func(n int) bool { return n == 0 || n == 3 }
		ctx, stop := context.WithCancel(t.Context())
		ended := make(chan struct{})
		go func() {
			defer close(ended)
			schedule(ctx, 30*time.Second, 2, func(ctx context.Context) {
				mu.Lock()
				n := len(starts)
				starts = append(starts, time.Since(started))
				mu.Unlock()
				if hang(n) {
					<-ctx.Done()
				}
			})
		}()
		time.Sleep(200 * time.Second)
		synctest.Wait()
		// The first hangs until 90 s; the fourth, at 90 s, until 180 s.
		var want []time.Duration
		for n := range 7 {
			want = append(want, time.Duration(n)*30*time.Second)
		}
		if !slices.Equal(starts, want) {
			t.Errorf("runs start at %v, want %v", starts, want)
		}
		stop()
		<-ended
	})
}

// While two runs hang, ticks are skipped and not made up for.
func TestScheduleIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		started := time.Now()
		var mu sync.Mutex
		var starts, ends []time.Duration
		ctx, stop := context.WithCancel(t.Context())
		ended := make(chan struct{})
		go func() {
			defer close(ended)
			schedule(ctx, 20*time.Second, 2, func(ctx context.Context) {
				note := func(list *[]time.Duration) {
					mu.Lock()
					defer mu.Unlock()
					*list = append(*list, time.Since(started))
				}
				note(&starts)
				<-ctx.Done()
				note(&ends)
			})
		}()
		time.Sleep(119 * time.Second)
		synctest.Wait()
		if want := []time.Duration{0, 20 * time.Second, 100 * time.Second}; !slices.Equal(starts, want) {
			t.Errorf("runs start at %v, want %v", starts, want)
		}
		if want := []time.Duration{90 * time.Second, 110 * time.Second}; !slices.Equal(ends, want) {
			t.Errorf("runs end at %v, want %v", ends, want)
		}
		stop()
		<-ended
		if len(ends) != len(starts) {
			t.Errorf("it returned while %d of %d runs were under way", len(starts)-len(ends), len(starts))
		}
	})
}

// While the read of one record hangs, other tasks are polled.
func TestHangingRecordRead(t *testing.T) {
	sim := nanobananatest.NewServer(func(k *nanobananatest.Knobs) { k.LoseCallbacks, k.PictureSide = true, 64 })
	t.Cleanup(sim.Close)
	hanging, ended := make(chan struct{}), make(chan struct{})
	var first sync.Once
	provider := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		hang := false
		if strings.HasSuffix(r.URL.Path, "/record-info") {
			first.Do(func() { hang = true })
		}
		if !hang {
			sim.ServeHTTP(w, r)
			return
		}
		close(hanging)
		<-r.Context().Done() // the reader gives up
		close(ended)
	}))
	t.Cleanup(provider.Close)
	r := startHarness(t, map[string]string{
		"NANOBANANA_BASE_URL": provider.URL, "NANOBANANA_API_KEY": nanobananatest.DefaultKey, "RESULT_HOSTS": strings.TrimPrefix(sim.URL, "http://"),
		"SWEEP_EVERY": "20ms", "POLL_EVERY": "100ms",
	})
	r.Submit(t, map[string]any{"prompt": "hangs"}, "a")
	<-hanging
	r.AwaitSuccess(t, r.Submit(t, map[string]any{"prompt": "goes on"}, "b").ID)
	select {
	case <-ended:
		t.Error("the other task waited for the hanging read")
	default:
	}
}

// A sweep stops sending POSTs when the next one begins, so two at once are enough.
func TestSweepsEndBeforeTheNext(t *testing.T) {
	for every, want := range map[string]time.Duration{"": 30 * time.Second, "1s": time.Second, "10m": time.Minute} {
		if r := startHarness(t, map[string]string{"SWEEP_EVERY": every}); r.sweeper.PostTime != want {
			t.Errorf("with SWEEP_EVERY=%q a sweep sends for %v, want %v", every, r.sweeper.PostTime, want)
		}
	}
}

// However many tasks are handled at once, few decoded pictures are in memory. Whoever
// waits for a turn does so no longer than its context lasts.
func TestInTurns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		most := min(maxDecoded, runtime.GOMAXPROCS(0))
		running, end := 0, make(chan struct{})
		var mu sync.Mutex
		open := inTurns(newTurns(), func(context.Context, io.ReadSeeker) (media.Picture, error) {
			mu.Lock()
			running++
			mu.Unlock()
			<-end
			return media.Picture{}, nil
		})
		ctx, cancel := context.WithCancel(t.Context())
		results := make(chan error, streamWorkers)
		for range streamWorkers {
			go func() {
				_, err := open(ctx, nil)
				results <- err
			}()
		}
		synctest.Wait()
		if running != most {
			t.Errorf("%d at once, want %d", running, most)
		}
		end <- struct{}{}
		synctest.Wait()
		if running != most+1 || len(results) != 1 {
			t.Errorf("%d have begun, want %d", running, most+1)
		}
		cancel()
		synctest.Wait()
		if len(results) != streamWorkers-most {
			t.Errorf("%d have returned, want %d", len(results), streamWorkers-most)
		}
		close(end)
	})
}
