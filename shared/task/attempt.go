package task

import (
	"fmt"
	"hash/fnv"
	"time"
)

// Accepted applies the attempt's own answer: the provider accepted it under
// this id. An answer for an attempt that is not the current one changes nothing.
func (t *Task) Accepted(r Rules, now time.Time, attempt int, providerID string) error {
	now = stamp(now)
	if !t.current(attempt) || t.Done() {
		return nil
	}
	doubtful := t.charge() != ChargeSure
	if doubtful {
		t.note().answered(OutcomeAccepted, now, providerID)
	}
	switch t.Status {
	case Submitting, Unconfirmed:
		t.setCharge(ChargeSure)
		t.Generations++
		t.attach(providerID)
		if err := t.move(byAnswer, Generating, now, generatingWindow); err != nil {
			return err
		}
		t.scheduleFirstRead(r, now)
	case Generating:
		t.setCharge(ChargeSure)
		if doubtful && t.ProviderID != providerID {
			// Only a callback had named the other id. Our own answer wins, and
			// what the other id's record said is dropped.
			t.attach(providerID)
			t.clearRecord()
			t.setDue(t.earliestRead(r, now))
		}
	default: // Waiting, Storing: the record was faster than this answer
		t.setCharge(ChargeSure)
	}
	return nil
}

// current reports whether attempt is the task's current one. A rescued task has none.
func (t *Task) current(attempt int) bool { return attempt > 0 && attempt == t.Attempt }

// attach makes id the provider id of the current attempt. It drops what a
// callback said about another id, and the failed reads of that id's record.
func (t *Task) attach(id string) {
	t.ProviderID = id
	t.Refusals, t.FirstRefusal, t.WaitUntil, t.Setback = 0, time.Time{}, time.Time{}, ""
	if t.Hint != nil && t.Hint.ProviderID != "" && t.Hint.ProviderID != id {
		t.Hint, t.UnreadableSince, t.Doubt = nil, time.Time{}, ""
	}
}

// scheduleFirstRead sets when the record of a task that entered Generating is
// first read.
func (t *Task) scheduleFirstRead(r Rules, now time.Time) {
	t.AcceptedAt = now
	if t.Hint != nil {
		t.setDue(t.earliestRead(r, now)) // its callback was answered and will not come again
		return
	}
	t.setDue(now.Add(r.FirstRead(t.Model)))
}

// Retry reports whether, and when, another attempt makes sense after a refusal.
type Retry int

// The kinds of Retry.
const (
	RetryNever Retry = iota
	RetryNow         // there is a new key, so the cause is gone
	RetryLater
)

// Refusal is an answer of the provider that certainly did not accept an attempt.
type Refusal struct {
	Code       Code
	Retry      Retry
	RetryAfter time.Duration // as the provider asked; 0: it did not
}

// temporary holds the refusals that end by themselves. A task may meet any number
// of them before its deadline, but only maxRefusals of all others.
var temporary = map[Code]bool{CodeRateLimited: true, CodePaused: true, CodeProviderUnavailable: true}

// Refused applies the attempt's own answer: it was certainly not accepted.
func (t *Task) Refused(r Rules, now time.Time, attempt int, refusal Refusal) error {
	now = stamp(now)
	if !t.current(attempt) || t.Status != Submitting && t.Status != Unconfirmed {
		return nil
	}
	t.setCharge(ChargeNone)
	n := t.note()
	n.answered(OutcomeRefused, now, "")
	n.failed(refusal.Code)
	if !temporary[refusal.Code] {
		t.Refusals++
	}
	// After a callback with code 400 there is no other attempt, whatever the refusal.
	if refusal.Retry == RetryNever || t.Refusals >= maxRefusals || t.Barred == t.Attempt {
		return t.fail(r, byAnswer, refusal.Code, now)
	}
	if err := t.wait(byAnswer, now); err != nil {
		return err
	}
	t.Setback, t.Hint = refusal.Code, nil
	switch {
	case refusal.Retry == RetryNow:
		t.setDue(now)
	case refusal.RetryAfter > 0:
		t.setDue(now.Add(refusal.RetryAfter))
	default:
		t.setDue(now.Add(t.refusalBackoff(now)))
	}
	return nil
}

// wait makes the task Waiting, until 6 h after the first refusal in a row and for as much
// longer as is known to have been held. Only Expire ends it for time: it knows all holds.
func (t *Task) wait(by event, now time.Time) error {
	if t.FirstRefusal.IsZero() {
		t.FirstRefusal, t.WaitUntil = now, time.Time{}
	}
	return t.move(by, Waiting, now, max(0, t.waitsUntil().Sub(now)))
}

// refusalBackoff returns how long to wait after a refusal: a random time, at most
// as long as the task has been refused so far. So a thousand tasks that are refused
// together do not come back together.
func (t *Task) refusalBackoff(now time.Time) time.Duration {
	most := min(max(now.Sub(t.FirstRefusal), minBackoff), maxBackoff)
	return time.Duration(t.chance() * float64(most)).Truncate(time.Millisecond) // rows keep milliseconds
}

// chance returns a number in [0, 1) that looks random but is always the same for
// one attempt of one task.
func (t *Task) chance() float64 {
	h := fnv.New64a()
	fmt.Fprintf(h, "%s#%d", t.ID, t.Attempt)
	// In FNV the last letters hardly change the high bits. This spreads them.
	x := h.Sum64()
	x ^= x >> 32
	x *= 0xd6e8feb86659fd93
	x ^= x >> 32
	return float64(x>>11) / (1 << 53)
}

// backoff returns least for try 1, doubled with each further try, at most most.
func backoff(least, most time.Duration, try int) time.Duration {
	d := least
	for i := 1; i < try && d < most; i++ {
		d *= 2
	}
	return min(d, most)
}

// NotPosted makes the task Waiting, because the attempt's process started no POST: it
// had too little time, or could not read the secret. It does not count as a refusal,
// but starts the time that a task may wait, as a refusal does.
func (t *Task) NotPosted(now time.Time, attempt int) error {
	now = stamp(now)
	if !t.current(attempt) || t.Status != Submitting && t.Status != Unconfirmed {
		return nil
	}
	t.setCharge(ChargeNone)
	t.note().Outcome = OutcomeUnposted
	if err := t.wait(byNoPost, now); err != nil {
		return err
	}
	if t.Setback == "" {
		t.Setback = CodeProviderUnavailable
	}
	t.setDue(now)
	return nil
}

// Unanswered makes the task Unconfirmed, because the attempt may or may not have been
// accepted: its answer was ambiguous, or there was none by SubmitBy. The attempt is
// never sent again; see docs/decisions/sent-once.md.
func (t *Task) Unanswered(r Rules, now time.Time, attempt int) error {
	now = stamp(now)
	if !t.current(attempt) || t.Status != Submitting {
		return nil
	}
	if err := t.move(bySilence, Unconfirmed, now, unconfirmedWindow); err != nil {
		return err
	}
	t.note().Outcome = OutcomeUnanswered
	if t.recordID() != "" {
		t.setDue(t.earliestRead(r, now))
	}
	return nil
}

// Resubmit begins another attempt. Only the process that writes this change may POST.
func (t *Task) Resubmit(now time.Time) error {
	now = stamp(now)
	if err := t.move(bySweep, Submitting, now, submitWindow); err != nil {
		return err
	}
	t.SubmitBy = t.Deadline
	t.beginAttempt(now)
	return nil
}
