package notify_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/preset/nanobanana-functions/shared/lifecycle"
	"github.com/preset/nanobanana-functions/shared/task"
	"github.com/preset/nanobanana-functions/shared/webhook/webhooktest"
)

// pass lets time pass: a sweep each minute, and notify for each wake, as the
// stream would call it. It stops when nothing is left to send.
func (h *harness) pass(id string, d time.Duration) (wakes int) {
	h.t.Helper()
	for end := h.Now().Add(d); h.Now().Before(end); {
		x := h.row(id)
		if x.Notice == "" {
			break
		}
		wait := max(time.Minute, x.Due().Sub(h.Now())) // in between, sweeps find nothing
		if left := end.Sub(h.Now()); wait > left {
			h.Clock.Add(left)
			break
		}
		h.Clock.Add(wait.Truncate(time.Minute) + time.Minute)
		if swept, err := h.Sweep(h.t.Context()); err != nil || swept.Failed > 0 {
			h.t.Fatalf("sweep: %+v, %v", swept, err)
		}
		if after := h.row(id); after.NoticeTurn.Tries > x.NoticeTurn.Tries {
			wakes++
			h.stream(id)
		}
	}
	return wakes
}

// A receiver that is down for two days is tried at growing intervals, and gets
// the notice when it is back. Each try is the same message, signed anew.
func TestReceiverDownForTwoDays(t *testing.T) {
	h := newHarness(t)
	h.receiver.Answer(webhooktest.Status(http.StatusBadGateway))
	x := h.Succeeded(t, "ada")
	h.stream(x.ID)
	wakes := h.pass(x.ID, 48*time.Hour)
	h.checkDelivered(x.ID, false)
	down := h.receiver.Take()
	if len(down) != 1+wakes || wakes < 10 || wakes > 25 {
		t.Errorf("%d tries with %d wakes in two days", len(down), wakes)
	}
	h.receiver.Answer(nil)
	h.pass(x.ID, 7*time.Hour)
	h.checkDelivered(x.ID, true)

	last := h.takeOne()
	h.checkContract(last, "SucceededNotice")
	times := map[string]bool{}
	for _, d := range append(down, last) {
		if d.Header.Get("webhook-id") != last.Header.Get("webhook-id") || string(d.Body) != string(last.Body) || !d.SignedBy(h.key) {
			t.Errorf("another message: %v %s", d.Header, d.Body)
		}
		times[d.Header.Get("webhook-timestamp")] = true
	}
	if len(times) != len(down)+1 {
		t.Errorf("%d times of signing for %d tries", len(times), len(down)+1)
	}
	if logged := h.takeLog(); strings.Contains(logged, "ERROR") {
		t.Errorf("logged %s", logged)
	}
}

// After three days the notice is given up with an alarm, and sent again when
// the operator asks for it.
func TestGivenUpAndRedriven(t *testing.T) {
	h := newHarness(t)
	h.receiver.Answer(webhooktest.Status(http.StatusBadGateway))
	x := h.Succeeded(t, "ada")
	h.stream(x.ID)
	begun := h.Now()
	h.pass(x.ID, 72*time.Hour-time.Minute)
	h.checkDelivered(x.ID, false) // not before
	h.pass(x.ID, time.Hour)
	after := h.row(x.ID)
	if after.Notice != "" || after.NoticeGivenUpAt.Sub(begun) < 72*time.Hour || !after.NotifiedAt.IsZero() || !after.Due().IsZero() {
		t.Fatalf("after %v: %+v", h.Now().Sub(begun), after)
	}
	if logged := h.takeLog(); strings.Count(logged, `"level":"ERROR"`) != 1 || !strings.Contains(logged, `"event":"`+lifecycle.EventNoticeGivenUp+`","task":"`+x.ID+`"`) {
		t.Errorf("logged %s", logged)
	}
	before := h.receiver.Take()

	h.receiver.Answer(nil)
	h.Clock.Add(24 * time.Hour)
	h.stream(x.ID) // nothing happens without a redrive
	if all := h.receiver.Take(); len(all) > 0 {
		t.Error("it was sent after it had been given up")
	}
	redrive := func() {
		t.Helper()
		if _, err := lifecycle.Redrive(t.Context(), h.Store, h.row(x.ID), h.Now()); err != nil {
			t.Fatal(err)
		}
	}
	redrive()
	h.stream(x.ID)
	h.checkDelivered(x.ID, true)
	if d := h.takeOne(); d.Header.Get("webhook-id") != before[0].Header.Get("webhook-id") || string(d.Body) != string(before[0].Body) {
		t.Errorf("another message: %v", d.Header)
	}
	if redrive(); h.row(x.ID).Notice != "" {
		t.Error("a delivered notice was sent again")
	}
}

// A crash between the write that ended the task and its notice delays the
// notice until the next sweep, because the first try counts as begun.
func TestStreamRecordLost(t *testing.T) {
	h := newHarness(t)
	x := h.Succeeded(t, "ada")
	if x.Notice != task.Pending || x.Due().Sub(h.Now()) > 5*time.Second {
		t.Fatalf("notice %q, due in %v", x.Notice, x.Due().Sub(h.Now()))
	}
	if wakes := h.pass(x.ID, time.Hour); wakes != 1 {
		t.Errorf("%d wakes", wakes)
	}
	h.checkDelivered(x.ID, true)
	h.takeOne()
}

// A deleted task's notice that was given up has lost owner and target by the time it is
// taken up again: it is another message, and still all that a receiver needs.
func TestGivenUpWithoutOwner(t *testing.T) {
	h := newHarness(t)
	x := h.Succeeded(t, "ada")
	h.stream(x.ID)
	h.moved(x.ID, boardA)
	h.stream(x.ID)
	h.receiver.Take()
	h.receiver.Answer(webhooktest.Status(http.StatusServiceUnavailable))
	h.deleted(x.ID)
	h.stream(x.ID)
	late := h.takeMessage("DeletedNotice") // it arrived, but the answer did not say so
	for h.row(x.ID).NoticeGivenUpAt.IsZero() {
		h.Clock.Add(time.Hour)
		if _, err := h.Sweep(t.Context()); err != nil {
			t.Fatal(err)
		}
		h.runs(x.ID)
	}
	if row := h.row(x.ID); row.Owner != "" || row.NoticeTarget != nil || !row.Due().IsZero() {
		t.Errorf("given up, it is %+v", row)
	}
	h.receiver.Take()
	h.receiver.Answer(nil)
	if _, err := lifecycle.Redrive(t.Context(), h.Rows, h.row(x.ID), h.Now()); err != nil {
		t.Fatal(err)
	}
	h.stream(x.ID)
	again := h.takeOne()
	h.checkContract(again, "DeletedNotice")
	data := parse(t, again.Body)["data"].(map[string]any)
	if data["owner"] != nil || data["target"] != nil || data["deleted"] != true || data["version"] != late.version+1 || again.ID() == late.id {
		t.Errorf("told %s as %s, after version %v as %s", again.Body, again.ID(), late.version, late.id)
	}
	h.checkDelivered(x.ID, true)
	h.takeLog()
}
