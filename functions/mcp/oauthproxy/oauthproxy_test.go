package oauthproxy_test

import (
	"bytes"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/preset/nanobanana-functions/functions/mcp/oauthproxy"
	"github.com/preset/nanobanana-functions/shared/config"
	"github.com/preset/nanobanana-functions/shared/httpapi"
	"github.com/preset/nanobanana-functions/shared/httpapi/httpapitest"
	"github.com/preset/nanobanana-functions/shared/outbound"
)

const (
	form      = "application/x-www-form-urlencoded"
	publicKey = "sb_publishable_test"
)

// provider stands in for the identity provider, with its quirks: a gateway that wants
// an apikey, 201 for tokens, and a secret without a method.
type provider struct {
	mu       sync.Mutex
	requests []request
	answer   http.HandlerFunc // nil: as the provider
}

type request struct {
	path, query, body string
	header            http.Header
}

func (p *provider) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	p.mu.Lock()
	p.requests = append(p.requests, request{r.URL.Path, r.URL.RawQuery, string(body), r.Header.Clone()})
	answer := p.answer
	p.mu.Unlock()
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	w.Header().Set("Set-Cookie", "__cf_bm=x")
	switch {
	case answer != nil:
		answer(w, r)
	case r.Header.Get("Apikey") != publicKey:
		w.WriteHeader(http.StatusUnauthorized)
		io.WriteString(w, `{"message":"No API key found in request"}`)
	case r.URL.Path == "/auth/v1/oauth/token":
		w.WriteHeader(http.StatusCreated)
		io.WriteString(w, `{"access_token":"AT","token_type":"bearer"}`)
	case r.URL.Path == "/auth/v1/oauth/clients/register":
		w.WriteHeader(http.StatusCreated)
		io.WriteString(w, `{"client_id":"id","client_secret":"s"}`)
	}
}

func (p *provider) seen() []request {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.requests
}

// harness is the proxy, served over HTTP, with the provider behind it.
type harness struct {
	*provider
	t        *testing.T
	issuer   string
	url      string
	log      *bytes.Buffer
	now      time.Time
	contract *httpapitest.Contract
}

func newHarness(t *testing.T, change func(*config.Settings)) *harness {
	t.Helper()
	h := &harness{provider: &provider{}, t: t, log: &bytes.Buffer{}, now: time.Unix(1_800_000_000, 0), contract: httpapitest.Load(t)}
	upstream := httptest.NewServer(h.provider)
	t.Cleanup(upstream.Close)
	h.issuer = upstream.URL + "/auth/v1"
	settings := config.Settings{AuthIssuer: h.issuer, OAuthProxy: true, OAuthAPIKey: publicKey}
	front := httptest.NewUnstartedServer(nil)
	h.url = "http://" + front.Listener.Addr().String()
	settings.PublicURL = h.url
	if change != nil {
		change(&settings)
	}
	log := slog.New(slog.NewJSONHandler(h.log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	mux := http.NewServeMux()
	oauthproxy.Register(mux.Handle, oauthproxy.Function{HTTP: outbound.NewClient(), Settings: settings, Now: func() time.Time { return h.now }, Log: log})
	front.Config.Handler = httpapi.Mux(log, mux)
	front.Start()
	t.Cleanup(front.Close)
	return h
}

// post sends a body and checks the answer against openapi.yaml.
func (h *harness) post(path, kind, body string, header ...string) httpapitest.Answer {
	h.t.Helper()
	header = append([]string{"Content-Type", kind}, header...)
	return h.contract.Do(h.t, httpapitest.NewRequest(h.t, http.MethodPost, h.url+path, strings.NewReader(body), header...))
}

// check fails the test unless a is that refusal, in the form that OAuth's clients read.
func (h *harness) check(a httpapitest.Answer, status int, code string) {
	h.t.Helper()
	var refusal struct {
		Error       string `json:"error"`
		Description string `json:"error_description"`
	}
	if err := json.Unmarshal([]byte(a.Body), &refusal); err != nil || a.Status != status || refusal.Error != code || refusal.Description == "" {
		h.t.Errorf("%d %s, want %d %s (%v)", a.Status, a.Body, status, code, err)
	}
}

func TestMetadata(t *testing.T) {
	h := newHarness(t, nil)
	a := h.contract.Do(t, httpapitest.NewRequest(t, http.MethodGet, h.url+"/.well-known/oauth-authorization-server", nil))
	var m map[string]any
	if err := json.Unmarshal([]byte(a.Body), &m); err != nil || a.Status != http.StatusOK {
		t.Fatalf("%d %s: %v", a.Status, a.Body, err)
	}
	for name, want := range map[string]any{
		"issuer": h.url, "token_endpoint": h.url + "/token", "registration_endpoint": h.url + "/register",
		"authorization_endpoint": h.issuer + "/oauth/authorize",
		// The provider's redirect would break this promise.
		"authorization_response_iss_parameter_supported": nil,
	} {
		if m[name] != want {
			t.Errorf("%s is %v, want %v", name, m[name], want)
		}
	}
	if len(h.seen()) > 0 {
		t.Error("the provider was asked")
	}
}

func TestOwnDomainIsTheIssuer(t *testing.T) {
	h := newHarness(t, func(s *config.Settings) { s.PublicURL = "" })
	r := httpapitest.NewRequest(t, http.MethodGet, h.url+"/.well-known/oauth-authorization-server", nil)
	r.Host = "abc.execute-api.example"
	if a := httpapitest.Do(t, r); !strings.Contains(a.Body, `"issuer":"https://abc.execute-api.example"`) {
		t.Errorf("%s", a.Body)
	}
}

// What a client sends arrives as it is, with the key, and nothing else of its request does.
func TestPassesOn(t *testing.T) {
	h := newHarness(t, nil)
	const code = "grant_type=authorization_code&code=hunter2&code_verifier=v&resource=https%3A%2F%2Fx%2Fmcp"
	a := h.post("/token?secret=hunter2", form, code, "Authorization", "Basic aTpodW50ZXIy", "Cookie", "a=b", "X-Forwarded-For", "9.9.9.9", "Apikey", "other", "Origin", "https://claude.ai")
	if a.Status != http.StatusOK || a.Body != `{"access_token":"AT","token_type":"bearer"}` {
		t.Errorf("a token: %d %s, want 200 in place of 201", a.Status, a.Body)
	}
	if a.Header.Get("Cache-Control") != "no-store" || a.Header.Get("Set-Cookie") != "" || a.Header.Get("Content-Type") != "application/json" {
		t.Errorf("the answer's headers: %v", a.Header)
	}
	const refresh = `{"grant_type":"refresh_token","refresh_token":"hunter2"}`
	h.post("/token", "application/json; charset=UTF-8", refresh)
	const client = `{"client_name":"Ünïcode","redirect_uris":["http://localhost/cb"]}`
	if a := h.post("/register", "application/json", client, "Authorization", ""); a.Status != http.StatusCreated || a.Body != `{"client_id":"id","client_secret":"s","token_endpoint_auth_method":"client_secret_post"}` {
		t.Errorf("a registration: %d %s, want the provider's 201, with the method", a.Status, a.Body)
	}
	for i, want := range []request{
		{path: "/auth/v1/oauth/token", body: code, header: http.Header{"Content-Type": {form}, "Authorization": {"Basic aTpodW50ZXIy"}}},
		{path: "/auth/v1/oauth/token", body: refresh, header: http.Header{"Content-Type": {"application/json"}}},
		{path: "/auth/v1/oauth/clients/register", body: client, header: http.Header{"Content-Type": {"application/json"}}},
	} {
		got := h.seen()[i]
		if got.path != want.path || got.query != "" || got.body != want.body {
			t.Errorf("the provider got %s?%s %q, want %s %q", got.path, got.query, got.body, want.path, want.body)
		}
		want.header.Set("Apikey", publicKey)
		for _, own := range []string{"Accept", "Accept-Encoding", "Content-Length", "User-Agent", "Connection"} {
			got.header.Del(own)
		}
		if gotten, wanted := encode(got.header), encode(want.header); gotten != wanted {
			t.Errorf("the provider got the headers %s, want %s", gotten, wanted)
		}
	}
	if n := len(h.seen()); n != 3 {
		t.Errorf("%d requests, want 3", n)
	}
	if log := h.log.String(); strings.Contains(log, "hunter2") || strings.Contains(log, "AT") && strings.Contains(log, "access_token") || !strings.Contains(log, `"route":"POST /token"`) {
		t.Errorf("the log: %s", log)
	}
}

func encode(v any) string {
	b, _ := json.Marshal(v)
	return string(b)
}

// What names its method, has no secret or is no client comes back as it is.
func TestRegistrationIsKept(t *testing.T) {
	h := newHarness(t, nil)
	for body, status := range map[string]int{
		`{"client_secret": "s", "token_endpoint_auth_method": "client_secret_basic"}`: 201, `{ "client_id": "id" }`: 201, `[]`: 201, `{`: 201, ``: 201,
		`{"client_secret": "s"}`: 400,
	} {
		h.answer = func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(status)
			io.WriteString(w, body)
		}
		a := httpapitest.Do(t, httpapitest.NewRequest(t, http.MethodPost, h.url+"/register", strings.NewReader("{}"), "Content-Type", "application/json"))
		if a.Status != status || a.Body != body {
			t.Errorf("%d %s, want %d %s", a.Status, a.Body, status, body)
		}
	}
}

// Without a key none is sent, and the gateway's refusal reaches the client.
func TestWithoutKey(t *testing.T) {
	h := newHarness(t, func(s *config.Settings) { s.OAuthAPIKey = "" })
	a := h.post("/token", form, "grant_type=refresh_token", "Apikey", "theirs")
	if a.Status != http.StatusUnauthorized || !strings.Contains(a.Body, "No API key") {
		t.Errorf("%d %s", a.Status, a.Body)
	}
	if key := h.seen()[0].header.Get("Apikey"); key != "" {
		t.Errorf("apikey: %s", key)
	}
}

func TestRefusals(t *testing.T) {
	h := newHarness(t, nil)
	long := strings.Repeat("x", 16<<10)
	for _, path := range []string{"/token", "/register"} {
		h.check(h.post(path, form, long+"x"), http.StatusRequestEntityTooLarge, "invalid_request")
		for _, kind := range []string{"", "text/plain", "multipart/form-data; boundary=x", form + "; charset=utf-16", form + "\n" + form} {
			h.check(h.post(path, kind, "a=b"), http.StatusUnsupportedMediaType, "invalid_request")
		}
		h.check(h.post(path, form, "a=b", "Content-Encoding", "gzip"), http.StatusUnsupportedMediaType, "invalid_request")
	}
	if n := len(h.seen()); n != 0 {
		t.Errorf("%d requests reached the provider", n)
	}
	h.post("/token", form, long)
	if got := h.seen(); len(got) != 1 || got[0].body != long {
		t.Error("a body of 16 KiB did not arrive")
	}
	for _, r := range []*http.Request{
		httpapitest.NewRequest(t, http.MethodGet, h.url+"/token", nil), httpapitest.NewRequest(t, http.MethodGet, h.url+"/register", nil),
	} {
		if a := httpapitest.Do(t, r); a.Status != http.StatusMethodNotAllowed {
			t.Errorf("%s %s: %d", r.Method, r.URL.Path, a.Status)
		}
	}
}

// The provider's refusals pass, with what a client needs of their headers.
func TestProviderRefuses(t *testing.T) {
	h := newHarness(t, nil)
	for _, status := range []int{400, 401, 422, 429, 500, 503} {
		h.answer = func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Retry-After", "7")
			w.Header().Set("WWW-Authenticate", `Basic realm="x"`)
			w.WriteHeader(status)
			io.WriteString(w, `{"error":"invalid_grant"}`)
		}
		a := httpapitest.Do(t, httpapitest.NewRequest(t, http.MethodPost, h.url+"/token", strings.NewReader("a=b"), "Content-Type", form))
		if a.Status != status || a.Body != `{"error":"invalid_grant"}` || a.Header.Get("Retry-After") != "7" || a.Header.Get("Www-Authenticate") != `Basic realm="x"` {
			t.Errorf("%d: %d %v %s", status, a.Status, a.Header, a.Body)
		}
	}
}

// What is no answer of OAuth's is not passed on, and no redirect is followed.
func TestProviderFails(t *testing.T) {
	for name, answer := range map[string]http.HandlerFunc{
		"a redirect": func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, "/elsewhere", http.StatusTemporaryRedirect)
		},
		"a redirect with JSON": func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Location", "/elsewhere")
			w.WriteHeader(http.StatusTemporaryRedirect)
			io.WriteString(w, "{}")
		},
		"a page": func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "text/html")
			io.WriteString(w, "<script>hunter2</script>")
		},
		"an endless answer": func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, strings.Repeat("[", 64<<10+1)) },
		"half an answer": func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", "100")
			io.WriteString(w, "{")
		},
		"no answer": func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) },
	} {
		t.Run(name, func(t *testing.T) {
			h := newHarness(t, nil)
			h.answer = answer
			h.check(h.post("/token", form, "code=hunter2"), http.StatusBadGateway, "temporarily_unavailable")
			if n := len(h.seen()); n != 1 {
				t.Errorf("%d requests, want 1: a code is good for one exchange", n)
			}
			if log := h.log.String(); strings.Contains(log, "hunter2") || !strings.Contains(log, "signing in: ") {
				t.Errorf("the log: %s", log)
			}
		})
	}
	h := newHarness(t, func(s *config.Settings) { s.AuthIssuer = "http://127.0.0.1:1/auth/v1" })
	h.check(h.post("/register", "application/json", "{}"), http.StatusBadGateway, "temporarily_unavailable")
}

// Each registration makes a client at the provider, for anybody who asks.
func TestRegistrationsAreLimited(t *testing.T) {
	h := newHarness(t, nil)
	for i := range 10 {
		if a := h.post("/register", "application/json", "{}"); a.Status != http.StatusCreated {
			t.Fatalf("registration %d: %d", i, a.Status)
		}
	}
	a := h.post("/register", "application/json", "{}")
	h.check(a, http.StatusTooManyRequests, "temporarily_unavailable")
	if a.Header.Get("Retry-After") == "" || len(h.seen()) != 10 {
		t.Errorf("Retry-After %q, %d requests", a.Header.Get("Retry-After"), len(h.seen()))
	}
	if a := h.post("/token", form, "a=b"); a.Status != http.StatusOK {
		t.Errorf("a token meanwhile: %d", a.Status)
	}
	h.now = h.now.Add(2 * time.Second)
	if a := h.post("/register", "application/json", "{}"); a.Status != http.StatusCreated {
		t.Errorf("later: %d", a.Status)
	}
}

func TestOffByDefault(t *testing.T) {
	h := newHarness(t, func(s *config.Settings) { s.OAuthProxy = false })
	for _, r := range []*http.Request{
		httpapitest.NewRequest(t, http.MethodGet, h.url+"/.well-known/oauth-authorization-server", nil),
		httpapitest.NewRequest(t, http.MethodPost, h.url+"/token", strings.NewReader("a=b"), "Content-Type", form),
		httpapitest.NewRequest(t, http.MethodPost, h.url+"/register", strings.NewReader("{}"), "Content-Type", "application/json"),
	} {
		if a := h.contract.Do(t, r); a.Status != http.StatusNotFound {
			t.Errorf("%s: %d", r.URL.Path, a.Status)
		}
	}
	if len(h.seen()) > 0 {
		t.Error("the provider was asked")
	}
}
