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
	s := serve(t)
	x := s.row("ada", s.succeeded)
	token := func(claim string, value any) string {
		claims := s.mint.Claims("ada", time.Hour)
		if claims[claim] = value; value == nil {
			delete(claims, claim)
		}
		signed, err := s.mint.Sign(claims)
		if err != nil {
			t.Fatal(err)
		}
		return "Bearer " + signed
	}
	tests := map[string]struct {
		authorization string
		status        int
		code          task.Code
	}{
		"none":           {"", 401, task.CodeUnauthorized},
		"not a token":    {"Bearer x", 401, task.CodeUnauthorized},
		"basic":          {"Basic YWRhOg==", 401, task.CodeUnauthorized},
		"cut":            {"Bearer " + s.token[:len(s.token)-2], 401, task.CodeUnauthorized},
		"expired":        {token("exp", s.Now().Add(-time.Hour).Unix()), 401, task.CodeUnauthorized},
		"another issuer": {token("iss", "https://evil.example"), 401, task.CodeUnauthorized},
		"no sub":         {token("sub", nil), 401, task.CodeUnauthorized},
		"anon":           {token("role", "anon"), 403, task.CodeForbidden},
		"service_role":   {token("role", "service_role"), 403, task.CodeForbidden},
		"of a client":    {token("client_id", "claude"), 403, task.CodeForbidden},
	}
	before := s.Rows.Total()
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			for _, path := range []string{"/v1/tasks/" + x.ID, "/v1/tasks?ids=" + x.ID, "/v1/tasks?target=moodboard:42", "/v1/tasks/" + x.ID + "?wait=x"} {
				got := s.get(path, "Authorization", test.authorization)
				got.problem(t, test.status, test.code)
				if (got.header.Get("Www-Authenticate") == "Bearer") != (test.status == 401) {
					t.Errorf("WWW-Authenticate: %q", got.header.Get("Www-Authenticate"))
				}
			}
		})
	}
	if n := s.Rows.Total() - before; n != 0 {
		t.Errorf("%d calls of the store for people who are not let in", n)
	}
}

// A store that is away is 503 and when to come again, and says no more.
func TestStoreAway(t *testing.T) {
	t.Parallel()
	s := serve(t)
	x := s.row("ada", func(x *task.Task) error { x.Target = &board; return nil })
	for _, err := range []error{task.ErrBusy, lifecycletest.ErrStore, errors.New("a wire broke"), context.DeadlineExceeded} {
		s.Rows.Fail(func(string, *task.Task) error { return err }, nil)
		for _, path := range []string{"/v1/tasks/" + x.ID, "/v1/tasks?ids=" + x.ID, "/v1/tasks?target=moodboard:42"} {
			got := s.get(path)
			if got.problem(t, 503, task.CodeUnavailable); strings.Contains(got.body, err.Error()) || got.header.Get("Retry-After") == "" {
				t.Errorf("%v %s", got.header, got.body)
			}
			if logged := s.Logged.Take(); !strings.Contains(logged, err.Error()) {
				t.Errorf("the log does not say why: %s", logged)
			}
		}
	}
}

// Without the secret no picture can be linked, and without the issuer's keys
// nobody's token be judged: both pass. What needs neither is answered.
func TestSecretAway(t *testing.T) {
	t.Parallel()
	s := serve(t)
	running, made := s.row("ada").ID, s.row("ada", s.succeeded).ID
	s.Secret.Set("", errors.New("nobody is there"))
	for path, status := range map[string]int{
		"/v1/tasks/" + running: 200, "/v1/tasks?ids=" + running: 200, "/v1/tasks/" + made: 503, "/v1/tasks?ids=" + running + "," + made: 503,
	} {
		if got := s.get(path); got.status != status || (got.header.Get("Retry-After") == "") || strings.Contains(got.body, "nobody") {
			t.Errorf("%s: %d %s", path, got.status, got.body)
		}
	}
	var err error
	nowhere := auth.Config{
		Issuer: s.Settings.PublicURL, Audience: "authenticated", JWKSURL: s.Settings.PublicURL + "/nowhere", HTTP: http.DefaultClient, Now: s.Clock.Now,
	}
	if s.function.Auth, err = auth.New(nowhere); err != nil {
		t.Fatal(err)
	}
	s.handler = tasks.New(s.function)
	if got := s.ask(t.Context(), "/v1/tasks/"+running); got.header.Get("Retry-After") != "5" {
		t.Errorf("Retry-After: %q", got.header.Get("Retry-After"))
	} else {
		got.problem(t, 503, task.CodeUnavailable)
	}
}

// Neither an answer nor the log has what is nobody's business; the log has
// nothing of what people wrote, either.
func TestNothingLeaks(t *testing.T) {
	t.Parallel()
	s := serve(t)
	var answers strings.Builder
	for _, change := range []func(*task.Task) error{s.accepted, s.made, s.succeeded, s.refused(task.CodeContentPolicy, task.Never), s.silence} {
		x := s.row("ada", change, func(x *task.Task) error {
			x.Hint = &task.Hint{ProviderID: providerID, Success: true, URLs: []string{resultURL}}
			x.Quota = &task.Quota{Day: "2026-03-14", Images: 77}
			return nil
		})
		for _, secret := range []string{x.Writer, x.Fingerprint} {
			if got := s.get("/v1/tasks/" + x.ID); strings.Contains(got.body, secret) {
				t.Errorf("%s is shown: %s", secret, got.body)
			}
		}
		answers.WriteString(s.get("/v1/tasks/"+x.ID).body + s.get("/v1/tasks?ids="+x.ID).body)
	}
	x := s.row("bob")
	for _, path := range []string{"/v1/tasks/" + x.ID, "/v1/tasks/secret-path", "/v1/tasks?ids=secret-path&x=secret-query"} {
		answers.WriteString(s.get(path).body)
	}
	for _, internal := range []string{
		providerID, resultURL, "tempfile", "kept.example",
		`"version"`, `"attempt"`, `"owner"`, `"ada"`, `"quota"`, `"fingerprint"`, `"charges"`, `"setback"`, `"since"`, `"dueAt"`,
		nanobananatest.DefaultKey, s.token, "secret-path", "secret-query", "0123456789abcdef0123456789abcdef",
	} {
		if strings.Contains(answers.String(), internal) {
			t.Errorf("an answer has %q", internal)
		}
	}
	logged := s.Logged.Take()
	if strings.Count(logged, `"status":`) < 10 {
		t.Fatalf("logged: %s", logged)
	}
	for _, secret := range []string{s.token, "lighthouse", providerID, "tempfile", "/v1/images/", "secret-path", "secret-query", "k.", nanobananatest.DefaultKey} {
		if strings.Contains(logged, secret) {
			t.Errorf("the log has %q: %s", secret, logged)
		}
	}
}

func TestMethods(t *testing.T) {
	t.Parallel()
	s := serve(t)
	x := s.row("ada", s.succeeded)
	for _, method := range []string{"POST", "PUT", "PATCH", "DELETE"} {
		r := s.request("/v1/tasks/" + x.ID)
		r.Method = method
		resp, err := s.http.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		if _ = resp.Body.Close(); resp.StatusCode != 405 || resp.Header.Get("Allow") != "GET, HEAD" {
			t.Errorf("%s: %s, Allow %q", method, resp.Status, resp.Header.Get("Allow"))
		}
	}
	r := s.request("/v1/tasks/" + x.ID)
	r.Method = http.MethodHead
	resp, err := s.http.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	if _ = resp.Body.Close(); resp.StatusCode != 200 || resp.Header.Get("Etag") == "" {
		t.Errorf("HEAD: %s %v", resp.Status, resp.Header)
	}
}
