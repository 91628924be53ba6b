package task

import (
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"
)

// start is when the task of every history is created.
var start = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

const (
	good    = "https://cdn.example/1.png" // its host is in RESULT_HOSTS
	good2   = "https://cdn.example/2.png"
	strange = "https://elsewhere.example/1.png" // its host is not
)

// Records of the attempt itself, as the provider may return them.
var (
	running = Record{State: RecordRunning}
	made    = Record{State: RecordMade, URLs: []string{good}}
	broken  = Record{State: RecordFailed, Code: CodeGenerationFailed, Retry: true}
	unread  = Record{}
)

func testRules() Rules {
	r := DefaultRules()
	r.ResultHosts = func(u string) bool { return strings.HasPrefix(u, "https://cdn.example/") }
	return r
}

// history is a task with its clock. Its methods are the events of the task. Each fails
// the test if Task returns an error, or is left in a row that no Store would accept.
type history struct {
	*Task
	t   *testing.T
	r   Rules
	now time.Time

	holds Holds
}

// begin creates a task of one image with a quota.
func begin(t *testing.T, edit ...func(*Draft)) *history {
	t.Helper()
	d := Draft{
		Owner: "owner", IdempotencyKey: "key", CountQuota: true,
		Request: Request{Prompt: "a cat", NumImages: 1, Model: DefaultModel},
	}
	for _, e := range edit {
		e(&d)
	}
	return &history{Task: New(d, start), t: t, r: testRules(), now: start}
}

func images(n int) func(*Draft) { return func(d *Draft) { d.Request.NumImages = n } }

func (h *history) after(d time.Duration) *history { h.now = h.now.Add(d); return h }

// at sets the clock to d after the creation.
func (h *history) at(d time.Duration) *history { h.now = start.Add(d); return h }

func (h *history) must(err error) *history {
	h.t.Helper()
	if err != nil {
		h.t.Fatalf("in %q, %v after the creation: %v", h.Status, h.now.Sub(start), err)
	}
	if err := h.Check(); err != nil {
		h.t.Fatalf("%v after the creation: %v", h.now.Sub(start), err)
	}
	return h
}

func (h *history) accepted(id string) *history {
	h.t.Helper()
	return h.must(h.Accepted(h.r, h.now, h.Attempt, id))
}

func (h *history) refused(f Refusal) *history {
	h.t.Helper()
	return h.must(h.Refused(h.r, h.now, h.Attempt, f))
}

func (h *history) notPosted() *history {
	h.t.Helper()
	return h.must(h.NotPosted(h.now, h.Attempt))
}

func (h *history) unanswered() *history {
	h.t.Helper()
	return h.must(h.Unanswered(h.r, h.now, h.Attempt))
}

func (h *history) resubmit() *history {
	h.t.Helper()
	return h.must(h.Resubmit(h.now))
}

func (h *history) calledBack(hint Hint) *history {
	h.t.Helper()
	_, err := h.CalledBack(h.r, h.now, h.Attempt, hint)
	return h.must(err)
}

func (h *history) claim() Claim {
	h.t.Helper()
	c, ok := h.Claim(h.r, h.now)
	if !ok {
		h.t.Fatalf("in %q, %v after the creation: no claim", h.Status, h.now.Sub(start))
	}
	return c
}

func (h *history) applyRecord(c Claim, rec Record) *history {
	h.t.Helper()
	return h.must(h.ApplyRecord(h.r, h.now, c, rec))
}

// read claims a read and applies rec as its result.
func (h *history) read(rec Record) *history {
	h.t.Helper()
	return h.applyRecord(h.claim(), rec)
}

func (h *history) expire() *history {
	h.t.Helper()
	return h.must(h.Expire(h.r, h.holds, h.now))
}

func (h *history) wake() *history {
	h.t.Helper()
	_, _, err := h.Wake(h.r, h.now)
	return h.must(err)
}

func (h *history) stored(images ...Image) *history {
	h.t.Helper()
	return h.must(h.Stored(h.r, h.now, images))
}

func (h *history) deleted() *history {
	h.t.Helper()
	return h.must(h.Delete(h.r, h.now))
}

// in returns a task that has just entered a status, on the shortest way.
func in(t *testing.T, s Status, edit ...func(*Draft)) *history {
	t.Helper()
	h := begin(t, edit...)
	switch s {
	case Waiting:
		h.after(time.Second).refused(Refusal{Code: CodeRateLimited, Retry: RetryLater})
	case Unconfirmed:
		h.at(submitWindow).unanswered()
	case Generating:
		h.after(time.Second).accepted("p1")
	case Storing:
		h.after(time.Second).accepted("p1").after(90 * time.Second).read(madeAll(h))
	case Succeeded:
		h.after(time.Second).accepted("p1").after(90 * time.Second).read(madeAll(h))
		h.after(time.Second).stored(pictures(h.NumImages)...)
	case Failed:
		h.after(time.Second).refused(Refusal{Code: CodeProviderRejected})
	}
	if h.Status != s {
		t.Fatalf("the way to %q led to %q", s, h.Status)
	}
	return h
}

// brokenOnce returns a task that waits after a failed generation.
func brokenOnce(t *testing.T) *history {
	t.Helper()
	h := in(t, Generating).after(90 * time.Second).read(broken)
	if h.Status != Waiting {
		t.Fatalf("a failed generation led to %q, want %q", h.Status, Waiting)
	}
	return h
}

// madeAll returns a record with all requested pictures.
func madeAll(h *history) Record {
	return Record{State: RecordMade, URLs: []string{good, good2, good + "?3", good + "?4"}[:h.NumImages]}
}

func pictures(n int) []Image {
	all := make([]Image, n)
	for i := range all {
		all[i] = Image{N: i + 1, File: "1-0123456789abcdef.png", SHA256: fmt.Sprintf("%016x", i)}
	}
	return all
}

var allStatuses = []Status{Submitting, Waiting, Unconfirmed, Generating, Storing, Succeeded, Failed}

// unchanged fails the test if do changes the row.
func unchanged(t *testing.T, h *history, do func()) {
	t.Helper()
	before := h.Task.Clone()
	before.Refund = h.Refund
	do()
	if !h.sameRow(before) {
		t.Errorf("in %q the row changed:\n got %+v\nwant %+v", before.Status, *h.Task, *before)
	}
}

func equal[T any](t *testing.T, what string, got, want T) {
	t.Helper()
	if !reflect.DeepEqual(got, want) {
		t.Errorf("%s: got %v, want %v", what, got, want)
	}
}

// notifying returns a task that has just succeeded and has a notice to send.
func notifying(t *testing.T) *history {
	t.Helper()
	h := in(t, Storing).after(time.Second)
	h.r.Notify = true
	return h.stored(pictures(1)...)
}
