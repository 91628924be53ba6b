package tasks_test

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/preset/nanobanana-functions/functions/tasks"
	"github.com/preset/nanobanana-functions/shared/auth"
	"github.com/preset/nanobanana-functions/shared/lifecycle/lifecycletest"
	"github.com/preset/nanobanana-functions/shared/nanobanana/nanobananatest"
	"github.com/preset/nanobanana-functions/shared/task"
)

func TestAuth(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	x := h.addRow("ada", h.succeeded)
	with := func(claim string, value any) string { return "Bearer " + h.identity.TokenWith(claim, value) }
	tests := map[string]struct {
		authorization string
		status        int
		code          task.Code
	}{
		"none":           {"", 401, task.CodeUnauthorized},
		"not a token":    {"Bearer x", 401, task.CodeUnauthorized},
		"basic":          {"Basic YWRhOg==", 401, task.CodeUnauthorized},
		"cut":            {"Bearer " + h.token[:len(h.token)-2], 401, task.CodeUnauthorized},
		"expired":        {with("exp", h.Now().Add(-time.Hour).Unix()), 401, task.CodeUnauthorized},
		"another issuer": {with("iss", "https://evil.example"), 401, task.CodeUnauthorized},
		"no sub":         {with("sub", nil), 401, task.CodeUnauthorized},
		"anon":           {with("role", "anon"), 403, task.CodeForbidden},
		"service_role":   {with("role", "service_role"), 403, task.CodeForbidden},
		"of a client":    {with("client_id", "claude"), 403, task.CodeForbidden},
	}
	before := h.Rows.Total()
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			for _, path := range []string{"/v1/tasks/" + x.ID, "/v1/tasks?ids=" + x.ID, "/v1/tasks?target=moodboard:42", "/v1/tasks/" + x.ID + "?wait=x"} {
				h.get(path, "Authorization", test.authorization).Problem(t, test.status, test.code)
			}
			h.send("PUT", "/v1/tasks/"+x.ID+"/target", `{"x":1}`, "Authorization", test.authorization).Problem(t, test.status, test.code)
			h.send("DELETE", "/v1/tasks/"+x.ID, "", "Authorization", test.authorization).Problem(t, test.status, test.code)
		})
	}
	if n := h.Rows.Total() - before; n != 0 {
		t.Errorf("%d store calls for callers without access", n)
	}
}

// A failing store is answered 503 with Retry-After and no detail.
func TestStoreFails(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	x := h.addRow("ada", func(x *task.Task) error { x.Target = &board; return nil })
	for _, err := range []error{task.ErrBusy, lifecycletest.ErrStore, errors.New("a wire broke"), context.DeadlineExceeded} {
		for _, test := range []struct{ failing, path string }{
			{"task", "/v1/tasks/" + x.ID},
			{"tasks", "/v1/tasks?ids=" + x.ID},
			{"list", "/v1/tasks?target=moodboard:42"},
			{"tasks", "/v1/tasks?target=moodboard:42"}, // after the list of ids was read
		} {
			h.Rows.Fail(lifecycletest.On(test.failing, err), nil)
			if body := h.get(test.path).Problem(t, 503, task.CodeUnavailable); strings.Contains(body, err.Error()) {
				t.Errorf("%s: %s", test.failing, body)
			}
			if logged := h.Logged.Take(); !strings.Contains(logged, err.Error()) {
				t.Errorf("%s: the log does not say why: %s", test.failing, logged)
			}
		}
	}
}

// Without the secret no picture link can be signed, and without the issuer's
// keys no token can be verified: both are 503. Requests that need neither are
// answered.
func TestSecretUnavailable(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	running, made := h.addRow("ada").ID, h.addRow("ada", h.succeeded).ID
	h.Secret.Set("", errors.New("nobody is there"))
	for path, status := range map[string]int{
		"/v1/tasks/" + running: 200, "/v1/tasks?ids=" + running: 200, "/v1/tasks/" + made: 503, "/v1/tasks?ids=" + running + "," + made: 503,
	} {
		if got := h.get(path); got.Status != status || (got.Header.Get("Retry-After") == "") || strings.Contains(got.Body, "nobody") {
			t.Errorf("%s: %d %s", path, got.Status, got.Body)
		}
	}
	var err error
	nowhere := auth.Config{
		Issuer: h.Settings.PublicURL, Audience: "authenticated", JWKSURL: h.Settings.PublicURL + "/nowhere", HTTP: http.DefaultClient, Log: h.function.Log, Now: h.Clock.Now,
	}
	if h.function.Auth, err = auth.New(nowhere); err != nil {
		t.Fatal(err)
	}
	h.handler = tasks.New(h.function)
	if got := h.serve(t.Context(), "/v1/tasks/"+running); got.Header.Get("Retry-After") != "5" {
		t.Errorf("Retry-After: %q", got.Header.Get("Retry-After"))
	} else {
		got.Problem(t, 503, task.CodeUnavailable)
	}
}

// Neither an answer nor the log contains internals, and the log contains
// nothing that users wrote.
func TestNothingLeaks(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	var answers strings.Builder
	for _, change := range []func(*task.Task) error{h.accepted, h.made, h.succeeded, h.refused(task.CodeContentPolicy, task.RetryNever), h.unanswered} {
		x := h.addRow("ada", change, func(x *task.Task) error {
			x.Hint = &task.Hint{ProviderID: providerID, Success: true, URLs: []string{resultURL}}
			x.Quota = &task.Quota{Day: "2026-03-14", Images: 77}
			return nil
		})
		for _, secret := range []string{x.Writer, x.Fingerprint} {
			if got := h.get("/v1/tasks/" + x.ID); strings.Contains(got.Body, secret) {
				t.Errorf("the answer contains %s: %s", secret, got.Body)
			}
		}
		answers.WriteString(h.get("/v1/tasks/"+x.ID).Body + h.get("/v1/tasks?ids="+x.ID).Body)
	}
	x := h.addRow("bob")
	for _, path := range []string{"/v1/tasks/" + x.ID, "/v1/tasks/secret-path", "/v1/tasks?ids=secret-path&x=secret-query"} {
		answers.WriteString(h.get(path).Body)
	}
	for _, internal := range []string{
		providerID, resultURL, "tempfile", "kept.example",
		`"version"`, `"attempt"`, `"owner"`, `"ada"`, `"quota"`, `"fingerprint"`, `"charges"`, `"setback"`, `"since"`, `"dueAt"`,
		nanobananatest.DefaultKey, h.token, "secret-path", "secret-query", "0123456789abcdef0123456789abcdef",
	} {
		if strings.Contains(answers.String(), internal) {
			t.Errorf("an answer has %q", internal)
		}
	}
	logged := h.Logged.Take()
	if strings.Count(logged, `"status":`) < 10 {
		t.Fatalf("logged: %s", logged)
	}
	for _, secret := range []string{h.token, "lighthouse", providerID, "tempfile", "/v1/images/", "secret-path", "secret-query", "k.", nanobananatest.DefaultKey} {
		if strings.Contains(logged, secret) {
			t.Errorf("the log has %q: %s", secret, logged)
		}
	}
}

func TestMethods(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	x := h.addRow("ada", h.succeeded)
	for path, methods := range map[string]struct {
		allowed string
		others  []string
	}{
		"/v1/tasks":                     {"GET, HEAD", []string{"PUT", "PATCH", "DELETE"}}, // POST is submit's
		"/v1/tasks/" + x.ID:             {"DELETE, GET, HEAD", []string{"POST", "PUT", "PATCH"}},
		"/v1/tasks/" + x.ID + "/target": {"PUT", []string{"GET", "POST", "PATCH", "DELETE"}},
	} {
		for _, method := range methods.others {
			got := h.contract.Do(t, h.request(method, path))
			if got.Status != 405 || got.Header.Get("Allow") != methods.allowed {
				t.Errorf("%s %s: %d, Allow %q", method, path, got.Status, got.Header.Get("Allow"))
			}
		}
	}
	if got := h.contract.Do(t, h.request(http.MethodHead, "/v1/tasks/"+x.ID)); got.Status != 200 || got.Header.Get("Etag") == "" {
		t.Errorf("HEAD: %d %v", got.Status, got.Header)
	}
}
