package httpapi

import (
	"context"
	"crypto/rand"
	"net/http"
)

type requestIDKey struct{}

// WithRequestID gives a context for which RequestID gives id.
func WithRequestID(ctx context.Context, id string) context.Context {
	return context.WithValue(ctx, requestIDKey{}, id)
}

// RequestID gives the id by which an answer and its log line are found
// again: API Gateway's own behind Gateway, else one that Handler makes.
// Outside a request it is empty.
func RequestID(ctx context.Context) string {
	id, _ := ctx.Value(requestIDKey{}).(string)
	return id
}

// identified gives r with a request id in its context. The client has no say
// in it: X-Request-Id of a request is ignored.
func identified(r *http.Request) (*http.Request, string) {
	if id := RequestID(r.Context()); id != "" {
		return r, id
	}
	id := rand.Text()
	return r.WithContext(WithRequestID(r.Context(), id)), id
}
