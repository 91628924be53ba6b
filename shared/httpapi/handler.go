// Package httpapi holds the HTTP side of the functions. An endpoint returns an [Answer]
// or an error and never writes a response; only [Handler] writes, in JSON or as a
// [Problem], and logs one line per request. The package also reads requests strictly
// ([Decode], [IdempotencyKey], [Query]), decides what clients see of each [task.Code]
// ([Explain]), and runs the same handlers behind API Gateway ([Gateway]).
package httpapi

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net/http"
	"runtime/debug"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/preset/nanobanana-functions/shared/task"
)

// Answer is the response of an endpoint.
type Answer struct {
	// Status is the HTTP status; 0 means 200. Together with an error, only a status
	// of 400 or more counts; without one, the error's explanation decides.
	Status int
	// Header is sent besides the headers that Handler sets. It overrides
	// Content-Type, Cache-Control, Retry-After and WWW-Authenticate. It is also
	// sent with an error.
	Header http.Header
	// Body is sent as Encode writes it. A []byte is sent unchanged (as JSON, unless
	// Header has another type); nil means no body.
	Body any
}

// Endpoint answers one request. Handler answers an error with a Problem: a *task.Error
// with its code, errors of a task.Store and of contexts with the matching codes, every
// other error with task.CodeInternal and no detail.
type Endpoint func(r *http.Request) (Answer, error)

// ForOwner returns the endpoint that passes e the owner of the request, or answers
// owner's error.
func ForOwner(owner func(context.Context, *http.Request) (string, error), e func(r *http.Request, owner string) (Answer, error)) Endpoint {
	return func(r *http.Request) (Answer, error) {
		id, err := owner(r.Context(), r)
		if err != nil {
			return Answer{}, err
		}
		return e(r, id)
	}
}

// Handler returns e as an http.Handler. It answers a panic in e as an error. The log
// line has no path or query, because paths hold tokens, and no header or body. It has
// the text of an error only for status 500 and above.
func Handler(log *slog.Logger, e Endpoint) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		start := time.Now()
		r, id := identified(r)
		a, body, err := call(e, r)
		var code task.Code
		if err != nil {
			fault := ErrorOf(err)
			code = fault.Code
			a, body = problemAnswer(fault, a, id)
		}
		write(w, a, body, id)
		logRequest(log, r, start, a.Status, code, err)
	})
}

// Encode returns v as the JSON that Handler sends: in UTF-8, with map keys in order so
// that equal values become equal bytes, and with nil lists and maps as empty ones.
func Encode(v any) ([]byte, error) {
	// Invalid UTF-8 in a stored task must not make the answer a 500.
	return json.Marshal(v, json.Deterministic(true), jsontext.AllowInvalidUTF8(true))
}

// call calls e and encodes its answer. It returns a panic as an error.
func call(e Endpoint, r *http.Request) (a Answer, body []byte, err error) {
	defer func() {
		if v := recover(); v != nil {
			a, body, err = Answer{}, nil, &panicError{value: v, stack: debug.Stack()}
		}
	}()
	a, err = e(r)
	if err != nil || a.Body == nil {
		return a, nil, err
	}
	if raw, ok := a.Body.([]byte); ok {
		return a, raw, nil
	}
	if body, err = Encode(a.Body); err != nil {
		return Answer{}, nil, fmt.Errorf("encoding the answer: %w", err)
	}
	return a, body, nil
}

// write writes the response. Nothing else does.
func write(w http.ResponseWriter, a Answer, body []byte, id string) {
	h := w.Header()
	h.Set("Cache-Control", "no-store")
	h.Set("X-Content-Type-Options", "nosniff")
	if body != nil {
		h.Set("Content-Type", "application/json")
	}
	maps.Copy(h, a.Header)
	h.Set("X-Request-Id", id)
	w.WriteHeader(cmp.Or(a.Status, http.StatusOK))
	if body != nil {
		w.Write(body) // on an error the client is gone
	}
}

func logRequest(log *slog.Logger, r *http.Request, start time.Time, status int, code task.Code, err error) {
	status = cmp.Or(status, http.StatusOK)
	attrs := make([]slog.Attr, 0, 8)
	attrs = append(attrs,
		slog.String("method", r.Method),
		slog.String("route", r.Pattern),
		slog.Int("status", status),
		slog.Float64("durationMs", float64(time.Since(start).Microseconds())/1000),
		slog.String("requestId", RequestID(r.Context())))
	if code != "" {
		attrs = append(attrs, slog.String("code", string(code)))
	}
	if status >= http.StatusInternalServerError && err != nil {
		attrs = append(attrs, slog.String("error", err.Error()))
		if p, ok := errors.AsType[*panicError](err); ok {
			attrs = append(attrs, slog.String("stack", string(p.stack)))
		}
	}
	log.LogAttrs(r.Context(), logLevel(r.Context(), status), "request", attrs...)
}

// logLevel returns Error for what somebody must look into, Warn for what ends by itself,
// and Debug for clients that did not wait for their answer.
func logLevel(ctx context.Context, status int) slog.Level {
	switch {
	case status == http.StatusInternalServerError:
		return slog.LevelError
	case errors.Is(ctx.Err(), context.Canceled):
		return slog.LevelDebug
	case status > http.StatusInternalServerError:
		return slog.LevelWarn
	default:
		return slog.LevelInfo
	}
}

type panicError struct {
	value any
	stack []byte
}

func (p *panicError) Error() string { return fmt.Sprintf("panic: %v", p.value) }
