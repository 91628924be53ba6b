package submit_test

import (
	"encoding/json"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/preset/nanobanana-functions/shared/httpapi"
	"github.com/preset/nanobanana-functions/shared/httpapi/httpapitest"
	"github.com/preset/nanobanana-functions/shared/lifecycle/lifecycletest"
	"github.com/preset/nanobanana-functions/shared/moderation"
	"github.com/preset/nanobanana-functions/shared/nanobanana/nanobananatest"
	"github.com/preset/nanobanana-functions/shared/task"
)

// A request that must not be made is refused before a row is written. A key
// that already has a task is answered with it regardless.
func TestGates(t *testing.T) {
	t.Parallel()
	day := func(h *harness) string { h.Quota = 2; return `{"prompt":"a lighthouse","numImages":3}` }
	tests := map[string]struct {
		shut    func(*harness) (body string) // "": good
		status  int
		code    task.Code
		replays bool
	}{
		"no credits": {func(h *harness) string { h.Sim.SetBalance(3.9); h.Clock.Add(time.Minute); return "" }, 402, task.CodeInsufficientCredits, true},
		"a 402 within a minute": {func(h *harness) string {
			h.Sim.SetKnobs(func(k *nanobananatest.Knobs) {
				k.Submit = nanobananatest.Fault{Kind: nanobananatest.FaultStatus, Code: 402, Times: 1}
			})
			if x := h.accepted(`{"prompt":"b"}`); x.Error == nil || x.Error.Code != task.CodeInsufficientCredits {
				h.t.Errorf("%+v", x)
			}
			return ""
		}, 402, task.CodeInsufficientCredits, true},
		"everything of the owner was erased": {func(h *harness) string {
			if err := h.Rows.Forget(h.t.Context(), "ada", h.Clock.Now()); err != nil {
				h.t.Fatal(err)
			}
			h.Clock.Add(10 * time.Second) // for so long a process uses what it has read
			return ""
		}, 403, task.CodeForbidden, true},
		"a hold":            {func(h *harness) string { h.Pause(h.t); return "" }, 503, task.CodePaused, true},
		"the quota":         {day, 429, task.CodeQuotaExceeded, false},
		"the prompt filter": {func(h *harness) string { h.Filter = moderation.New([]string{"lighthouse"}, nil); return "" }, 422, task.CodePromptRejected, true},
		"no API key yet":    {func(h *harness) string { h.Secret.Set("", nil); h.Clock.Add(time.Hour); return "" }, 503, task.CodeUnavailable, true},
		"the store fails": {func(h *harness) string {
			h.Rows.Fail(func(string, *task.Task) error { return lifecycletest.ErrStore }, nil)
			return ""
		}, 503, task.CodeUnavailable, false},
		"the store is busy": {func(h *harness) string {
			h.Rows.Fail(func(string, *task.Task) error { return task.ErrBusy }, nil)
			return ""
		}, 503, task.CodeUnavailable, false},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := newHarness(t)
			before := h.accepted(goodBody, "Idempotency-Key", "before")
			body := test.shut(h)
			if body == "" {
				body = goodBody
			}
			for _, header := range [][]string{nil, {"Idempotency-Key", "after"}} {
				p := h.refused(test.status, test.code, body, header...)
				if named := len(p.Errors) == 1 && p.Errors[0].Pointer == "/prompt"; named != (test.code == task.CodePromptRejected) {
					t.Errorf("errors: %+v", p.Errors)
				}
			}
			if !test.replays {
				return
			}
			posts := h.Sim.Posts()
			got := h.post(goodBody, "Idempotency-Key", "before")
			if got.Status != 202 || got.Header.Get("Idempotency-Replayed") != "true" || !strings.Contains(got.Body, before.ID) || h.Sim.Posts() != posts {
				t.Errorf("replay: %+v", got)
			}
		})
	}
}

// A used-up quota has a Retry-After until the end of the day.
func TestQuotaRetryAfter(t *testing.T) {
	h := newHarness(t)
	h.Quota = 1
	h.accepted(goodBody)
	h.Clock.Add(12*time.Hour - 90*time.Second)
	if got := h.post(goodBody); got.Status != 429 || got.Header.Get("Retry-After") != "90" {
		t.Errorf("%d, Retry-After %q", got.Status, got.Header.Get("Retry-After"))
	}
	h.Clock.Add(90 * time.Second)
	h.accepted(goodBody)
}

// Once the row exists the answer is 202, whatever the provider answered.
func TestProviderRefuses(t *testing.T) {
	t.Parallel()
	fault := func(kind nanobananatest.FaultKind, code int) nanobananatest.Fault {
		return nanobananatest.Fault{Kind: kind, Code: code, Message: "internal words of the provider's"}
	}
	tests := map[string]struct {
		fault  nanobananatest.Fault
		status task.Status
		code   task.Code
	}{
		"400":       {fault(nanobananatest.FaultStatus, 400), task.Failed, task.CodeProviderRejected},
		"401":       {fault(nanobananatest.FaultStatus, 401), task.Failed, task.CodeProviderUnauthorized},
		"402":       {fault(nanobananatest.FaultCode, 402), task.Failed, task.CodeInsufficientCredits},
		"422":       {fault(nanobananatest.FaultStatus, 422), task.Failed, task.CodeProviderRejected},
		"429":       {fault(nanobananatest.FaultStatus, 429), task.Waiting, ""},
		"455":       {fault(nanobananatest.FaultCode, 455), task.Waiting, ""},
		"500":       {fault(nanobananatest.FaultStatus, 500), task.Unconfirmed, ""},
		"a page":    {fault(nanobananatest.FaultHTML, 0), task.Unconfirmed, ""},
		"no taskId": {fault(nanobananatest.FaultNoTaskID, 0), task.Unconfirmed, ""},
		"a reset":   {fault(nanobananatest.FaultReset, 0), task.Unconfirmed, ""},
	}
	h := newHarness(t)
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			h.Clock.Add(2 * time.Minute) // so that an earlier 402 is forgotten
			h.Sim.SetKnobs(func(k *nanobananatest.Knobs) { k.Submit = test.fault })
			posts := h.Sim.Posts()
			got := h.post(goodBody)
			var shown httpapi.Task
			if got.JSON(t, 202, &shown); shown.Status != test.status {
				t.Fatalf("%s", got.Body)
			}
			if (shown.Error == nil) != (test.code == "") || shown.Error != nil && shown.Error.Code != test.code {
				t.Errorf("error: %+v", shown.Error)
			}
			if (got.Header.Get("Retry-After") == "") != shown.Done || strings.Contains(got.Body, "internal words") || h.Sim.Posts() != posts+1 {
				t.Errorf("%+v, %d POSTs", got, h.Sim.Posts()-posts)
			}
		})
	}
}

// The refusals equal the contract's examples.
func TestExamples(t *testing.T) {
	t.Parallel()
	contract := httpapitest.Load(t)
	for name, refuse := range map[string]func(*harness) httpapi.Problem{
		"unknownField": func(h *harness) httpapi.Problem {
			return h.refused(400, task.CodeInvalidRequest, `{"prompt":"a","image_size":"1:1"}`)
		},
		"notAvailable": func(h *harness) httpapi.Problem {
			return h.refused(422, task.CodeInvalidRequest, `{"prompt":"a","resolution":"2K"}`)
		},
		"wrongUpload": func(h *harness) httpapi.Problem {
			return h.refused(422, task.CodeInvalidRequest, edit("upload:"+h.upload("ada", "image/jpeg", heic)))
		},
		"promptRejected": func(h *harness) httpapi.Problem {
			return h.refused(422, task.CodePromptRejected, `{"prompt":"a nude woman"}`)
		},
		"idempotencyKeyReused": func(h *harness) httpapi.Problem {
			h.accepted(goodBody, "Idempotency-Key", "k")
			return h.refused(422, task.CodeIdempotencyKeyReused, `{"prompt":"b"}`, "Idempotency-Key", "k")
		},
		"unauthorized": func(h *harness) httpapi.Problem {
			return h.refused(401, task.CodeUnauthorized, goodBody, "Authorization", "")
		},
		"insufficientCredits": func(h *harness) httpapi.Problem {
			h.Sim.SetBalance(0)
			return h.refused(402, task.CodeInsufficientCredits, goodBody)
		},
		"quotaExceeded": func(h *harness) httpapi.Problem {
			h.Quota = 1
			return h.refused(429, task.CodeQuotaExceeded, `{"prompt":"a","numImages":2}`)
		},
		"unavailable": func(h *harness) httpapi.Problem {
			h.Rows.Fail(func(string, *task.Task) error { return lifecycletest.ErrStore }, nil)
			return h.refused(503, task.CodeUnavailable, goodBody)
		},
	} {
		t.Run(name, func(t *testing.T) {
			got := refuse(newHarness(t))
			var want httpapi.Problem
			if err := json.Unmarshal(contract.Example(t, name), &want); err != nil {
				t.Fatal(err)
			}
			if got.RequestID = want.RequestID; !reflect.DeepEqual(got, want) {
				t.Errorf("answered %+v, the example is %+v", got, want)
			}
		})
	}
}

// A paused order says why, and when to come again.
func TestPaused(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	h.Pause(h.t)
	got := h.post(goodBody)
	var p httpapi.Problem
	got.JSON(t, 503, &p)
	if p.Detail != "Making pictures is paused: We replace a key." || got.Header.Get("Retry-After") != "300" {
		t.Errorf("%+v, Retry-After %q", p, got.Header.Get("Retry-After"))
	}
	if line := h.Logged.Take(); !strings.Contains(line, `"code":"paused"`) {
		t.Errorf("logged %s", line)
	}
}
