package httpapi

import (
	"log/slog"
	"net/http"
	"path"

	"github.com/preset/nanobanana-functions/shared/task"
)

// Mux serves mux, but replaces the answers that mux itself would write in plain text by
// a Problem: 404, 405 with Allow, and 404 instead of a redirect to a clean path, which
// an API does not need.
func Mux(log *slog.Logger, mux *http.ServeMux) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h, pattern := mux.Handler(r)
		if pattern != "" && isClean(r.URL.EscapedPath()) {
			mux.ServeHTTP(w, r)
			return
		}
		// Only the handler of mux knows the allowed methods.
		header := headerOnly{}
		h.ServeHTTP(header, r)
		Handler(log, unmatched(http.Header(header)["Allow"])).ServeHTTP(w, r)
	})
}

// unmatched refuses a request whose address does not exist or accepts only the allowed
// methods.
func unmatched(allowed []string) Endpoint {
	return func(*http.Request) (Answer, error) {
		if allowed == nil {
			return Answer{}, &task.Error{Code: task.CodeNotFound}
		}
		return Answer{Status: http.StatusMethodNotAllowed, Header: http.Header{"Allow": allowed}},
			task.Malformed(task.Field{Code: "method_not_allowed", Message: "This address does not accept this method; see the Allow header."})
	}
}

// isClean reports whether mux serves the path p without a redirect.
func isClean(p string) bool {
	clean := path.Clean("/" + p)
	return p == clean || p == clean+"/" && p != "//"
}

// headerOnly is an http.ResponseWriter that keeps only the header.
type headerOnly http.Header

func (h headerOnly) Header() http.Header         { return http.Header(h) }
func (h headerOnly) Write(b []byte) (int, error) { return len(b), nil }
func (h headerOnly) WriteHeader(int)             {}
