package task

import (
	"slices"
	"time"
)

// Hint is what callbacks said of the current attempt: a wake-up, which counts
// alone only while the record cannot be read.
type Hint struct {
	ProviderID string   `json:"providerId,omitempty"` // the id it named, if any
	Success    bool     `json:"success,omitempty"`
	URLs       []string `json:"urls,omitempty"`    // of a success
	Failure    Code     `json:"failure,omitempty"` // of a failure
	// Bars reports whether the callback's code was 400, or its text a policy
	// refusal: no other generation follows.
	Bars bool `json:"-"`
}

// CalledBack keeps what a callback of an attempt said, and makes the task due at
// the earliest time its record may be read: woken says that there is such a
// record, for Claim. A callback for an attempt that is not the current one, or
// that names another id than the known one, changes nothing.
func (t *Task) CalledBack(r Rules, now time.Time, attempt int, h Hint) (woken bool, err error) {
	now = stamp(now)
	foreign := t.ProviderID != "" && h.ProviderID != "" && h.ProviderID != t.ProviderID
	if attempt != t.Attempt || foreign {
		return false, nil
	}
	switch t.Status {
	case Waiting:
		if h.Bars && t.ProviderID != "" { // it waits after a failed generation
			return false, t.fail(r, byPolicy, CodeContentPolicy, now)
		}
		return false, nil
	case Submitting, Unconfirmed:
		if h.ProviderID == "" && t.Hint == nil {
			return false, nil // nothing to find its record by
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
	if t.recordID() != before { // what was read, or could not be, was another's record
		t.UnreadableSince, t.Doubt = time.Time{}, ""
	}
	if t.recordID() == "" {
		return false, nil
	}
	t.setDue(t.earliestRead(r, now))
	return true, nil
}

// merge decides between an old hint and a new one.
func (r Rules) merge(old *Hint, h Hint) *Hint {
	h.Bars = false // kept in Barred
	says := func(h *Hint) int {
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
	if old == nil || says(&h) >= says(old) {
		if old != nil && h.ProviderID == "" {
			h.ProviderID = old.ProviderID
		}
		return &h
	}
	return old
}

// trusted reports whether a result may be fetched on a callback's word alone.
func (r Rules) trusted(urls []string) bool {
	return len(urls) > 0 && !slices.ContainsFunc(urls, func(u string) bool { return !r.ResultHosts(u) })
}

// maxSpares bounds how many links of callbacks a row keeps.
const maxSpares = 8

// addSpares keeps the links of a callback that named the task's own provider id,
// as far as a callback's word is trusted, besides those that are there already:
// see SpareLinks.
func (t *Task) addSpares(r Rules, h *Hint, there []string) {
	if h == nil || !h.Success || t.ProviderID == "" || h.ProviderID != t.ProviderID {
		return
	}
	for _, u := range h.URLs {
		if r.ResultHosts(u) && !slices.Contains(there, u) && !slices.Contains(t.Spares, u) {
			t.Spares = append(t.Spares, u)
		}
	}
	t.Spares = t.Spares[max(0, len(t.Spares)-maxSpares):] // the older a link, the likelier it is dead
}

// SpareLinks are links that may stand in for one of URLs that still fails after
// the record was asked for fresh ones.
func (t *Task) SpareLinks() []string {
	if t.Reread.IsZero() && !t.LastWake {
		return nil
	}
	return slices.DeleteFunc(slices.Clone(t.Spares), func(u string) bool { return slices.Contains(t.URLs, u) })
}

// Findable reports whether the record that tells of the task can be found: false
// while only a callback could name its provider id
// and none has.
func (t *Task) Findable() bool {
	return t.Status != Submitting && t.Status != Unconfirmed ||
		t.Hint != nil && t.Hint.ProviderID != ""
}
