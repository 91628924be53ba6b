package submit_test

import (
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/preset/nanobanana-functions/functions/submit"
	"github.com/preset/nanobanana-functions/shared/httpapi"
	"github.com/preset/nanobanana-functions/shared/httpapi/httpapitest"
	"github.com/preset/nanobanana-functions/shared/lifecycle/lifecycletest"
	"github.com/preset/nanobanana-functions/shared/task"
)

// harness is the function, served over HTTP, with everything behind it.
type harness struct {
	*lifecycletest.Harness
	t        testing.TB
	identity *lifecycletest.Identity
	token    string // ada's
	handler  http.Handler
	unsized  bool // bodies come without a Content-Length
	contract *httpapitest.Contract
}

func newHarness(t testing.TB) *harness {
	t.Helper()
	h := &harness{Harness: lifecycletest.New(t), t: t, contract: httpapitest.Load(t)}
	h.identity = h.Identity(t)
	h.token = h.identity.Token("ada")
	h.handler = h.function()
	h.Mux.Handle("/v1/tasks", h.handler)
	h.Mux.Handle("/v1/quotes", h.handler)
	return h
}

func (h *harness) function() http.Handler {
	view := httpapi.View{PublicURL: h.Settings.PublicURL, Secrets: h.Secrets, Now: h.Clock.Now}
	return submit.New(submit.Function{Auth: h.identity.Verifier, Log: h.Log, Submitter: h.Submitter, View: view})
}

// with returns the harness for a subtest.
func (h *harness) with(t testing.TB) *harness {
	c := *h
	c.t = t
	return &c
}

// request returns a submit by ada, with headers as [httpapitest.NewRequest]
// takes them.
func (h *harness) request(method string, body io.Reader, header ...string) *http.Request {
	h.t.Helper()
	header = append([]string{"Authorization", "Bearer " + h.token, "Content-Type", "application/json"}, header...)
	return httpapitest.NewRequest(h.t, method, h.Settings.PublicURL+"/v1/tasks", body, header...)
}

// post submits a body.
func (h *harness) post(body string, header ...string) httpapitest.Answer {
	h.t.Helper()
	var reader io.Reader = strings.NewReader(body)
	if h.unsized {
		reader = io.MultiReader(reader)
	}
	return h.contract.Do(h.t, h.request(http.MethodPost, reader, header...))
}

// accepted submits a body and expects a task.
func (h *harness) accepted(body string, header ...string) (shown httpapi.Task) {
	h.t.Helper()
	h.post(body, header...).JSON(h.t, http.StatusAccepted, &shown)
	return shown
}

// refused submits a body and expects a Problem, and that nothing was stored or
// sent to the provider.
func (h *harness) refused(status int, code task.Code, body string, header ...string) (p httpapi.Problem) {
	h.t.Helper()
	rows, posts := h.countRows(), h.Sim.Posts()
	got := h.post(body, header...)
	got.Problem(h.t, status, code)
	got.JSON(h.t, status, &p)
	if n := h.countRows() - rows; n != 0 {
		h.t.Errorf("%d rows were stored", n)
	}
	if n := h.Sim.Posts() - posts; n != 0 {
		h.t.Errorf("the provider was sent %d POSTs", n)
	}
	return p
}

// countRows counts the unfinished tasks, to which a submit would add.
func (h *harness) countRows() (n int) {
	h.t.Helper()
	for _, err := range h.Rows.Store.Due(h.t.Context(), h.Now().Add(1000*time.Hour)) {
		if n++; err != nil {
			h.t.Fatal(err)
		}
	}
	return n
}
