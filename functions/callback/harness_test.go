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

// harness is the function, over HTTP and directly, with everything behind it.
type harness struct {
	*lifecycletest.Harness
	t        testing.TB
	url      string
	handler  http.Handler
	contract *httpapitest.Contract
}

func newHarness(t testing.TB, adjust ...func(*nanobananatest.Knobs)) *harness {
	t.Helper()
	h := &harness{Harness: lifecycletest.New(t, adjust...), t: t, contract: httpapitest.Load(t)}
	h.Secret.SetCallbackKeys(first)
	h.Secret.SetImageKeys(token.Key{ID: "k1", Key: "a key for image links alone"})
	h.handler = callback.New(callback.Function{Secrets: h.Secrets, Service: h.Service, Log: h.Log})
	server := httptest.NewServer(h.handler)
	t.Cleanup(server.Close)
	h.url = server.URL
	return h
}

// answer is the function's answer.
type answer struct{ httpapitest.Answer }

// post calls back over HTTP.
func (h *harness) post(path string, body io.Reader) answer {
	h.t.Helper()
	return answer{h.contract.Do(h.t, httpapitest.NewRequest(h.t, http.MethodPost, h.url+path, body))}
}

// call calls the handler directly.
func (h *harness) call(path string, body io.Reader) answer {
	h.t.Helper()
	return answer{h.contract.Serve(h.t, h.handler, httptest.NewRequest(http.MethodPost, path, body))}
}

// received expects the answer to a genuine callback.
func (a answer) received(t testing.TB) {
	t.Helper()
	if a.Status != http.StatusOK || a.Body != `{"status":"received"}` {
		t.Errorf("%d %s", a.Status, a.Body)
	}
}

// submit orders one picture.
func (h *harness) submit() *task.Task {
	h.t.Helper()
	return h.Submitted(h.t, "ada", 1)
}

// row reads a task's row without counting the read.
func (h *harness) row(id string) *task.Task {
	h.t.Helper()
	t, err := h.Rows.Store.Task(h.t.Context(), id)
	if err != nil {
		h.t.Fatal(err)
	}
	return t
}

// countReads returns how often the record of the provider's nth task, counted
// from 0, was read.
func (h *harness) countReads(n int) int { return len(h.Sim.Tasks()[n].Reads) }

// callbackPath returns the path of an attempt's callback, signed with a key.
func callbackPath(key token.Key, id string, attempt int) string {
	signed := token.Keys{key}.Sign(lifecycle.CallbackMessage(id, attempt))
	return fmt.Sprintf("/v1/callbacks/%s/%d/%s", id, attempt, signed)
}

// callbackBody returns a callback's body in the form that generate uses.
func callbackBody(id string, code int, urls ...string) string {
	return fmt.Sprintf(`{"code":%d,"msg":"said","data":{"taskId":%q,"info":{"resultImageUrl":%q}}}`, code, id, strings.Join(urls, ","))
}

// slowProvider is a provider that takes an hour.
func slowProvider(k *nanobananatest.Knobs) { k.Delay = 3600e9 }
