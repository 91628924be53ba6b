package httpapi

import (
	"log/slog"
	"net/http"
	"path"

	"github.com/preset/nanobanana-functions/shared/task"
)

// Mux serves mux, but where mux itself would answer, in plain text, the
// answer is a Problem: 404, 405 with Allow, and 404 instead of a redirect to
// a tidier path, which an API has no use for.
func Mux(log *slog.Logger, mux *http.ServeMux) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h, pattern := mux.Handler(r)
		if pattern != "" && isTidy(r.URL.EscapedPath()) {
			mux.ServeHTTP(w, r)
			return
		}
		// What mux would say; only its handler knows the allowed methods.
		said := headerOnly{}
		h.ServeHTTP(said, r)
		Handler(log, unmatched(http.Header(said)["Allow"])).ServeHTTP(w, r)
	})
}

// unmatched refuses a request for an address that does not exist or, where
// it does, takes only the allowed methods.
func unmatched(allowed []string) Endpoint {
	return func(*http.Request) (Answer, error) {
		if allowed == nil {
			return Answer{}, &task.Error{Code: task.CodeNotFound}
		}
		return Answer{Status: http.StatusMethodNotAllowed, Header: http.Header{"Allow": allowed}},
			task.Malformed(task.Field{Code: "method_not_allowed", Message: "This address does not take this method; see the header Allow."})
	}
}

// isTidy reports whether p is a path that mux serves without a redirect.
func isTidy(p string) bool {
	clean := path.Clean("/" + p)
	return p == clean || p == clean+"/" && p != "//"
}

// headerOnly is an http.ResponseWriter that keeps nothing but the header.
type headerOnly http.Header

func (h headerOnly) Header() http.Header         { return http.Header(h) }
func (h headerOnly) Write(b []byte) (int, error) { return len(b), nil }
func (h headerOnly) WriteHeader(int)             {}
