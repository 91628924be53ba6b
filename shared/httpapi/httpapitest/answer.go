package httpapitest

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"github.com/preset/nanobanana-functions/shared/task"
)

// Answer is the response of a function.
type Answer struct {
	Status int
	Header http.Header
	Body   string
}

// NewRequest returns a request with headers, given as names and values. A later header
// replaces an earlier one. An empty value removes the header; each line of a value is a
// value of its own.
func NewRequest(t testing.TB, method, url string, body io.Reader, header ...string) *http.Request {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, url, body)
	if err != nil {
		t.Fatal(err)
	}
	for pair := range slices.Chunk(header, 2) {
		if r.Header.Del(pair[0]); pair[1] != "" {
			r.Header[http.CanonicalHeaderKey(pair[0])] = strings.Split(pair[1], "\n")
		}
	}
	return r
}

// Do sends r and returns the answer. It does not follow a redirect.
func Do(t testing.TB, r *http.Request) Answer {
	t.Helper()
	return read(t, http.DefaultTransport, r)
}

// Do is like the function Do, and checks the answer as CheckResponse does.
func (c *Contract) Do(t testing.TB, r *http.Request) Answer {
	t.Helper()
	return read(t, c.Transport(t, nil), r)
}

func read(t testing.TB, from http.RoundTripper, r *http.Request) Answer {
	t.Helper()
	resp, err := from.RoundTrip(r)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return Answer{resp.StatusCode, resp.Header, string(body)}
}

// Serve calls h without a network, and checks the answer as CheckResponse does.
func (c *Contract) Serve(t testing.TB, h http.Handler, r *http.Request) Answer {
	t.Helper()
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	got := Answer{w.Code, w.Header(), w.Body.String()}
	c.CheckResponse(t, r, w.Result())
	return got
}

// JSON decodes the body into v. It ends the test if that fails, or if the answer has
// another status.
func (a Answer) JSON(t testing.TB, status int, v any) {
	t.Helper()
	if err := json.Unmarshal([]byte(a.Body), v); err != nil || a.Status != status {
		t.Fatalf("%d %.300s; want %d, %v", a.Status, a.Body, status, err)
	}
}

// Problem fails the test unless the answer is a Problem with this status and code and
// the right headers: no-store, no Location, WWW-Authenticate only with 401, Retry-After
// only with 429 and 503. It returns the body without the request id, which differs for
// each request.
func (a Answer) Problem(t testing.TB, status int, code task.Code) string {
	t.Helper()
	var p struct {
		Code      task.Code
		RequestID string
	}
	if err := json.Unmarshal([]byte(a.Body), &p); err != nil || a.Status != status || p.Code != code {
		t.Errorf("%d %.300s; want %d %s, %v", a.Status, a.Body, status, code, err)
	}
	scheme := ""
	if status == http.StatusUnauthorized {
		scheme = "Bearer"
	}
	for name, want := range map[string]string{"Cache-Control": "no-store", "Location": "", "Www-Authenticate": scheme} {
		// The scheme may come with parameters.
		if got, _, _ := strings.Cut(a.Header.Get(name), " "); got != want {
			t.Errorf("%s: %q with %d, want %q", name, got, status, want)
		}
	}
	later := status == http.StatusTooManyRequests || status == http.StatusServiceUnavailable
	if got := a.Header.Get("Retry-After"); (got != "") != later {
		t.Errorf("Retry-After: %q with %d", got, status)
	}
	return strings.Replace(a.Body, p.RequestID, "", 1)
}
