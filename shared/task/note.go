package task

import (
	"maps"
	"slices"
	"time"
)

// AttemptNote is what happened to one attempt. It is for people, and for Rescue: nothing
// in a task's life is decided by it. Rows of older releases have none.
type AttemptNote struct {
	Attempt int `json:"attempt"`
	// Entered holds when the attempt entered each status. For Submitting, that is when
	// its POST was allowed.
	Entered    map[Status]time.Time `json:"entered,omitempty"`
	AnsweredAt time.Time            `json:"answeredAt,omitzero"`  // when its POST was answered, as far as that is known
	Outcome    Outcome              `json:"outcome,omitempty"`    // empty: it is not known yet
	ProviderID string               `json:"providerId,omitempty"` // of its own answer, or that a callback named
	Code       Code                 `json:"code,omitempty"`       // why it was refused, or failed
	// ByCallback reports that a callback's word alone ended it, because its record could
	// not be read.
	ByCallback bool `json:"byCallback,omitempty"`
}

// Outcome is what became of an attempt's POST. It is a stored word.
type Outcome string

// The kinds of Outcome.
const (
	OutcomeAccepted   Outcome = "accepted"   // its own answer had the provider id
	OutcomeRefused    Outcome = "refused"    // certainly not accepted
	OutcomeUnposted   Outcome = "unposted"   // no POST was started
	OutcomeUnanswered Outcome = "unanswered" // no answer, or one that does not say
	OutcomeNamed      Outcome = "named"      // only a callback named the provider id
)

// maxNotes is how many notes a row keeps: of the first attempt and of the last ones.
const maxNotes = 10

// note returns the note of the current attempt, for writing.
func (t *Task) note() *AttemptNote {
	if n := len(t.Notes); n == 0 || t.Notes[n-1].Attempt != t.Attempt {
		t.Notes = append(t.Notes, AttemptNote{Attempt: t.Attempt})
	}
	if n := len(t.Notes); n > maxNotes {
		t.Notes = slices.Delete(t.Notes, 1, 1+n-maxNotes)
	}
	return &t.Notes[len(t.Notes)-1]
}

func (n *AttemptNote) enter(s Status, now time.Time) {
	if n.Entered == nil {
		n.Entered = map[Status]time.Time{}
	}
	n.Entered[s] = now
}

// answered notes the attempt's own answer.
func (n *AttemptNote) answered(o Outcome, now time.Time, id string) {
	n.Outcome, n.AnsweredAt, n.ProviderID = o, now, id
}

// named notes a provider id that only a callback named.
func (n *AttemptNote) named(id string) {
	if n.AnsweredAt.IsZero() {
		n.Outcome, n.ProviderID = OutcomeNamed, id
	}
}

// failed notes why the attempt led to no picture. The first reason stays.
func (n *AttemptNote) failed(code Code) {
	if n.Code == "" {
		n.Code = code
	}
}

func cloneNotes(notes []AttemptNote) []AttemptNote {
	c := slices.Clone(notes)
	for i := range c {
		c[i].Entered = maps.Clone(c[i].Entered)
	}
	return c
}

// ChargeOf returns what is known about the charge of an attempt; empty for an attempt
// that was never made.
func (t *Task) ChargeOf(attempt int) Charge {
	if attempt < 1 || attempt > len(t.Charges) {
		return ""
	}
	return t.Charges[attempt-1]
}
