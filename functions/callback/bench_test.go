package callback_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/preset/nanobanana-functions/functions/callback"
	"github.com/preset/nanobanana-functions/shared/lifecycle"
	"github.com/preset/nanobanana-functions/shared/lifecycle/lifecycletest"
	"github.com/preset/nanobanana-functions/shared/task"
)

// BenchmarkAcknowledge measures how long a callback waits for its answer while
// the provider takes 20 ms to return the record: over HTTP, ten at a time.
func BenchmarkAcknowledge(b *testing.B) {
	w := lifecycletest.New(b)
	w.Sim.SetBalance(1e9)
	slow := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		if strings.HasSuffix(r.URL.Path, "/record-info") {
			time.Sleep(20 * time.Millisecond)
		}
		w.Sim.ServeHTTP(rw, r)
	}))
	b.Cleanup(slow.Close)
	w.Provider.BaseURL = slow.URL
	server := httptest.NewServer(callback.New(callback.Function{Secrets: w.Secrets, Service: w.Service, Log: w.Log}))
	b.Cleanup(server.Close)

	for range b.N {
		if _, _, err := w.Submit(b.Context(), lifecycle.Order{Owner: "ada", Request: task.Request{Prompt: "a lighthouse", NumImages: 1}}); err != nil {
			b.Fatal(err)
		}
	}
	w.Generated(b, b.N-1)
	const together = 10
	waits := make(chan time.Duration, b.N)
	turns := make(chan struct{}, together)
	client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: together}}
	b.ResetTimer()
	for _, made := range w.Sim.Tasks() {
		turns <- struct{}{}
		go func() {
			defer func() { <-turns }()
			body := fmt.Sprintf(`{"code":200,"data":{"taskId":%q,"info":{"resultImageUrl":%q}}}`, made.ID, made.URLs[0])
			begun := time.Now()
			resp, err := client.Post(server.URL+made.CallbackURL[len(w.Settings.PublicURL):], "application/json", strings.NewReader(body))
			if err != nil || resp.StatusCode != http.StatusOK {
				b.Errorf("%v, %v", resp, err)
			}
			_ = resp.Body.Close()
			waits <- time.Since(begun)
		}()
	}
	all := make([]time.Duration, b.N)
	for i := range all {
		all[i] = <-waits
	}
	slices.Sort(all)
	b.ReportMetric(float64(all[len(all)/2].Microseconds())/1000, "p50-ms")
	b.ReportMetric(float64(all[len(all)*99/100].Microseconds())/1000, "p99-ms")
}
