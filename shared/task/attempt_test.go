package task

import (
	"errors"
	"fmt"
	"testing"
	"time"
)

func TestAcceptedTaskIsReadWhenItIsOverdue(t *testing.T) {
	for _, s := range []Status{Submitting, Unconfirmed} {
		h := in(t, s).after(2 * time.Second).accepted("p1")
		equal(t, "provider id", h.ProviderID, "p1")
		equal(t, "charges", h.Charges, []Charge{ChargeSure})
		equal(t, "generations", h.Generations, 1)
		equal(t, "accepted at", h.AcceptedAt, h.now)
		equal(t, "due", h.DueAt, h.now.Add(40*time.Second))
		equal(t, "deadline", h.Deadline, h.now.Add(24*time.Hour))
	}
}

func TestAcceptedTaskIsReadAfter36SecondsWithoutCallbacks(t *testing.T) {
	h := begin(t)
	h.r.Callbacks = false
	h.accepted("p1")
	equal(t, "due", h.DueAt, h.now.Add(36*time.Second))
}

func TestAcceptedTaskIsReadAtOnceIfItsCallbackCameFirst(t *testing.T) {
	h := begin(t).after(time.Second).calledBack(Hint{ProviderID: "p1", Success: true, URLs: []string{good}})
	h.after(time.Second).accepted("p1")
	equal(t, "due", h.DueAt, h.now)
	if h.Hint == nil {
		t.Error("the hint was dropped although it names the same id")
	}
	h.read(made)
	equal(t, "status", h.Status, Storing)
}

func TestIDOfOwnAnswerWins(t *testing.T) {
	foreign := Hint{ProviderID: "foreign", Success: true, URLs: []string{strange}}
	t.Run("over the id that a callback named", func(t *testing.T) {
		h := begin(t).calledBack(foreign).after(time.Second).accepted("p1")
		equal(t, "provider id", h.ProviderID, "p1")
		equal(t, "hint", h.Hint, nil)
		equal(t, "due", h.DueAt, h.now.Add(40*time.Second))
	})
	t.Run("over the id of a callback whose record did not contradict", func(t *testing.T) {
		h := in(t, Unconfirmed, images(2)).calledBack(foreign)
		h.read(Record{State: RecordMade, URLs: []string{strange}})
		equal(t, "status", h.Status, Generating)
		equal(t, "charges", h.Charges, []Charge{ChargeDoubtful})
		h.after(40 * time.Second).accepted("p1")
		equal(t, "provider id", h.ProviderID, "p1")
		equal(t, "charges", h.Charges, []Charge{ChargeSure})
		equal(t, "generations", h.Generations, 1)
		equal(t, "URLs of the other id", h.URLs, nil)
		equal(t, "short", h.ShortAt, time.Time{})
		equal(t, "due", h.DueAt, h.now)
	})
	t.Run("but not over an id that is certainly ours", func(t *testing.T) {
		h := in(t, Unconfirmed).calledBack(Hint{ProviderID: "p1"})
		h.read(Record{State: RecordRunning, Match: MatchOwn})
		unchanged(t, h, func() { h.accepted("p2") })
	})
}

func TestAcceptedAfterItsRecordOnlyChangesTheCharge(t *testing.T) {
	for name, rec := range map[string]Record{"generating": running, "storing": made} {
		h := in(t, Unconfirmed).calledBack(Hint{ProviderID: "p1"}).read(rec)
		equal(t, name+": charges before", h.Charges, []Charge{ChargeDoubtful})
		want := h.Task.Clone()
		want.Charges = []Charge{ChargeSure}
		h.after(time.Second).accepted("p1")
		want.Notes[0].Outcome, want.Notes[0].AnsweredAt = OutcomeAccepted, h.now // noted for people
		equal(t, name, h.Task, want)
	}
}

// The earlier failed reads were of another record.
func TestFailedReadsOfAnotherIDDoNotCount(t *testing.T) {
	h := in(t, Unconfirmed).calledBack(Hint{ProviderID: "foreign"}).read(unread)
	h.after(time.Second).accepted("p1")
	h.after(3 * time.Minute).calledBack(Hint{ProviderID: "p1", Success: true, URLs: []string{good}})
	h.read(unread)
	equal(t, "status after the first failed read of its own record", h.Status, Generating)
}

func TestRefusedForever(t *testing.T) {
	h := begin(t, images(3)).refused(Refusal{Code: CodeInsufficientCredits, RetryAfter: time.Hour})
	equal(t, "status", h.Status, Failed)
	equal(t, "failure", h.Failure, CodeInsufficientCredits)
	equal(t, "charges", h.Charges, []Charge{ChargeNone})
	equal(t, "refund", h.Refund, 3)
}

func TestRefusedForNow(t *testing.T) {
	for name, c := range map[string]struct {
		refusal Refusal
		due     time.Duration
	}{
		"a new key":                       {Refusal{Code: CodeProviderUnauthorized, Retry: RetryNow}, 0},
		"a new key ignores Retry-After":   {Refusal{Code: CodeProviderUnauthorized, Retry: RetryNow, RetryAfter: time.Hour}, 0},
		"Retry-After":                     {Refusal{Code: CodeRateLimited, Retry: RetryLater, RetryAfter: 3600 * time.Second}, time.Hour},
		"Retry-After beyond the deadline": {Refusal{Code: CodePaused, Retry: RetryLater, RetryAfter: 7 * 24 * time.Hour}, 6 * time.Hour},
	} {
		t.Run(name, func(t *testing.T) {
			h := begin(t).after(time.Second).refused(c.refusal)
			equal(t, "status", h.Status, Waiting)
			equal(t, "due", h.DueAt, h.now.Add(c.due))
			equal(t, "deadline", h.Deadline, h.now.Add(6*time.Hour))
			equal(t, "charges", h.Charges, []Charge{ChargeNone})
			equal(t, "refund", h.Refund, 0)
			equal(t, "setback", h.Setback, c.refusal.Code)
		})
	}
}

// Full jitter: tasks that are refused together come back evenly over the waiting time.
// That time grows with how long they have been refused, up to two minutes.
func TestRefusalsWithoutRetryAfterBackOff(t *testing.T) {
	for refusedFor, most := range map[time.Duration]time.Duration{
		0: 10 * time.Second, 9 * time.Second: 10 * time.Second, 70 * time.Second: 70 * time.Second,
		2 * time.Minute: 2 * time.Minute, 5 * time.Hour: 2 * time.Minute,
	} {
		const tasks = 4000
		var parts [4]int
		for n := range tasks {
			h := begin(t, func(d *Draft) { d.IdempotencyKey = fmt.Sprint("key ", n) })
			if refusedFor > 0 {
				h.refused(Refusal{Code: CodeRateLimited, Retry: RetryLater}).after(refusedFor).resubmit()
			}
			h.refused(Refusal{Code: CodeRateLimited, Retry: RetryLater})
			wait := h.DueAt.Sub(h.now)
			if wait < 0 || wait >= most {
				t.Fatalf("refused for %v: it waits %v, want less than %v", refusedFor, wait, most)
			}
			parts[4*wait/most]++
			if n < 10 {
				again := begin(t, func(d *Draft) { d.IdempotencyKey = fmt.Sprint("key ", n) })
				if refusedFor > 0 {
					again.refused(Refusal{Code: CodeRateLimited, Retry: RetryLater}).after(refusedFor).resubmit()
				}
				equal(t, "due after the same refusal again", again.refused(Refusal{Code: CodeRateLimited, Retry: RetryLater}).DueAt, h.DueAt)
			}
		}
		for part, n := range parts {
			if n < tasks/4*9/10 || n > tasks/4*11/10 {
				t.Errorf("refused for %v: %d of %d wait in quarter %d of %v", refusedFor, n, tasks, part+1, most)
			}
		}
	}
}

// Each refusal of one task has its own random wait.
func TestBackOffDiffersByAttempt(t *testing.T) {
	h := begin(t).refused(Refusal{Code: CodePaused, Retry: RetryLater}).after(time.Hour)
	seen := map[time.Duration]bool{}
	for range 20 {
		h.resubmit().refused(Refusal{Code: CodePaused, Retry: RetryLater})
		seen[h.DueAt.Sub(h.now)] = true
	}
	if len(seen) < 20 {
		t.Errorf("%d different waits in 20 refusals", len(seen))
	}
}

// A temporary refusal ends a task by time, never by count.
func TestTemporaryRefusalsAreNotCounted(t *testing.T) {
	for code, temporary := range map[Code]bool{
		CodeRateLimited: true, CodePaused: true, CodeProviderUnavailable: true,
		CodeProviderUnauthorized: false, CodeProviderRejected: false,
	} {
		h := begin(t)
		for n := 0; n < 300 && h.Status == Submitting; n++ {
			h.refused(Refusal{Code: code, Retry: RetryLater})
			if h.after(time.Minute); h.Status == Waiting {
				h.resubmit()
			}
		}
		if temporary {
			equal(t, string(code)+": attempts in 5 hours", h.Attempt, 301)
			equal(t, string(code)+": counted", h.Refusals, 0)
			h.at(6 * time.Hour).refused(Refusal{Code: code, Retry: RetryLater}).expire()
		}
		equal(t, string(code)+": status", h.Status, Failed)
		equal(t, string(code)+": failure", h.Failure, code)
		if !temporary {
			equal(t, string(code)+": attempts", h.Attempt, 10)
		}
	}
}

func TestTheTenthRefusalInARowIsTheLast(t *testing.T) {
	h := begin(t)
	for range 9 {
		h.refused(Refusal{Code: CodeProviderUnauthorized, Retry: RetryNow})
		equal(t, "status", h.Status, Waiting)
		h.after(time.Second).resubmit()
		h.refused(Refusal{Code: CodeRateLimited, Retry: RetryLater}) // does not count
		equal(t, "status", h.Status, Waiting)
		h.after(time.Second).resubmit()
	}
	equal(t, "refusals", h.Refusals, 9)
	h.refused(Refusal{Code: CodeProviderUnauthorized, Retry: RetryNow})
	equal(t, "status", h.Status, Failed)
	equal(t, "failure", h.Failure, CodeProviderUnauthorized)
	equal(t, "attempts", h.Attempt, 19)
	equal(t, "refund", h.Refund, 1)
}

func TestRefusalsFailTheTask6HoursAfterTheFirst(t *testing.T) {
	second := func(at time.Duration) *history {
		h := begin(t).refused(Refusal{Code: CodePaused, Retry: RetryLater, RetryAfter: 5 * time.Hour})
		return h.at(5 * time.Hour).resubmit().at(at)
	}
	h := second(6*time.Hour - time.Millisecond).refused(Refusal{Code: CodeRateLimited, Retry: RetryLater})
	equal(t, "status", h.Status, Waiting)
	equal(t, "deadline", h.Deadline, start.Add(6*time.Hour))
	equal(t, "next", h.Next(h.Deadline), NextExpire)
	h.at(6 * time.Hour).expire()
	equal(t, "failure", h.Failure, CodeRateLimited)

	// An answer ends no task for time, since only the sweep knows the holds. It does so at once.
	h = second(6*time.Hour + time.Minute).refused(Refusal{Code: CodeRateLimited, Retry: RetryLater})
	equal(t, "status after a refusal after 6 h", h.Status, Waiting)
	equal(t, "deadline", h.Deadline, h.now)
	h.expire()
	equal(t, "failure", h.Failure, CodeRateLimited)
}

func TestAnAcceptedAttemptResetsTheRefusals(t *testing.T) {
	h := begin(t).refused(Refusal{Code: CodeProviderUnauthorized, Retry: RetryNow}).resubmit().after(time.Second).accepted("p1")
	equal(t, "refusals", h.Refusals, 0)
	equal(t, "first refusal", h.FirstRefusal, time.Time{})
	h.after(5 * time.Hour).read(broken)
	h.after(time.Minute).resubmit().refused(Refusal{Code: CodeProviderUnauthorized, Retry: RetryNow})
	equal(t, "refusals", h.Refusals, 1)
	equal(t, "deadline", h.Deadline, h.now.Add(6*time.Hour))
}

func TestARefusedAttemptDropsTheHint(t *testing.T) {
	h := begin(t).calledBack(Hint{ProviderID: "foreign", Failure: CodeGenerationFailed})
	h.after(time.Second).refused(Refusal{Code: CodeRateLimited, Retry: RetryLater})
	equal(t, "hint", h.Hint, nil)
}

// P3: no POST follows an attempt for which a callback with code 400 came while the
// attempt was current.
func TestNoAttemptFollowsACallbackWithCode400(t *testing.T) {
	for name, again := range map[string]Refusal{
		"refused for now":       {Code: CodeRateLimited, Retry: RetryLater},
		"refused for a new key": {Code: CodeProviderUnauthorized, Retry: RetryNow},
	} {
		h := begin(t).calledBack(Hint{ProviderID: "p1", Failure: CodeContentPolicy, Bars: true})
		equal(t, name+": findable", h.Findable(), true)
		h.after(time.Second).refused(again)
		equal(t, name, h.Status, Failed)
	}
}

func TestNotPostedIsNotCountedAsRefusal(t *testing.T) {
	for _, s := range []Status{Submitting, Unconfirmed} {
		h := in(t, s).after(time.Second).notPosted()
		equal(t, "charges", h.Charges, []Charge{ChargeNone})
		equal(t, "refusals", h.Refusals, 0)
		equal(t, "waiting since", h.FirstRefusal, h.now)
		equal(t, "due", h.DueAt, h.now)
		equal(t, "deadline", h.Deadline, h.now.Add(6*time.Hour))
		h.after(6 * time.Hour).expire()
		equal(t, "failure", h.Failure, CodeProviderUnavailable)
	}
}

// While the secret cannot be read, no attempt is posted. That has a deadline too.
func TestNotPostedForHoursIsGivenUp(t *testing.T) {
	h := begin(t).after(time.Second).notPosted()
	since := h.now
	for h.Next(h.after(time.Minute).now) == NextResubmit {
		h.resubmit().after(time.Second).notPosted()
	}
	h.expire()
	equal(t, "failure", h.Failure, CodeProviderUnavailable)
	if lasted := h.now.Sub(since); lasted < 6*time.Hour || lasted > 6*time.Hour+2*time.Minute {
		t.Errorf("given up after %v, want 6 h", lasted)
	}
}

func TestNotPostedKeepsTheDeadlineOfEarlierRefusals(t *testing.T) {
	h := in(t, Waiting)
	first := h.now
	h.after(time.Hour).resubmit().notPosted()
	equal(t, "first refusal", h.FirstRefusal, first)
	equal(t, "deadline", h.Deadline, first.Add(6*time.Hour))
	h.now = h.Deadline
	h.expire()
	equal(t, "failure", h.Failure, CodeRateLimited)
}

func TestUnansweredIsReadAtOnceIfACallbackNamedAnID(t *testing.T) {
	h := in(t, Unconfirmed)
	equal(t, "due without one", h.DueAt, h.Deadline)
	equal(t, "charges", h.Charges, []Charge{ChargeDoubtful})
	h = begin(t).calledBack(Hint{ProviderID: "p1"}).at(time.Minute).unanswered()
	equal(t, "due with one", h.DueAt, h.now)
}

func TestResubmitClearsTheLastAttempt(t *testing.T) {
	h := in(t, Generating).after(90 * time.Second)
	h.calledBack(Hint{Failure: CodeGenerationFailed}).read(broken)
	readAt := h.ReadAt
	h.after(time.Minute).resubmit()
	equal(t, "status", h.Status, Submitting)
	equal(t, "attempt", h.Attempt, 2)
	equal(t, "generations", h.Generations, 1)
	equal(t, "charges", h.Charges, []Charge{ChargeSure, ChargeDoubtful})
	equal(t, "provider id", h.ProviderID, "")
	equal(t, "hint", h.Hint, nil)
	equal(t, "urls", h.URLs, nil)
	equal(t, "accepted at", h.AcceptedAt, time.Time{})
	equal(t, "submitBy", h.SubmitBy, h.now.Add(60*time.Second))
	equal(t, "read at, because reads are 36 s apart across attempts", h.ReadAt, readAt)
}

func TestResubmitIsOnlyForWaiting(t *testing.T) {
	for _, s := range allStatuses {
		h := in(t, s).after(time.Minute)
		if s == Waiting {
			continue
		}
		unchanged(t, h, func() {
			if err := h.Resubmit(h.now); !errors.Is(err, errUnlawful) {
				t.Errorf("%q: error %v, want %v", s, err, errUnlawful)
			}
		})
	}
}

func TestBackoffDoublesUpToItsMaximum(t *testing.T) {
	for try, want := range map[int]time.Duration{
		0: time.Second, 1: time.Second, 2: 2 * time.Second, 3: 4 * time.Second, 4: 5 * time.Second, 1 << 30: 5 * time.Second,
	} {
		equal(t, "try", backoff(time.Second, 5*time.Second, try), want)
	}
}

func TestFailedReturnsTheQuotaOnce(t *testing.T) {
	h := begin(t, images(4))
	equal(t, "quota", h.Quota, &Quota{Day: "2026-03-01", Images: 4})
	h.refused(Refusal{Code: CodeProviderRejected})
	equal(t, "refund", h.Refund, 4)
	equal(t, "quota", h.Quota, &Quota{Day: "2026-03-01", Images: 4, Returned: true})

	next := h.Clone()
	equal(t, "refund of the next write", next.Refund, 0)
	if err := next.Delete(h.r, h.now); err != nil {
		t.Fatal(err)
	}
	equal(t, "refund with DELETE", next.Refund, 0)
}

func TestQuotaIsNotReturned(t *testing.T) {
	policy := Hint{ProviderID: "p1", Failure: CodeContentPolicy, Bars: true}
	for name, h := range map[string]*history{
		"after content_policy of a record":   in(t, Generating).after(90 * time.Second).read(Record{State: RecordFailed, Code: CodeContentPolicy}),
		"after content_policy of a callback": brokenOnce(t).calledBack(policy),
		"after success":                      in(t, Succeeded),
		"if none was counted":                in(t, Failed, func(d *Draft) { d.CountQuota = false }),
	} {
		equal(t, name, h.Refund, 0)
		if h.Quota != nil {
			equal(t, name, h.Quota.Returned, false)
		}
	}
}
