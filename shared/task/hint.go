package task

import (
	"slices"
	"time"
)

// Hint is what callbacks said about the current attempt. It wakes the task, and
// decides by itself only while the record cannot be read.
type Hint struct {
	ProviderID string   `json:"providerId,omitempty"` // the id it named, if any
	Success    bool     `json:"success,omitempty"`
	URLs       []string `json:"urls,omitempty"`    // of a success
	Failure    Code     `json:"failure,omitempty"` // of a failure
	// Bars reports whether the callback had code 400 or the text of a policy
	// refusal. Then no other generation follows.
	Bars bool `json:"-"`
}

// CalledBack keeps what a callback of an attempt said, and makes the task due when
// its record may next be read. Woken reports whether there is a record to Claim. A
// callback for an attempt that is not the current one, or with another provider id
// than the known one, changes nothing.
func (t *Task) CalledBack(r Rules, now time.Time, attempt int, h Hint) (woken bool, err error) {
	now = stamp(now)
	foreign := t.ProviderID != "" && h.ProviderID != "" && h.ProviderID != t.ProviderID
	if !t.current(attempt) || foreign {
		return false, nil
	}
	switch t.Status {
	case Waiting:
		if h.Bars && t.ProviderID != "" { // waiting after a failed generation
			return false, t.fail(r, byPolicy, CodeContentPolicy, now)
		}
		return false, nil
	case Submitting, Unconfirmed:
		if h.ProviderID == "" && t.Hint == nil {
			return false, nil // without an id there is no record to find
		}
	case Generating:
	case Storing:
		t.addSpares(r, &h, t.URLs)
		return false, nil
	default:
		return false, nil
	}
	if h.Bars {
		t.Barred = attempt
	}
	before := t.recordID()
	if h.Success || h.Failure != "" || h.ProviderID != "" {
		t.Hint = r.merge(t.Hint, h)
	}
	if t.recordID() != before { // earlier reads were of another record
		t.UnreadableSince, t.Doubt = time.Time{}, ""
	}
	if t.recordID() == "" {
		return false, nil
	}
	t.setDue(t.earliestRead(r, now))
	return true, nil
}

// merge returns the hint to keep of an old and a new one.
func (r Rules) merge(old *Hint, h Hint) *Hint {
	h.Bars = false // kept in Barred
	rank := func(h *Hint) int {
		switch {
		case h.Success && r.trusted(h.URLs):
			return 3
		case h.Success:
			return 2
		case h.Failure != "":
			return 1
		}
		return 0
	}
	if old == nil || rank(&h) >= rank(old) {
		if old != nil && h.ProviderID == "" {
			h.ProviderID = old.ProviderID
		}
		return &h
	}
	return old
}

// trusted reports whether the links may be fetched on the word of a callback alone.
func (r Rules) trusted(urls []string) bool {
	return len(urls) > 0 && !slices.ContainsFunc(urls, func(u string) bool { return !r.ResultHosts(u) })
}

// maxSpares is how many links of callbacks a row keeps.
const maxSpares = 8

// addSpares keeps the trusted links of a callback that named the task's own provider
// id, without those in known. See SpareLinks.
func (t *Task) addSpares(r Rules, h *Hint, known []string) {
	if h == nil || !h.Success || t.ProviderID == "" || h.ProviderID != t.ProviderID {
		return
	}
	for _, u := range h.URLs {
		if r.ResultHosts(u) && !slices.Contains(known, u) && !slices.Contains(t.Spares, u) {
			t.Spares = append(t.Spares, u)
		}
	}
	t.Spares = t.Spares[max(0, len(t.Spares)-maxSpares):] // older links are more likely dead
}

// SpareLinks returns links to try where one of URLs still fails after the record was
// read again for fresh ones.
func (t *Task) SpareLinks() []string {
	if t.Reread.IsZero() && !t.LastWake {
		return nil
	}
	return slices.DeleteFunc(slices.Clone(t.Spares), func(u string) bool { return slices.Contains(t.URLs, u) })
}

// Findable reports whether the task's record can be found. It is false while only a
// callback can name the provider id and none has.
func (t *Task) Findable() bool {
	return t.Status != Submitting && t.Status != Unconfirmed ||
		t.Hint != nil && t.Hint.ProviderID != ""
}
