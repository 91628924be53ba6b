package httpapi

import (
	"io"
	"net/http"
	"net/http/httptest"
	"testing"
)

func TestCapture(t *testing.T) {
	for name, tt := range map[string]struct {
		h      http.HandlerFunc
		status int
		body   any
	}{
		"nothing":      {func(http.ResponseWriter, *http.Request) {}, 200, nil},
		"a status":     {func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(202) }, 202, nil},
		"a body alone": {func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "{}") }, 200, "{}"},
		"both, and a second status": {func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(400)
			_, _ = io.WriteString(w, "no")
			w.WriteHeader(200)
		}, 400, "no"},
	} {
		t.Run(name, func(t *testing.T) {
			a := Capture(tt.h, httptest.NewRequest(http.MethodGet, "/", nil))
			var body any
			if b, ok := a.Body.([]byte); ok {
				body = string(b)
			}
			if a.Status != tt.status || body != tt.body {
				t.Errorf("%d %v, want %d %v", a.Status, body, tt.status, tt.body)
			}
		})
	}
}
