package task

import (
	"testing"
	"time"
)

func TestDeadlinesCountFromEnteringTheStatus(t *testing.T) {
	for s, window := range map[Status]time.Duration{
		Submitting:  time.Minute,
		Waiting:     6 * time.Hour,
		Unconfirmed: 2 * time.Hour,
		Generating:  24 * time.Hour,
		Storing:     72 * time.Hour,
	} {
		h := in(t, s)
		equal(t, string(s)+" since", h.Since, h.now)
		equal(t, string(s)+" updated", h.UpdatedAt, h.now)
		equal(t, string(s)+" deadline", h.Deadline, h.now.Add(window))
	}
	for _, s := range []Status{Succeeded, Failed} {
		h := in(t, s)
		equal(t, string(s)+" ended", h.EndedAt, h.now)
		equal(t, string(s)+" deadline", h.Deadline, time.Time{})
		equal(t, string(s)+" due", h.DueAt, time.Time{})
	}
}

func TestOnlySubmittingHasSubmitBy(t *testing.T) {
	for _, s := range allStatuses {
		h := in(t, s)
		want := time.Time{}
		if s == Submitting {
			want = start.Add(60 * time.Second)
		}
		equal(t, string(s)+" submitBy", h.SubmitBy, want)
	}
}

func TestDueAtIsNeverLaterThanTheDeadline(t *testing.T) {
	week := 7 * 24 * time.Hour
	for name, do := range map[string]func() *history{
		"a refusal with Retry-After of a week": func() *history {
			return begin(t).refused(Refusal{Code: CodePaused, Retry: RetryLater, RetryAfter: week})
		},
		"a claim just before the deadline": func() *history {
			h := in(t, Generating).after(24*time.Hour - time.Second)
			h.claim()
			return h
		},
		"a callback just after a claim just before the deadline": func() *history {
			h := in(t, Generating).after(24*time.Hour - time.Second)
			h.claim()
			return h.calledBack(Hint{})
		},
		"a short record just before the deadline": func() *history {
			return in(t, Generating, images(2)).after(24*time.Hour - time.Second).read(made)
		},
		"a wake just before the deadline": func() *history {
			return in(t, Storing).after(72*time.Hour - time.Second).wake()
		},
		"a postponed task just before the deadline": func() *history {
			h := in(t, Generating).after(24*time.Hour - time.Second)
			h.Postpone(h.now)
			return h
		},
	} {
		h := do().must(nil) // also calls Check
		equal(t, name, h.DueAt, h.Deadline)
	}
}

func TestNext(t *testing.T) {
	blank := Hint{}
	for name, c := range map[string]struct {
		h    *history
		want Next
	}{
		"submitting":                             {in(t, Submitting), NextUnanswered},
		"unconfirmed":                            {in(t, Unconfirmed), NextExpire},
		"unconfirmed with an id from a callback": {unconfirmedWithID(t), NextRead},
		"unconfirmed, after an empty callback":   {in(t, Unconfirmed).calledBack(blank), NextExpire},
		"waiting":                                {in(t, Waiting), NextResubmit},
		"generating":                             {in(t, Generating), NextRead},
		"storing":                                {in(t, Storing), NextWake},
		"deleted":                                {in(t, Succeeded).deleted(), NextWake},
		"with a notice to send":                  {notifying(t), NextWake},
	} {
		due := c.h.Due()
		equal(t, name+", before it is due", c.h.Next(due.Add(-time.Millisecond)), NextNothing)
		equal(t, name+", when it is due", c.h.Next(due), c.want)
	}
	for _, s := range []Status{Succeeded, Failed} {
		equal(t, string(s), in(t, s).Next(start.Add(1000*time.Hour)), NextNothing)
	}
}

func TestNextAtTheDeadline(t *testing.T) {
	for name, c := range map[string]struct {
		h    *history
		want Next
	}{
		"waiting expires and is not sent again":        {in(t, Waiting), NextExpire},
		"generating is read one last time":             {in(t, Generating), NextRead},
		"unconfirmed with an id is read one last time": {unconfirmedWithID(t), NextRead},
		"storing is woken one last time":               {in(t, Storing), NextWake},
	} {
		equal(t, name, c.h.Next(c.h.Deadline), c.want)
	}
}

func TestARowOfNewerCodeIsLeftAlone(t *testing.T) {
	for name, edit := range map[string]func(*Task){
		"unknown status": func(x *Task) { x.Status = "dreaming" },
		"newer schema":   func(x *Task) { x.Schema = Schema + 1 },
	} {
		h := in(t, Generating)
		edit(h.Task)
		equal(t, name+": next", h.Next(h.Deadline), NextNothing)
	}
}

func TestPostponeLeavesADueTaskAloneForAMinute(t *testing.T) {
	h := in(t, Generating).after(90 * time.Second)
	h.Postpone(h.now)
	h.must(nil)
	equal(t, "due", h.DueAt, h.now.Add(time.Minute))
}

// The write of a sweep may be applied although its answer is lost. Then the sweep
// takes it for an error and postpones the task that it finds.
func TestPostponeNeverMakesATaskDueSooner(t *testing.T) {
	t.Run("an unconfirmed task expires no earlier than its deadline", func(t *testing.T) {
		h := in(t, Unconfirmed)
		deadline := h.Deadline
		h.Postpone(h.now)
		h.after(time.Minute).expire()
		if h.Status == Failed {
			t.Errorf("failed with %q %v before its deadline", h.Failure, deadline.Sub(h.now))
		}
	})
	t.Run("Retry-After is honoured", func(t *testing.T) {
		h := begin(t).refused(Refusal{Code: CodePaused, Retry: RetryLater, RetryAfter: time.Hour})
		h.Postpone(h.now)
		equal(t, "due", h.DueAt, start.Add(time.Hour))
	})
}

func TestExpireBeforeTheDeadlineChangesNothing(t *testing.T) {
	for _, s := range allStatuses {
		h := in(t, s).after(time.Second)
		unchanged(t, h, func() { h.expire() })
	}
}

func TestEventsOfAnotherAttemptChangeNothing(t *testing.T) {
	hint := Hint{ProviderID: "p1", Success: true, URLs: []string{good}, Bars: true}
	for _, s := range allStatuses {
		h := in(t, s)
		h.after(time.Hour)
		for _, attempt := range []int{h.Attempt - 1, h.Attempt + 1, 0, -1} {
			unchanged(t, h, func() {
				h.must(h.Accepted(h.r, h.now, attempt, "p2"))
				h.must(h.Refused(h.r, h.now, attempt, Refusal{Code: CodeRateLimited, Retry: RetryNow}))
				h.must(h.NotPosted(h.now, attempt))
				h.must(h.Unanswered(h.r, h.now, attempt))
				woken, err := h.CalledBack(h.r, h.now, attempt, hint)
				h.must(err)
				equal(t, "woken", woken, false)
				h.must(h.ApplyRecord(h.r, h.now, Claim{Attempt: attempt, ProviderID: "p1", At: h.now}, made))
			})
		}
	}
}

// An event that does not apply to a status leaves the row unchanged. Accepted applies
// to Waiting too, because it makes the charge certain.
func TestEventsThatDoNotApplyChangeNothing(t *testing.T) {
	events := map[string]struct {
		do      func(*history)
		applies []Status
	}{
		"accepted":    {func(h *history) { h.accepted("p1") }, []Status{Submitting, Unconfirmed, Waiting}},
		"refused":     {func(h *history) { h.refused(Refusal{Code: CodePaused, Retry: RetryNow}) }, []Status{Submitting, Unconfirmed}},
		"no post":     {func(h *history) { h.notPosted() }, []Status{Submitting, Unconfirmed}},
		"unanswered":  {func(h *history) { h.unanswered() }, []Status{Submitting}},
		"called back": {func(h *history) { h.calledBack(Hint{ProviderID: "p1"}) }, []Status{Submitting, Unconfirmed, Generating}},
		"claim":       {func(h *history) { h.Claim(h.r, h.now) }, []Status{Generating}},
		"stored":      {func(h *history) { h.stored(pictures(1)...) }, []Status{Storing}},
		"notified":    {func(h *history) { h.Notified(h.now, h.NoticeVersion()) }, nil},
		"erased":      {func(h *history) { h.Erased(h.now) }, nil},
		"wake":        {func(h *history) { h.wake() }, nil}, // none is due
	}
	for name, e := range events {
		for _, s := range allStatuses {
			h := in(t, s).after(time.Second)
			applies := false
			for _, a := range e.applies {
				applies = applies || a == s
			}
			before := h.Task.Clone()
			before.Refund = h.Refund
			e.do(h)
			if changed := !h.sameRow(before); changed != applies {
				t.Errorf("%s in %q: changed %v, want %v", name, s, changed, applies)
			}
		}
	}
}

func TestTimesAreUTCInWholeMilliseconds(t *testing.T) {
	zone := time.FixedZone("Berlin", 3600)
	odd := start.In(zone).Add(123456789)
	want := start.Add(123 * time.Millisecond)
	x := New(Draft{Owner: "o", Request: Request{NumImages: 1}}, odd)
	equal(t, "created", x.CreatedAt, want)
	equal(t, "deadline", x.Deadline, want.Add(time.Minute))
	if err := x.Accepted(testRules(), odd, 1, "p1"); err != nil {
		t.Fatal(err)
	}
	equal(t, "accepted", x.AcceptedAt, want)
	c, _ := x.Claim(testRules(), odd)
	equal(t, "claimed", c.At, want)
	equal(t, "a quota's day", Day(time.Date(2026, 3, 2, 0, 30, 0, 0, zone)), "2026-03-01")
}

func TestReadingScheduleOfRules(t *testing.T) {
	r := DefaultRules()
	for model, want := range map[string]time.Duration{
		"nano-banana":     40 * time.Second, // twice what is typical
		"nano-banana-2":   80 * time.Second,
		"nano-banana-pro": 90 * time.Second, // the most
		"of a later year": 40 * time.Second, // as of the default model
	} {
		r.Callbacks = true
		equal(t, "first read of "+model, r.FirstRead(model), want)
		r.Callbacks = false
		equal(t, "first read of "+model+" without callbacks", r.FirstRead(model), 36*time.Second)
	}
	equal(t, "overdue after, at least", r.overdueAfter(7), 36*time.Second)
	for age, want := range map[time.Duration]time.Duration{
		0:                                 36 * time.Second,
		10*time.Minute - time.Millisecond: 36 * time.Second,
		10 * time.Minute:                  5 * time.Minute,
		2*time.Hour - time.Millisecond:    5 * time.Minute,
		2 * time.Hour:                     30 * time.Minute,
		24*time.Hour + 30*time.Minute:     30 * time.Minute,
	} {
		equal(t, "interval after "+age.String(), r.readInterval(age), want)
	}
	equal(t, "any host", r.ResultHosts(good), false)
}
