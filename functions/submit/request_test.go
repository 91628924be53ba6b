package submit_test

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/preset/nanobanana-functions/shared/httpapi"
	"github.com/preset/nanobanana-functions/shared/httpapi/httpapitest"
	"github.com/preset/nanobanana-functions/shared/nanobanana/nanobananatest"
	"github.com/preset/nanobanana-functions/shared/task"
)

const goodBody = `{"prompt":"a lighthouse"}`

// A hostile prompt is only a strange prompt: it is drawn, and logged as data.
func TestStrangePrompts(t *testing.T) {
	h := newHarness(t)
	for name, prompt := range map[string]string{
		"fake log line": "a cat\r\n{\"level\":\"ERROR\",\"msg\":\"forged\"}",
		"markup":        `</script><script>alert(1)</script>`,
		"bidi override": "a \u202egnp.tac\u202c",
		"5,000 emoji":   strings.Repeat("🍌", 5000),
		"NUL in words":  `a \u0000 written out`,
	} {
		t.Run(name, func(t *testing.T) {
			body, err := json.Marshal(map[string]string{"prompt": prompt})
			if err != nil {
				t.Fatal(err)
			}
			h.Logged.Take()
			got := h.post(string(body))
			var shown httpapi.Task
			if got.JSON(t, http.StatusAccepted, &shown); shown.Prompt != prompt {
				t.Errorf("%.200s", got.Body)
			}
			if ct := got.Header.Get("Content-Type"); ct != "application/json" || got.Header.Get("X-Content-Type-Options") != "nosniff" {
				t.Errorf("it is served as %s", ct)
			}
			logged := h.Logged.TakeUncommon()
			if lines := strings.Count(logged, "\n"); lines != 1 || strings.Contains(logged, "forged") {
				t.Errorf("%d log lines: %s", lines, logged)
			}
		})
	}
}

func TestHeaders(t *testing.T) {
	t.Parallel()
	const media, invalid = task.CodeUnsupportedMediaType, task.CodeInvalidRequest
	tests := map[string]struct {
		name, value string
		status      int
		code        task.Code
	}{
		"text/plain":        {"Content-Type", "text/plain", 415, media},
		"no type":           {"Content-Type", "", 415, media},
		"two types":         {"Content-Type", "application/json\ntext/plain", 415, media},
		"form":              {"Content-Type", "application/x-www-form-urlencoded", 415, media},
		"multipart":         {"Content-Type", "multipart/form-data; boundary=x", 415, media},
		"UTF-16":            {"Content-Type", "application/json; charset=utf-16", 415, media},
		"another parameter": {"Content-Type", "application/json; version=2", 415, media},
		"gzip":              {"Content-Encoding", "gzip", 415, media},
		"empty key":         {"Idempotency-Key", " ", 400, invalid},
		"long key":          {"Idempotency-Key", strings.Repeat("k", 256), 400, invalid},
		"key with a space":  {"Idempotency-Key", "a b", 400, invalid},
		"key with a tab":    {"Idempotency-Key", "a\tb", 400, invalid},
		"key with a comma":  {"Idempotency-Key", "a,b", 400, invalid},
		"non-ASCII key":     {"Idempotency-Key", "clé", 400, invalid},
		"two keys":          {"Idempotency-Key", "a\nb", 400, invalid},
		"the same twice":    {"Idempotency-Key", "a\na", 400, invalid},
	}
	h := newHarness(t)
	for name, test := range tests {
		t.Run(name, func(t *testing.T) { h.with(t).refused(test.status, test.code, goodBody, test.name, test.value) })
	}
	for name, value := range map[string]string{
		"Content-Type": "application/json; charset=UTF-8", "Content-Encoding": "identity", "Accept": "text/html",
		"Idempotency-Key": strings.Repeat("~", 255),
	} {
		h.accepted(goodBody, name, value)
	}
}

func TestAuth(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	with := func(claim string, value any) string { return "Bearer " + h.identity.TokenWith(claim, value) }
	part := base64.RawURLEncoding.EncodeToString
	payload, err := json.Marshal(h.identity.Claims("ada", time.Hour))
	if err != nil {
		t.Fatal(err)
	}
	none := part([]byte(`{"alg":"none","typ":"JWT"}`)) + "." + part(payload) + "."
	signature := h.token[strings.LastIndexByte(h.token, '.'):]
	tests := map[string]struct {
		authorization string
		status        int
	}{
		"none":               {"", 401},
		"not a token":        {"Bearer x", 401},
		"no scheme":          {h.token, 401},
		"basic":              {"Basic dTpw", 401},
		"two":                {"Bearer " + h.token + "\nBearer " + h.token, 401},
		"12 kB":              {"Bearer " + strings.Repeat("x", 12<<10), 400},
		"alg none":           {"Bearer " + none, 401},
		"another's claims":   {"Bearer " + h.token[:strings.IndexByte(h.token, '.')+1] + part([]byte(`{"sub":"bob"}`)) + signature, 401},
		"one bit off":        {"Bearer " + h.token[:len(h.token)-10] + string(h.token[len(h.token)-10]^1) + h.token[len(h.token)-9:], 401},
		"expired":            {with("exp", h.Now().Add(-time.Hour).Unix()), 401},
		"no end":             {with("exp", nil), 401},
		"of the future":      {with("nbf", h.Now().Add(time.Hour).Unix()), 401},
		"another issuer":     {with("iss", "https://evil.example"), 401},
		"another audience":   {with("aud", "others"), 401},
		"no sub":             {with("sub", nil), 401},
		"a sub of 129":       {with("sub", strings.Repeat("a", 129)), 401},
		"no role":            {with("role", nil), 401},
		"anon":               {with("role", "anon"), 403},
		"service_role":       {with("role", "service_role"), 403},
		"another role":       {with("role", "editor"), 403},
		"anonymous":          {with("is_anonymous", true), 403},
		"of Claude's client": {with("client_id", "claude"), 403},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			code := map[int]task.Code{400: task.CodeInvalidRequest, 401: task.CodeUnauthorized, 403: task.CodeForbidden}[test.status]
			h.with(t).refused(test.status, code, goodBody, "Authorization", test.authorization)
			h.with(t).refused(test.status, code, `{"faulty":`, "Authorization", test.authorization) // authentication comes first
		})
	}
	if n := h.Rows.Total() + h.Sim.CreditReads(); n != 0 {
		t.Errorf("%d store calls for callers without access", n)
	}
}

func TestIdempotencyKey(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	post := func(body string, header ...string) (string, http.Header) {
		t.Helper()
		got := h.post(body, header...)
		var shown struct{ ID string }
		if got.JSON(t, 202, &shown); got.Header.Get("Location") != "/v1/tasks/"+shown.ID {
			t.Fatalf("%+v", got)
		}
		return shown.ID, got.Header
	}
	first, header := post(`{"prompt":"a","numImages":1,"aspectRatio":"1:1"}`, "Idempotency-Key", "k")
	if header.Get("Retry-After") == "" || header.Get("Idempotency-Replayed") != "" {
		t.Errorf("%v", header)
	}
	again, header := post(`{"aspectRatio":"1:1", "prompt":" a "}`, "Idempotency-Key", "k")
	if again != first || header.Get("Idempotency-Replayed") != "true" {
		t.Errorf("replay: task %s, want %s; %v", again, first, header)
	}
	for _, other := range []string{
		`{"prompt":"b","aspectRatio":"1:1"}`, `{"prompt":"a"}`, `{"prompt":"a","aspectRatio":"1:1","metadata":{"k":"v"}}`, `{"prompt":"","aspectRatio":"7:5"}`,
	} {
		h.refused(422, task.CodeIdempotencyKeyReused, other, "Idempotency-Key", "k")
	}
	ids := map[string]bool{first: true}
	unlike := func(id string) {
		t.Helper()
		if ids[id] || !task.ValidID(id) {
			t.Errorf("task %s", id)
		}
		ids[id] = true
	}
	bob := "Bearer " + h.identity.Token("bob")
	for _, key := range []string{"K", "k.", "../../QUOTA#bob", "%00", `"`, strings.Repeat("k", 255)} {
		id, _ := post(`{"prompt":"a","aspectRatio":"1:1"}`, "Idempotency-Key", key)
		unlike(id)
	}
	bobs, _ := post(`{"prompt":"a","aspectRatio":"1:1"}`, "Idempotency-Key", "k", "Authorization", bob)
	unlike(bobs)
	for range 2 { // without a key each is another
		id, _ := post(`{"prompt":"a","aspectRatio":"1:1"}`)
		unlike(id)
	}
	if n := h.Sim.Posts(); n != len(ids) {
		t.Errorf("%d POSTs for %d tasks", n, len(ids))
	}
}

// A deleted task's key stays used.
func TestKeyOfDeleted(t *testing.T) {
	h := newHarness(t)
	h.Sim.SetKnobs(func(k *nanobananatest.Knobs) {
		k.Submit = nanobananatest.Fault{Kind: nanobananatest.FaultStatus, Code: 455}
	})
	x, err := h.Rows.Task(t.Context(), h.accepted(goodBody, "Idempotency-Key", "k").ID)
	if err != nil {
		t.Fatal(err)
	}
	h.delete(x)
	h.refused(422, task.CodeIdempotencyKeyReused, goodBody, "Idempotency-Key", "k")
}

// The log contains no token, no key and nothing that users wrote.
func TestNothingIsLogged(t *testing.T) {
	h := newHarness(t)
	body := `{"prompt":"a secret wish","metadata":{"note":"a secret note"},"imageUrls":["https://example.com/secret.png"],"watermark":"secret mark"}`
	h.accepted(body, "Idempotency-Key", "secret-key")
	h.Sim.SetKnobs(func(k *nanobananatest.Knobs) {
		k.Submit = nanobananatest.Fault{Kind: nanobananatest.FaultStatus, Code: 500}
	})
	h.accepted(body)
	h.refused(400, task.CodeInvalidRequest, `{"secret":1}`)
	h.Rows.Fail(func(string, *task.Task) error { return errors.New("a wire broke") }, nil)
	h.refused(503, task.CodeUnavailable, body)
	logged := h.Logged.Take()
	if strings.Count(logged, "\n") < 4 || !strings.Contains(logged, "a wire broke") {
		t.Errorf("logged: %s", logged)
	}
	for _, secret := range []string{"secret", h.token, nanobananatest.DefaultKey, "/v1/callbacks/", "k."} {
		if strings.Contains(logged, secret) {
			t.Errorf("the log has %q: %s", secret, logged)
		}
	}
}

func TestOtherMethods(t *testing.T) {
	h := newHarness(t)
	for _, method := range []string{"GET", "PUT", "DELETE"} {
		got := httpapitest.Do(t, h.request(method, nil)) // not held against the contract, in which GET is another function's
		if got.Status != 405 || got.Header.Get("Allow") != "POST" {
			t.Errorf("%s: %d, Allow %q", method, got.Status, got.Header.Get("Allow"))
		}
	}
}
