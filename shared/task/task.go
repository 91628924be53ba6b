package task

import (
	"encoding/json"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"time"
)

// Status is where a task is in its life. It is a stored word.
type Status string

// The seven statuses. The table in life.go holds who moves a task on.
const (
	// Submitting: the row is written, and exactly one attempt may POST. The
	// attempt's own answer moves the task on, or the sweep after SubmitBy.
	Submitting Status = "submitting"
	// Waiting: the last attempt was certainly not accepted, or its generation
	// failed and another may succeed. The sweep moves it on at DueAt.
	Waiting Status = "waiting"
	// Unconfirmed: nobody knows whether the provider accepted it. A late answer,
	// a callback that names the provider id, or the deadline moves it on.
	Unconfirmed Status = "unconfirmed"
	// Generating: the provider id is known. Its record moves it on.
	Generating Status = "generating"
	// Storing: the pictures are made. Ingest copies them and moves it on.
	Storing Status = "storing"
	// Succeeded: every recorded picture is in the bucket. Final.
	Succeeded Status = "succeeded"
	// Failed: Failure holds the reason. Final.
	Failed Status = "failed"
)

// Work is what a stream consumer must do for a task. It is a stored word.
type Work string

// The kinds of work.
const (
	Ingest Work = "ingest" // copy the pictures to the bucket
	Erase  Work = "erase"  // delete the task's objects
)

// Charge is what is known about whether an attempt is charged. It is a stored word.
type Charge string

// The kinds of charge.
const (
	ChargeNone     Charge = "none"     // certainly not accepted
	ChargeSure     Charge = "sure"     // certainly accepted
	ChargeDoubtful Charge = "doubtful" // perhaps accepted
)

// Schema is the newest form of a row that this code knows. A row is of form 1; of form 2
// while a notice is pending; and of form 3 while a rescued task stores its pictures. Older
// releases must leave these alone: they cannot write a row with a notice without taking it
// out of the index of due tasks, and expect that every task has an attempt.
const (
	Schema        = 3
	schemaPlain   = 1
	schemaNotice  = 2
	schemaRescued = 3
)

// Task is one image request and everything known about it: one row of a Store.
// Times are UTC, in whole milliseconds; a zero time has not happened yet.
type Task struct {
	ID          string `json:"id"`
	Owner       string `json:"owner,omitempty"` // empty: deleted, erased and told; see anonymize
	Schema      int    `json:"schema"`
	Version     int64  `json:"version"` // raised by each write
	Writer      string `json:"writer"`  // random, fresh for each logical write
	Fingerprint string `json:"fingerprint,omitempty"`
	Request
	Parent     string     `json:"parent,omitempty"`     // the task whose picture this one edits
	SourceType SourceType `json:"sourceType,omitempty"` // of its pictures; see Origin
	PublicURL  string     `json:"publicUrl,omitempty"`  // base of callback and image links
	Estimate   float64    `json:"estimate,omitempty"`   // credits

	// RescuedFrom is the ended task whose pictures this one takes over, and MadeBy the
	// attempt that made them: that task's own, unless it was rescued itself.
	RescuedFrom string      `json:"rescuedFrom,omitempty"`
	MadeBy      *AttemptRef `json:"madeBy,omitempty"`

	// InputTypes holds, by entry of ImageURLs, the content type of each upload whose
	// bytes are of another type than was announced.
	InputTypes map[string]string `json:"inputTypes,omitempty"`

	Status    Status    `json:"status"`
	Since     time.Time `json:"since"`          // when Status was entered
	Work      Work      `json:"work,omitempty"` // for the stream
	Turn                // of the status, or of Work
	CreatedAt time.Time `json:"createdAt"`
	UpdatedAt time.Time `json:"updatedAt"`
	EndedAt   time.Time `json:"endedAt,omitzero"`
	DeletedAt time.Time `json:"deletedAt,omitzero"`

	EraseAtEnd bool `json:"eraseAtEnd,omitempty"` // the end deletes it: its owner is forgotten

	Attempt     int       `json:"attempt"`               // POSTs begun; in the callback URL; 0: rescued
	Generations int       `json:"generations,omitempty"` // attempts that got a provider id
	Charges     []Charge  `json:"charges"`               // of attempt i+1
	SubmitBy    time.Time `json:"submitBy,omitzero"`
	ProviderID  string    `json:"providerId,omitempty"` // of the current attempt

	Refusals     int       `json:"refusals,omitempty"`    // in a row, without the temporary ones
	FirstRefusal time.Time `json:"firstRefusal,omitzero"` // since when no attempt was accepted or posted
	WaitUntil    time.Time `json:"waitUntil,omitzero"`    // the deadline that Waiting has because of holds
	HeldUntil    time.Time `json:"heldUntil,omitzero"`    // until when WaitUntil counts the holds
	Setback      Code      `json:"setback,omitempty"`     // why it is Waiting, or last was

	AcceptedAt      time.Time `json:"acceptedAt,omitzero"`
	ReadAt          time.Time `json:"readAt,omitzero"`          // when the last read of the record was claimed
	UnreadableSince time.Time `json:"unreadableSince,omitzero"` // the first failed read since the last good one
	Doubt           Doubt     `json:"doubt,omitempty"`          // why records since then could not be used
	Hint            *Hint     `json:"hint,omitempty"`
	Barred          int       `json:"barred,omitempty"`  // the attempt that a callback with code 400 was about
	URLs            []string  `json:"urls,omitempty"`    // result URLs seen in records
	Guessed         bool      `json:"guessed,omitempty"` // URLs may be links to something else
	Spares          []string  `json:"spares,omitempty"`  // further links, from trusted callbacks
	Reread          time.Time `json:"reread,omitzero"`   // when the record was read again for fresh links
	ShortAt         time.Time `json:"shortAt,omitzero"`  // when a record had fewer URLs than requested

	// Salvaged holds the pictures that are already in the bucket while others are
	// missing, sound and damaged ones, by the number of their link.
	Salvaged []Image `json:"salvaged,omitempty"`

	Images  []Image `json:"images,omitempty"`
	Inputs  []Input `json:"inputs,omitempty"`  // copies of the owner's uploads that it edited
	Missing int     `json:"missing,omitempty"` // requested images that did not come
	Failure Code    `json:"failure,omitempty"`

	Notes []AttemptNote `json:"notes,omitempty"` // of the first attempt and the last ones

	Quota *Quota `json:"quota,omitempty"`

	Changes         int       `json:"changes,omitempty"`      // since the end: moves and DELETE
	Notice          Notice    `json:"notice,omitempty"`       // for the stream
	NoticeTurn      Turn      `json:"noticeTurn,omitzero"`    // of the notice
	NoticeTarget    *Target   `json:"noticeTarget,omitempty"` // what the row has no more and the notice needs
	NotifiedAt      time.Time `json:"notifiedAt,omitzero"`    // when Preset last accepted a notice
	NoticeGivenUpAt time.Time `json:"noticeGivenUpAt,omitzero"`

	// Refund is how many images the write of this copy returns to the quota of
	// Quota.Day, in the same transaction. It is not stored.
	Refund int `json:"-"`
	// Extra holds stored attributes that this code does not know. They are written
	// back unchanged.
	Extra map[string]json.RawMessage `json:"-"`

	moved *Move // what Moving returns; nil: nobody asks
}

// Image is one stored picture.
type Image struct {
	N           int    `json:"n"` // from 1
	File        string `json:"file"`
	Thumbnail   string `json:"thumbnail,omitempty"` // file name; empty: none could be made
	Width       int    `json:"width"`               // pixels
	Height      int    `json:"height"`
	Bytes       int64  `json:"bytes"`
	ContentType string `json:"contentType"`
	SHA256      string `json:"sha256"` // hex

	// C2PA reports whether the file carries a C2PA manifest, which is not verified.
	// It is empty for pictures stored by older releases.
	C2PA Presence `json:"c2pa,omitempty"`

	// Damaged reports that the file does not decode to its end. It is kept because
	// it was paid for and browsers show the part that is there.
	Damaged bool `json:"damaged,omitempty"`
}

// Input is a stored copy of an upload that a succeeded task edited. See
// docs/decisions/pictures.md.
type Input struct {
	N         int    `json:"n"` // its place in ImageURLs, from 1
	File      string `json:"file"`
	Thumbnail string `json:"thumbnail"` // file name
	Width     int    `json:"width"`     // pixels
	Height    int    `json:"height"`
}

// Quota is what a task counts toward its owner's images of a day.
type Quota struct {
	Day      string `json:"day"` // UTC, 2006-01-02
	Images   int    `json:"images"`
	Returned bool   `json:"returned,omitempty"`
}

// Day returns the UTC day that a quota counts by.
func Day(now time.Time) string { return now.UTC().Format(time.DateOnly) }

// NextDay returns when the day after now's begins, and quotas with it.
func NextDay(now time.Time) time.Time { return now.UTC().Truncate(24 * time.Hour).Add(24 * time.Hour) }

// Draft is what New makes a Task from.
type Draft struct {
	Owner          string
	IdempotencyKey string
	Request        Request // normalized, without faults
	Parent         string
	SourceType     SourceType
	PublicURL      string
	Estimate       float64
	InputTypes     map[string]string
	CountQuota     bool // the task counts toward the owner's quota
}

// New returns a task in Submitting. Its first attempt belongs to the caller if, and
// only if, Store.Create then writes a new row. See docs/decisions/row-first.md.
func New(d Draft, now time.Time) *Task {
	now = stamp(now)
	t := &Task{
		ID: NewID(d.Owner, d.IdempotencyKey), Owner: d.Owner, Schema: schemaPlain,
		Version: 1, Writer: randomID(), Fingerprint: d.Request.Fingerprint(),
		Request: d.Request, Parent: d.Parent, SourceType: d.SourceType, PublicURL: d.PublicURL, Estimate: d.Estimate,
		InputTypes: d.InputTypes,
		CreatedAt:  now,
	}
	if d.CountQuota {
		t.Quota = &Quota{Day: Day(now), Images: d.Request.NumImages}
	}
	t.beginAttempt(now)
	t.enter(Submitting, now, submitWindow)
	t.SubmitBy = t.Deadline
	return t
}

// Done reports whether the task has ended.
func (t *Task) Done() bool { return t.Status == Succeeded || t.Status == Failed }

// Deleted reports whether the owner has deleted the task. Its row stays, emptied, to
// remember the idempotency key.
func (t *Task) Deleted() bool { return !t.DeletedAt.IsZero() }

// Known reports whether this code may write the row, because it knows its status and
// schema.
func (t *Task) Known() bool { return statuses[t.Status] && t.Schema <= Schema }

// Check returns ErrStuck for a row with something left to do but no due time by its
// deadline, and for a row that is due with nothing left to do. See
// docs/decisions/due-index.md.
func (t *Task) Check() error {
	if err := t.Turn.check(!t.Done() || t.Work != ""); err != nil {
		return fmt.Errorf("%w: %s", err, t.Status)
	}
	if err := t.NoticeTurn.check(t.Notice != ""); err != nil {
		return fmt.Errorf("%w: the notice of a %s task", err, t.Status)
	}
	return nil
}

// Clone returns a deep copy without Refund.
func (t *Task) Clone() *Task {
	c := *t
	c.Refund = 0
	c.Charges = slices.Clone(t.Charges)
	c.Notes = cloneNotes(t.Notes)
	c.MadeBy = clonePtr(t.MadeBy)
	c.URLs = slices.Clone(t.URLs)
	c.Spares = slices.Clone(t.Spares)
	c.Images = slices.Clone(t.Images)
	c.Inputs = slices.Clone(t.Inputs)
	c.Salvaged = slices.Clone(t.Salvaged)
	c.ImageURLs = slices.Clone(t.ImageURLs)
	c.Target = clonePtr(t.Target)
	c.Metadata = maps.Clone(t.Metadata)
	c.InputTypes = maps.Clone(t.InputTypes)
	c.Quota = clonePtr(t.Quota)
	c.NoticeTarget = clonePtr(t.NoticeTarget)
	c.Extra = maps.Clone(t.Extra)
	if c.Hint = clonePtr(t.Hint); c.Hint != nil {
		c.Hint.URLs = slices.Clone(t.Hint.URLs)
	}
	return &c
}

func clonePtr[T any](p *T) *T {
	if p == nil {
		return nil
	}
	v := *p
	return &v
}

// sameRow reports whether two copies hold the same row. Refund belongs to a write,
// not to the row.
func (t *Task) sameRow(o *Task) bool {
	c := *t
	c.Refund = o.Refund
	return reflect.DeepEqual(&c, o)
}

// stamp returns now as rows store it.
func stamp(now time.Time) time.Time { return now.UTC().Truncate(time.Millisecond) }
