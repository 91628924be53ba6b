package task

import (
	"encoding/json"
	"slices"
	"testing"
	"time"
)

// passed returns a note's statuses, in the order of their times.
func passed(n AttemptNote) (all []Status) {
	for s := range n.Entered {
		all = append(all, s)
	}
	slices.SortFunc(all, func(a, b Status) int { return n.Entered[a].Compare(n.Entered[b]) })
	return all
}

func TestEachAttemptIsNoted(t *testing.T) {
	second := func(h *history) *history { return h.at(5 * time.Minute).resubmit() }
	for name, c := range map[string]struct {
		h       *history
		outcome Outcome
		answer  time.Duration // after the attempt began; 0: none
		id      string
		code    Code
		entered []Status
	}{
		"sent":       {begin(t), "", 0, "", "", []Status{Submitting}},
		"accepted":   {in(t, Generating), OutcomeAccepted, time.Second, "p1", "", []Status{Submitting, Generating}},
		"refused":    {in(t, Waiting), OutcomeRefused, time.Second, "", CodeRateLimited, []Status{Submitting, Waiting}},
		"not posted": {begin(t).after(time.Second).notPosted(), OutcomeUnposted, 0, "", "", []Status{Submitting, Waiting}},
		"unanswered": {in(t, Unconfirmed), OutcomeUnanswered, 0, "", "", []Status{Submitting, Unconfirmed}},
		"answered late": {
			in(t, Unconfirmed).after(time.Second).accepted("p1"), OutcomeAccepted, 61 * time.Second, "p1", "",
			[]Status{Submitting, Unconfirmed, Generating},
		},
		"named by a callback": {
			in(t, Unconfirmed).after(time.Second).calledBack(Hint{ProviderID: "p1"}).read(made), OutcomeNamed, 0, "p1", "",
			[]Status{Submitting, Unconfirmed, Storing},
		},
		"named by a callback, its record never seen": {
			in(t, Unconfirmed).after(time.Second).calledBack(Hint{ProviderID: "p1"}).read(unread).at(3 * time.Hour).read(unread), OutcomeNamed, 0, "p1", CodeOutcomeUnknown,
			[]Status{Submitting, Unconfirmed, Failed},
		},
		"its generation failed": {brokenOnce(t), OutcomeAccepted, time.Second, "p1", CodeGenerationFailed, []Status{Submitting, Generating, Waiting}},
		"stored":                {in(t, Succeeded), OutcomeAccepted, time.Second, "p1", "", []Status{Submitting, Generating, Storing, Succeeded}},
		"the second": {
			second(in(t, Waiting)).after(time.Second).accepted("p2"), OutcomeAccepted, time.Second, "p2", "", []Status{Submitting, Generating},
		},
		"canceled: why it waited stays": {
			in(t, Waiting).after(time.Second).deleted(), OutcomeRefused, time.Second, "", CodeRateLimited, []Status{Submitting, Waiting, Failed},
		},
	} {
		equal(t, name+": notes", len(c.h.Notes), c.h.Attempt)
		n := c.h.Notes[len(c.h.Notes)-1]
		equal(t, name+": attempt", n.Attempt, c.h.Attempt)
		equal(t, name+": outcome", n.Outcome, c.outcome)
		answer := time.Time{}
		if c.answer > 0 {
			answer = n.Entered[Submitting].Add(c.answer)
		}
		equal(t, name+": answered at", n.AnsweredAt, answer)
		equal(t, name+": provider id", n.ProviderID, c.id)
		equal(t, name+": code", n.Code, c.code)
		equal(t, name+": statuses", passed(n), c.entered)
		equal(t, name+": by a callback", n.ByCallback, false)
	}
}

func TestANoteSaysThatACallbackDecidedAlone(t *testing.T) {
	fails := Hint{Failure: CodeGenerationFailed}
	h := in(t, Generating).after(90 * time.Second).calledBack(fails).read(unread).after(3 * time.Minute).read(unread)
	equal(t, "status", h.Status, Failed)
	equal(t, "by a callback", h.Notes[0].ByCallback, true)
	h.deleted()
	equal(t, "by a callback, deleted", h.Notes[0].ByCallback, true)
}

// A row keeps a bounded number of notes, and no note changes with that of another copy.
func TestNotesAreBounded(t *testing.T) {
	h := begin(t)
	for n := range 119 {
		h.at(time.Duration(n) * time.Minute).refused(Refusal{Code: CodePaused, Retry: RetryLater}).after(30 * time.Second).resubmit()
	}
	equal(t, "attempt", h.Attempt, 120)
	var kept []int
	for _, n := range h.Notes {
		kept = append(kept, n.Attempt)
	}
	equal(t, "kept", kept, []int{1, 112, 113, 114, 115, 116, 117, 118, 119, 120})
	b, err := json.Marshal(h.Notes)
	if err != nil || len(b) > 4000 {
		t.Errorf("notes of %d bytes, %v", len(b), err)
	}
	c := h.Clone()
	c.Notes[9].Entered[Failed] = start
	c.Notes[0].Code = CodeCanceled
	if _, has := h.Notes[9].Entered[Failed]; has || h.Notes[0].Code != CodePaused {
		t.Error("a clone shares its notes")
	}
}

// A row of an older release has no notes of its attempts: the next change begins one.
func TestARowWithoutNotes(t *testing.T) {
	h := in(t, Generating)
	h.Notes = nil
	h.after(90 * time.Second).read(made)
	equal(t, "statuses", passed(h.Notes[0]), []Status{Storing})
	equal(t, "attempt", h.Notes[0].Attempt, 1)
}

func TestChargeOf(t *testing.T) {
	h := in(t, Waiting).at(5 * time.Minute).resubmit()
	for attempt, want := range map[int]Charge{-1: "", 0: "", 1: ChargeNone, 2: ChargeDoubtful, 3: ""} {
		equal(t, "charge", h.ChargeOf(attempt), want)
	}
}
