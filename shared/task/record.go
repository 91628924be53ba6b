package task

import (
	"slices"
	"time"
)

// recordID returns the provider id of the record to read for the current attempt, or "".
func (t *Task) recordID() string {
	switch {
	case t.Status != Unconfirmed && t.Status != Generating && t.Status != Storing:
		return ""
	case t.ProviderID != "":
		return t.ProviderID
	case t.Hint != nil:
		return t.Hint.ProviderID
	}
	return ""
}

// earliestRead returns when the record may be read next.
func (t *Task) earliestRead(r Rules, now time.Time) time.Time {
	return latest(now, t.ReadAt.Add(r.Poll), t.ShortAt.Add(retryGeneration))
}

// latest returns the latest of times, of which zero ones are long past.
func latest(times ...time.Time) time.Time { return slices.MaxFunc(times, time.Time.Compare) }

// Claim is the right to read one record once. It holds after it is written; see
// docs/decisions/claimed-reads.md.
type Claim struct {
	Attempt    int
	ProviderID string
	Proved     bool      // the id certainly belongs to the attempt; see Task.Proved
	At         time.Time // the read starts within ClaimLife of it, or never
}

// ClaimLife is how long a Claim is valid.
const ClaimLife = 5 * time.Second

// Claim claims the next read of the record. Ok is false while the last claim is too
// recent, and if there is no record to read.
func (t *Task) Claim(r Rules, now time.Time) (c Claim, ok bool) {
	now = stamp(now)
	if t.Status == Storing || t.recordID() == "" || t.earliestRead(r, now).After(now) {
		return Claim{}, false
	}
	t.setDue(now.Add(r.readInterval(now.Sub(t.generatingSince()))))
	return t.newClaim(now), true
}

// generatingSince returns when the current attempt was accepted, or else the best guess.
func (t *Task) generatingSince() time.Time {
	if t.AcceptedAt.IsZero() {
		return t.Since
	}
	return t.AcceptedAt
}

// Overdue reports whether a client that waits should not wait for the sweep to read the
// record: the read is due, and its callback came and found the last claim too young, or
// the task is older than twice the seconds that such tasks are expected to take. Before
// that age the way stays free for a callback.
func (t *Task) Overdue(r Rules, now time.Time, expected int) bool {
	return t.Next(now) == NextRead && (t.Hint != nil || now.Sub(t.generatingSince()) >= r.overdueAfter(expected))
}

func (t *Task) newClaim(now time.Time) Claim {
	t.ReadAt = now
	return Claim{Attempt: t.Attempt, ProviderID: t.recordID(), Proved: t.Proved(), At: now}
}

// Unclaim takes back a claim that led to no read. Before is the previous ReadAt.
func (t *Task) Unclaim(before time.Time) { t.ReadAt = before }

// RecordState is what a record reports. The zero value is a record that could not be
// read.
type RecordState int

// The kinds of RecordState.
const (
	RecordUnreadable RecordState = iota
	RecordUnclear                // made, but without a link, or in an unknown state
	RecordUnstated               // without a state, but with links to pictures
	RecordRunning
	RecordMade
	RecordFailed
)

// Match reports whether a record belongs to the attempt.
type Match int

// The kinds of Match.
const (
	MatchUnknown Match = iota // it repeats nothing that would identify the task
	MatchForeign              // it belongs to another task
	MatchOwn                  // it repeats the attempt's own callback address
)

// Record is the provider's answer about an attempt, in our terms; see
// docs/decisions/reading-the-world.md.
type Record struct {
	State   RecordState
	Match   Match
	URLs    []string // of RecordMade and RecordUnstated
	Guessed bool     // URLs may be links to something other than pictures
	Code    Code     // of RecordFailed
	// Retry reports that after RecordFailed another generation may succeed: the
	// error code is 500 or 501, and the text names no other cause.
	Retry bool
}

// Doubt is why the last records could not be used. It is a stored word.
type Doubt string

// The kinds of Doubt.
const (
	DoubtUnclear  Doubt = "unclear"  // RecordUnclear
	DoubtUnstated Doubt = "unstated" // RecordUnstated
	DoubtForeign  Doubt = "foreign"  // MatchForeign
)

// doubt returns why a record cannot be used; empty if it can.
func (rec Record) doubt() Doubt {
	switch {
	case rec.State == RecordUnreadable:
		return ""
	case rec.Match == MatchForeign:
		return DoubtForeign
	case rec.State == RecordUnclear, rec.State == RecordMade && len(rec.URLs) == 0:
		return DoubtUnclear
	case rec.State == RecordUnstated:
		return DoubtUnstated
	}
	return ""
}

// Proved reports whether the provider id certainly belongs to the current attempt:
// it came in our own answer, or its record repeats our callback address. Without proof no
// task is rescued.
func (t *Task) Proved() bool {
	return t.ProviderID != "" && (t.charge() == ChargeSure || t.RescuedFrom != "")
}

// ApplyRecord applies the record that a claimed read returned; see
// docs/decisions/record-decides.md.
func (t *Task) ApplyRecord(r Rules, now time.Time, c Claim, rec Record) error {
	now = stamp(now)
	if c.Attempt != t.Attempt || c.ProviderID == "" || c.ProviderID != t.recordID() {
		return nil
	}
	if t.Status == Storing {
		t.applyReread(now, rec)
		return nil
	}
	late := !c.At.Before(t.Deadline)
	if t.ProviderID == "" && rec.Match == MatchForeign && rec.State != RecordUnreadable {
		return t.dropHint(r, now, late)
	}
	if rec.Match == MatchOwn {
		t.setCharge(ChargeSure)
	}
	if rec.State == RecordUnstated && rec.doubt() == t.Doubt && t.hintCounts(r, now) {
		rec.State = RecordMade // the second such record in a row
	}
	// A read that was claimed before the short record does not count as the second.
	last := late || !t.ShortAt.IsZero() && !c.At.Before(t.ShortAt.Add(retryGeneration))
	doubt := rec.doubt()
	switch {
	case rec.State != RecordUnreadable && doubt == "":
		return t.applyUsable(r, now, c, rec, late, last)
	case t.Status == Unconfirmed && rec.Match == MatchOwn: // it is ours, whatever else it says
		t.attachNamed(c.ProviderID)
		if err := t.confirm(r, now); err != nil {
			return err
		}
		return t.applyUnusable(r, now, doubt, false, false)
	}
	return t.applyUnusable(r, now, doubt, late, last)
}

// applyUsable applies a usable record.
func (t *Task) applyUsable(r Rules, now time.Time, c Claim, rec Record, late, last bool) error {
	t.UnreadableSince, t.Doubt = time.Time{}, ""
	t.attachNamed(c.ProviderID)
	if rec.State == RecordMade {
		t.addURLs(rec.URLs, rec.Guessed)
	}
	short := len(t.URLs) < t.NumImages
	switch {
	case len(t.URLs) > 0 && (!short || last):
		return t.startStoring(r, byRecord, now)
	case rec.State == RecordFailed && len(t.URLs) == 0:
		return t.generationFailed(r, now, rec)
	}
	return t.keepReading(r, now, late)
}

// attachNamed makes id, which a callback named, the task's provider id if it has none.
func (t *Task) attachNamed(id string) {
	if t.ProviderID == "" {
		t.attach(id)
		t.Generations++
		t.note().named(id)
	}
}

// dropHint drops the hint, whose record belongs to another task.
func (t *Task) dropHint(r Rules, now time.Time, late bool) error {
	t.Hint, t.UnreadableSince, t.Doubt = nil, time.Time{}, ""
	t.setDue(t.Deadline)
	if late {
		return t.failAtDeadline(r, now)
	}
	return nil
}

// applyReread applies the read of a wake, which looks for fresh links.
func (t *Task) applyReread(now time.Time, rec Record) {
	t.Reread = now
	t.Work = Ingest // it tries the current links
	if rec.State == RecordUnreadable || rec.Match == MatchForeign {
		return
	}
	if rec.Match == MatchOwn {
		t.setCharge(ChargeSure)
	}
	if rec.State == RecordMade && len(rec.URLs) >= t.expectedImages() && (t.Guessed || !rec.Guessed) {
		t.URLs, t.Guessed = rec.URLs, rec.Guessed
	}
}

// keepReading leaves the task Generating: its record is no success yet, or has fewer
// URLs than requested.
func (t *Task) keepReading(r Rules, now time.Time, late bool) error {
	switch {
	case t.Status == Unconfirmed:
		if err := t.confirm(r, now); err != nil {
			return err
		}
	case late:
		return t.failAtDeadline(r, now)
	}
	if len(t.URLs) > 0 && t.ShortAt.IsZero() {
		t.ShortAt = now
		t.setDue(now.Add(retryGeneration))
	}
	return nil
}

// confirm makes a task Generating whose provider id only a callback named, because
// the record exists.
func (t *Task) confirm(r Rules, now time.Time) error {
	due := t.DueAt
	if err := t.move(byRecord, Generating, now, generatingWindow); err != nil {
		return err
	}
	t.AcceptedAt = now // the best guess
	t.setDue(latest(due, now.Add(r.Poll)))
	return nil
}

// hintCounts reports whether records were unusable for so long that a callback
// decides alone.
func (t *Task) hintCounts(r Rules, now time.Time) bool {
	return !t.UnreadableSince.IsZero() && now.Sub(t.UnreadableSince) >= r.UnreadableAfter
}

// applyUnusable applies a read that failed, or whose record cannot be used because of
// doubt. Last reports that a short record is not read again.
func (t *Task) applyUnusable(r Rules, now time.Time, doubt Doubt, late, last bool) error {
	if t.UnreadableSince.IsZero() {
		t.UnreadableSince = now
	}
	if doubt != "" {
		t.Doubt = doubt
	}
	h := t.Hint
	if t.Doubt != "" && !t.Proved() {
		h = nil // it may be about the other task that the record belongs to
	}
	switch {
	case len(t.URLs) > 0 && last:
		return t.startStoring(r, byRecord, now)
	case !t.hintCounts(r, now) || h == nil && !late:
		return nil
	case h != nil && h.Success && r.trusted(h.URLs):
		t.attachNamed(h.ProviderID)
		t.addURLs(h.URLs, false)
		return t.startStoring(r, byHint, now)
	case h != nil && h.Failure != "":
		t.attachNamed(h.ProviderID)
		return t.fail(r, byHint, t.cause(h.Failure), now)
	case late:
		return t.failAtDeadline(r, now)
	}
	return nil
}

// addURLs adds result URLs, in order and without repeats. URLs that are certain
// replace guesses.
func (t *Task) addURLs(urls []string, guessed bool) {
	switch {
	case len(t.URLs) == 0, t.Guessed && !guessed:
		t.URLs, t.Guessed = nil, guessed
	case guessed && !t.Guessed:
		return
	}
	for _, u := range urls {
		if !slices.Contains(t.URLs, u) {
			t.URLs = append(t.URLs, u)
		}
	}
}

// startStoring hands the task to ingest.
func (t *Task) startStoring(r Rules, by event, now time.Time) error {
	if err := t.move(by, Storing, now, storingWindow); err != nil {
		return err
	}
	t.Spares, t.Reread = nil, time.Time{}
	if by == byHint {
		t.addSpares(r, t.Hint, nil) // a later read may return older links
	} else {
		t.addSpares(r, t.Hint, t.URLs)
	}
	t.Hint = nil
	t.setWork(Ingest, now)
	return nil
}

// generationFailed applies a record that reports failure; see
// docs/decisions/generations.md.
func (t *Task) generationFailed(r Rules, now time.Time, rec Record) error {
	code := t.cause(rec.Code)
	again := rec.Retry && code == rec.Code && t.Barred != t.Attempt &&
		t.Generations < r.MaxGenerations &&
		// An id that only a callback named may belong to any task. Its failure
		// is no reason to pay again.
		t.charge() == ChargeSure
	if !again {
		return t.fail(r, byRecord, code, now)
	}
	if err := t.move(byRecord, Waiting, now, waitingWindow); err != nil {
		return err
	}
	t.Setback, t.Hint = code, nil
	t.note().failed(code)
	t.setDue(now.Add(retryGeneration))
	return nil
}

// cause refines a failure by what callbacks said: the record decides whether the
// task failed, a callback may add why.
func (t *Task) cause(code Code) Code {
	plain := func(c Code) bool { return c == CodeGenerationFailed || c == CodeProviderUnavailable }
	switch {
	case !plain(code):
		return code
	case t.Barred == t.Attempt:
		return CodeContentPolicy
	case t.Hint != nil && t.Hint.Failure != "" && !plain(t.Hint.Failure):
		return t.Hint.Failure
	}
	return code
}

// failAtDeadline ends a task at its deadline, after one last read of its record.
func (t *Task) failAtDeadline(r Rules, now time.Time) error {
	switch {
	case t.Status == Unconfirmed:
		return t.fail(r, byDeadline, CodeOutcomeUnknown, now)
	case t.Doubt == DoubtUnclear, t.Doubt == DoubtUnstated:
		return t.fail(r, byDeadline, CodeImageUnavailable, now) // it was probably made
	}
	return t.fail(r, byDeadline, CodeTimedOut, now)
}
