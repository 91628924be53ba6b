package task

import (
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"
)

// wantLawful is the table of lawful changes by status, written down a second time, so that
// a change of lawful cannot pass unnoticed. docs/ARCHITECTURE.md draws it.
var wantLawful = map[Status]map[event][]Status{
	Submitting: {
		byAnswer:  {Generating, Waiting, Failed},
		bySilence: {Unconfirmed},
		byNoPost:  {Waiting},
	},
	Unconfirmed: {
		byAnswer:   {Generating, Waiting, Failed},
		byNoPost:   {Waiting},
		byRecord:   {Generating, Storing, Waiting, Failed},
		byHint:     {Storing, Failed},
		byDeadline: {Failed},
	},
	Waiting: {
		bySweep:    {Submitting},
		byPolicy:   {Failed},
		byDeadline: {Failed},
		byDelete:   {Failed},
	},
	Generating: {
		byRecord:   {Storing, Waiting, Failed},
		byHint:     {Storing, Failed},
		byDeadline: {Failed},
	},
	Storing: {
		byIngest:   {Succeeded},
		byDeadline: {Succeeded, Failed},
	},
	Succeeded: {},
	Failed:    {},
}

var allEvents = []event{
	byAnswer, bySilence, byNoPost, byRecord, byHint, byDeadline, bySweep, byPolicy, byIngest, byDelete,
}

func TestOnlyTheTablesChangesAreLawful(t *testing.T) {
	for _, c := range lawful {
		if !slices.Contains(allEvents, c.by) {
			t.Errorf("this test does not know the event %q", c.by)
		}
	}
	equal(t, "statuses known", len(statuses), len(allStatuses))
	for _, from := range allStatuses {
		for _, by := range allEvents {
			for _, to := range allStatuses {
				tryMove(t, from, by, to, slices.Contains(wantLawful[from][by], to))
			}
		}
	}
}

func tryMove(t *testing.T, from Status, by event, to Status, want bool) {
	t.Helper()
	name := fmt.Sprintf("from %q by %q to %q", from, by, to)
	h := in(t, from)
	now := h.now.Add(17 * time.Minute)
	before := h.Task.Clone()
	before.Refund = h.Refund
	err := h.move(by, to, now, time.Hour)
	if !want {
		if !errors.Is(err, errUnlawful) {
			t.Errorf("%s: error %v, want %v", name, err, errUnlawful)
		}
		if !h.sameRow(before) {
			t.Errorf("%s was refused but changed the row", name)
		}
		return
	}
	if err != nil {
		t.Errorf("%s: %v", name, err)
	}
	equal(t, name+": status", h.Status, to)
	equal(t, name+": since", h.Since, now)
	equal(t, name+": deadline", h.Deadline, now.Add(time.Hour))
	equal(t, name+": due", h.DueAt, now.Add(time.Hour))
}

func TestEveryStatusCanBeReached(t *testing.T) {
	for _, s := range allStatuses {
		in(t, s) // fails the test if the exported methods do not lead there
	}
	reached := map[Status]bool{Submitting: true}
	for range allStatuses {
		for from := range reached {
			for _, tos := range wantLawful[from] {
				for _, to := range tos {
					reached[to] = true
				}
			}
		}
	}
	equal(t, "statuses reached by the table", len(reached), len(allStatuses))
}

// step is one way through the table: how a task gets there, what happens, and what the
// task becomes.
type step struct {
	name string
	from func(*testing.T) *history
	do   func(*history)
	want Status
	code Code // of a failure
}

func entered(s Status) func(*testing.T) *history {
	return func(t *testing.T) *history { t.Helper(); return in(t, s) }
}

// unconfirmedWithID returns an unconfirmed task whose provider id a callback has named.
func unconfirmedWithID(t *testing.T) *history {
	t.Helper()
	return in(t, Unconfirmed).after(time.Second).calledBack(Hint{ProviderID: "p1"})
}

// readsFail lets reads fail until the hint decides alone.
func readsFail(h *history) *history {
	h.t.Helper()
	h.after(h.r.Poll).read(unread)
	return h.after(h.r.UnreadableAfter).read(unread)
}

func TestSteps(t *testing.T) {
	var steps []step
	steps = append(steps, answerSteps()...)
	steps = append(steps, waitingSteps()...)
	steps = append(steps, recordSteps()...)
	steps = append(steps, hintSteps()...)
	steps = append(steps, endSteps()...)
	for _, s := range steps {
		t.Run(s.name, func(t *testing.T) {
			h := s.from(t)
			s.do(h)
			h.must(nil)
			equal(t, "status", h.Status, s.want)
			equal(t, "failure", h.Failure, s.code)
		})
	}
}

func answerSteps() []step {
	accept := func(h *history) { h.accepted("p1") }
	again := func(h *history) { h.refused(Refusal{Code: CodeRateLimited, Retry: RetryLater}) }
	final := func(h *history) { h.refused(Refusal{Code: CodeInsufficientCredits}) }
	none := func(h *history) { h.notPosted() }
	steps := []step{
		{"created: submitting", entered(Submitting), func(*history) {}, Submitting, ""},
		{"submitting, ambiguous answer: unconfirmed", entered(Submitting), func(h *history) { h.unanswered() }, Unconfirmed, ""},
	}
	for _, from := range []Status{Submitting, Unconfirmed} {
		name := string(from)
		steps = append(steps,
			step{name + ", own answer with an id: generating", entered(from), accept, Generating, ""},
			step{name + ", own answer, refused for now: waiting", entered(from), again, Waiting, ""},
			step{name + ", own answer, refused forever: failed", entered(from), final, Failed, CodeInsufficientCredits},
			step{name + ", no POST was started: waiting", entered(from), none, Waiting, ""},
		)
	}
	return append(steps,
		step{"unconfirmed, own answer an hour late: generating", entered(Unconfirmed),
			func(h *history) { h.after(time.Hour).accepted("p1") }, Generating, ""},
		step{"unconfirmed, deadline of 2 h: failed", entered(Unconfirmed),
			func(h *history) { h.after(2 * time.Hour).expire() }, Failed, CodeOutcomeUnknown},
		step{"unconfirmed, just before the deadline: unchanged", entered(Unconfirmed),
			func(h *history) { h.after(2*time.Hour - time.Millisecond).expire() }, Unconfirmed, ""},
	)
}

func waitingSteps() []step {
	policy := Hint{ProviderID: "p1", Failure: CodeContentPolicy, Bars: true}
	return []step{
		{"waiting, sweep at dueAt: submitting", entered(Waiting),
			func(h *history) { h.after(time.Minute).resubmit() }, Submitting, ""},
		{"waiting after a failed generation, its callback says 400: failed", brokenOnce,
			func(h *history) { h.after(time.Second).calledBack(policy) }, Failed, CodeContentPolicy},
		{"waiting after a refusal, a callback says 400: unchanged", entered(Waiting),
			func(h *history) { h.after(time.Second).calledBack(policy) }, Waiting, ""},
		{"waiting, 6 h since the first refusal: failed with the last refusal's code", entered(Waiting),
			func(h *history) { h.after(6 * time.Hour).expire() }, Failed, CodeRateLimited},
		{"waiting, DELETE: failed", entered(Waiting),
			func(h *history) { h.deleted() }, Failed, CodeCanceled},
		{"waiting after a failed generation, DELETE: failed", brokenOnce,
			func(h *history) { h.deleted() }, Failed, CodeCanceled},
	}
}

func recordSteps() []step {
	first := func(rec Record) func(*history) {
		return func(h *history) { h.after(90 * time.Second).read(rec) }
	}
	other := Record{State: RecordFailed, Code: CodeProviderRejected}
	sure := func(rec Record) Record { rec.Match = MatchOwn; return rec }
	return []step{
		{"generating, record still running: unchanged", entered(Generating), first(running), Generating, ""},
		{"generating, record made: storing", entered(Generating), first(made), Storing, ""},
		{"generating, record failed, retried: waiting", entered(Generating), first(broken), Waiting, ""},
		{"generating, record failed otherwise: failed", entered(Generating), first(other), Failed, CodeProviderRejected},
		{"generating, deadline of 24 h, record running: failed", entered(Generating),
			func(h *history) { h.after(24 * time.Hour).read(running) }, Failed, CodeTimedOut},
		{"generating, just before the deadline: unchanged", entered(Generating),
			func(h *history) { h.after(24*time.Hour - time.Millisecond).read(running) }, Generating, ""},
		{"generating, deadline of 24 h, record made: storing", entered(Generating),
			func(h *history) { h.after(24 * time.Hour).read(made) }, Storing, ""},
		{"unconfirmed, record of the named id running: generating", unconfirmedWithID, first(running), Generating, ""},
		{"unconfirmed, record of the named id made: storing", unconfirmedWithID, first(made), Storing, ""},
		{"unconfirmed, record of the named id failed, certainly ours: waiting", unconfirmedWithID, first(sure(broken)), Waiting, ""},
		{"unconfirmed, record of the named id failed otherwise: failed", unconfirmedWithID, first(other), Failed, CodeProviderRejected},
	}
}

func hintSteps() []step {
	success := Hint{ProviderID: "p1", Success: true, URLs: []string{good}}
	failure := Hint{ProviderID: "p1", Failure: CodeGenerationFailed}
	alone := func(hint Hint) func(*history) {
		return func(h *history) { readsFail(h.after(time.Second).calledBack(hint)) }
	}
	return []step{
		{"generating, the hint alone, success: storing", entered(Generating), alone(success), Storing, ""},
		{"generating, the hint alone, failure: failed", entered(Generating), alone(failure), Failed, CodeGenerationFailed},
		{"unconfirmed, the hint alone, success: storing", entered(Unconfirmed), alone(success), Storing, ""},
		{"unconfirmed, the hint alone, failure: failed", entered(Unconfirmed), alone(failure), Failed, CodeGenerationFailed},
	}
}

func endSteps() []step {
	lastWake := func(h *history) *history { return h.after(72 * time.Hour).wake() }
	two := func(t *testing.T) *history { t.Helper(); return in(t, Storing, images(2)) }
	return []step{
		{"storing, all images stored: succeeded", two, func(h *history) { h.stored(pictures(2)...) }, Succeeded, ""},
		{"storing, deadline of 72 h with one of two: succeeded", two,
			func(h *history) { lastWake(h).stored(pictures(1)...) }, Succeeded, ""},
		{"storing, deadline of 72 h, the last wake's run may be under way: unchanged", two,
			func(h *history) { lastWake(h).after(15 * time.Minute).wake() }, Storing, ""},
		{"storing, deadline of 72 h with none: failed", two,
			func(h *history) { lastWake(h).after(lastWakeWindow).wake() }, Failed, CodeImageUnavailable},
		{"succeeded, DELETE: unchanged, emptied", entered(Succeeded), func(h *history) { h.deleted() }, Succeeded, ""},
		{"failed, DELETE: unchanged, emptied", entered(Failed), func(h *history) { h.deleted() }, Failed, CodeProviderRejected},
	}
}
