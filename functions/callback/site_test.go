package callback_test

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/preset/nanobanana-functions/functions/callback"
	"github.com/preset/nanobanana-functions/shared/auth/token"
	"github.com/preset/nanobanana-functions/shared/httpapi/httpapitest"
	"github.com/preset/nanobanana-functions/shared/lifecycle"
	"github.com/preset/nanobanana-functions/shared/lifecycle/lifecycletest"
	"github.com/preset/nanobanana-functions/shared/nanobanana/nanobananatest"
	"github.com/preset/nanobanana-functions/shared/task"
)

// The keys that callback URLs are signed with.
var (
	first  = token.Key{ID: "k1", Key: "a key of twenty-four bytes"}
	second = token.Key{ID: "k2", Key: "another of twenty-four bytes"}
)

const (
	prompt   = lifecycletest.Prompt
	attacker = "https://attacker.example/a.png"
)

// site is the function, over HTTP and by itself, and what stands behind it.
type site struct {
	*lifecycletest.Harness
	t        testing.TB
	url      string
	handler  http.Handler
	contract *httpapitest.Contract
}

func serve(t testing.TB, adjust ...func(*nanobananatest.Knobs)) *site {
	t.Helper()
	s := &site{Harness: lifecycletest.New(t, adjust...), t: t, contract: httpapitest.Load(t)}
	s.Secret.SetCallbackKeys(first)
	s.Secret.SetImageKeys(token.Key{ID: "k1", Key: "a key for image links alone"})
	s.handler = callback.New(callback.Function{Secrets: s.Secrets, Service: s.Service, Log: s.Log})
	server := httptest.NewServer(s.handler)
	t.Cleanup(server.Close)
	s.url = server.URL
	return s
}

// answer is what the function said.
type answer struct{ httpapitest.Answer }

// post calls back over HTTP.
func (s *site) post(path string, body io.Reader) answer {
	s.t.Helper()
	return answer{s.contract.Do(s.t, httpapitest.NewRequest(s.t, http.MethodPost, s.url+path, body))}
}

// call calls back with no network between.
func (s *site) call(path string, body io.Reader) answer {
	s.t.Helper()
	return answer{s.contract.Serve(s.t, s.handler, httptest.NewRequest(http.MethodPost, path, body))}
}

// received expects the answer to a genuine callback.
func (a answer) received(t testing.TB) {
	t.Helper()
	if a.Status != http.StatusOK || a.Body != `{"status":"received"}` {
		t.Errorf("%d %s", a.Status, a.Body)
	}
}

// submit orders one picture.
func (s *site) submit() *task.Task {
	s.t.Helper()
	return s.Submitted(s.t, "ada", 1)
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
func path(key token.Key, id string, attempt int) string {
	signed := token.Keys{key}.Sign(lifecycle.CallbackMessage(id, attempt))
	return fmt.Sprintf("/v1/callbacks/%s/%d/%s", id, attempt, signed)
}

// said is a callback's body, of the family that generate has.
func said(id string, code int, urls ...string) string {
	return fmt.Sprintf(`{"code":%d,"msg":"said","data":{"taskId":%q,"info":{"resultImageUrl":%q}}}`, code, id, strings.Join(urls, ","))
}

// running is a provider that takes an hour.
func running(k *nanobananatest.Knobs) { k.Delay = 3600e9 }
