package callback_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"github.com/preset/nanobanana-functions/functions/callback"
	"github.com/preset/nanobanana-functions/shared/config"
	"github.com/preset/nanobanana-functions/shared/httpapi"
	"github.com/preset/nanobanana-functions/shared/httpapi/httpapitest"
	"github.com/preset/nanobanana-functions/shared/lifecycle"
	"github.com/preset/nanobanana-functions/shared/lifecycle/lifecycletest"
	"github.com/preset/nanobanana-functions/shared/nanobanana/nanobananatest"
	"github.com/preset/nanobanana-functions/shared/task"
)

// The keys that callback URLs are signed with.
var (
	first  = config.Key{ID: "k1", Key: "a key of twenty-four bytes"}
	second = config.Key{ID: "k2", Key: "another of twenty-four bytes"}
)

const (
	prompt   = "a lighthouse"
	attacker = "https://attacker.example/a.png"
)

// site is the function, over HTTP and by itself, and what stands behind it.
type site struct {
	*lifecycletest.World
	t        testing.TB
	keys     *keys
	url      string
	handler  http.Handler
	contract *httpapitest.Contract
	http     *http.Client
}

// keys is a secret whose callback keys roll.
type keys struct {
	mu   sync.Mutex
	keys config.Keys
}

func (k *keys) set(keys ...config.Key) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.keys = keys
}

func (k *keys) read(context.Context) ([]byte, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.keys == nil {
		return nil, errors.New("nobody is there")
	}
	var list []map[string]string
	for _, key := range k.keys {
		list = append(list, map[string]string{"id": key.ID, "key": string(key.Key)})
	}
	others := []map[string]string{{"id": "k1", "key": "a key for image links alone"}}
	return json.Marshal(map[string]any{"apiKey": nanobananatest.DefaultKey, "callbackKeys": list, "imageKeys": others})
}

func serve(t testing.TB, adjust ...func(*nanobananatest.Knobs)) *site {
	t.Helper()
	s := &site{World: lifecycletest.New(t, adjust...), t: t, keys: &keys{keys: config.Keys{first}}, contract: httpapitest.Load(t)}
	s.Secrets = config.NewSecrets(s.keys.read, s.Clock.Now)
	s.handler = callback.New(callback.Function{Secrets: s.Secrets, Service: s.Service, Log: s.Log})
	server := httptest.NewServer(s.handler)
	t.Cleanup(server.Close)
	s.url = server.URL
	s.http = &http.Client{Transport: s.contract.Transport(t, nil)}
	return s
}

// answer is what the function said.
type answer struct {
	status int
	header http.Header
	body   string
}

// post calls back over HTTP.
func (s *site) post(path string, body io.Reader) answer {
	s.t.Helper()
	r, err := http.NewRequestWithContext(s.t.Context(), http.MethodPost, s.url+path, body)
	if err != nil {
		s.t.Fatal(err)
	}
	resp, err := s.http.Do(r)
	if err != nil {
		s.t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		s.t.Fatal(err)
	}
	return answer{resp.StatusCode, resp.Header, string(b)}
}

// call calls back with no network between.
func (s *site) call(path string, body io.Reader) answer {
	s.t.Helper()
	r, w := httptest.NewRequest(http.MethodPost, path, body), httptest.NewRecorder()
	s.handler.ServeHTTP(w, r)
	got := answer{w.Code, w.Header(), w.Body.String()}
	s.contract.CheckResponse(s.t, r, w.Result())
	return got
}

// received expects the answer to a genuine callback.
func (a answer) received(t testing.TB) {
	t.Helper()
	if a.status != http.StatusOK || a.body != `{"status":"received"}` {
		t.Errorf("%d %s", a.status, a.body)
	}
}

// problem expects a Problem, and gives it without what tells one request from
// the other.
func (a answer) problem(t testing.TB, status int, code task.Code) string {
	t.Helper()
	var p httpapi.Problem
	if err := json.Unmarshal([]byte(a.body), &p); err != nil || a.status != status || p.Code != code {
		t.Errorf("%d %s; want %d %s", a.status, a.body, status, code)
	}
	if (a.header.Get("Retry-After") != "") != (status == http.StatusServiceUnavailable) {
		t.Errorf("Retry-After %q with %d", a.header.Get("Retry-After"), status)
	}
	return strings.Replace(a.body, p.RequestID, "", 1)
}

// submit orders one picture.
func (s *site) submit() *task.Task {
	s.t.Helper()
	t, _, err := s.Submit(s.t.Context(), lifecycle.Order{Owner: "ada", Request: task.Request{Prompt: prompt, NumImages: 1}})
	if err != nil {
		s.t.Fatal(err)
	}
	return t
}

// row reads the task as it stands, behind the back of what counts.
func (s *site) row(id string) *task.Task {
	s.t.Helper()
	t, err := s.Rows.Store.Task(s.t.Context(), id)
	if err != nil {
		s.t.Fatal(err)
	}
	return t
}

// reads says how often the record of the provider's nth task was read, from 0.
func (s *site) reads(n int) int { return len(s.Sim.Tasks()[n].Reads) }

// path is where an attempt calls back, signed by a key.
func path(key config.Key, id string, attempt int) string {
	token := config.Keys{key}.Sign(lifecycle.CallbackMessage(id, attempt))
	return fmt.Sprintf("/v1/callbacks/%s/%d/%s", id, attempt, token)
}

// said is a callback's body, of the family that generate has.
func said(id string, code int, urls ...string) string {
	return fmt.Sprintf(`{"code":%d,"msg":"said","data":{"taskId":%q,"info":{"resultImageUrl":%q}}}`, code, id, strings.Join(urls, ","))
}

// running is a provider that takes an hour.
func running(k *nanobananatest.Knobs) { k.Delay = 3600e9 }
