package task

import (
	"reflect"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"
)

var noon = time.Date(2026, 3, 14, 12, 0, 0, 0, time.UTC)

func minutes(n int) time.Time { return noon.Add(time.Duration(n) * time.Minute) }

// A holder's second hold replaces the reason and the end of one in force, and is a new
// one after one that has ended by itself.
func TestHoldsPut(t *testing.T) {
	var h Holds
	h.Put(HeldByBudget, Hold{Reason: "a", Since: minutes(0), Until: minutes(10)})
	h.Put(HeldByBudget, Hold{Reason: "b", Since: minutes(5), Until: minutes(20)})
	if got, want := h.By[HeldByBudget], (Hold{Reason: "b", Since: minutes(0), Until: minutes(20)}); got != want || len(h.Past) != 0 {
		t.Errorf("%+v, past %v; want %+v", got, h.Past, want)
	}
	h.Put(HeldByBudget, Hold{Reason: "c", Since: minutes(30)})
	if got, want := h.By[HeldByBudget], (Hold{Reason: "c", Since: minutes(30)}); got != want || !reflect.DeepEqual(h.Past, []Span{{minutes(0), minutes(20)}}) {
		t.Errorf("%+v, past %v; want %+v", got, h.Past, want)
	}
}

// Users are told the operator's reason before the budget's. A hold ends with its release,
// or by itself: then its span ends there, however late the release comes.
func TestHoldsInForce(t *testing.T) {
	var h Holds
	h.Put(HeldByBudget, Hold{Reason: "spent", Since: minutes(0), Until: minutes(10)})
	h.Put(HeldByOperator, Hold{Reason: "a new key", Since: minutes(5)})
	for n, want := range map[int]Holder{1: HeldByOperator, 9: HeldByOperator, 100: HeldByOperator} {
		if by, _, held := h.InForce(minutes(n)); by != want || !held {
			t.Errorf("after %d minutes: %q, %v", n, by, held)
		}
	}
	h.Drop(HeldByOperator, minutes(7))
	for n, want := range map[int]Holder{8: HeldByBudget, 10: "", 11: ""} {
		if by, x, held := h.InForce(minutes(n)); by != want || held != (want != "") || held && x.Reason != "spent" {
			t.Errorf("after %d minutes: %q, %+v, %v", n, by, x, held)
		}
	}
	h.Drop(HeldByBudget, minutes(60))
	h.Drop(HeldByBudget, minutes(61)) // nothing is left to drop
	if want := []Span{{minutes(0), minutes(10)}}; !reflect.DeepEqual(h.Past, want) || len(h.By) != 0 {
		t.Errorf("%+v, want the past %v", h, want)
	}
}

// What is too old for any task that waits is dropped. It counts from when the later hold
// began: a task may have waited through both.
func TestHoldsForgetThePast(t *testing.T) {
	for gap, want := range map[time.Duration]int{pastTime: 2, pastTime + time.Millisecond: 1} {
		var h Holds
		h.Put(HeldByOperator, Hold{Since: noon.Add(-time.Hour)})
		h.Drop(HeldByOperator, noon)
		h.Put(HeldByOperator, Hold{Since: noon.Add(gap)})
		h.Drop(HeldByOperator, noon.Add(gap+30*24*time.Hour))
		if len(h.Past) != want {
			t.Errorf("after %v: %v", gap, h.Past)
		}
	}
}

// Whatever is held and released, the past is in order, without overlaps and bounded; it
// never counts less than was held, nor more but for gaps that had to be joined; and it
// survives being stored.
func TestHoldsCount(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		var h Holds
		now, held := noon, map[time.Time]bool{} // each minute that was held
		since := map[Holder]time.Time{}
		var until time.Time // of the budget's hold
		full := false       // gaps had to be joined
		steps := rapid.IntRange(1, 300).Draw(r, "steps")
		for range steps {
			for range rapid.IntRange(1, 4).Draw(r, "minutes") {
				if !since[HeldByOperator].IsZero() || !since[HeldByBudget].IsZero() && now.Before(until) {
					held[now] = true
				}
				now = now.Add(time.Minute)
			}
			by := rapid.SampledFrom(holders).Draw(r, "by")
			if rapid.Bool().Draw(r, "hold") {
				x := Hold{Reason: "r", Since: now}
				if by == HeldByBudget {
					until = now.Add(time.Duration(rapid.IntRange(1, 6).Draw(r, "lasts")) * time.Minute)
					x.Until = until
				}
				h.Put(by, x)
				since[by] = now
			} else {
				h.Drop(by, now)
				since[by] = time.Time{}
			}
			text, err := h.Encode()
			again, decodeErr := DecodeHolds(text)
			if err != nil || decodeErr != nil || len(again.Past) != len(h.Past) || len(again.By) != len(h.By) || len(text) > 8000 {
				r.Fatalf("stored as %s: %v, %v", text, err, decodeErr)
			}
			h = again
			full = full || len(h.Past) == pastSpans
		}
		for n := 1; n < len(h.Past); n++ {
			if !h.Past[n-1].To.Before(h.Past[n].From) {
				r.Fatalf("past: %v", h.Past)
			}
		}
		got, want := h.within(noon, now), time.Duration(len(held))*time.Minute
		if len(h.Past) > pastSpans || got < want || !full && got != want {
			r.Fatalf("%d spans, %v; %v was held", len(h.Past), got, want)
		}
		if from := noon.Add(now.Sub(noon) / 2).Truncate(time.Minute); h.within(noon, from)+h.within(from, now) != got {
			r.Fatalf("%v before %v and %v after it are not %v", h.within(noon, from), from, h.within(from, now), got)
		}
	})
}

// A reason is one line that people can read.
func TestHoldCheck(t *testing.T) {
	for reason, valid := range map[string]bool{
		"We replace the provider's key until 10:00 UTC.": true, "停一下": true, strings.Repeat("é", 200): true,
		"": false, "   ": false, strings.Repeat("é", 201): false, "two\nlines": false, "a\ttab": false, "bidi \u202e": false, "\xff": false, "zero\u200bwidth": false,
	} {
		if err := (Hold{Reason: reason}).Check(); (err == nil) != valid {
			t.Errorf("%q: %v", reason, err)
		}
	}
}

// The time of holds does not count as waiting: at its deadline a task gets it back, each
// minute once, whether its attempts go on meanwhile or not.
func TestHeldTimeIsNoWaiting(t *testing.T) {
	hours := func(n float64) time.Duration { return time.Duration(n * float64(time.Hour)) }
	at := func(n float64) time.Time { return start.Add(hours(n)) }
	refused := Refusal{Code: CodeRateLimited, Retry: RetryLater}
	hold := func(h *history, from, to float64) {
		h.holds.Put(HeldByOperator, Hold{Reason: "r", Since: at(from)})
		h.holds.Drop(HeldByOperator, at(to))
	}

	h := begin(t).refused(refused)
	hold(h, 1, 3)
	hold(h, 5, 15)
	h.at(hours(15)).expire()
	equal(t, "status", h.Status, Waiting)
	equal(t, "deadline", h.Deadline, at(18))
	equal(t, "due", h.DueAt, at(15))
	equal(t, "next", h.Next(h.now), NextResubmit)
	h.resubmit().refused(refused)
	equal(t, "deadline after another refusal", h.Deadline, at(18))
	hold(h, 17, 17.5) // the time before is counted already
	h.at(hours(18)).expire()
	equal(t, "deadline after the third hold", h.Deadline, at(18.5))
	h.at(hours(18.5)).expire()
	equal(t, "status at last", h.Status, Failed)
	equal(t, "failure", h.Failure, CodeRateLimited)

	// A refusal may come when the deadline has passed, but for a hold.
	h = begin(t).refused(refused)
	hold(h, 1, 7)
	h.at(hours(7)).resubmit()
	h.refused(refused)
	equal(t, "a late refusal", h.Status, Waiting)
	equal(t, "its deadline", h.Deadline, at(7))
	h.expire()
	equal(t, "its deadline with the hold", h.Deadline, at(12))

	// Nothing of a hold that ended before the first refusal in a row counts.
	h = begin(t).refused(refused)
	hold(h, 0, 2)
	h.at(hours(6)).expire()
	equal(t, "deadline", h.Deadline, at(8))
	h.at(hours(6.5)).resubmit().accepted("p1").after(time.Hour).read(broken)
	equal(t, "deadline of another generation", h.Deadline, h.now.Add(hours(6)))
	h.at(hours(8)).resubmit().refused(refused)
	equal(t, "deadline after it", h.Deadline, at(14))
	h.at(hours(14)).expire()
	equal(t, "status", h.Status, Failed)

	// After a failed generation the time counts from there.
	h = begin(t).accepted("p1").after(time.Hour).read(broken)
	hold(h, 0.5, 2)
	h.at(hours(7)).expire()
	equal(t, "deadline after a failed generation", h.Deadline, at(8))

	// A hold in force counts as far as it has lasted; one that began after the deadline
	// does not save a task.
	h = begin(t).refused(refused)
	h.holds.Put(HeldByBudget, Hold{Since: at(5.9), Until: at(24)})
	h.at(hours(6.5)).expire()
	equal(t, "deadline in a hold", h.Deadline, at(6.6))
	h = begin(t).refused(refused)
	h.holds.Put(HeldByBudget, Hold{Since: at(6.1), Until: at(24)})
	h.at(hours(6.5)).expire()
	equal(t, "status", h.Status, Failed)
}
