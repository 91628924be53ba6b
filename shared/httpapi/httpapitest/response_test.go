package httpapitest

import (
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"
)

const notFound = `{"type":"urn:preset:nanobanana:not_found","title":"T.","status":404,"code":"not_found","detail":"D.","hint":"H.","requestId":"r1"}`

func answer(status int, header map[string]string, body string) *http.Response {
	h := http.Header{"X-Request-Id": {"r1"}, "Content-Type": {problemType}, "Cache-Control": {"no-store"}}
	for name, value := range header {
		if h.Set(name, value); value == "" {
			h.Del(name)
		}
	}
	return &http.Response{StatusCode: status, Header: h, Body: io.NopCloser(strings.NewReader(body))}
}

// The check must find each kind of fault; otherwise it proves nothing.
func TestCheck(t *testing.T) {
	c := Load(t)
	asJSON := map[string]string{"Content-Type": "application/json"}
	for _, x := range []struct {
		name, method, path string
		status             int
		header             map[string]string
		body               string
		fault              string // "" for none
	}{
		{"a Problem", "GET", "/v1/tasks/x", 404, nil, notFound, ""},
		{"a Problem where there is no route", "GET", "/v1/nothing", 404, nil, notFound, ""},
		{"an address outside the contract", "GET", "/studio.js", 200, asJSON, "x", ""},
		{"a status that is not declared", "GET", "/v1/tasks/x", 418, nil, notFound, "not declared"},
		{"an answer where there is no route", "GET", "/v1/nothing", 200, asJSON, "{}", "no such route"},
		{"a path that is not clean", "GET", "/v1//tasks", 200, asJSON, "{}", "no such route"},
		{"405 without Allow", "PUT", "/v1/credits", 405, nil, strings.ReplaceAll(notFound, "404", "405"), "Allow"},
		{"a Problem of another status", "GET", "/v1/tasks/x", 404, nil, strings.Replace(notFound, "404", "500", 1), "status"},
		{"a Problem of another request", "GET", "/v1/tasks/x", 404, map[string]string{"X-Request-Id": "r2"}, notFound, "requestId"},
		{"a Problem of another type", "GET", "/v1/tasks/x", 404, nil, strings.Replace(notFound, ":not_found", ":conflict", 1), "type"},
		{"a Problem of another code", "GET", "/v1/tasks/x", 404, nil, strings.ReplaceAll(notFound, "not_found", "conflict"), "code"},
		{"a Problem that does not say what is wrong", "GET", "/v1/tasks/x", 400, nil, strings.NewReplacer("not_found", "invalid_request", "404", "400").Replace(notFound), "errors"},
		{"a Problem with too much in it", "GET", "/v1/tasks/x", 404, nil, strings.Replace(notFound, "{", `{"owner":"bob",`, 1), "owner"},
		{"a Problem with too little in it", "GET", "/v1/tasks/x", 404, nil, `{"status":404}`, "requestId"},
		{"a field twice", "GET", "/v1/tasks/x", 404, nil, strings.Replace(notFound, "{", `{"status":404,`, 1), "not JSON"},
		{"a refusal as plain JSON", "GET", "/v1/tasks/x", 404, asJSON, notFound, "Content-Type"},
		{"the gateway's own refusal", "GET", "/v1/tasks/x", 503, asJSON, `{"message":"Service Unavailable"}`, "Content-Type"},
		{"HTML", "GET", "/v1/models", 200, map[string]string{"Content-Type": "text/html"}, "<html>", "not declared"},
		{"a body cut short", "GET", "/v1/tasks/x", 404, nil, notFound[:20], "not JSON"},
		{"no body", "GET", "/v1/tasks/x", 404, nil, "", "not JSON"},
		{"a body that is not declared", "GET", "/v1/images/i/t/f", 302, map[string]string{"Location": "https://x.example"}, "x", "but none is declared"},
		{"a header missing", "GET", "/v1/images/i/t/f", 302, map[string]string{"Content-Type": ""}, "", "Location is missing"},
	} {
		t.Run(x.name, func(t *testing.T) {
			r := httptest.NewRequest(x.method, x.path, nil)
			resp := answer(x.status, x.header, x.body)
			err := c.check(r, resp)
			if (err == nil) != (x.fault == "") || err != nil && !strings.Contains(err.Error(), x.fault) {
				t.Errorf("got %v, want an error with %q", err, x.fault)
			}
			if body, err := io.ReadAll(resp.Body); err != nil || string(body) != x.body {
				t.Errorf("the client then reads the body %q, %v", body, err)
			}
		})
	}
}

func TestTransport(t *testing.T) {
	c := Load(t)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		maps.Copy(w.Header(), answer(0, nil, "").Header)
		w.WriteHeader(http.StatusNotFound)
		io.WriteString(w, r.URL.Query().Get("say"))
	}))
	defer server.Close()
	for say, faults := range map[string]int{notFound: 0, "surprise": 1} {
		seen := &recorder{TB: t}
		client := &http.Client{Transport: c.Transport(seen, server.Client().Transport)}
		r, err := http.NewRequestWithContext(t.Context(), "GET", server.URL+"/v1/tasks/x", nil)
		if err != nil {
			t.Fatal(err)
		}
		r.URL.RawQuery = "say=" + strings.ReplaceAll(say, "&", "%26")
		resp, err := client.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(resp.Body)
		if err != nil || string(body) != say || seen.errors != faults {
			t.Errorf("%q: %d faults, body %q, %v", say, seen.errors, body, err)
		}
		resp.Body.Close()
	}
}

// recorder counts the errors that would fail a test.
type recorder struct {
	testing.TB
	errors int
}

func (r *recorder) Errorf(string, ...any) { r.errors++ }
func (r *recorder) Helper()               {}

func TestCheckJSON(t *testing.T) {
	c := Load(t)
	for body, faults := range map[string]int{notFound: 0, `{}`: 1, `[]`: 1, ``: 1} {
		seen := &recorder{TB: t}
		if c.CheckJSON(seen, "Problem", []byte(body)); seen.errors != faults {
			t.Errorf("%s: %d faults, want %d", body, seen.errors, faults)
		}
	}
}

// A date-time is one of OpenAPI, which is stricter than JSON Schema.
func TestDateTime(t *testing.T) {
	c := Load(t)
	created := regexp.MustCompile(`"createdAt":"[^"]*"`)
	example := c.Example(t, "succeededTask")
	for text, faults := range map[string]int{
		"2026-03-14T12:00:00.5Z": 0, "2026-03-14t12:00:00z": 1, "2026-02-30T12:00:00Z": 1, "2026-03-14": 1, "": 1,
	} {
		seen := &recorder{TB: t}
		body := created.ReplaceAll(example, []byte(`"createdAt":"`+text+`"`))
		if c.CheckJSON(seen, "Task", body); seen.errors != faults {
			t.Errorf("%s: %d faults, want %d", text, seen.errors, faults)
		}
	}
}

// The kinds of a task differ in more than their status, although no schema of a kind
// holds done to one value: generators of clients cannot read that.
func TestKinds(t *testing.T) {
	c := Load(t)
	for _, x := range []struct{ example, from, to string }{
		{"runningTask", `"done":false`, `"done":true`},
		{"succeededTask", `"done":true`, `"done":false`},
		{"failedTask", `"done":true`, `"done":false`},
		{"runningTask", `"status":"generating"`, `"status":"failed"`},
		{"runningTask", `"outcome":"held"`, `"outcome":"spent"`},
		{"succeededTask", `"outcome":"spent"`, `"outcome":"returned"`},
		{"failedTask", `"outcome":"spent"`, `"outcome":"held"`},
		{"succeededTask", `"missing":1`, `"progress":{"elapsedSeconds":1,"expectedSeconds":1}`},
	} {
		body := c.Example(t, x.example)
		for text, faults := range map[string]int{string(body): 0, strings.Replace(string(body), x.from, x.to, 1): 1} {
			seen := &recorder{TB: t}
			if c.CheckJSON(seen, "Task", []byte(text)); seen.errors != faults {
				t.Errorf("%s with %s: %d faults, want %d", x.example, x.to, seen.errors, faults)
			}
		}
	}
}
