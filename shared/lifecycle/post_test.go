package lifecycle_test

import (
	"errors"
	"net"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/preset/nanobanana-functions/shared/lifecycle"
	"github.com/preset/nanobanana-functions/shared/nanobanana/nanobananatest"
	"github.com/preset/nanobanana-functions/shared/task"
)

func fault(f nanobananatest.Fault) func(*nanobananatest.Knobs) {
	return func(k *nanobananatest.Knobs) { k.Submit = f }
}

// A POST whose outcome is unknown is never repeated. A callback completes the task if
// the provider accepted it; otherwise the task fails and its quota is returned.
func TestAmbiguousPost(t *testing.T) {
	other := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		t.Errorf("another host was sent %s with %q", r.Method, r.Header.Get("Authorization"))
	}))
	defer other.Close()
	faults := map[string]nanobananatest.Fault{
		"reset":          {Kind: nanobananatest.FaultReset},
		"closed":         {Kind: nanobananatest.FaultClose},
		"307":            {Kind: nanobananatest.FaultRedirect, Target: other.URL + "/api/v1/nanobanana/generate"},
		"HTTP 500":       {Kind: nanobananatest.FaultStatus, Code: 500},
		"HTTP 502":       {Kind: nanobananatest.FaultStatus, Code: 502},
		"body code 500":  {Kind: nanobananatest.FaultCode, Code: 500},
		"body code 999":  {Kind: nanobananatest.FaultCode, Code: 999},
		"HTML":           {Kind: nanobananatest.FaultHTML},
		"truncated":      {Kind: nanobananatest.FaultTruncated},
		"cut":            {Kind: nanobananatest.FaultCut},
		"empty":          {Kind: nanobananatest.FaultEmpty},
		"no task id":     {Kind: nanobananatest.FaultNoTaskID},
		"endless answer": {Kind: nanobananatest.FaultEndless},
	}
	for name, f := range faults {
		t.Run(name+", not accepted", func(t *testing.T) {
			h := newHarness(t, fault(f))
			h.Quota = 10
			got := h.submit()
			if got.Status != task.Unconfirmed {
				t.Fatalf("task is %s %s, want unconfirmed", got.Status, got.Failure)
			}
			h.Sim.SetKnobs(fault(nanobananatest.Fault{}))
			for range 119 {
				h.sweep(time.Minute)
			}
			h.expect(got.ID, task.Unconfirmed, "")
			h.sweep(time.Minute)
			end := h.expect(got.ID, task.Failed, task.CodeOutcomeUnknown)
			if used, _ := h.Rows.UsedImages(t.Context(), owner, end.Quota.Day); used != 0 || end.Charges[0] != task.ChargeDoubtful {
				t.Errorf("used is %d, charges %v; want it returned, and doubtful", used, end.Charges)
			}
			h.posted(1)
		})
		t.Run(name+", accepted", func(t *testing.T) {
			f.Accepted = true
			h := newHarness(t, fault(f), func(k *nanobananatest.Knobs) { k.LoseCallbacks = false })
			got := h.submit()
			eventually(t, func() error { return reached(h.task(got.ID), task.Storing) })
			h.until(got.ID, task.Succeeded, time.Hour)
			h.posted(1)
		})
	}
}

// reached returns an error unless the task has the status or a later one.
func reached(t *task.Task, s task.Status) error {
	order := map[task.Status]int{task.Unconfirmed: 0, task.Submitting: 0, task.Generating: 1, task.Storing: 2, task.Succeeded: 3}
	if order[t.Status] < order[s] {
		return errStatus(t.Status)
	}
	return nil
}

type errStatus task.Status

func (s errStatus) Error() string { return "the task is " + string(s) }

// A certain refusal is final, or tried again within bounds; no function sleeps for it.
func TestRefusedPost(t *testing.T) {
	code := func(code int, message string) nanobananatest.Fault {
		return nanobananatest.Fault{Kind: nanobananatest.FaultStatus, Code: code, Message: message}
	}
	tests := map[string]struct {
		fault  nanobananatest.Fault
		status task.Status
		code   task.Code
	}{
		"400":              {code(400, "bad parameter"), task.Failed, task.CodeProviderRejected},
		"400 policy":       {code(400, "content policy violation"), task.Failed, task.CodeContentPolicy},
		"401":              {code(401, "no"), task.Failed, task.CodeProviderUnauthorized},
		"402":              {code(402, "no credits"), task.Failed, task.CodeInsufficientCredits},
		"404":              {code(404, "no such path"), task.Failed, task.CodeProviderRejected},
		"422":              {code(422, "bad parameter"), task.Failed, task.CodeProviderRejected},
		"429":              {code(429, "slower"), task.Waiting, task.CodeRateLimited},
		"429 in the body":  {nanobananatest.Fault{Kind: nanobananatest.FaultCode, Code: 429}, task.Waiting, task.CodeRateLimited},
		"455":              {code(455, "maintenance"), task.Waiting, task.CodePaused},
		"505":              {code(505, "feature disabled"), task.Failed, task.CodeProviderRejected},
		"402 in the body":  {nanobananatest.Fault{Kind: nanobananatest.FaultCode, Code: 402}, task.Failed, task.CodeInsufficientCredits},
		"422 as HTTP only": {code(422, "x"), task.Failed, task.CodeProviderRejected},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			h := newHarness(t, fault(test.fault))
			h.Quota = 10
			got := h.submit()
			shown := got.Failure
			if test.status == task.Waiting {
				shown = got.Setback
			}
			if got.Status != test.status || shown != test.code || got.Charges[0] != task.ChargeNone {
				t.Errorf("task is %s %s %v, want %s %s", got.Status, shown, got.Charges, test.status, test.code)
			}
			want := 0
			if test.status == task.Waiting || test.code == task.CodeContentPolicy {
				want = 1
			}
			if used, _ := h.Rows.UsedImages(t.Context(), owner, got.Quota.Day); used != want {
				t.Errorf("used is %d, want %d", used, want)
			}
			h.posted(1)
		})
	}
}

func TestRetryAfter(t *testing.T) {
	h := newHarness(t, fault(nanobananatest.Fault{
		Kind: nanobananatest.FaultStatus, Code: 429, RetryAfter: nanobananatest.Duration(time.Hour), Times: 1,
	}))
	got := h.submit()
	h.sweep(59 * time.Minute)
	h.posted(1)
	h.sweep(time.Minute)
	h.posted(2)
	if end := h.expect(got.ID, task.Generating, ""); end.Attempt != 2 || end.Charges[0] != task.ChargeNone || end.Charges[1] != task.ChargeSure {
		t.Errorf("attempt %d, charges %v", end.Attempt, end.Charges)
	}
}

// A passing refusal is retried for hours, however often it comes.
func TestRefusedForGood(t *testing.T) {
	h := newHarness(t, fault(nanobananatest.Fault{Kind: nanobananatest.FaultStatus, Code: 455}))
	h.Quota = 10
	got := h.submit()
	for range 6*60 - 2 { // sweeps wait for pauses to end, by the same clock
		h.sweep(time.Minute - h.Now().Sub(got.CreatedAt)%time.Minute)
	}
	h.expect(got.ID, task.Waiting, "")
	h.sweep(2 * time.Minute)
	end := h.expect(got.ID, task.Failed, task.CodePaused)
	if life := end.EndedAt.Sub(end.CreatedAt); life < 6*time.Hour {
		t.Errorf("it took %v", life)
	}
	if n := h.Sim.Posts(); n < 180 || n > 361 {
		t.Errorf("%d POSTs, want one in two minutes at least, and one a minute at most", n)
	}
}

func TestNotConnected(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	h := newHarness(t)
	real := h.Provider.BaseURL
	h.Provider.BaseURL = "http://" + l.Addr().String()
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	got := h.submit()
	if got.Status != task.Waiting || got.Setback != task.CodeProviderUnavailable || got.Charges[0] != task.ChargeNone {
		t.Fatalf("task is %s %s %v", got.Status, got.Setback, got.Charges)
	}
	h.Provider.BaseURL = real
	h.sweep(2 * time.Minute)
	h.expect(got.ID, task.Generating, "")
	h.posted(1)
}

// A rotated key costs one refused attempt, not the task.
func TestRotatedKey(t *testing.T) {
	h := newHarness(t)
	h.submit() // reads the secret
	h.Sim.SetKeys("the-new-key")
	h.Secret.Set("the-new-key", nil)
	got := h.submit() // balance and secret are in memory: the POST itself is refused
	if got.Status != task.Waiting || got.Setback != task.CodeProviderUnauthorized {
		t.Fatalf("task is %s %s", got.Status, got.Failure)
	}
	h.sweep(0)
	h.expect(got.ID, task.Generating, "")
	h.posted(3)
}

// The key is refused and Secrets Manager cannot be reached: there may be another key, so
// the task waits.
func TestKeyRefusedAndSecretUnreadable(t *testing.T) {
	h := newHarness(t)
	h.submit()
	h.Sim.SetKeys("the-new-key")
	h.Secret.Set("", errors.New("away"))
	got := h.submit()
	if got.Status != task.Waiting || got.DueAt.Sub(h.Now()) >= 10*time.Second {
		t.Fatalf("task is %s %s, due in %v", got.Status, got.Failure, got.DueAt.Sub(h.Now()))
	}
	h.Secret.Set("the-new-key", nil)
	h.Clock.Add(4 * time.Minute) // the value read before is still in use
	h.until(got.ID, task.Generating, 10*time.Minute)
}

// If an input image is gone by the next attempt, the task fails and nothing is sent.
func TestInputGone(t *testing.T) {
	h := newHarness(t)
	parent := h.made()
	h.Sim.SetKnobs(fault(nanobananatest.Fault{Kind: nanobananatest.FaultStatus, Code: 455, Times: 1}))
	edit := h.submit(func(o *lifecycle.Order) { o.Request.ImageURLs = []string{"task:" + parent.ID + "/1"} })
	if _, err := task.Update(t.Context(), h.Rows, parent, func(x *task.Task) error { return x.Delete(h.Rules, h.Now()) }); err != nil {
		t.Fatal(err)
	}
	posts := h.Sim.Posts()
	h.sweep(2 * time.Minute)
	h.expect(edit.ID, task.Failed, task.CodeInputImageUnusable)
	h.posted(posts)
}
