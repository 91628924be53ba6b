package task

import (
	"strings"
	"testing"
	"time"
)

func (h *history) forgotten() *history {
	h.t.Helper()
	return h.must(h.Forget(h.r, h.now))
}

// checkGone fails the test unless the row is that of a deleted task whose objects are
// about to be erased.
func (h *history) checkGone(status Status, code Code) {
	h.t.Helper()
	equal(h.t, "status", h.Status, status)
	equal(h.t, "failure", h.Failure, code)
	equal(h.t, "deleted", h.DeletedAt, stamp(h.now))
	equal(h.t, "request", h.Request, Request{})
	equal(h.t, "images", h.Images, nil)
	equal(h.t, "inputs", h.Inputs, nil)
	equal(h.t, "fingerprint", h.Fingerprint, "")
	equal(h.t, "work", h.Work, Erase)
}

func TestForgetDeletesWhatHasEndedAndCancelsWhatWaits(t *testing.T) {
	for s, code := range map[Status]Code{Succeeded: "", Failed: CodeProviderRejected, Waiting: CodeCanceled} {
		h := in(t, s, images(2)).after(time.Minute).forgotten()
		if s == Waiting {
			equal(t, "refund", h.Refund, 2)
			s = Failed
		}
		h.checkGone(s, code)
		equal(t, "erase at the end", h.EraseAtEnd, false)
		unchanged(t, h, func() { h.after(time.Minute).forgotten() })
	}
}

func TestForgetLetsARunningTaskGoOn(t *testing.T) {
	for _, s := range []Status{Submitting, Unconfirmed, Generating, Storing} {
		h := in(t, s).after(time.Second)
		want := h.Task.Clone()
		want.EraseAtEnd = true
		h.forgotten()
		if !h.sameRow(want) {
			t.Errorf("%s: %+v, want only the mark", s, *h.Task)
		}
		unchanged(t, h, func() { h.after(time.Second).forgotten() })
	}
}

// Every end of a forgotten owner's task deletes it in the same write, and Preset is told
// of that alone.
func TestTheEndOfAForgottenOwnersTaskDeletesIt(t *testing.T) {
	target := func(d *Draft) { d.Request.Target = &Target{"moodboard", "1"} }
	for name, c := range map[string]struct {
		in     Status
		end    func(*history)
		status Status
		code   Code
		refund int
	}{
		"stored": {Storing, func(h *history) {
			h.KeepInputs([]Input{{N: 1}})
			h.after(time.Second).stored(pictures(1)...)
		}, Succeeded, "", 0},
		"refused":              {Submitting, func(h *history) { h.refused(Refusal{Code: CodeProviderRejected}) }, Failed, CodeProviderRejected, 1},
		"its generation fails": {Generating, func(h *history) { h.after(time.Minute).read(Record{State: RecordFailed, Code: CodeContentPolicy}) }, Failed, CodeContentPolicy, 0},
		"its outcome stays unknown": {Unconfirmed, func(h *history) {
			h.after(unconfirmedWindow).expire()
		}, Failed, CodeOutcomeUnknown, 1},
		"its pictures never come": {Storing, func(h *history) {
			h.after(storingWindow).wake()
			h.after(lastWakeWindow).wake()
		}, Failed, CodeImageUnavailable, 1},
		"some of its pictures came": {Storing, func(h *history) {
			h.Salvage(pictures(1))
			h.after(storingWindow).wake()
			h.after(lastWakeWindow).wake()
		}, Succeeded, "", 0},
	} {
		h := in(t, c.in, target)
		h.r.Notify = true
		h.forgotten()
		c.end(h)
		t.Log(name)
		h.checkGone(c.status, c.code)
		equal(t, "refund", h.Refund, c.refund)
		equal(t, "notice", h.NoticeKind(), NoticeDeleted)
		equal(t, "messages", h.Messages(), []Message{Message(Erase), Notify})
		equal(t, "version", h.NoticeVersion(), 2)
		equal(t, "where it was", h.NoticeTarget, &Target{"moodboard", "1"})
		equal(t, "missing", h.Missing, 0)
		if _, ok := h.Timing(); ok {
			t.Error("a row that says no more which model it had has a timing")
		}
	}
}

// A forgotten owner's task is not sent again: no picture is ordered that nobody will see.
func TestAForgottenOwnersTaskIsNotSentAgain(t *testing.T) {
	for name, wait := range map[string]func(*history){
		"refused":               func(h *history) { h.refused(Refusal{Code: CodeRateLimited, Retry: RetryLater}) },
		"no POST was begun":     func(h *history) { h.notPosted() },
		"its generation failed": func(h *history) { h.accepted("p1").after(time.Minute).read(broken) },
		"refused for the last h": func(h *history) {
			h.refused(Refusal{Code: CodeRateLimited, RetryAfter: waitingWindow, Retry: RetryLater})
		},
	} {
		h := begin(t).after(time.Second).forgotten()
		wait(h)
		equal(t, name, h.Status, Waiting)
		setback := h.Setback
		h.now = h.DueAt
		if h.late(h.now) {
			h.expire()
			h.checkGone(Failed, setback)
			continue
		}
		equal(t, name+": next", h.Next(h.now), NextExpire)
		h.expire()
		h.checkGone(Failed, CodeCanceled)
		equal(t, name+": quota", h.Quota.Returned, true)
	}
}

// A deleted row keeps its owner for as long as its erase or its notice needs it, in
// whatever order they are done, and no longer.
func TestADeletedRowLosesItsOwner(t *testing.T) {
	erased := func(h *history) { h.Erased(h.now) }
	told := func(h *history) { h.Notified(h.now, h.NoticeVersion()) }
	givenUp := func(h *history) {
		h.now = h.NoticeTurn.Deadline
		h.wake()
		h.now = h.NoticeTurn.Deadline
		h.wake()
	}
	for name, c := range map[string]struct {
		notify bool
		steps  []func(*history)
	}{
		"no notices":              {false, []func(*history){erased}},
		"erased, then told":       {true, []func(*history){erased, told}},
		"told, then erased":       {true, []func(*history){told, erased}},
		"erased, then given up":   {true, []func(*history){erased, givenUp}},
		"given up, then erased":   {true, []func(*history){givenUp, erased}},
		"given up, told, erased":  {true, []func(*history){givenUp, func(h *history) { h.Redrive(h.now) }, told, erased}},
		"given up, erased, twice": {true, []func(*history){givenUp, erased, func(h *history) { h.Redrive(h.now) }, givenUp}},
	} {
		h := in(t, Succeeded, func(d *Draft) { d.Request.Target = &Target{"moodboard", "1"} })
		h.r.Notify = c.notify
		h.after(time.Hour).deleted().after(time.Hour)
		lost := false // the owner
		for _, step := range c.steps {
			step(h)
			h.must(nil)
			if left := len(h.Messages()) > 0; left && !lost && h.Owner == "" {
				t.Errorf("%s: the owner is gone, and still to do is %v", name, h.Messages())
			}
			lost = h.Owner == ""
		}
		equal(t, name+": owner", h.Owner, "")
		equal(t, name+": provider id", h.ProviderID, "")
		equal(t, name+": target", h.NoticeTarget, nil)
		equal(t, name+": due", h.Due(), time.Time{})
		if row := written(t, h.Task); strings.Contains(row, `"owner"`) {
			t.Errorf("%s: an index cannot hold an empty owner: %s", name, row)
		} else if strings.Contains(row, `"p1"`) {
			t.Errorf("%s: it still names the provider's record: %s", name, row)
		}
		again := new(Task)
		if err := again.UnmarshalJSON([]byte(written(t, h.Task))); err != nil || !again.sameRow(h.Task) {
			t.Errorf("%s: read as %+v, %v", name, again, err)
		}
		unchanged(t, h, func() { h.forgotten().deleted() })
	}
}

// An earlier notice may have arrived, though its answer did not. The one that has lost
// the owner is another message, so it has another version.
func TestANoticeThatLostItsOwnerHasAVersionOfItsOwn(t *testing.T) {
	h := in(t, Succeeded)
	h.r.Notify = true
	h.deleted()
	first := h.NoticeVersion()
	h.after(eraseAfter).Erased(h.now)
	for range 2 {
		h.now = h.NoticeTurn.Deadline
		h.wake()
	}
	equal(t, "given up", h.NoticeGivenUpAt, h.now)
	equal(t, "version", h.NoticeVersion(), first+1)
	h.Redrive(h.now)
	equal(t, "kind", h.NoticeKind(), NoticeDeleted)
	unchanged(t, h, func() { h.Notified(h.now, first) }) // the late answer to the first
	h.Notified(h.now, first+1)
	equal(t, "notice", h.Notice, "")
	equal(t, "version", h.NoticeVersion(), first+1)
}

// An older release left the owner on rows that it emptied.
func TestForgetTakesTheOwnerOffAnOlderReleasesRow(t *testing.T) {
	h := in(t, Succeeded).deleted()
	h.Work, h.Turn = "", Turn{}
	h.forgotten()
	equal(t, "owner", h.Owner, "")
	h = in(t, Succeeded).deleted()
	unchanged(t, h, func() { h.forgotten() }) // its erase is not done
}
