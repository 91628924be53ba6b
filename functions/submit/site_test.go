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

// site is the function, served over HTTP, and what stands behind it.
type site struct {
	*lifecycletest.Harness
	t        testing.TB
	identity *lifecycletest.Identity
	token    string // ada's
	handler  http.Handler
	unsized  bool // bodies come without a Content-Length
	contract *httpapitest.Contract
}

func serve(t testing.TB) *site {
	t.Helper()
	s := &site{Harness: lifecycletest.New(t), t: t, contract: httpapitest.Load(t)}
	s.identity = s.Identity(t)
	s.token = s.identity.Token("ada")
	s.handler = s.function()
	s.Mux.Handle("/v1/tasks", s.handler)
	return s
}

func (s *site) function() http.Handler {
	view := httpapi.View{PublicURL: s.Settings.PublicURL, Secrets: s.Secrets, Now: s.Clock.Now}
	return submit.New(submit.Function{Auth: s.identity.Verifier, Log: s.Log, Submitter: s.Submitter, View: view})
}

// in gives the site to a subtest.
func (s *site) in(t testing.TB) *site {
	c := *s
	c.t = t
	return &c
}

// request is a submit as ada, with headers as [httpapitest.NewRequest] takes them.
func (s *site) request(method string, body io.Reader, header ...string) *http.Request {
	s.t.Helper()
	header = append([]string{"Authorization", "Bearer " + s.token, "Content-Type", "application/json"}, header...)
	return httpapitest.NewRequest(s.t, method, s.Settings.PublicURL+"/v1/tasks", body, header...)
}

// post submits a body.
func (s *site) post(body string, header ...string) httpapitest.Answer {
	s.t.Helper()
	var reader io.Reader = strings.NewReader(body)
	if s.unsized {
		reader = io.MultiReader(reader)
	}
	return s.contract.Do(s.t, s.request(http.MethodPost, reader, header...))
}

// accepted submits a body, and expects a task.
func (s *site) accepted(body string, header ...string) (shown httpapi.Task) {
	s.t.Helper()
	s.post(body, header...).JSON(s.t, http.StatusAccepted, &shown)
	return shown
}

// refused submits a body, and expects a Problem, and that nothing was stored
// or sent to the provider.
func (s *site) refused(status int, code task.Code, body string, header ...string) (p httpapi.Problem) {
	s.t.Helper()
	rows, posts := s.rows(), s.Sim.Posts()
	got := s.post(body, header...)
	got.Problem(s.t, status, code)
	got.JSON(s.t, status, &p)
	if n := s.rows() - rows; n != 0 {
		s.t.Errorf("%d rows were stored", n)
	}
	if n := s.Sim.Posts() - posts; n != 0 {
		s.t.Errorf("the provider was sent %d POSTs", n)
	}
	return p
}

// rows counts the tasks that have not ended: what a submit would add to.
func (s *site) rows() (n int) {
	s.t.Helper()
	for _, err := range s.Rows.Store.Due(s.t.Context(), s.Now().Add(1000*time.Hour)) {
		if n++; err != nil {
			s.t.Fatal(err)
		}
	}
	return n
}
