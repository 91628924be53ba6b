package submit_test

import (
	"context"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/preset/nanobanana-functions/shared/nanobanana"
	"github.com/preset/nanobanana-functions/shared/nanobanana/nanobananatest"
	"github.com/preset/nanobanana-functions/shared/task"
)

// nullStore is a store that does no work, so that only submit's own work is
// measured.
type nullStore struct{ task.Store }

func (nullStore) Create(_ context.Context, t *task.Task, _ int) (*task.Task, error) { return t, nil }
func (nullStore) Put(_ context.Context, t *task.Task) (*task.Task, error)           { return t, nil }

// cannedProvider answers every request at once.
type cannedProvider struct{ submit, credit string }

func (c cannedProvider) RoundTrip(r *http.Request) (*http.Response, error) {
	body := c.submit
	if r.Method == http.MethodGet {
		body = c.credit
	}
	return &http.Response{StatusCode: 200, Header: http.Header{"Content-Type": {"application/json"}}, Body: io.NopCloser(strings.NewReader(body)), Request: r}, nil
}

// BenchmarkSubmit measures the function's own work from the request's bytes to
// the answer's, without store and network. BenchmarkProvider measures the
// client's part of it.
func BenchmarkSubmit(b *testing.B) {
	h := newHarness(b)
	h.Store, h.Provider = nullStore{}, client()
	h.Log = slog.New(slog.NewJSONHandler(io.Discard, nil))
	handler := h.function()
	b.ReportAllocs()
	for b.Loop() {
		r := httptest.NewRequest(http.MethodPost, "/v1/tasks", strings.NewReader(`{"prompt":"a lighthouse at dusk","aspectRatio":"16:9","target":{"kind":"moodboard","id":"m1"}}`))
		r.Header.Set("Authorization", "Bearer "+h.token)
		r.Header.Set("Content-Type", "application/json")
		r.Header.Set("Idempotency-Key", "a-key")
		w := httptest.NewRecorder()
		if handler.ServeHTTP(w, r); w.Code != http.StatusAccepted {
			b.Fatalf("%d %s", w.Code, w.Body)
		}
	}
}

func BenchmarkProvider(b *testing.B) {
	c := client()
	b.ReportAllocs()
	for b.Loop() {
		_, err := c.Submit(b.Context(), "key", nanobanana.Request{
			Model: task.DefaultModel, Prompt: "a lighthouse at dusk", NumImages: 1, AspectRatio: "16:9", CallbackURL: "https://api.example.com/v1/callbacks/x/1/y",
		})
		if err != nil {
			b.Fatal(err)
		}
	}
}

func client() *nanobanana.Client {
	answers := cannedProvider{string(nanobananatest.Golden("submit-generate")), string(nanobananatest.Golden("credit"))}
	return &nanobanana.Client{BaseURL: "https://api.example.com", HTTP: &http.Client{Transport: answers}}
}
