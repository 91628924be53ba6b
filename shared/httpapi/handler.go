// Package httpapi is how the functions speak HTTP: an endpoint returns an
// [Answer] or an error and never writes a response; [Handler] alone writes,
// in JSON or as a [Problem], and logs one line for each request. It also
// reads requests strictly ([Decode], [IdempotencyKey], [Query]), says what
// each [task.Code] looks like from outside ([Explain]), and lets the same
// handlers run behind API Gateway ([Gateway]).
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

// Answer is what an endpoint has to say.
type Answer struct {
	// Status is the HTTP status; 0 means 200. With an error it counts only from
	// 400 on: otherwise the table that Explain reads decides.
	Status int
	// Header is sent beside the headers that Handler sets itself, and wins
	// over Content-Type, Cache-Control, Retry-After and WWW-Authenticate.
	// It is sent with an error, too.
	Header http.Header
	// Body is sent as Encode writes it; a []byte is sent as it is (JSON,
	// unless Header says otherwise); nil means that there is no body.
	Body any
}

// Endpoint answers one request. An error is answered with a Problem: a
// *task.Error with its code, the errors of a task.Store and of contexts with
// the codes that fit, every other one with task.CodeInternal and no detail.
type Endpoint func(r *http.Request) (Answer, error)

// Handler gives e as an http.Handler. A panic in e is answered as an error.
// The log line holds neither path nor query, since tokens stand in paths,
// and no header or body; it holds the text of an error only from status 500.
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

// Encode writes v as the JSON that Handler sends: UTF-8, maps in order of
// their keys so that equal values give equal bytes, nil lists and maps as
// empty ones.
func Encode(v any) ([]byte, error) {
	// Text that is not UTF-8 must not turn a stored task into a 500.
	return json.Marshal(v, json.Deterministic(true), jsontext.AllowInvalidUTF8(true))
}

// call calls e and encodes its answer; a panic in either is an error.
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

// write is the only place where a response is written.
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
		w.Write(body) // an error means that the client is gone
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

// logLevel is Error for what somebody must look into, Warn for what passes by
// itself, and Debug for clients that did not wait for their answer.
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
