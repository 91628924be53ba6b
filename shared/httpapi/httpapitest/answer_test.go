package httpapitest

import (
	"io"
	"net/http"
	"net/http/httptest"
	"reflect"
	"strings"
	"testing"
)

// Problem checks everything that it promises.
func TestProblem(t *testing.T) {
	h := func(pairs ...string) http.Header {
		all := http.Header{"Cache-Control": {"no-store"}}
		for i := 0; i < len(pairs); i += 2 {
			all.Set(pairs[i], pairs[i+1])
		}
		return all
	}
	body := func(code string) string {
		return strings.Replace(notFound, `"code":"not_found"`, `"code":"`+code+`"`, 1)
	}
	for name, x := range map[string]struct {
		got    Answer
		status int
		faults int
	}{
		"404":                   {Answer{404, h(), notFound}, 404, 0},
		"another status":        {Answer{404, h(), notFound}, 410, 1},
		"another code":          {Answer{404, h(), body("gone")}, 404, 1},
		"no JSON":               {Answer{404, h(), "not_found"}, 404, 1},
		"without no-store":      {Answer{404, h("Cache-Control", "public"), notFound}, 404, 1},
		"with a Location":       {Answer{404, h("Location", "/"), notFound}, 404, 1},
		"401":                   {Answer{401, h("WWW-Authenticate", "Bearer"), notFound}, 401, 0},
		"401 by another scheme": {Answer{401, h("WWW-Authenticate", "Basic"), notFound}, 401, 1},
		"401 without a scheme":  {Answer{401, h(), notFound}, 401, 1},
		"a scheme without 401":  {Answer{404, h("WWW-Authenticate", "Bearer"), notFound}, 404, 1},
		"503":                   {Answer{503, h("Retry-After", "1"), notFound}, 503, 0},
		"503 without a time":    {Answer{503, h(), notFound}, 503, 1},
		"429 without a time":    {Answer{429, h(), notFound}, 429, 1},
		"404 with a time":       {Answer{404, h("Retry-After", "1"), notFound}, 404, 1},
	} {
		t.Run(name, func(t *testing.T) {
			seen := &recorder{TB: t}
			body := x.got.Problem(seen, x.status, "not_found")
			if seen.errors != x.faults {
				t.Errorf("%d faults, want %d", seen.errors, x.faults)
			}
			if strings.Contains(body, "r1") {
				t.Errorf("the body has the request id: %s", body)
			}
		})
	}
}

// NewRequest sets the headers, and Do returns the answer.
func TestDo(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if got := r.Header["X-A"]; !reflect.DeepEqual(got, []string{"2", "3"}) || r.Header["X-B"] != nil {
			t.Errorf("the request has %v, %v", got, r.Header["X-B"])
		}
		w.Header().Set("Location", "/elsewhere")
		w.WriteHeader(http.StatusFound)
		_, _ = io.WriteString(w, "there")
	}))
	defer server.Close()
	got := Do(t, NewRequest(t, "GET", server.URL, nil, "x-a", "1", "X-A", "2\n3", "X-B", "1", "X-B", ""))
	if got.Status != http.StatusFound || got.Header.Get("Location") != "/elsewhere" || got.Body != "there" {
		t.Errorf("%+v", got)
	}
}
