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

// passes has time pass until the end: a sweep each minute, and notify for each
// wake, as the stream carries it. It stops when there is nothing left to tell.
func (w *world) passes(id string, d time.Duration) (wakes int) {
	w.t.Helper()
	for end := w.Now().Add(d); w.Now().Before(end); {
		x := w.row(id)
		if x.Work == "" {
			break
		}
		wait := max(time.Minute, x.DueAt.Sub(w.Now())) // in between, sweeps find nothing
		if left := end.Sub(w.Now()); wait > left {
			w.Clock.Add(left)
			break
		}
		w.Clock.Add(wait.Truncate(time.Minute) + time.Minute)
		if swept, err := w.Sweep(w.t.Context()); err != nil || swept.Failed > 0 {
			w.t.Fatalf("sweep: %+v, %v", swept, err)
		}
		if after := w.row(id); after.Tries > x.Tries {
			wakes++
			w.stream(id)
		}
	}
	return wakes
}

// The receiver is down for two days: it is asked ever more seldom, and told
// when it is back. Each time it is the same message, newly signed.
func TestDownForTwoDays(t *testing.T) {
	w := newWorld(t)
	w.receiver.Answer(webhooktest.Status(http.StatusBadGateway))
	x := w.Succeeded(t, "ada")
	w.stream(x.ID)
	wakes := w.passes(x.ID, 48*time.Hour)
	w.told(x.ID, false)
	down := w.receiver.Take()
	if len(down) != 1+wakes || wakes < 10 || wakes > 25 {
		t.Errorf("%d tries with %d wakes in two days", len(down), wakes)
	}
	w.receiver.Answer(nil)
	w.passes(x.ID, 7*time.Hour)
	w.told(x.ID, true)

	last := w.one()
	w.contract(last, "SucceededNotice")
	times := map[string]bool{}
	for _, d := range append(down, last) {
		if d.Header.Get("webhook-id") != last.Header.Get("webhook-id") || string(d.Body) != string(last.Body) || !d.SignedBy(w.key) {
			t.Errorf("another message: %v %s", d.Header, d.Body)
		}
		times[d.Header.Get("webhook-timestamp")] = true
	}
	if len(times) != len(down)+1 {
		t.Errorf("%d times of signing for %d tries", len(times), len(down)+1)
	}
	if logged := w.log(); strings.Contains(logged, "ERROR") {
		t.Errorf("logged %s", logged)
	}
}

// After three days it is given up, with an alarm; and taken up again when the
// operator says so.
func TestGivenUpAndRedriven(t *testing.T) {
	w := newWorld(t)
	w.receiver.Answer(webhooktest.Status(http.StatusBadGateway))
	x := w.Succeeded(t, "ada")
	w.stream(x.ID)
	begun := w.Now()
	w.passes(x.ID, 72*time.Hour-time.Minute)
	w.told(x.ID, false) // not before
	w.passes(x.ID, time.Hour)
	after := w.row(x.ID)
	if after.Work != "" || after.NoticeGivenUpAt.Sub(begun) < 72*time.Hour || !after.NotifiedAt.IsZero() || !after.DueAt.IsZero() {
		t.Fatalf("after %v: %+v", w.Now().Sub(begun), after)
	}
	if logged := w.log(); strings.Count(logged, `"level":"ERROR","msg":"`+lifecycle.NoticeGivenUp+`","task":"`+x.ID+`"`) != 1 {
		t.Errorf("logged %s", logged)
	}
	before := w.receiver.Take()

	w.receiver.Answer(nil)
	w.Clock.Add(24 * time.Hour)
	w.stream(x.ID) // by itself nothing happens any more
	if all := w.receiver.Take(); len(all) > 0 {
		t.Error("it was told when it had been given up")
	}
	if done := w.Redrive(t.Context(), []string{x.ID, "no such task"}); done != (lifecycle.Swept{Done: 2, Failed: 1}) {
		t.Errorf("redriven: %+v", done)
	}
	w.stream(x.ID)
	w.told(x.ID, true)
	if d := w.one(); d.Header.Get("webhook-id") != before[0].Header.Get("webhook-id") || string(d.Body) != string(before[0].Body) {
		t.Errorf("another message: %v", d.Header)
	}
	if w.Redrive(t.Context(), []string{x.ID}); w.row(x.ID).Work != "" {
		t.Error("what is told was taken up again")
	}
}

// A crash between the write that ended the task and its notice costs the time
// to the next sweep: the first try counts as begun.
func TestTheStreamIsLost(t *testing.T) {
	w := newWorld(t)
	x := w.Succeeded(t, "ada")
	if x.Work != task.Notify || x.DueAt.Sub(w.Now()) > 5*time.Second {
		t.Fatalf("work %q, due in %v", x.Work, x.DueAt.Sub(w.Now()))
	}
	if wakes := w.passes(x.ID, time.Hour); wakes != 1 {
		t.Errorf("%d wakes", wakes)
	}
	w.told(x.ID, true)
	w.one()
}
