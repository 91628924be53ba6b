package task

import (
	"fmt"
	"testing"
	"time"
)

func TestClaimsAre36SecondsApart(t *testing.T) {
	h := in(t, Generating).after(5 * time.Second)
	c := h.claim()
	equal(t, "claim", c, Claim{Attempt: 1, ProviderID: "p1", Proved: true, At: h.now})
	equal(t, "read at", h.ReadAt, h.now)
	h.after(36*time.Second - time.Millisecond)
	unchanged(t, h, func() {
		if _, ok := h.Claim(h.r, h.now); ok {
			t.Error("claimed within 36 s of another claim")
		}
	})
	h.after(time.Millisecond).claim()
}

func TestClaimsFollowTheSchedule(t *testing.T) {
	h := in(t, Generating)
	accepted := h.now
	h.now = h.DueAt
	equal(t, "first read", h.now.Sub(accepted), 40*time.Second)
	for h.now.Before(accepted.Add(23 * time.Hour)) {
		h.read(running)
		want := 30 * time.Minute
		switch age := h.now.Sub(accepted); {
		case age < 10*time.Minute:
			want = 36 * time.Second
		case age < 2*time.Hour:
			want = 5 * time.Minute
		}
		equal(t, "next read", h.DueAt.Sub(h.now), want)
		h.now = h.DueAt
	}
}

func TestARecordOfAnAttachedIDIsReadAgainSoon(t *testing.T) {
	h := unconfirmedWithID(t).after(time.Hour).read(running)
	equal(t, "accepted, as a guess", h.AcceptedAt, h.now)
	if next := h.DueAt.Sub(h.now); next < 36*time.Second || next > 5*time.Minute {
		t.Errorf("next read after %v, want 36 s to 5 min", next)
	}
}

func TestNoClaimWithoutARecordToRead(t *testing.T) {
	for _, s := range []Status{Submitting, Waiting, Unconfirmed, Storing, Succeeded, Failed} {
		h := in(t, s).after(time.Hour)
		unchanged(t, h, func() {
			if c, ok := h.Claim(h.r, h.now); ok {
				t.Errorf("%q: claimed %+v", s, c)
			}
		})
	}
}

func TestAnIDNamedByACallbackIsAttached(t *testing.T) {
	for name, c := range map[string]struct {
		match  Match
		status Status
		charge Charge
		gens   int
	}{
		"unless its record contradicts":   {MatchForeign, Unconfirmed, ChargeDoubtful, 0},
		"if its record says nothing":      {MatchUnknown, Generating, ChargeDoubtful, 1},
		"for sure if its record names it": {MatchOwn, Generating, ChargeSure, 1},
	} {
		h := unconfirmedWithID(t).read(Record{State: RecordRunning, Match: c.match})
		equal(t, name+": status", h.Status, c.status)
		equal(t, name+": charge", h.Charges, []Charge{c.charge})
		equal(t, name+": generations", h.Generations, c.gens)
	}
}

func TestAnIDWhoseRecordContradictsIsDropped(t *testing.T) {
	h := in(t, Unconfirmed).calledBack(saysSuccess).read(Record{State: RecordMade, Match: MatchForeign, URLs: []string{strange}})
	equal(t, "hint", h.Hint, nil)
	equal(t, "urls", h.URLs, nil)
	equal(t, "due", h.DueAt, h.Deadline)
	equal(t, "findable", h.Findable(), false)
	h.after(time.Minute).calledBack(Hint{ProviderID: "p2"}).read(made)
	equal(t, "status after the right id", h.Status, Storing)
	equal(t, "provider id", h.ProviderID, "p2")

	h = unconfirmedWithID(t)
	h.now = h.Deadline
	h.read(Record{State: RecordMade, Match: MatchForeign, URLs: []string{strange}})
	equal(t, "at the deadline", h.Failure, CodeOutcomeUnknown)
}

func TestARecordOfAnotherIDIsDropped(t *testing.T) {
	for name, change := range map[string]func(*history){
		"a later callback named another id": func(h *history) { h.calledBack(Hint{ProviderID: "p2"}) },
		"our own answer has another id":     func(h *history) { h.accepted("p2") },
		"our own answer is a refusal":       func(h *history) { h.refused(Refusal{Code: CodePaused, Retry: RetryLater}) },
	} {
		h := unconfirmedWithID(t)
		c := h.claim()
		change(h.after(time.Second))
		unchanged(t, h, func() { h.applyRecord(c, made) })
		if h.Status == Storing {
			t.Errorf("%s: the record of the other id was used", name)
		}
	}
}

func TestASuccessWithoutURLIsNoSuccessYet(t *testing.T) {
	empty := Record{State: RecordMade}
	h := in(t, Generating).after(90 * time.Second).read(empty)
	equal(t, "status", h.Status, Generating)
	equal(t, "due", h.DueAt, h.now.Add(36*time.Second))
	h.now = h.Deadline
	h.read(empty)
	equal(t, "at the deadline", h.Failure, CodeImageUnavailable)
}

func TestURLsOfARecordMayHaveAnyHost(t *testing.T) {
	h := in(t, Generating).after(90 * time.Second).read(Record{State: RecordMade, URLs: []string{strange}})
	equal(t, "status", h.Status, Storing)
	equal(t, "urls", h.URLs, []string{strange})
}

func TestAShortRecordIsReadAgainAfter60Seconds(t *testing.T) {
	for name, c := range map[string]struct {
		second Record
		urls   []string
	}{
		"with all":                     {Record{State: RecordMade, URLs: []string{good, good2}}, []string{good, good2}},
		"with another":                 {Record{State: RecordMade, URLs: []string{good2}}, []string{good, good2}},
		"with the same":                {made, []string{good}},
		"with none":                    {Record{State: RecordMade}, []string{good}},
		"that is running again":        {running, []string{good}},
		"that reports failure":         {broken, []string{good}},
		"that reports a final failure": {Record{State: RecordFailed, Code: CodeContentPolicy}, []string{good}},
		"that cannot be read":          {unread, []string{good}},
		"with more than requested":     {Record{State: RecordMade, URLs: []string{good, good2, strange}}, []string{good, good2, strange}},
	} {
		t.Run("a second record "+name, func(t *testing.T) {
			h := in(t, Generating, images(2)).after(90 * time.Second).read(made)
			equal(t, "status", h.Status, Generating)
			equal(t, "urls kept", h.URLs, []string{good})
			equal(t, "due", h.DueAt, h.now.Add(60*time.Second))
			h.after(60*time.Second - time.Millisecond)
			if _, ok := h.Claim(h.r, h.now); ok {
				t.Fatal("claimed within 60 s of a short record")
			}
			h.after(time.Millisecond).read(c.second)
			equal(t, "status", h.Status, Storing)
			equal(t, "urls", h.URLs, c.urls)
		})
	}
}

// A read that was claimed before a short record, but applied after it, is not the read
// that follows 60 s later.
func TestAnOlderReadIsNotTheSecondReadOfAShortRecord(t *testing.T) {
	for name, rec := range map[string]Record{"short as well": made, "running": running, "failed": broken, "unreadable": unread} {
		h := in(t, Generating, images(2)).after(90 * time.Second)
		slow := h.claim()
		h.after(36 * time.Second).read(made)
		h.after(time.Second).applyRecord(slow, rec)
		equal(t, name, h.Status, Generating)
	}
}

func TestATaskIsReadOneLastTimeAtTheDeadline(t *testing.T) {
	t.Run("a read that was claimed before does not count", func(t *testing.T) {
		h := in(t, Generating)
		h.now = h.Deadline.Add(-time.Millisecond)
		c := h.claim()
		h.after(time.Second).applyRecord(c, running)
		equal(t, "status", h.Status, Generating)
		equal(t, "next", h.Next(h.now), NextRead)
		h.after(36 * time.Second).read(running)
		equal(t, "failure", h.Failure, CodeTimedOut)
	})
	t.Run("failed reads fail the task only after UNREADABLE_AFTER", func(t *testing.T) {
		h := in(t, Generating)
		h.now = h.Deadline
		h.read(unread)
		equal(t, "status", h.Status, Generating)
		equal(t, "still due", h.Next(h.now), NextRead)
		h.after(2*time.Minute - time.Millisecond).read(unread)
		equal(t, "status", h.Status, Generating)
		h.after(36 * time.Second).read(unread)
		equal(t, "failure", h.Failure, CodeTimedOut)
	})
	t.Run("a success hint still decides", func(t *testing.T) {
		h := in(t, Unconfirmed).calledBack(saysSuccess)
		h.now = h.Deadline
		h.read(unread).after(2 * time.Minute).read(unread)
		equal(t, "status", h.Status, Storing)
	})
	t.Run("a success hint of another host does not", func(t *testing.T) {
		h := in(t, Unconfirmed).calledBack(saysUntrusted)
		h.now = h.Deadline
		h.read(unread).after(2 * time.Minute).read(unread)
		equal(t, "failure", h.Failure, CodeOutcomeUnknown)
	})
	t.Run("earlier URLs are not lost", func(t *testing.T) {
		h := in(t, Generating, images(2))
		h.now = h.Deadline.Add(-time.Second)
		h.read(made).after(time.Minute).read(unread)
		equal(t, "status", h.Status, Storing)
	})
	t.Run("a short record is enough", func(t *testing.T) {
		h := in(t, Generating, images(2))
		h.now = h.Deadline
		h.read(made)
		equal(t, "status", h.Status, Storing)
	})
}

func TestAnotherGenerationNeeds(t *testing.T) {
	with := func(edit func(*Record)) Record { rec := broken; edit(&rec); return rec }
	one := func(h *history) { h.r.MaxGenerations = 1 }
	generating := func(t *testing.T) *history { t.Helper(); return in(t, Generating) }
	for name, c := range map[string]struct {
		from  func(*testing.T) *history
		rules func(*history)
		heard []Hint
		rec   Record
		want  Status
	}{
		"a record with code 500 or 501":              {generating, nil, nil, broken, Waiting},
		"and no other code":                          {generating, nil, nil, with(func(r *Record) { r.Retry = false }), Failed},
		"no callback with code 400":                  {generating, nil, []Hint{saysPolicy}, broken, Failed},
		"whatever callback came later":               {generating, nil, []Hint{saysPolicy, saysFailure}, broken, Failed},
		"no callback with another cause":             {generating, nil, []Hint{saysOther}, broken, Failed},
		"no failed callback; a success is fine":      {generating, nil, []Hint{saysSuccess}, broken, Waiting},
		"MAX_GENERATIONS above one":                  {generating, one, nil, broken, Failed},
		"an id that is certainly ours":               {unconfirmedWithID, nil, nil, with(func(r *Record) { r.Match = MatchOwn }), Waiting},
		"more than an id that only a callback named": {unconfirmedWithID, nil, nil, broken, Failed},
		"more than an attached id of a callback":     {func(t *testing.T) *history { return unconfirmedWithID(t).read(running).after(time.Minute) }, nil, nil, broken, Failed},
		"a record that names this attempt":           {func(t *testing.T) *history { return unconfirmedWithID(t).read(running).after(time.Minute) }, nil, nil, with(func(r *Record) { r.Match = MatchOwn }), Waiting},
		"or our own answer with the id": {func(t *testing.T) *history {
			return unconfirmedWithID(t).read(running).after(time.Minute).accepted("p1")
		}, nil, nil, broken, Waiting},
	} {
		h := c.from(t)
		if c.rules != nil {
			c.rules(h)
		}
		h.after(90 * time.Second)
		for _, hint := range c.heard {
			h.calledBack(hint)
		}
		h.read(c.rec)
		equal(t, name, h.Status, c.want)
	}
}

func TestAnotherGenerationWaitsAtLeast60Seconds(t *testing.T) {
	h := brokenOnce(t)
	equal(t, "due", h.DueAt, h.now.Add(60*time.Second))
	equal(t, "setback", h.Setback, CodeGenerationFailed)
	unchanged(t, h, func() { h.after(time.Second).calledBack(saysFailure) })
	unchanged(t, h, func() { h.after(time.Second).calledBack(saysSuccess) })
}

func TestGenerationsAreBounded(t *testing.T) {
	for max, want := range map[int]int{1: 1, 2: 2, 3: 3} {
		h := begin(t)
		h.r.MaxGenerations = max
		for h.Status != Failed {
			// A refusal in between is not a generation.
			h.refused(Refusal{Code: CodeProviderUnavailable, Retry: RetryLater})
			h.after(time.Hour).resubmit().accepted("p").after(time.Hour).read(broken)
			if h.Status == Waiting {
				h.after(time.Minute).resubmit()
			}
		}
		equal(t, "generations", h.Generations, want)
		equal(t, "attempts", h.Attempt, 2*want)
		equal(t, "failure", h.Failure, CodeGenerationFailed)
	}
}

// A waiting client's read is due when the sweep's is, but not before the task is overdue
// or its callback came.
func TestOverdue(t *testing.T) {
	overdue := func(h *history, expected int) bool { return h.Overdue(h.r, h.now, expected) }
	for expected, first := range map[int]time.Duration{
		5:  40 * time.Second, // when the sweep may read, too
		20: 40 * time.Second,
		60: 120 * time.Second,
	} {
		h := in(t, Generating)
		accepted := h.now
		h.now = accepted.Add(first - time.Millisecond)
		equal(t, fmt.Sprintf("a moment before, expected %d", expected), overdue(h, expected), false)
		h.after(time.Millisecond)
		equal(t, fmt.Sprintf("expected %d", expected), overdue(h, expected), true)
		h.read(running)
		equal(t, "after a read", overdue(h, expected), false)
		h.after(36 * time.Second)
		equal(t, "when the next read is due", overdue(h, expected), true)
	}
	h := in(t, Generating).after(40 * time.Second).read(running).after(time.Second).calledBack(saysFailure)
	equal(t, "called back too soon after a read", overdue(h, 600), false)
	h.after(35 * time.Second)
	equal(t, "called back, and a claim is lawful", overdue(h, 600), true)
	for _, s := range []Status{Submitting, Waiting, Unconfirmed, Storing, Succeeded, Failed} {
		equal(t, string(s), overdue(in(t, s).after(time.Hour), 20), false)
	}
}
