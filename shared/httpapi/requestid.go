package httpapi

import (
	"context"
	"crypto/rand"
	"net/http"
)

type requestIDKey struct{}

// WithRequestID returns a context with a request id, which RequestID returns.
func WithRequestID(ctx context.Context, id string) context.Context {
	return context.WithValue(ctx, requestIDKey{}, id)
}

// RequestID returns the id that an answer and its log line share: API Gateway's id
// behind Gateway, otherwise one that Handler makes. Outside a request it is empty.
func RequestID(ctx context.Context) string {
	id, _ := ctx.Value(requestIDKey{}).(string)
	return id
}

// identified returns r with a request id in its context. It ignores the client's
// X-Request-Id.
func identified(r *http.Request) (*http.Request, string) {
	if id := RequestID(r.Context()); id != "" {
		return r, id
	}
	id := rand.Text()
	return r.WithContext(WithRequestID(r.Context(), id)), id
}
