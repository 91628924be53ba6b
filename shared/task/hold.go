package task

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"
	"unicode"
	"unicode/utf8"
)

// Hold keeps every POST: orders are refused, and what waits goes on waiting. Records
// are read and pictures are stored as ever. See docs/decisions/holds.md.
type Hold struct {
	Reason string    `json:"reason"` // in words, shown to users
	Since  time.Time `json:"since"`
	Until  time.Time `json:"until,omitzero"` // when it ends by itself; zero: it does not
}

// Holder is who holds. It is a stored word.
type Holder string

// The holders. Each has a hold of its own, which the others do not end.
const (
	HeldByOperator Holder = "operator" // the commands pause and resume
	HeldByBudget   Holder = "budget"   // the check of the credits, until the day is over
)

// holders are all that this code knows. Users are told the reason of the first that holds.
var holders = []Holder{HeldByOperator, HeldByBudget}

// maxReason is how many characters the reason of a hold may have.
const maxReason = 200

// Check returns what is wrong with the hold's reason, for the person who gave it.
func (h Hold) Check() error {
	n := utf8.RuneCountInString(h.Reason)
	switch {
	case !utf8.ValidString(h.Reason):
		return errors.New("the reason is not UTF-8 text")
	case n == 0 || n > maxReason:
		return fmt.Errorf("the reason has %d characters; it must have 1 to %d", n, maxReason)
	case invisible(h.Reason):
		return errors.New("the reason must be one line of visible characters")
	}
	return nil
}

// invisible reports whether a text is blank or holds control or formatting characters,
// by which what is shown could look like something else.
func invisible(text string) bool {
	visible := false
	for _, r := range text {
		if !unicode.IsPrint(r) {
			return true
		}
		visible = visible || r != ' '
	}
	return !visible
}

// inForce reports whether the hold keeps POSTs at now.
func (h Hold) inForce(now time.Time) bool { return h.Until.IsZero() || now.Before(h.Until) }

// end returns when a hold that is released at at has ended.
func (h Hold) end(at time.Time) time.Time {
	if h.inForce(at) {
		return at
	}
	return h.Until
}

// RetryAfter returns after what time an order that the hold refused may be sent again: not
// in a loop, since people end it.
func (h Hold) RetryAfter(now time.Time) time.Duration {
	if h.Until.IsZero() {
		return 5 * time.Minute
	}
	return min(h.Until.Sub(now), time.Hour) // a larger budget ends it sooner
}

// Span is a time during which POSTs were held.
type Span struct {
	From time.Time `json:"from"`
	To   time.Time `json:"to"`
}

// Holds are the holds of all holders, and when there were others. A Store keeps them as
// one value, changed by Put and Drop alone.
type Holds struct {
	By   map[Holder]Hold `json:"by,omitempty"`   // also one that has ended by itself
	Past []Span          `json:"past,omitempty"` // in order, without overlaps
}

// What is kept of the past. A waiting task counts the holds of its time at its deadline,
// or soon after the hold then in force, so a week is plenty. Of more spans, the nearest
// two are joined: a task may so wait longer, but never for too short a time.
const (
	pastSpans = 50
	pastTime  = 7 * 24 * time.Hour // from the end of one hold to the begin of the next
)

// Put sets a holder's hold. If the holder holds already, the reason and the end change.
func (h *Holds) Put(by Holder, hold Hold) {
	hold.Since, hold.Until = stamp(hold.Since), stampEnd(hold.Until)
	old, held := h.By[by]
	switch {
	case held && old.inForce(hold.Since):
		hold.Since = old.Since
	case held:
		h.keep(Span{old.Since, old.Until})
	}
	if h.By == nil {
		h.By = map[Holder]Hold{}
	}
	h.By[by] = hold
}

// Drop ends a holder's hold, if there is one.
func (h *Holds) Drop(by Holder, at time.Time) {
	old, held := h.By[by]
	if !held {
		return
	}
	delete(h.By, by)
	h.keep(Span{old.Since, old.end(stamp(at))})
}

// keep adds a span to the past, and drops what is too old for it.
func (h *Holds) keep(x Span) {
	if !x.From.Before(x.To) {
		return
	}
	past := append(slices.Clone(h.Past), x)
	past = slices.DeleteFunc(past, func(p Span) bool { return x.From.Sub(p.To) > pastTime })
	h.Past = union(past)
	for len(h.Past) > pastSpans {
		n := 1
		for i := 2; i < len(h.Past); i++ {
			if h.gap(i) < h.gap(n) {
				n = i
			}
		}
		h.Past[n-1].To = h.Past[n].To
		h.Past = slices.Delete(h.Past, n, n+1)
	}
}

// gap returns the time between a span of the past and the one before.
func (h *Holds) gap(n int) time.Duration { return h.Past[n].From.Sub(h.Past[n-1].To) }

// union returns spans in order, and joins those that touch.
func union(spans []Span) (joined []Span) {
	slices.SortFunc(spans, func(a, b Span) int { return cmp.Or(a.From.Compare(b.From), a.To.Compare(b.To)) })
	for _, x := range spans {
		if n := len(joined); n > 0 && !x.From.After(joined[n-1].To) {
			if x.To.After(joined[n-1].To) {
				joined[n-1].To = x.To
			}
			continue
		}
		joined = append(joined, x)
	}
	return joined
}

// InForce returns the hold at now of which users are told, and whose it is. held is false
// if nobody holds.
func (h Holds) InForce(now time.Time) (by Holder, hold Hold, held bool) {
	for _, by := range holders {
		if x, ok := h.By[by]; ok && x.inForce(now) {
			return by, x, true
		}
	}
	return "", Hold{}, false
}

// within returns for how much of the time from one moment to another POSTs were held.
func (h Holds) within(from, to time.Time) (sum time.Duration) {
	spans := slices.Clone(h.Past)
	for _, x := range h.By {
		spans = append(spans, Span{x.Since, x.end(to)})
	}
	for _, x := range union(spans) {
		if x.From.Before(from) {
			x.From = from
		}
		if x.To.After(to) {
			x.To = to
		}
		sum += max(0, x.To.Sub(x.From))
	}
	return sum
}

// credit moves the deadline of a Waiting task by the time that was held since it began to
// wait, or since that was last counted.
func (t *Task) credit(h Holds, now time.Time) {
	from := t.Since // after a failed generation
	if !t.FirstRefusal.IsZero() {
		from = t.FirstRefusal
	}
	from = later(from, t.HeldUntil)
	if held := h.within(from, now); held > 0 {
		t.WaitUntil, t.HeldUntil = t.waitsUntil().Add(held), now
		t.Deadline = later(t.Deadline, t.WaitUntil)
	}
}

// waitsUntil returns until when the task may wait, with the holds that are counted.
func (t *Task) waitsUntil() time.Time {
	if t.FirstRefusal.IsZero() {
		return t.Deadline // after a failed generation
	}
	return later(t.FirstRefusal.Add(waitingWindow), t.WaitUntil)
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

// AwaitsPost reports whether the sweep would send the task again: so a hold keeps it, and
// nothing else needs to be done for it meanwhile.
func (t *Task) AwaitsPost() bool { return t.Status == Waiting && !t.EraseAtEnd }

// Encode returns the holds as a Store keeps them: the empty text if there are none.
func (h Holds) Encode() (string, error) {
	if len(h.By) == 0 && len(h.Past) == 0 {
		return "", nil
	}
	b, err := json.Marshal(h)
	return string(b), err
}

// DecodeHolds returns what Encode returned. The empty text is no holds.
func DecodeHolds(text string) (h Holds, err error) {
	if text == "" {
		return h, nil
	}
	if err := json.Unmarshal([]byte(text), &h); err != nil {
		return Holds{}, fmt.Errorf("task: the holds: %w", err)
	}
	return h, nil
}

// stampEnd is stamp, but leaves the zero time.
func stampEnd(at time.Time) time.Time {
	if at.IsZero() {
		return at
	}
	return stamp(at)
}
