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

// Answer is what a function said.
type Answer struct {
	Status int
	Header http.Header
	Body   string
}

// NewRequest gives a request with headers by name and value. A later one
// replaces an earlier one; an empty value is none, one of several lines several.
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

// Do sends r, and reads the answer; a redirect is one, and not followed.
func Do(t testing.TB, r *http.Request) Answer {
	t.Helper()
	return read(t, http.DefaultTransport, r)
}

// Do is the function Do, and checks the answer as CheckResponse does.
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

// Serve asks h for the answer, with no network between, and checks it as
// CheckResponse does.
func (c *Contract) Serve(t testing.TB, h http.Handler, r *http.Request) Answer {
	t.Helper()
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	got := Answer{w.Code, w.Header(), w.Body.String()}
	c.CheckResponse(t, r, w.Result())
	return got
}

// JSON reads the body into v. It ends the test unless that can be done and the
// answer is of this status.
func (a Answer) JSON(t testing.TB, status int, v any) {
	t.Helper()
	if err := json.Unmarshal([]byte(a.Body), v); err != nil || a.Status != status {
		t.Fatalf("%d %.300s; want %d, %v", a.Status, a.Body, status, err)
	}
}

// Problem fails the test unless the answer is a Problem of this status and
// code, with the headers of one: it is not to be kept, leads nowhere, and says
// how to sign in (401) and when to come again (429, 503) where that helps and
// nowhere else. It gives the body without what tells one request from the other.
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
