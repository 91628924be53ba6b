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

// A POST whose outcome is unknown is never repeated, whatever happened to its
// answer: it is completed by a callback if the provider took it, or given up
// and taken back from the quota if nothing is ever heard of it.
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
			w := newWorld(t, fault(f))
			w.Quota = 10
			got := w.submit()
			if got.Status != task.Unconfirmed {
				t.Fatalf("task is %s %s, want unconfirmed", got.Status, got.Failure)
			}
			w.Sim.SetKnobs(fault(nanobananatest.Fault{}))
			for range 119 {
				w.sweep(time.Minute)
			}
			w.expect(got.ID, task.Unconfirmed, "")
			w.sweep(time.Minute)
			end := w.expect(got.ID, task.Failed, task.CodeOutcomeUnknown)
			if used, _ := w.Rows.UsedImages(t.Context(), owner, end.Quota.Day); used != 0 || end.Charges[0] != task.ChargeDoubtful {
				t.Errorf("used is %d, charges %v; want it given back, and doubtful", used, end.Charges)
			}
			w.posted(1)
		})
		t.Run(name+", accepted", func(t *testing.T) {
			f.Accepted = true
			w := newWorld(t, fault(f), func(k *nanobananatest.Knobs) { k.LoseCallbacks = false })
			got := w.submit()
			eventually(t, func() error { return reached(w.task(got.ID), task.Storing) })
			w.until(got.ID, task.Succeeded, time.Hour)
			w.posted(1)
		})
	}
}

// reached says whether a task has come as far as a status, by way of its life.
func reached(t *task.Task, s task.Status) error {
	order := map[task.Status]int{task.Unconfirmed: 0, task.Submitting: 0, task.Generating: 1, task.Storing: 2, task.Succeeded: 3}
	if order[t.Status] < order[s] {
		return errStatus(t.Status)
	}
	return nil
}

type errStatus task.Status

func (s errStatus) Error() string { return "the task is " + string(s) }

// What the provider certainly did not take is final, or tried again within
// bounds; nothing sleeps in a function.
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
			w := newWorld(t, fault(test.fault))
			w.Quota = 10
			got := w.submit()
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
			if used, _ := w.Rows.UsedImages(t.Context(), owner, got.Quota.Day); used != want {
				t.Errorf("used is %d, want %d", used, want)
			}
			w.posted(1)
		})
	}
}

func TestRetryAfter(t *testing.T) {
	w := newWorld(t, fault(nanobananatest.Fault{
		Kind: nanobananatest.FaultStatus, Code: 429, RetryAfter: nanobananatest.Duration(time.Hour), Times: 1,
	}))
	got := w.submit()
	w.sweep(59 * time.Minute)
	w.posted(1)
	w.sweep(time.Minute)
	w.posted(2)
	if end := w.expect(got.ID, task.Generating, ""); end.Attempt != 2 || end.Charges[0] != task.ChargeNone || end.Charges[1] != task.ChargeSure {
		t.Errorf("attempt %d, charges %v", end.Attempt, end.Charges)
	}
}

// A refusal that passes is waited for by time, however often it comes.
func TestRefusedForGood(t *testing.T) {
	w := newWorld(t, fault(nanobananatest.Fault{Kind: nanobananatest.FaultStatus, Code: 455}))
	w.Quota = 10
	got := w.submit()
	for range 6*60 - 2 { // sweeps wait out pauses, by the same clock
		w.sweep(time.Minute - w.Now().Sub(got.CreatedAt)%time.Minute)
	}
	w.expect(got.ID, task.Waiting, "")
	w.sweep(2 * time.Minute)
	end := w.expect(got.ID, task.Failed, task.CodePaused)
	if life := end.EndedAt.Sub(end.CreatedAt); life < 6*time.Hour {
		t.Errorf("it took %v", life)
	}
	if n := w.Sim.Posts(); n < 180 || n > 361 {
		t.Errorf("%d POSTs, want one in two minutes at least, and one a minute at most", n)
	}
}

func TestNobodyListens(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	w := newWorld(t)
	real := w.Provider.BaseURL
	w.Provider.BaseURL = "http://" + l.Addr().String()
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	got := w.submit()
	if got.Status != task.Waiting || got.Setback != task.CodeProviderUnavailable || got.Charges[0] != task.ChargeNone {
		t.Fatalf("task is %s %s %v", got.Status, got.Setback, got.Charges)
	}
	w.Provider.BaseURL = real
	w.sweep(2 * time.Minute)
	w.expect(got.ID, task.Generating, "")
	w.posted(1)
}

// A rotated key costs one refused attempt, not a task.
func TestRotatedKey(t *testing.T) {
	w := newWorld(t)
	w.submit() // the secret is in memory now
	w.Sim.SetKeys("the-new-key")
	w.Secret.Set("the-new-key", nil)
	got := w.submit() // balance and secret are in memory: the POST itself is refused
	if got.Status != task.Waiting || got.Setback != task.CodeProviderUnauthorized {
		t.Fatalf("task is %s %s", got.Status, got.Failure)
	}
	w.sweep(0)
	w.expect(got.ID, task.Generating, "")
	w.posted(3)
}

// The key is refused and Secrets Manager is away: nobody knows whether there is
// another key, so the task waits until somebody does.
func TestKeyRefusedAndSecretAway(t *testing.T) {
	w := newWorld(t)
	w.submit()
	w.Sim.SetKeys("the-new-key")
	w.Secret.Set("", errors.New("away"))
	got := w.submit()
	if got.Status != task.Waiting || got.DueAt.Sub(w.Now()) >= 10*time.Second {
		t.Fatalf("task is %s %s, due in %v", got.Status, got.Failure, got.DueAt.Sub(w.Now()))
	}
	w.Secret.Set("the-new-key", nil)
	w.Clock.Add(4 * time.Minute) // what was read before is still in use
	w.until(got.ID, task.Generating, 10*time.Minute)
}

// An input image that is gone by the next attempt ends the task; nothing is sent.
func TestInputGone(t *testing.T) {
	w := newWorld(t)
	parent := w.made()
	w.Sim.SetKnobs(fault(nanobananatest.Fault{Kind: nanobananatest.FaultStatus, Code: 455, Times: 1}))
	edit := w.submit(func(o *lifecycle.Order) { o.Request.ImageURLs = []string{"task:" + parent.ID + "/1"} })
	if _, err := task.Update(t.Context(), w.Rows, parent, func(x *task.Task) error { return x.Delete(w.Rules, w.Now()) }); err != nil {
		t.Fatal(err)
	}
	posts := w.Sim.Posts()
	w.sweep(2 * time.Minute)
	w.expect(edit.ID, task.Failed, task.CodeInputImageUnusable)
	w.posted(posts)
}
