package credits_test

import (
	"net/http"
	"testing"

	"github.com/preset/nanobanana-functions/functions/credits"
	"github.com/preset/nanobanana-functions/shared/httpapi/httpapitest"
	"github.com/preset/nanobanana-functions/shared/lifecycle/lifecycletest"
	"github.com/preset/nanobanana-functions/shared/nanobanana/nanobananatest"
)

// site is the function, served over HTTP, and what stands behind it.
type site struct {
	*lifecycletest.Harness
	t        testing.TB
	identity *lifecycletest.Identity
	function credits.Function
	handler  http.Handler
	bearer   string // ada's
	contract *httpapitest.Contract
}

func serve(t testing.TB, adjust ...func(*nanobananatest.Knobs)) *site {
	t.Helper()
	s := &site{Harness: lifecycletest.New(t, adjust...), t: t, contract: httpapitest.Load(t)}
	s.identity = s.Identity(t)
	s.function = credits.Function{Auth: s.identity.Verifier, Account: s.Account, Prices: s.Prices, LowBelow: 100, Log: s.Log}
	s.handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { credits.New(s.function).ServeHTTP(w, r) })
	s.Mux.Handle("/v1/credits", s.handler)
	s.Mux.Handle("/v1/models", s.handler)
	s.Mux.Handle("/v1/health", s.handler)
	s.bearer = "Bearer " + s.identity.Token("ada")
	return s
}

// limit sets the daily quota.
func (s *site) limit(images int) { s.Quota, s.function.Quota = images, images }

// request asks, with an Authorization if it is not empty.
func (s *site) request(path, authorization string) *http.Request {
	s.t.Helper()
	return httpapitest.NewRequest(s.t, http.MethodGet, s.Settings.PublicURL+path, nil, "Authorization", authorization)
}

func (s *site) get(path, authorization string) httpapitest.Answer {
	s.t.Helper()
	return s.contract.Do(s.t, s.request(path, authorization))
}

// credits asks as ada, and expects an answer.
func (s *site) credits() (c credits.Credits) {
	s.t.Helper()
	s.get("/v1/credits", s.bearer).JSON(s.t, http.StatusOK, &c)
	return c
}
