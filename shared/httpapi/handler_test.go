package httpapi

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/preset/nanobanana-functions/shared/task"
)

// served is one answer with the log line of its request.
type served struct {
	*httptest.ResponseRecorder
	line map[string]any
}

func (s served) problem(t *testing.T) Problem {
	t.Helper()
	var p Problem
	if err := json.Unmarshal(s.Body.Bytes(), &p); err != nil {
		t.Fatalf("%v: %s", err, s.Body)
	}
	return p
}

func serve(t *testing.T, r *http.Request, e Endpoint) served {
	t.Helper()
	var out bytes.Buffer
	log := slog.New(slog.NewJSONHandler(&out, &slog.HandlerOptions{Level: slog.LevelDebug}))
	mux := http.NewServeMux()
	mux.Handle("GET /v1/images/{token}", Handler(log, e))
	mux.Handle("POST /v1/tasks", Handler(log, e))
	s := served{ResponseRecorder: httptest.NewRecorder()}
	Mux(log, mux).ServeHTTP(s, r)
	if err := json.Unmarshal(out.Bytes(), &s.line); err != nil {
		t.Fatalf("not one line of JSON: %s", &out)
	}
	return s
}

func failing(err error) Endpoint {
	return func(*http.Request) (Answer, error) { return Answer{}, err }
}

func TestHandlerAnswers(t *testing.T) {
	t.Run("sends a body as JSON, with no-store", func(t *testing.T) {
		s := serve(t, post(`{}`), func(r *http.Request) (Answer, error) {
			return Answer{Status: 202, Header: http.Header{"Location": {"/v1/tasks/1"}}, Body: map[string]any{"b": "</script>", "a": []string(nil)}}, nil
		})
		if s.Code != 202 || s.Body.String() != `{"a":[],"b":"</script>"}` {
			t.Errorf("got %d %s", s.Code, s.Body)
		}
		for name, want := range map[string]string{"Content-Type": "application/json", "Cache-Control": "no-store",
			"X-Content-Type-Options": "nosniff", "Location": "/v1/tasks/1"} {
			if got := s.Header().Get(name); got != want {
				t.Errorf("%s: got %q, want %q", name, got, want)
			}
		}
	})
	t.Run("sends no body", func(t *testing.T) {
		s := serve(t, post(`{}`), func(r *http.Request) (Answer, error) { return Answer{Status: 204}, nil })
		if s.Code != 204 || s.Body.Len() != 0 || s.Header().Get("Content-Type") != "" {
			t.Errorf("got %d %s %v", s.Code, s.Body, s.Header())
		}
	})
	t.Run("sends bytes unchanged, with the endpoint's headers", func(t *testing.T) {
		s := serve(t, post(`{}`), func(r *http.Request) (Answer, error) {
			return Answer{Header: http.Header{"Content-Type": {"text/yaml"}, "Cache-Control": {"public"}}, Body: []byte("a: 1")}, nil
		})
		if s.Code != 200 || s.Body.String() != "a: 1" || s.Header().Get("Content-Type") != "text/yaml" || s.Header().Get("Cache-Control") != "public" {
			t.Errorf("got %d %s %v", s.Code, s.Body, s.Header())
		}
	})
	t.Run("makes a request id for the context, the answer and the log", func(t *testing.T) {
		var inside string
		r := post(`{}`)
		r.Header.Set("X-Request-Id", "forged")
		s := serve(t, r, func(r *http.Request) (Answer, error) {
			inside = RequestID(r.Context())
			return Answer{}, nil
		})
		if inside == "" || inside == "forged" || s.Header().Get("X-Request-Id") != inside || s.line["requestId"] != inside {
			t.Errorf("got %q, %v, %v", inside, s.Header(), s.line)
		}
	})
}

func TestHandlerRefuses(t *testing.T) {
	wrapped := func(err error) error { return fmt.Errorf("reading t1: %w", err) }
	for _, c := range []struct {
		name   string
		err    error
		status int
		code   task.Code
	}{
		{"an error with a code", &task.Error{Code: task.CodeInsufficientCredits}, 402, task.CodeInsufficientCredits},
		{"a wrapped error with a code", wrapped(&task.Error{Code: task.CodeConflict}), 409, task.CodeConflict},
		{"an invalid request", task.Invalid(), 422, task.CodeInvalidRequest},
		{"a malformed request", wrapped(task.Malformed()), 400, task.CodeInvalidRequest},
		{"an error with a code and another cause", &task.Error{Code: task.CodePaused, Err: task.ErrNotFound}, 503, task.CodePaused},
		{"an error with an unknown code", &task.Error{Code: "surprise"}, 500, task.CodeInternal},
		{"a missing row", wrapped(task.ErrNotFound), 404, task.CodeNotFound},
		{"a forged cursor", wrapped(task.ErrCursor), 400, task.CodeInvalidRequest},
		{"a used quota", wrapped(task.ErrQuota), 429, task.CodeQuotaExceeded},
		{"a busy store", wrapped(task.ErrBusy), 503, task.CodeUnavailable},
		{"a conflict in the store", wrapped(task.ErrConflict), 503, task.CodeUnavailable},
		{"a row of newer code", wrapped(task.ErrForeign), 503, task.CodeUnavailable},
		{"a deadline", wrapped(context.DeadlineExceeded), 503, task.CodeUnavailable},
		{"a programming error", wrapped(task.ErrStuck), 500, task.CodeInternal},
		{"any other error", errors.New("secret sauce"), 500, task.CodeInternal},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := serve(t, post(`{}`), failing(c.err))
			p, x := s.problem(t), Explain(c.code)
			if s.Code != c.status || p.Status != c.status || p.Code != c.code || p.Title != x.Title || p.Hint != x.Hint || p.Detail == "" {
				t.Errorf("got %d %+v", s.Code, p)
			}
			if p.Type != "urn:preset:nanobanana:"+string(c.code) || p.RequestID == "" || p.RequestID != s.Header().Get("X-Request-Id") {
				t.Errorf("got %+v", p)
			}
			if s.Header().Get("Content-Type") != "application/problem+json" || s.Header().Get("Cache-Control") != "no-store" {
				t.Errorf("got %v", s.Header())
			}
			if strings.Contains(s.Body.String(), "sauce") || strings.Contains(s.Body.String(), "t1") {
				t.Errorf("shows the cause: %s", s.Body)
			}
			if _, logged := s.line["error"]; logged != (c.status >= 500) || s.line["code"] != string(c.code) {
				t.Errorf("logged %v", s.line)
			}
		})
	}
}

func TestHandlerFields(t *testing.T) {
	s := serve(t, post(`{}`), failing(task.Invalid(
		task.Field{Pointer: "/prompt", Code: "required", Message: "Say what to draw."},
		task.Field{Pointer: "/numImages", Code: "out_of_range", Message: "From 1 to 4."},
	)))
	p := s.problem(t)
	want := ProblemField{"/numImages", "out_of_range", "From 1 to 4."}
	if len(p.Errors) != 2 || p.Errors[1] != want || p.Detail != "Say what to draw. From 1 to 4." {
		t.Errorf("got %+v", p)
	}
}

// The reason of a pause follows the sentence of its code, and ends as one.
func TestHandlerReason(t *testing.T) {
	for reason, want := range map[string]string{
		"the daily budget is spent": "Making pictures is paused: the daily budget is spent.",
		"We replace a key. Soon!":   "Making pictures is paused: We replace a key. Soon!",
		"维护中。":                      "Making pictures is paused: 维护中。",
		"":                          "Making pictures is paused.",
	} {
		if p := serve(t, post(`{}`), failing(&task.Error{Code: task.CodePaused, Reason: reason})).problem(t); p.Detail != want || p.Title != "Making pictures is paused." {
			t.Errorf("got %+v, want %q", p, want)
		}
	}
}

func TestRetryAfter(t *testing.T) {
	for _, c := range []struct {
		err       task.Error
		low, high int
	}{
		{task.Error{Code: task.CodeRateLimited, RetryAfter: 1500 * time.Millisecond}, 2, 2},
		{task.Error{Code: task.CodeQuotaExceeded, RetryAfter: time.Hour}, 3600, 3600},
		{task.Error{Code: task.CodeRateLimited}, 0, 0},
		{task.Error{Code: task.CodeUnavailable}, 1, 5},
		{task.Error{Code: task.CodePaused, RetryAfter: time.Minute}, 60, 60},
		{task.Error{Code: task.CodeInternal}, 0, 0},
	} {
		s := serve(t, post(`{}`), failing(&c.err))
		got, _ := strconv.Atoi(s.Header().Get("Retry-After"))
		if got < c.low || got > c.high || (c.high == 0 && s.Header()["Retry-After"] != nil) {
			t.Errorf("%v: got %v", c.err.Code, s.Header())
		}
	}
}

func TestUnauthorized(t *testing.T) {
	err := &task.Error{Code: task.CodeUnauthorized}
	if got := serve(t, post(`{}`), failing(err)).Header().Get("WWW-Authenticate"); got != "Bearer" {
		t.Errorf("got %q", got)
	}
	const own = `Bearer resource_metadata="https://x/.well-known/oauth-protected-resource"`
	s := serve(t, post(`{}`), func(*http.Request) (Answer, error) {
		return Answer{Header: http.Header{"Www-Authenticate": {own}}}, err
	})
	if got := s.Header().Values("WWW-Authenticate"); len(got) != 1 || got[0] != own {
		t.Errorf("got %q", got)
	}
}

func TestHandlerPanics(t *testing.T) {
	t.Run("in an endpoint", func(t *testing.T) {
		s := serve(t, post(`{}`), func(*http.Request) (Answer, error) { panic("secret sauce") })
		if s.Code != 500 || strings.Contains(s.Body.String(), "sauce") {
			t.Errorf("got %d %s", s.Code, s.Body)
		}
		if stack, _ := s.line["stack"].(string); !strings.Contains(stack, "TestHandlerPanics") || s.line["level"] != "ERROR" {
			t.Errorf("logged %v", s.line)
		}
	})
	t.Run("in the encoding", func(t *testing.T) {
		s := serve(t, post(`{}`), func(*http.Request) (Answer, error) { return Answer{Status: 202, Body: func() {}}, nil })
		if s.Code != 500 || s.problem(t).Code != task.CodeInternal {
			t.Errorf("got %d %s", s.Code, s.Body)
		}
	})
}

func TestLogLine(t *testing.T) {
	t.Run("has the route, never path, query or headers", func(t *testing.T) {
		r := httptest.NewRequest("GET", "/v1/images/t0ken?s3cret=1", nil)
		r.Header.Set("Authorization", "Bearer h3ader")
		s := serve(t, r, failing(task.ErrNotFound))
		if s.line["route"] != "GET /v1/images/{token}" || s.line["method"] != "GET" || s.line["status"] != 404.0 || s.line["durationMs"] == nil {
			t.Errorf("logged %v", s.line)
		}
		for _, secret := range []string{"t0ken", "s3cret", "h3ader"} {
			if strings.Contains(fmt.Sprint(s.line), secret) {
				t.Errorf("logged %s: %v", secret, s.line)
			}
		}
	})
	t.Run("is DEBUG for a client that is gone", func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		s := serve(t, post(`{}`).WithContext(ctx), func(r *http.Request) (Answer, error) { return Answer{}, r.Context().Err() })
		if s.line["level"] != "DEBUG" || s.Code != 503 {
			t.Errorf("got %d, logged %v", s.Code, s.line)
		}
	})
	t.Run("is WARN for what ends by itself", func(t *testing.T) {
		if s := serve(t, post(`{}`), failing(task.ErrBusy)); s.line["level"] != "WARN" {
			t.Errorf("logged %v", s.line)
		}
	})
}

func TestMux(t *testing.T) {
	for _, c := range []struct {
		method, path string
		status       int
		allow        string
	}{
		{"GET", "/", 404, ""},
		{"GET", "/v1/nothing", 404, ""},
		{"GET", "/v1/images/a/b", 404, ""},
		{"GET", "/v1//images/a", 404, ""},
		{"GET", "//v1/images/a", 404, ""},
		{"GET", "/v1/images/a/", 404, ""},
		{"GET", "/v1/images/../tasks", 404, ""},
		{"DELETE", "/v1/tasks", 405, "POST"},
		{"POST", "/v1/images/a", 405, "GET, HEAD"},
		{"OPTIONS", "/v1/tasks", 405, "POST"},
		{"GET", "/v1/images/a%2Fb", 200, ""},
		{"HEAD", "/v1/images/%00", 200, ""},
	} {
		t.Run(c.method+" "+c.path, func(t *testing.T) {
			s := serve(t, httptest.NewRequest(c.method, c.path, nil), func(r *http.Request) (Answer, error) {
				return Answer{Body: r.PathValue("token")}, nil
			})
			if s.Code != c.status || s.Header().Get("Allow") != c.allow {
				t.Errorf("got %d %v", s.Code, s.Header())
			}
			if c.status != 200 && s.problem(t).Status != c.status {
				t.Errorf("got %s", s.Body)
			}
		})
	}
}

// Mux also serves a mux with a page at the root, without redirects.
func TestMuxRoot(t *testing.T) {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, "page") })
	h := Mux(slog.New(slog.DiscardHandler), mux)
	for path, want := range map[string]int{"/": 200, "//": 404, "/.": 404} {
		w := httptest.NewRecorder()
		r := httptest.NewRequest("GET", "/", nil)
		r.URL = &url.URL{Path: path}
		if h.ServeHTTP(w, r); w.Code != want {
			t.Errorf("%s: %d, want %d", path, w.Code, want)
		}
	}
}

const benchBody = `{"prompt":"a banana in the style of Vermeer","imageUrls":["https://a.example/1.png"],"numImages":2,` +
	`"target":{"kind":"moodboard","id":"m1"},"metadata":{"shot":"12","scene":"4"}}`

func BenchmarkSubmit(b *testing.B) {
	body := []byte(benchBody)
	log := slog.New(slog.NewJSONHandler(io.Discard, nil))
	mux := http.NewServeMux()
	mux.Handle("POST /v1/tasks", Handler(log, func(r *http.Request) (Answer, error) {
		if _, err := IdempotencyKey(r); err != nil {
			return Answer{}, err
		}
		s, err := Decode[submission](r, limit, advice)
		return Answer{Status: 202, Header: http.Header{"Location": {"/v1/tasks/1"}}, Body: s}, err
	}))
	h := Mux(log, mux)
	b.ReportAllocs()
	for b.Loop() {
		r, _ := http.NewRequestWithContext(WithRequestID(b.Context(), "id"), "POST", "/v1/tasks", bytes.NewReader(body))
		r.Header.Set("Content-Type", "application/json")
		r.Header.Set("Idempotency-Key", "k")
		w := &response{header: http.Header{}}
		if h.ServeHTTP(w, r); w.status != 202 {
			b.Fatal(w.status, w.body.String())
		}
	}
}

func BenchmarkParse(b *testing.B) {
	body := []byte(benchBody)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := Parse[submission](body, advice); err != nil {
			b.Fatal(err)
		}
	}
}
