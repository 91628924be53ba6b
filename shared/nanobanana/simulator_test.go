package nanobanana_test

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"reflect"
	"testing"

	"github.com/preset/nanobanana-functions/shared/nanobanana"
	"github.com/preset/nanobanana-functions/shared/nanobanana/nanobananatest"
	"github.com/preset/nanobanana-functions/shared/outbound"
)

// The client and the simulator share no code: both follow the provider's documentation.

// newSimulator returns a simulator and a client of it.
func newSimulator(t *testing.T, adjust ...func(*nanobananatest.Knobs)) (*nanobananatest.Server, *nanobanana.Client) {
	t.Helper()
	sim := nanobananatest.NewServer(adjust...)
	t.Cleanup(sim.Close)
	return sim, &nanobanana.Client{BaseURL: sim.URL, HTTP: outbound.NewClient()}
}

// receiveCallbacks returns an address, and the bodies that are posted to it.
func receiveCallbacks(t *testing.T) (address string, bodies chan []byte) {
	t.Helper()
	bodies = make(chan []byte, 100)
	server := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		bodies <- body
	}))
	t.Cleanup(server.Close)
	return server.URL + "/v1/callbacks/t1/1/k1.abc", bodies
}

func TestEveryShapeIsUnderstood(t *testing.T) {
	pictures := map[string]int{"nano-banana": 3, "nano-banana-2": 1, "nano-banana-pro": 1}
	for _, delivery := range []string{"array", "jsonText", "commaText", "resultUrls", "resultImageUrls", "result_urls", "images"} {
		for _, texts := range []bool{false, true} {
			sim, client := newSimulator(t, func(k *nanobananatest.Knobs) { k.Delivery, k.TextNumbers = delivery, texts })
			address, bodies := receiveCallbacks(t)
			for model, n := range pictures {
				t.Run(fmt.Sprint(delivery, " ", texts, " ", model), func(t *testing.T) {
					r := nanobanana.Request{Model: model, Prompt: " a \"harbour\"\n", CallbackURL: address}
					if n > 1 {
						r.NumImages = n
					}
					id, err := client.Submit(t.Context(), nanobananatest.DefaultKey, r)
					if err != nil {
						t.Fatal(err)
					}
					callback, err := nanobanana.ParseCallback(<-bodies)
					made, _ := sim.Task(id)
					if err != nil || callback.TaskID != id || !callback.Success || !reflect.DeepEqual(callback.URLs, made.URLs) || len(callback.URLs) != n {
						t.Errorf("callback %+v, %v; want %q", callback, err, made.URLs)
					}
					got, err := client.Record(t.Context(), nanobananatest.DefaultKey, id)
					want := nanobanana.Record{TaskID: id, State: nanobanana.Succeeded, URLs: made.URLs,
						Params: nanobanana.Params{Present: true, CallbackURL: address, Prompt: r.Prompt}}
					want.Shape = got.Shape
					if err != nil || !reflect.DeepEqual(got, want) || got.Shape == "" {
						t.Errorf("record %+v, %v; want %+v", got, err, want)
					}
				})
			}
			if credits, err := client.Credits(t.Context(), nanobananatest.DefaultKey); err != nil || credits != sim.Balance() || credits == 1000 {
				t.Errorf("credits %v, %v; want %v", credits, err, sim.Balance())
			}
		}
	}
}

// In any of the simulator's shapes the client finds the pictures, or else the record does not look like
// a running or failed task's.
func TestOtherShapesAreUnderstood(t *testing.T) {
	type want struct {
		state   nanobanana.State // empty: an error
		links   bool
		guessed bool
	}
	found := want{state: nanobanana.Succeeded, links: true}
	expected := map[string]want{
		"nested": found, "listed": found, "quoted": found, "flat": found, "words": found, "relative": found, "http": found,
		"amp": found, "percent": found, "noScheme": found, "stranger": found, "respelt": found, "rewritten": found, "noParams": found,
		"renamed": {nanobanana.Succeeded, false, true}, "linkless": {nanobanana.Succeeded, false, false},
		"stateless": {nanobanana.Unstated, true, false}, "unknown": {nanobanana.Unclear, true, false},
		"conflicting": {nanobanana.Unclear, true, false}, "inline": {}, "large": {},
	}
	sim, client := newSimulator(t)
	address, bodies := receiveCallbacks(t)
	id, err := client.Submit(t.Context(), nanobananatest.DefaultKey, nanobanana.Request{
		Model: "nano-banana", Prompt: "a harboür", NumImages: 2, CallbackURL: address,
	})
	if err != nil {
		t.Fatal(err)
	}
	<-bodies // it is done
	for name, shape := range nanobananatest.Shapes {
		sim.SetKnobs(func(k *nanobananatest.Knobs) { k.Reshape = shape })
		want, listed := expected[name]
		r, err := client.Record(t.Context(), nanobananatest.DefaultKey, id)
		links, guessed := len(r.URLs) == 2, len(r.Guesses) == 2
		if !listed || r.State != want.state || links != want.links || guessed != want.guessed || (err != nil) != (want.state == "") {
			t.Errorf("%s: %+v, %v; want %+v", name, r, err, want)
		}
		if err != nil && (asError(t, err).Detail == "" || asError(t, err).Shape == "") {
			t.Errorf("%s: %+v", name, err)
		}
		if name == "stranger" && (r.TaskID != nanobananatest.OtherTaskID || r.Params.Prompt != "somebody else's picture") {
			t.Errorf("%s: %+v", name, r)
		}
	}
}

func TestEveryFailureIsUnderstood(t *testing.T) {
	for code, want := range map[int]nanobanana.Reason{
		400: nanobanana.Policy, 422: nanobanana.Invalid, 500: nanobanana.ServerError, 501: nanobanana.GenerationFailed,
	} {
		sim, client := newSimulator(t, func(k *nanobananatest.Knobs) { k.Outcome.ErrorCode, k.Outcome.Message = code, "No." })
		address, bodies := receiveCallbacks(t)
		for _, model := range []string{"nano-banana", "nano-banana-2", "nano-banana-pro"} {
			id, err := client.Submit(t.Context(), nanobananatest.DefaultKey, nanobanana.Request{Model: model, Prompt: "p", CallbackURL: address})
			if err != nil {
				t.Fatal(err)
			}
			callback, err := nanobanana.ParseCallback(<-bodies)
			if err != nil || !reflect.DeepEqual(callback, nanobanana.Callback{TaskID: id, Final: true, Reason: want, Code: code, Message: "No."}) {
				t.Errorf("%s %d: callback %+v, %v", model, code, callback, err)
			}
			sim.SetKnobs(func(k *nanobananatest.Knobs) { k.BareFailures = false })
			got, err := client.Record(t.Context(), nanobananatest.DefaultKey, id)
			if err != nil || got.State != nanobanana.Failed || got.Reason != want || got.ErrorCode != code || got.Retryable != (code == 500 || code == 501) {
				t.Errorf("%s %d: record %+v, %v", model, code, got, err)
			}
			sim.SetKnobs(func(k *nanobananatest.Knobs) { k.BareFailures = true })
			got, err = client.Record(t.Context(), nanobananatest.DefaultKey, id)
			if err != nil || got.State != nanobanana.Failed || got.Reason != nanobanana.GenerationFailed || got.Retryable {
				t.Errorf("%s %d: bare record %+v, %v", model, code, got, err)
			}
		}
	}
}

// With any fault in the answer, the request was accepted, it was posted once, and the client does not
// report it as certainly refused.
func TestFaultsAfterAcceptanceAreNeverCertain(t *testing.T) {
	other, _ := newSimulator(t)
	for _, f := range []nanobananatest.Fault{
		{Kind: nanobananatest.FaultStatus, Code: 500}, {Kind: nanobananatest.FaultStatus, Code: 502}, {Kind: nanobananatest.FaultCode, Code: 500},
		{Kind: nanobananatest.FaultCode, Code: 501}, {Kind: nanobananatest.FaultCode, Code: 999}, {Kind: nanobananatest.FaultHTML},
		{Kind: nanobananatest.FaultTruncated}, {Kind: nanobananatest.FaultCut}, {Kind: nanobananatest.FaultEmpty}, {Kind: nanobananatest.FaultNoTaskID},
		{Kind: nanobananatest.FaultReset}, {Kind: nanobananatest.FaultClose}, {Kind: nanobananatest.FaultEndless}, {Kind: nanobananatest.FaultGzipBomb},
		{Kind: nanobananatest.FaultRedirect, Target: other.URL + "/api/v1/nanobanana/generate"},
	} {
		f.Accepted = true
		sim, client := newSimulator(t, func(k *nanobananatest.Knobs) { k.Submit, k.Record, k.Credit = f, f, f })
		r := nanobanana.Request{Model: "nano-banana", Prompt: "p", CallbackURL: "http://127.0.0.1:1/"}
		id, err := client.Submit(t.Context(), nanobananatest.DefaultKey, r)
		if failed := asError(t, err); id != "" || failed.Certain() {
			t.Errorf("%+v: Submit = %q, %v, certain %v", f, id, err, failed.Certain())
		}
		if sim.Posts() != 1 || len(sim.Tasks()) != 1 {
			t.Errorf("%+v: %d posts, %d tasks", f, sim.Posts(), len(sim.Tasks()))
		}
		if got, err := client.Record(t.Context(), nanobananatest.DefaultKey, sim.Tasks()[0].ID); err == nil {
			t.Errorf("%+v: record %+v", f, got)
		}
		if got, err := client.Credits(t.Context(), nanobananatest.DefaultKey); err == nil {
			t.Errorf("%+v: credits %v", f, got)
		}
	}
	if n := other.Posts(); n != 0 {
		t.Errorf("%d posts were redirected", n)
	}
}
