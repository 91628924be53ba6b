package task

import (
	"fmt"
	"hash/fnv"
	"time"
)

// Accepted is the attempt's own answer: the provider took it, under this id.
// An answer for an attempt that is not the current one changes nothing.
func (t *Task) Accepted(r Rules, now time.Time, attempt int, providerID string) error {
	now = stamp(now)
	if attempt != t.Attempt || t.Done() {
		return nil
	}
	doubtful := t.charge() != ChargeSure
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
			// The id was known from a callback alone. Our own answer is
			// taken as it is, and what the other id's record said with it.
			t.attach(providerID)
			t.clearRecord()
			t.setDue(t.earliestRead(r, now))
		}
	default: // Waiting, Storing: its record came first
		t.setCharge(ChargeSure)
	}
	return nil
}

// attach makes id the provider id of the current attempt. What a callback
// said of another id is dropped, and that its record could not be read.
func (t *Task) attach(id string) {
	t.ProviderID = id
	t.Refusals, t.FirstRefusal, t.Setback = 0, time.Time{}, ""
	if t.Hint != nil && t.Hint.ProviderID != "" && t.Hint.ProviderID != id {
		t.Hint, t.UnreadableSince, t.Doubt = nil, time.Time{}, ""
	}
}

// scheduleFirstRead sets when the record is read first, after Generating was entered.
func (t *Task) scheduleFirstRead(r Rules, now time.Time) {
	t.AcceptedAt = now
	if t.Hint != nil {
		t.setDue(t.earliestRead(r, now)) // its callback is answered and will not come again
		return
	}
	t.setDue(now.Add(r.firstRead()))
}

// Retry says whether, and when, a refused attempt is worth another.
type Retry int

// The kinds of Retry.
const (
	RetryNever Retry = iota
	RetryNow         // the refusal's cause is gone: another key
	RetryLater
)

// Refusal is the provider's certain word that it did not accept an attempt.
type Refusal struct {
	Code       Code
	Retry      Retry
	RetryAfter time.Duration // the provider's wish; 0: none
}

// temporary are the refusals that time alone ends: the task waits for as long as it
// may, however often it is refused. Of all others it bears maxRefusals.
var temporary = map[Code]bool{CodeRateLimited: true, CodePaused: true, CodeProviderUnavailable: true}

// Refused is the attempt's own answer: it was certainly not accepted.
func (t *Task) Refused(r Rules, now time.Time, attempt int, refusal Refusal) error {
	now = stamp(now)
	if attempt != t.Attempt || t.Status != Submitting && t.Status != Unconfirmed {
		return nil
	}
	t.setCharge(ChargeNone)
	if !temporary[refusal.Code] {
		t.Refusals++
	}
	if t.FirstRefusal.IsZero() {
		t.FirstRefusal = now
	}
	deadline := t.FirstRefusal.Add(waitingWindow)
	// A callback that said 400 makes the attempt the last, whatever this says.
	if refusal.Retry == RetryNever || t.Refusals >= maxRefusals || !now.Before(deadline) || t.Barred == t.Attempt {
		return t.fail(r, byAnswer, refusal.Code, now)
	}
	if err := t.move(byAnswer, Waiting, now, deadline.Sub(now)); err != nil {
		return err
	}
	t.Setback, t.Hint = refusal.Code, nil
	switch {
	case refusal.Retry == RetryNow:
		t.setDue(now)
	case refusal.RetryAfter > 0:
		t.setDue(now.Add(refusal.RetryAfter))
	default:
		t.setDue(now.Add(t.jitter(now)))
	}
	return nil
}

// jitter returns how long a refused attempt waits for the next: anything up to as
// long as the task has been refused already, so that a thousand tasks which were
// refused together do not come back together.
func (t *Task) jitter(now time.Time) time.Duration {
	most := min(max(now.Sub(t.FirstRefusal), minBackoff), maxBackoff)
	return time.Duration(t.chance() * float64(most)).Truncate(time.Millisecond) // as rows keep times
}

// chance returns a number in [0, 1) that looks random, and is the same each time
// for one attempt of one task.
func (t *Task) chance() float64 {
	h := fnv.New64a()
	fmt.Fprintf(h, "%s#%d", t.ID, t.Attempt)
	// The last letters hashed hardly reach the high bits of FNV. This spreads them.
	x := h.Sum64()
	x ^= x >> 32
	x *= 0xd6e8feb86659fd93
	x ^= x >> 32
	return float64(x>>11) / (1 << 53)
}

// backoff doubles from least with each try, from 1, up to most.
func backoff(least, most time.Duration, try int) time.Duration {
	d := least
	for i := 1; i < try && d < most; i++ {
		d *= 2
	}
	return min(d, most)
}

// NotPosted records that the attempt's process started no POST: it had too
// little time, or could not read the secret. It is no refusal, but the time
// that a task may wait counts from it too.
func (t *Task) NotPosted(now time.Time, attempt int) error {
	now = stamp(now)
	if attempt != t.Attempt || t.Status != Submitting && t.Status != Unconfirmed {
		return nil
	}
	t.setCharge(ChargeNone)
	if t.FirstRefusal.IsZero() {
		t.FirstRefusal = now
	}
	deadline := t.FirstRefusal.Add(waitingWindow)
	if err := t.move(byNoPost, Waiting, now, deadline.Sub(now)); err != nil {
		return err
	}
	if t.Setback == "" {
		t.Setback = CodeProviderUnavailable
	}
	t.setDue(now)
	return nil
}

// Unanswered says that nobody knows whether the attempt was accepted: its answer
// was ambiguous, or the sweep finds none after SubmitBy. It is not sent again.
func (t *Task) Unanswered(r Rules, now time.Time, attempt int) error {
	now = stamp(now)
	if attempt != t.Attempt || t.Status != Submitting {
		return nil
	}
	if err := t.move(bySilence, Unconfirmed, now, unconfirmedWindow); err != nil {
		return err
	}
	if t.recordID() != "" {
		t.setDue(t.earliestRead(r, now))
	}
	return nil
}

// Resubmit begins another attempt. Whoever writes this may POST, nobody else.
func (t *Task) Resubmit(now time.Time) error {
	now = stamp(now)
	if err := t.move(bySweep, Submitting, now, submitWindow); err != nil {
		return err
	}
	t.SubmitBy = t.Deadline
	t.beginAttempt(now)
	return nil
}
