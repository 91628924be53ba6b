package ledger

import (
	"cmp"
	"slices"
	"strings"
	"time"
)

// Line is what a log line says about money. Its names are those of the lines.
type Line struct {
	Time    time.Time `json:"time"`
	Event   string    `json:"event"`
	Task    string    `json:"task"`
	From    string    `json:"from"`
	To      string    `json:"to"`
	Attempt int       `json:"attempt"`
	Model   string    `json:"model"`
	Credits float64   `json:"credits"`
	Charge  string    `json:"charge"`
	Balance *float64  `json:"balance"`
	Missing int       `json:"missing"`
}

// The events whose lines are read.
const (
	eventTransition = "transition"
	eventChecked    = "credits_checked"
	eventLow        = "credits_low"
	eventEnded      = "task_ended"
)

// Events are the events whose lines Add wants.
var Events = []string{eventTransition, eventChecked, eventLow, eventEnded}

// Reader collects attempts and checks from log lines, which come in about their order.
type Reader struct {
	since    time.Time // of checks
	attempts map[attemptKey]*Attempt
	checks   []Check
	short    map[string]bool // tasks that ended with fewer pictures than were asked for
}

type attemptKey struct {
	task   string
	number int
}

// NewReader returns a Reader of the checks since a time.
func NewReader(since time.Time) *Reader {
	return &Reader{since: since, attempts: map[attemptKey]*Attempt{}, short: map[string]bool{}}
}

// Add takes a line. Lines of other events are ignored.
func (r *Reader) Add(l Line) {
	switch l.Event {
	case eventChecked, eventLow:
		if l.Balance != nil && !l.Time.Before(r.since) {
			r.checks = append(r.checks, Check{l.Time, *l.Balance})
		}
	case eventEnded:
		if l.Missing > 0 {
			r.short[l.Task] = true
		}
	case eventTransition:
		if l.Attempt > 0 { // a rescued task has none, and costs nothing
			r.move(l)
		}
	}
}

// move takes a change of status. Each line says all that is known of its attempt, so
// that a lost one costs little.
func (r *Reader) move(l Line) {
	key := attemptKey{l.Task, l.Attempt}
	a := r.attempts[key]
	if a == nil {
		a = &Attempt{Task: l.Task, Number: l.Attempt}
		r.attempts[key] = a
	}
	a.Model, a.Credits = l.Model, l.Credits
	a.Sure, a.None = a.Sure || l.Charge == "sure", l.Charge == "none"
	switch l.To {
	case "submitting":
		a.Began = l.Time
	case "storing":
		a.Ended, a.Made = l.Time, true
	case "waiting":
		a.Ended = l.Time
	case "failed":
		if a.Ended.IsZero() { // not while it waits, and not while it is stored
			a.Ended = l.Time
		}
	case "succeeded":
		if a.Ended.IsZero() {
			a.Ended, a.Made = l.Time, true
		}
	}
}

// Attempts returns what was read of attempts, by task.
func (r *Reader) Attempts() []*Attempt {
	var all []*Attempt
	for _, a := range r.attempts {
		if r.short[a.Task] {
			a.Made = false
		}
		all = append(all, a)
	}
	slices.SortFunc(all, func(a, b *Attempt) int { return cmp.Or(strings.Compare(a.Task, b.Task), a.Number-b.Number) })
	return all
}

// Compare compares what was read.
func (r *Reader) Compare() Result { return Compare(r.Attempts(), r.checks) }
