package task

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"
	"sync"
	"time"
)

// Status says where a task is in its life. It is a stored word.
type Status string

// The seven statuses. Who moves a task on stands in the table in life.go.
const (
	// Submitting: the row is written, and one attempt, and only it, may POST.
	// Its own answer moves it on, or the sweep after SubmitBy.
	Submitting Status = "submitting"
	// Waiting: the last attempt was certainly not accepted, or its generation
	// failed and another is worth it. The sweep moves it on at DueAt.
	Waiting Status = "waiting"
	// Unconfirmed: nobody knows whether the provider took it. A late answer
	// moves it on, a callback that names the provider id, or the deadline.
	Unconfirmed Status = "unconfirmed"
	// Generating: the provider's id is known. Its record moves it on.
	Generating Status = "generating"
	// Storing: the pictures are made and being copied. Ingest moves it on.
	Storing Status = "storing"
	// Succeeded: every recorded picture is in the bucket. Final.
	Succeeded Status = "succeeded"
	// Failed: Failure says why. Final.
	Failed Status = "failed"
)

// Work is what a stream consumer has to do for a task. It is a stored word.
type Work string

// The kinds of work.
const (
	Ingest Work = "ingest" // copy the pictures to the bucket
	Notify Work = "notify" // tell Preset how the task ended
	Erase  Work = "erase"  // delete the task's objects
)

// Charge says what is known of an attempt's price. It is a stored word.
type Charge string

// The kinds of charge.
const (
	ChargeNone     Charge = "none"     // certainly not accepted
	ChargeSure     Charge = "sure"     // certainly accepted
	ChargeDoubtful Charge = "doubtful" // perhaps accepted
)

// Schema is the newest form of a row that this code writes.
const Schema = 1

// Task is one image request and all that is known of it: one row of a Store.
// Times are UTC, in whole milliseconds; a zero time is one that was not yet.
type Task struct {
	ID          string `json:"id"`
	Owner       string `json:"owner"`
	Schema      int    `json:"schema"`
	Version     int64  `json:"version"` // raised by each write
	Writer      string `json:"writer"`  // random, fresh for each logical write
	Fingerprint string `json:"fingerprint,omitempty"`
	Request
	Parent    string  `json:"parent,omitempty"`    // the task whose picture this one edits
	PublicURL string  `json:"publicUrl,omitempty"` // where callbacks and image links go
	Estimate  float64 `json:"estimate,omitempty"`  // credits

	Status    Status    `json:"status"`
	Since     time.Time `json:"since"`              // when Status was entered
	Deadline  time.Time `json:"deadline,omitzero"`  // when it is given up
	DueAt     time.Time `json:"dueAt,omitzero"`     // when the sweep looks at it next; zero: never
	Work      Work      `json:"work,omitempty"`     // for the stream
	Tries     int       `json:"tries,omitempty"`    // of Work, begun
	LastWake  bool      `json:"lastWake,omitempty"` // Work was woken after its deadline, once
	CreatedAt time.Time `json:"createdAt"`
	UpdatedAt time.Time `json:"updatedAt"`
	EndedAt   time.Time `json:"endedAt,omitzero"`
	DeletedAt time.Time `json:"deletedAt,omitzero"`

	Attempt     int       `json:"attempt"`               // POSTs begun; in the callback URL
	Generations int       `json:"generations,omitempty"` // attempts that got a provider id
	Charges     []Charge  `json:"charges"`               // of attempt i+1
	SubmitBy    time.Time `json:"submitBy,omitzero"`
	ProviderID  string    `json:"providerId,omitempty"` // of the current attempt

	Refusals     int       `json:"refusals,omitempty"`    // in a row, without those that time alone ends
	FirstRefusal time.Time `json:"firstRefusal,omitzero"` // since when no attempt was accepted, or none was posted
	Setback      Code      `json:"setback,omitempty"`     // why it is, or was last, Waiting

	AcceptedAt      time.Time `json:"acceptedAt,omitzero"`
	ReadAt          time.Time `json:"readAt,omitzero"`          // when a read of the record was last claimed
	UnreadableSince time.Time `json:"unreadableSince,omitzero"` // first failed read since a readable one
	Doubt           Doubt     `json:"doubt,omitempty"`          // why records that came since then could not be used
	Hint            *Hint     `json:"hint,omitempty"`
	Barred          int       `json:"barred,omitempty"`  // the attempt a callback said 400 of
	URLs            []string  `json:"urls,omitempty"`    // result URLs seen in records
	Guessed         bool      `json:"guessed,omitempty"` // URLs may be links to something else
	Spares          []string  `json:"spares,omitempty"`  // links that trusted callbacks named beside URLs
	Reread          time.Time `json:"reread,omitzero"`   // when the record was asked for fresh links
	ShortAt         time.Time `json:"shortAt,omitzero"`  // a record had fewer URLs than asked for

	// Salvaged are pictures in the bucket, by the number of their link, sound
	// ones and damaged ones, while not all are there.
	Salvaged []Image `json:"salvaged,omitempty"`

	Images  []Image `json:"images,omitempty"`
	Missing int     `json:"missing,omitempty"` // images asked for that did not come
	Failure Code    `json:"failure,omitempty"`

	Quota           *Quota    `json:"quota,omitempty"`
	NoticePending   bool      `json:"noticePending,omitempty"` // to be told once erased
	NotifiedAt      time.Time `json:"notifiedAt,omitzero"`
	NoticeGivenUpAt time.Time `json:"noticeGivenUpAt,omitzero"`

	// Refund is how many images the write of this copy takes back from the
	// quota of Quota.Day, in the same transaction. It is not stored.
	Refund int `json:"-"`
	// Extra holds stored attributes that this code does not know. They are
	// put back as they were.
	Extra map[string]json.RawMessage `json:"-"`
}

// Image is one stored picture.
type Image struct {
	N           int    `json:"n"` // from 1
	File        string `json:"file"`
	Thumbnail   string `json:"thumbnail,omitempty"` // file name; empty: it could not be made
	Width       int    `json:"width"`               // pixels
	Height      int    `json:"height"`
	Bytes       int64  `json:"bytes"`
	ContentType string `json:"contentType"`
	SHA256      string `json:"sha256"` // hex

	// Damaged reports that the file does not decode to its end. It was paid
	// for, and browsers show what there is.
	Damaged bool `json:"damaged,omitempty"`
}

// Quota is what a task raised of its owner's images of a day.
type Quota struct {
	Day      string `json:"day"` // UTC, 2006-01-02
	Images   int    `json:"images"`
	Returned bool   `json:"returned,omitempty"`
}

// Day gives the UTC day that a quota counts by.
func Day(now time.Time) string { return now.UTC().Format(time.DateOnly) }

// Draft is what New makes a Task of.
type Draft struct {
	Owner          string
	IdempotencyKey string
	Request        Request // normalized, without faults
	Parent         string
	PublicURL      string
	Estimate       float64
	CountQuota     bool // the owner has a quota that this raises
}

// New makes a task in Submitting whose first attempt belongs to the caller,
// if, and only if, Store.Create says that the row is new.
func New(d Draft, now time.Time) *Task {
	now = stamp(now)
	t := &Task{
		ID: NewID(d.Owner, d.IdempotencyKey), Owner: d.Owner, Schema: Schema,
		Version: 1, Writer: randomID(), Fingerprint: d.Request.Fingerprint(),
		Request: d.Request, Parent: d.Parent, PublicURL: d.PublicURL, Estimate: d.Estimate,
		CreatedAt: now,
	}
	if d.CountQuota {
		t.Quota = &Quota{Day: Day(now), Images: d.Request.NumImages}
	}
	t.beginAttempt(now)
	t.enter(Submitting, now, submitWindow)
	t.SubmitBy = t.Deadline
	return t
}

// Done says whether the task has ended.
func (t *Task) Done() bool { return t.Status == Succeeded || t.Status == Failed }

// Deleted says whether the owner has deleted it: the row stays, emptied, as
// the memory of its idempotency key.
func (t *Task) Deleted() bool { return !t.DeletedAt.IsZero() }

// Known says whether this code may write the row: it knows its status and
// its schema.
func (t *Task) Known() bool { return statuses[t.Status] && t.Schema <= Schema }

// Check says ErrStuck of a row that has something left to do and no due time
// within its deadline, and of one that has nothing left to do and a due time.
func (t *Task) Check() error {
	left := !t.Done() || t.Work != "" || t.NoticePending
	switch {
	case left && t.DueAt.IsZero():
		return fmt.Errorf("%w: %s", ErrStuck, t.Status)
	case !left && !t.DueAt.IsZero():
		return fmt.Errorf("%w: %s has nothing left to do, but is due", ErrStuck, t.Status)
	case !t.Deadline.IsZero() && t.DueAt.After(t.Deadline):
		return fmt.Errorf("%w: %s is due after its deadline", ErrStuck, t.Status)
	}
	return nil
}

// Clone gives a copy that shares nothing which a change could reach.
func (t *Task) Clone() *Task {
	c := *t
	c.Refund = 0
	c.Charges = slices.Clone(t.Charges)
	c.URLs = slices.Clone(t.URLs)
	c.Spares = slices.Clone(t.Spares)
	c.Images = slices.Clone(t.Images)
	c.Salvaged = slices.Clone(t.Salvaged)
	c.ImageURLs = slices.Clone(t.ImageURLs)
	c.Target = clonePtr(t.Target)
	c.Metadata = maps.Clone(t.Metadata)
	c.Quota = clonePtr(t.Quota)
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

// sameRow says whether two copies are one row. Refund is of a write, not of it.
func (t *Task) sameRow(o *Task) bool {
	c := *t
	c.Refund = o.Refund
	return reflect.DeepEqual(&c, o)
}

// stamp gives now as rows keep it.
func stamp(now time.Time) time.Time { return now.UTC().Truncate(time.Millisecond) }

// row has Task's fields without its methods.
type row Task

// attributes are the names of the attributes of a row that this code writes.
var attributes = sync.OnceValue(func() map[string]bool {
	names := map[string]bool{}
	var walk func(t reflect.Type)
	walk = func(t reflect.Type) {
		for f := range t.Fields() {
			if f.Anonymous {
				walk(f.Type)
				continue
			}
			name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
			names[name] = true
		}
	}
	walk(reflect.TypeFor[Task]())
	return names
})

// MarshalJSON writes the row as one JSON object, what is in Extra included.
func (t *Task) MarshalJSON() ([]byte, error) {
	b, err := json.Marshal((*row)(t))
	if err != nil || len(t.Extra) == 0 {
		return b, err
	}
	extra, err := json.Marshal(t.Extra)
	if err != nil {
		return nil, err
	}
	return append(append(b[:len(b)-1], ','), extra[1:]...), nil
}

// UnmarshalJSON reads a row, and keeps in Extra what it does not know.
func (t *Task) UnmarshalJSON(b []byte) error {
	var all map[string]json.RawMessage
	if err := json.Unmarshal(b, &all); err != nil {
		return err
	}
	if all == nil {
		return errors.New("task: a row is a JSON object")
	}
	extra, known := maps.Clone(all), attributes()
	maps.DeleteFunc(extra, func(name string, _ json.RawMessage) bool { return known[name] })
	if len(extra) > 0 {
		// Package json would take "Owner" for "owner".
		maps.DeleteFunc(all, func(name string, _ json.RawMessage) bool { return !known[name] })
		var err error
		if b, err = json.Marshal(all); err != nil {
			return err
		}
	}
	var r row
	if err := json.Unmarshal(b, &r); err != nil {
		return err
	}
	*t = Task(r)
	if len(extra) > 0 {
		t.Extra = extra
	}
	return nil
}
