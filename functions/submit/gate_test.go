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

// What may not be made is refused before a row is written; a key that has its
// task is answered with that, whatever holds now.
func TestGates(t *testing.T) {
	t.Parallel()
	day := func(s *site) string { s.Quota = 2; return `{"prompt":"a lighthouse","numImages":3}` }
	tests := map[string]struct {
		shut    func(*site) (body string) // "": good
		status  int
		code    task.Code
		replays bool
	}{
		"no credits": {func(s *site) string { s.Sim.SetBalance(3.9); s.Clock.Add(time.Minute); return "" }, 402, task.CodeInsufficientCredits, true},
		"a 402 within a minute": {func(s *site) string {
			s.Sim.SetKnobs(func(k *nanobananatest.Knobs) {
				k.Submit = nanobananatest.Fault{Kind: nanobananatest.FaultStatus, Code: 402, Times: 1}
			})
			if x := s.accepted(`{"prompt":"b"}`); x.Error == nil || x.Error.Code != task.CodeInsufficientCredits {
				s.t.Errorf("%+v", x)
			}
			return ""
		}, 402, task.CodeInsufficientCredits, true},
		"the quota":         {day, 429, task.CodeQuotaExceeded, false},
		"the prompt filter": {func(s *site) string { s.Filter = moderation.New([]string{"lighthouse"}, nil); return "" }, 422, task.CodePromptRejected, true},
		"no API key yet":    {func(s *site) string { s.Secret.Set("", nil); s.Clock.Add(time.Hour); return "" }, 503, task.CodeUnavailable, true},
		"the store is away": {func(s *site) string {
			s.Rows.Fail(func(string, *task.Task) error { return lifecycletest.ErrStore }, nil)
			return ""
		}, 503, task.CodeUnavailable, false},
		"the store is busy": {func(s *site) string {
			s.Rows.Fail(func(string, *task.Task) error { return task.ErrBusy }, nil)
			return ""
		}, 503, task.CodeUnavailable, false},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := serve(t)
			before := s.accepted(good, "Idempotency-Key", "before")
			body := test.shut(s)
			if body == "" {
				body = good
			}
			for _, header := range [][]string{nil, {"Idempotency-Key", "after"}} {
				p := s.refused(test.status, test.code, body, header...)
				if named := len(p.Errors) == 1 && p.Errors[0].Pointer == "/prompt"; named != (test.code == task.CodePromptRejected) {
					t.Errorf("errors: %+v", p.Errors)
				}
			}
			if !test.replays {
				return
			}
			posts := s.Sim.Posts()
			got := s.post(good, "Idempotency-Key", "before")
			if got.Status != 202 || got.Header.Get("Idempotency-Replayed") != "true" || !strings.Contains(got.Body, before.ID) || s.Sim.Posts() != posts {
				t.Errorf("replay: %+v", got)
			}
		})
	}
}

// A quota that is used up says how long the day is still.
func TestQuotaRetryAfter(t *testing.T) {
	s := serve(t)
	s.Quota = 1
	s.accepted(good)
	s.Clock.Add(12*time.Hour - 90*time.Second)
	if got := s.post(good); got.Status != 429 || got.Header.Get("Retry-After") != "90" {
		t.Errorf("%d, Retry-After %q", got.Status, got.Header.Get("Retry-After"))
	}
	s.Clock.Add(90 * time.Second)
	s.accepted(good)
}

// Once the row exists the answer is 202, however the provider answered.
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
	s := serve(t)
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			s.Clock.Add(2 * time.Minute) // a 402 before it is forgotten
			s.Sim.SetKnobs(func(k *nanobananatest.Knobs) { k.Submit = test.fault })
			posts := s.Sim.Posts()
			got := s.post(good)
			var shown httpapi.Task
			if got.JSON(t, 202, &shown); shown.Status != test.status {
				t.Fatalf("%s", got.Body)
			}
			if (shown.Error == nil) != (test.code == "") || shown.Error != nil && shown.Error.Code != test.code {
				t.Errorf("error: %+v", shown.Error)
			}
			if (got.Header.Get("Retry-After") == "") != shown.Done || strings.Contains(got.Body, "internal words") || s.Sim.Posts() != posts+1 {
				t.Errorf("%+v, %d POSTs", got, s.Sim.Posts()-posts)
			}
		})
	}
}

// The contract's examples of refusals are what is answered.
func TestExamples(t *testing.T) {
	t.Parallel()
	contract := httpapitest.Load(t)
	for name, refuse := range map[string]func(*site) httpapi.Problem{
		"unknownField": func(s *site) httpapi.Problem {
			return s.refused(400, task.CodeInvalidRequest, `{"prompt":"a","image_size":"1:1"}`)
		},
		"notAvailable": func(s *site) httpapi.Problem {
			return s.refused(422, task.CodeInvalidRequest, `{"prompt":"a","resolution":"2K"}`)
		},
		"promptRejected": func(s *site) httpapi.Problem {
			return s.refused(422, task.CodePromptRejected, `{"prompt":"a nude woman"}`)
		},
		"idempotencyKeyReused": func(s *site) httpapi.Problem {
			s.accepted(good, "Idempotency-Key", "k")
			return s.refused(422, task.CodeIdempotencyKeyReused, `{"prompt":"b"}`, "Idempotency-Key", "k")
		},
		"unauthorized": func(s *site) httpapi.Problem {
			return s.refused(401, task.CodeUnauthorized, good, "Authorization", "")
		},
		"insufficientCredits": func(s *site) httpapi.Problem {
			s.Sim.SetBalance(0)
			return s.refused(402, task.CodeInsufficientCredits, good)
		},
		"quotaExceeded": func(s *site) httpapi.Problem {
			s.Quota = 1
			return s.refused(429, task.CodeQuotaExceeded, `{"prompt":"a","numImages":2}`)
		},
		"unavailable": func(s *site) httpapi.Problem {
			s.Rows.Fail(func(string, *task.Task) error { return lifecycletest.ErrStore }, nil)
			return s.refused(503, task.CodeUnavailable, good)
		},
	} {
		t.Run(name, func(t *testing.T) {
			got := refuse(serve(t))
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
