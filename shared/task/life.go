package task

import (
	"errors"
	"fmt"
	"slices"
	"time"
)

// Windows of a task's life. Deadlines count from entering a state.
const (
	submitWindow      = 60 * time.Second // Submitting: longer than any POST
	unconfirmedWindow = 2 * time.Hour
	waitingWindow     = 6 * time.Hour // from the first refusal in a row
	generatingWindow  = 24 * time.Hour
	storingWindow     = 72 * time.Hour
	noticeWindow      = 72 * time.Hour
	eraseAfter        = 16 * time.Minute // longer than any function lives
	lastWakeWindow    = eraseAfter       // or a task would end under the run that is to save it
	retryGeneration   = 60 * time.Second // before another generation, and before a short record is read again
	maxRefusals       = 10               // of those in a row that are not passing
	minBackoff      = 10 * time.Second // back-off reaches so far at first,
	maxBackoff       = 2 * time.Minute  // and so far at most
)

// Rules are the settings that a task's life depends on.
type Rules struct {
	Poll            time.Duration // least time between two reads of one record
	UnreadableAfter time.Duration // failed reads for so long let the hint count
	MaxGenerations  int           // accepted attempts a task may pay for
	Callbacks       bool          // the provider can call back
	ResultHosts     func(url string) bool
	Notify          bool // Preset is told how tasks end
}

// DefaultRules are the rules where no setting says otherwise.
func DefaultRules() Rules {
	return Rules{
		Poll: 36 * time.Second, UnreadableAfter: 2 * time.Minute, MaxGenerations: 2, Callbacks: true,
		ResultHosts: func(string) bool { return false },
	}
}

// firstRead is how long after acceptance the sweep leaves the record alone,
// so that a callback finds the way free.
func (r Rules) firstRead() time.Duration {
	if r.Callbacks {
		return r.Poll * 5 / 2
	}
	return r.Poll
}

// readInterval is the time to the next read of a task accepted so long ago.
func (r Rules) readInterval(age time.Duration) time.Duration {
	switch {
	case age < 10*time.Minute:
		return r.Poll
	case age < 2*time.Hour:
		return 5 * time.Minute
	}
	return 30 * time.Minute
}

// event is what moves a task from one status to another.
type event string

const (
	byAnswer   event = "the attempt's own answer"
	bySilence  event = "an ambiguous answer, or none"
	byNoPost   event = "no POST was started"
	byRecord   event = "the provider's record"
	byHint     event = "a callback's word, the record being unreadable"
	byDeadline event = "the deadline"
	bySweep    event = "the sweep"
	byPolicy   event = "a callback's policy refusal"
	byIngest   event = "ingest"
	byDelete   event = "the owner's DELETE"
)

// lawful is the one table of changes: for each event, what it may make of a
// status. Whatever is not in it is an error of the program.
var lawful = map[event]map[Status][]Status{
	byAnswer: {
		Submitting:  {Generating, Waiting, Failed},
		Unconfirmed: {Generating, Waiting, Failed},
	},
	bySilence: {Submitting: {Unconfirmed}},
	byNoPost: {
		Submitting:  {Waiting},
		Unconfirmed: {Waiting},
	},
	byRecord: {
		Unconfirmed: {Generating, Storing, Waiting, Failed},
		Generating:  {Storing, Waiting, Failed},
	},
	byHint: {
		Unconfirmed: {Storing, Failed},
		Generating:  {Storing, Failed},
	},
	byDeadline: {
		Unconfirmed: {Failed},
		Waiting:     {Failed},
		Generating:  {Failed},
		Storing:     {Succeeded, Failed}, // with what was salvaged, or without
	},
	bySweep:  {Waiting: {Submitting}},
	byPolicy: {Waiting: {Failed}},
	byIngest: {Storing: {Succeeded}},
	byDelete: {Waiting: {Failed}},
}

var statuses = map[Status]bool{
	Submitting: true, Waiting: true, Unconfirmed: true, Generating: true,
	Storing: true, Succeeded: true, Failed: true,
}

// errUnlawful is an error of the program.
var errUnlawful = errors.New("task: unlawful change")

// move changes the status. It is the only way to one, but for New.
func (t *Task) move(by event, to Status, now time.Time, window time.Duration) error {
	if !slices.Contains(lawful[by][t.Status], to) {
		return fmt.Errorf("%w: from %q to %q by %s", errUnlawful, t.Status, to, by)
	}
	t.enter(to, now, window)
	return nil
}

// enter sets what every status has. The task is due at its deadline, unless
// the caller makes that sooner.
func (t *Task) enter(s Status, now time.Time, window time.Duration) {
	t.Status, t.Since, t.UpdatedAt = s, now, now
	t.Work, t.Tries, t.LastWake = "", 0, false
	t.Deadline, t.DueAt, t.SubmitBy = now.Add(window), now.Add(window), time.Time{}
}

// setDue makes at the next time the sweep looks, never later than the deadline.
func (t *Task) setDue(at time.Time) {
	if !t.Deadline.IsZero() && at.After(t.Deadline) {
		at = t.Deadline
	}
	t.DueAt = at
}

// finish ends the task: from here on its status and its images stand.
func (t *Task) finish(r Rules, by event, to Status, now time.Time) error {
	if err := t.move(by, to, now, 0); err != nil {
		return err
	}
	t.EndedAt = now
	t.Hint = nil
	t.clearRecord() // links die; what came of them is in Images
	t.Deadline, t.DueAt = time.Time{}, time.Time{}
	if r.Notify {
		t.setWork(Notify, now)
	}
	return nil
}

// fail ends the task with a code, and takes its images back from the quota,
// unless the provider's policy refused it: that was the owner's doing.
func (t *Task) fail(r Rules, by event, code Code, now time.Time) error {
	if err := t.finish(r, by, Failed, now); err != nil {
		return err
	}
	t.Failure = code
	if t.Quota != nil && !t.Quota.Returned && code != CodeContentPolicy {
		t.Quota.Returned = true
		t.Refund = t.Quota.Images
	}
	return nil
}

func (t *Task) beginAttempt(now time.Time) {
	t.Attempt++
	t.Charges = append(t.Charges, ChargeDoubtful) // nobody knows, until somebody does
	t.ProviderID = ""
	t.AcceptedAt = time.Time{}
	t.Hint = nil
	t.clearRecord()
}

// clearRecord drops what records said.
func (t *Task) clearRecord() {
	t.URLs, t.Guessed, t.Spares, t.Reread, t.Salvaged = nil, false, nil, time.Time{}, nil
	t.ShortAt, t.UnreadableSince, t.Doubt = time.Time{}, time.Time{}, ""
}

func (t *Task) charge() Charge     { return t.Charges[t.Attempt-1] }
func (t *Task) setCharge(c Charge) { t.Charges[t.Attempt-1] = c }

// Next is what the sweep has to do for a task.
type Next string

// The kinds of Next, each named after the method of Task that does it.
const (
	NextNothing    Next = ""
	NextUnanswered Next = "silence"
	NextRead       Next = "read" // Claim, then ApplyRecord
	NextResubmit   Next = "resubmit"
	NextWake       Next = "wake"
	NextExpire     Next = "expire"
)

// Next says what is to be done for the task at now.
func (t *Task) Next(now time.Time) Next {
	now = stamp(now)
	late := !t.Deadline.IsZero() && !now.Before(t.Deadline)
	switch {
	case t.DueAt.IsZero() || now.Before(t.DueAt) || !t.Known():
		return NextNothing
	case t.Work != "", t.Status == Storing:
		return NextWake
	case t.Status == Submitting:
		return NextUnanswered
	case t.Status == Waiting && !late:
		return NextResubmit
	case t.recordID() != "":
		return NextRead // at the deadline too: once more, before it expires
	}
	return NextExpire
}

// Postpone leaves a task that is due alone for a minute: something went wrong
// with it that is nobody's answer. One that is not due any more has been seen
// to: what went wrong was only the answer to that write.
func (t *Task) Postpone(now time.Time) {
	if now = stamp(now); !t.DueAt.IsZero() && !t.DueAt.After(now) {
		t.setDue(now.Add(time.Minute))
	}
}

// Expire ends a task whose deadline has come and of which no record can be read.
func (t *Task) Expire(r Rules, now time.Time) error {
	now = stamp(now)
	if t.Next(now) != NextExpire {
		return nil
	}
	code := CodeTimedOut
	switch t.Status {
	case Unconfirmed:
		code = CodeOutcomeUnknown
	case Waiting:
		code = t.Setback
	}
	return t.fail(r, byDeadline, code, now)
}
