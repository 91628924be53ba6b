package credits_test

import (
	"net/http"
	"testing"

	"github.com/preset/nanobanana-functions/functions/credits"
	"github.com/preset/nanobanana-functions/shared/httpapi/httpapitest"
	"github.com/preset/nanobanana-functions/shared/lifecycle/lifecycletest"
	"github.com/preset/nanobanana-functions/shared/nanobanana/nanobananatest"
)

// harness is the function, served over HTTP, with everything behind it.
type harness struct {
	*lifecycletest.Harness
	t        testing.TB
	identity *lifecycletest.Identity
	function credits.Function
	handler  http.Handler
	bearer   string // ada's
	contract *httpapitest.Contract
}

func newHarness(t testing.TB, adjust ...func(*nanobananatest.Knobs)) *harness {
	t.Helper()
	h := &harness{Harness: lifecycletest.New(t, adjust...), t: t, contract: httpapitest.Load(t)}
	h.identity = h.Identity(t)
	h.function = credits.Function{Auth: h.identity.Verifier, Account: h.Account, Prices: h.Prices, LowBelow: 100, Log: h.Log}
	h.handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { credits.New(h.function).ServeHTTP(w, r) })
	h.Mux.Handle("/v1/credits", h.handler)
	h.Mux.Handle("/v1/models", h.handler)
	h.Mux.Handle("/v1/health", h.handler)
	h.bearer = "Bearer " + h.identity.Token("ada")
	return h
}

// setQuota sets the daily quota.
func (h *harness) setQuota(images int) { h.Quota, h.function.Quota = images, images }

// request returns a GET, with an Authorization header if it is not empty.
func (h *harness) request(path, authorization string) *http.Request {
	h.t.Helper()
	return httpapitest.NewRequest(h.t, http.MethodGet, h.Settings.PublicURL+path, nil, "Authorization", authorization)
}

func (h *harness) get(path, authorization string) httpapitest.Answer {
	h.t.Helper()
	return h.contract.Do(h.t, h.request(path, authorization))
}

// credits asks as ada and expects an answer.
func (h *harness) credits() (c credits.Credits) {
	h.t.Helper()
	h.get("/v1/credits", h.bearer).JSON(h.t, http.StatusOK, &c)
	return c
}
