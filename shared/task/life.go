package task

import (
	"errors"
	"fmt"
	"slices"
	"time"
)

// Windows of a task's life. A deadline counts from entering the status.
const (
	submitWindow      = 60 * time.Second // Submitting: longer than any POST
	unconfirmedWindow = 2 * time.Hour
	waitingWindow     = 6 * time.Hour // from the first refusal in a row
	generatingWindow  = 24 * time.Hour
	storingWindow     = 72 * time.Hour
	noticeWindow      = 72 * time.Hour
	eraseAfter        = 16 * time.Minute // longer than any function lives
	lastWakeWindow    = eraseAfter       // else a task could end during the run that would save it
	retryGeneration   = 60 * time.Second // before another generation, and before reading a short record again
	maxRefusals       = 10               // in a row, without the temporary ones
	minBackoff        = 10 * time.Second // the longest wait at first
	maxBackoff        = 2 * time.Minute  // the longest wait of all
)

// The paces at which the sweep wakes what its consumer has not done.
var (
	workPace   = pace{time.Minute, time.Hour}
	noticePace = pace{5 * time.Second, 6 * time.Hour}
)

// Rules are the settings that a task's life depends on.
type Rules struct {
	Poll            time.Duration // minimum time between two reads of one record
	UnreadableAfter time.Duration // after this time of failed reads the hint decides
	MaxGenerations  int           // accepted attempts a task may pay for
	Callbacks       bool          // the provider can call back
	ResultHosts     func(url string) bool
	Notify          bool // Preset gets a notice when a task ends, and when it changes after that
}

// DefaultRules returns the rules without any setting.
func DefaultRules() Rules {
	return Rules{
		Poll: 36 * time.Second, UnreadableAfter: 2 * time.Minute, MaxGenerations: 2, Callbacks: true,
		ResultHosts: func(string) bool { return false },
	}
}

// FirstRead returns how long after acceptance the sweep waits with the first read of a
// task of this model, so that a callback can come first: until it is overdue, and no
// longer than 90 s.
func (r Rules) FirstRead(model string) time.Duration {
	if r.Callbacks {
		return min(r.overdueAfter(TypicalSeconds(model)), r.Poll*5/2)
	}
	return r.Poll
}

// overdueAfter returns the age from which a task is overdue that is expected to take this
// many seconds.
func (r Rules) overdueAfter(expected int) time.Duration {
	return max(2*time.Duration(expected)*time.Second, r.Poll)
}

// readInterval returns the time to the next read of a task that was accepted age ago.
func (r Rules) readInterval(age time.Duration) time.Duration {
	switch {
	case age < 10*time.Minute:
		return r.Poll
	case age < 2*time.Hour:
		return 5 * time.Minute
	}
	return 30 * time.Minute
}

// event is what moves a task from one status to another, in the word that logs have.
type event string

const (
	byAnswer   event = "answer"   // the attempt's own
	bySilence  event = "silence"  // an ambiguous answer, or none
	byNoPost   event = "no_post"  // no POST was started
	byRecord   event = "record"   // the provider's
	byHint     event = "callback" // while the record is unreadable
	byDeadline event = "deadline"
	bySweep    event = "sweep"
	byPolicy   event = "policy" // a callback's policy refusal
	byIngest   event = "ingest"
	byDelete   event = "delete" // the owner's DELETE
)

// Move is a change of status.
type Move struct {
	From  Status        // empty: the task was made
	Cause string        // a word, such as "record"; empty: the status stays
	Spent time.Duration // in From
	Model string        // of the task, which the end may have emptied
}

// note notes a move by an event, from a status after this time. A nil Move notes nothing.
func (m *Move) note(by event, from Status, spent time.Duration) {
	if m == nil {
		return
	}
	if m.Cause == "" {
		m.From, m.Spent = from, spent
	}
	m.Cause = string(by)
}

// The Moves of a task that an order, or a rescue, has made.
var (
	Ordered = Move{Cause: "order"}
	Rescued = Move{Cause: "rescue"}
)

// Moving applies change to t and returns how that moved it. Of two moves in one change
// it returns the first status and the last cause, as the row shows it.
func (t *Task) Moving(change func(*Task) error) (Move, error) {
	m := Move{Model: t.Model}
	t.moved = &m
	err := change(t)
	t.moved = nil
	return m, err
}

// lawful is the one table of changes: for each event and status, the statuses it may
// lead to. Any other change is a programming error. docs/ARCHITECTURE.md draws it.
var lawful = []struct {
	by   event
	from Status
	to   []Status
}{
	{byAnswer, Submitting, []Status{Generating, Waiting, Failed}},
	{byAnswer, Unconfirmed, []Status{Generating, Waiting, Failed}},
	{bySilence, Submitting, []Status{Unconfirmed}},
	{byNoPost, Submitting, []Status{Waiting}},
	{byNoPost, Unconfirmed, []Status{Waiting}},
	{byRecord, Unconfirmed, []Status{Generating, Storing, Waiting, Failed}},
	{byRecord, Generating, []Status{Storing, Waiting, Failed}},
	{byHint, Unconfirmed, []Status{Storing, Failed}},
	{byHint, Generating, []Status{Storing, Failed}},
	{byDeadline, Unconfirmed, []Status{Failed}},
	{byDeadline, Waiting, []Status{Failed}},
	{byDeadline, Generating, []Status{Failed}},
	{byDeadline, Storing, []Status{Succeeded, Failed}}, // with salvaged images, or without
	{bySweep, Waiting, []Status{Submitting}},
	{byPolicy, Waiting, []Status{Failed}},
	{byIngest, Storing, []Status{Succeeded}},
	{byDelete, Waiting, []Status{Failed}},
}

var statuses = map[Status]bool{
	Submitting: true, Waiting: true, Unconfirmed: true, Generating: true,
	Storing: true, Succeeded: true, Failed: true,
}

// errUnlawful is a programming error: lawful does not hold the change.
var errUnlawful = errors.New("task: unlawful change")

// move changes the status. Besides New and Rescue, nothing else does.
func (t *Task) move(by event, to Status, now time.Time, window time.Duration) error {
	if t.Attempt == 0 && !postless[to] {
		return fmt.Errorf("%w: to %q without an attempt", errUnlawful, to)
	}
	for _, c := range lawful {
		if c.by == by && c.from == t.Status && slices.Contains(c.to, to) {
			t.moved.note(by, t.Status, now.Sub(t.Since))
			t.enter(to, now, window)
			return nil
		}
	}
	return fmt.Errorf("%w: from %q to %q by %s", errUnlawful, t.Status, to, by)
}

// enter sets the fields that every status has. The task is due at its deadline; the
// caller may make it due sooner.
func (t *Task) enter(s Status, now time.Time, window time.Duration) {
	t.Status, t.Since, t.UpdatedAt = s, now, now
	t.Work, t.Turn = "", Turn{DueAt: now.Add(window), Deadline: now.Add(window)}
	t.SubmitBy = time.Time{}
	if s != Submitting { // beginAttempt notes that
		t.note().enter(s, now)
	}
}

// finish ends the task, with what outcome sets. After it the status stays, and only
// DELETE removes the images; of a forgotten owner's task the end itself does.
func (t *Task) finish(r Rules, by event, to Status, now time.Time, outcome func()) error {
	if err := t.move(by, to, now, 0); err != nil {
		return err
	}
	t.EndedAt = now
	t.Schema = schemaPlain
	t.Hint = nil
	t.clearRecord() // links expire; Images is what they led to
	t.Turn = Turn{}
	outcome()
	t.tell(r, now)
	if t.EraseAtEnd {
		t.remove(r, now)
	}
	return nil
}

// fail ends the task with a code and returns its images to the quota. A refusal by the
// provider's policy returns nothing, because the owner caused it. See
// docs/decisions/quota.md.
func (t *Task) fail(r Rules, by event, code Code, now time.Time) error {
	n := t.note()
	n.failed(code)
	n.ByCallback = by == byHint
	if id := t.recordID(); id != "" && t.ProviderID == "" {
		n.named(id)
	}
	return t.finish(r, by, Failed, now, func() {
		t.Failure = code
		if t.Quota != nil && !t.Quota.Returned && code != CodeContentPolicy {
			t.Quota.Returned = true
			t.Refund = t.Quota.Images
		}
	})
}

func (t *Task) beginAttempt(now time.Time) {
	t.Attempt++
	t.Charges = append(t.Charges, ChargeDoubtful) // until an answer or a record makes it certain
	t.ProviderID = ""
	t.AcceptedAt = time.Time{}
	t.Hint = nil
	t.clearRecord()
	t.note().enter(Submitting, now)
}

// clearRecord drops everything that records said.
func (t *Task) clearRecord() {
	t.URLs, t.Guessed, t.Spares, t.Reread, t.Salvaged = nil, false, nil, time.Time{}, nil
	t.ShortAt, t.UnreadableSince, t.Doubt = time.Time{}, time.Time{}, ""
}

func (t *Task) charge() Charge { return t.ChargeOf(t.Attempt) }

// setCharge sets the charge of the current attempt. A rescued task has none.
func (t *Task) setCharge(c Charge) {
	if t.Attempt > 0 {
		t.Charges[t.Attempt-1] = c
	}
}

// Next is what the sweep does next for a task.
type Next string

// The kinds of Next. Each has the name of the method of Task that does it.
const (
	NextNothing    Next = ""
	NextUnanswered Next = "silence"
	NextRead       Next = "read" // Claim, then ApplyRecord
	NextResubmit   Next = "resubmit"
	NextWake       Next = "wake"
	NextExpire     Next = "expire"
)

// Next returns what the sweep should do for the task at now.
func (t *Task) Next(now time.Time) Next {
	now = stamp(now)
	switch due := t.Due(); {
	case due.IsZero() || now.Before(due) || !t.Known():
		return NextNothing
	case t.Work != "" || t.Notice != "" || t.Status == Storing:
		return NextWake
	case t.Status == Submitting:
		return NextUnanswered
	case t.Status == Waiting && !t.late(now) && !t.EraseAtEnd:
		return NextResubmit
	case t.recordID() != "":
		return NextRead // also at the deadline: one last read before it expires
	}
	return NextExpire
}

// Postpone makes a due task due a minute later, after an error that is no answer of
// the provider. A task that is no longer due was already handled: only the answer to
// that write was lost.
func (t *Task) Postpone(now time.Time) {
	now = stamp(now)
	for _, x := range []*Turn{&t.Turn, &t.NoticeTurn} {
		if x.due(now) {
			x.setDue(now.Add(time.Minute))
		}
	}
}

// Expire ends a task that is past its deadline and has no record to read. A Waiting task
// first gets the time back during which holds kept it from being sent. A forgotten owner's
// task that would be sent again is cancelled instead.
func (t *Task) Expire(r Rules, h Holds, now time.Time) error {
	now = stamp(now)
	if t.Next(now) != NextExpire {
		return nil
	}
	code := CodeTimedOut
	switch {
	case t.Status == Unconfirmed:
		code = CodeOutcomeUnknown
	case t.Status == Waiting && !t.late(now):
		return t.Delete(r, now)
	case t.Status == Waiting:
		if t.credit(h, now); !t.late(now) {
			t.setDue(now)
			return nil
		}
		code = t.Setback
	}
	return t.fail(r, byDeadline, code, now)
}
