package task

import (
	"encoding/json"
	"testing"
	"time"
)

func (h *history) moved(to Target) *history {
	h.t.Helper()
	return h.must(h.SetTarget(h.r, to, h.now))
}

// told ends the notice: Preset has accepted it.
func (h *history) told() *history {
	h.t.Helper()
	h.Notified(h.now, h.NoticeVersion())
	return h.must(nil)
}

var (
	boardA = Target{"moodboard", "a"}
	boardB = Target{"moodboard", "b"}
	boardC = Target{"moodboard", "c"}
)

// on returns a task that has just succeeded for a target, and has a notice to send.
func on(t *testing.T, target Target) *history {
	t.Helper()
	h := in(t, Storing, func(d *Draft) { d.Request.Target = &target }).after(time.Second)
	h.r.Notify = true
	return h.stored(pictures(1)...)
}

func (h *history) givenUp() *history {
	h.t.Helper()
	return h.after(72 * time.Hour).wake().after(lastWakeWindow).wake()
}

// checkNotice fails the test unless a notice of this kind and version is pending and has
// just begun.
func (h *history) checkNotice(name string, kind NoticeKind, version int) {
	h.t.Helper()
	equal(h.t, name+": notice", h.Notice, Pending)
	equal(h.t, name+": kind", h.NoticeKind(), kind)
	equal(h.t, name+": version", h.NoticeVersion(), version)
	equal(h.t, name+": turn", h.NoticeTurn, Turn{DueAt: h.now.Add(5 * time.Second), Deadline: h.now.Add(72 * time.Hour), Tries: 1})
	equal(h.t, name+": given up", h.NoticeGivenUpAt, time.Time{})
	equal(h.t, name+": schema, which older releases leave alone", h.Schema, 2)
}

// Each way of a task after its end: what is told, and of which targets.
func TestNotices(t *testing.T) {
	for name, c := range map[string]struct {
		h       *history
		kind    NoticeKind
		version int
		target  *Target // NoticeTarget
	}{
		"the end":                                       {on(t, boardA), NoticeSucceeded, 1, nil},
		"moved before the end was told":                 {on(t, boardA).after(time.Second).moved(boardB), NoticeSucceeded, 2, nil},
		"moved":                                         {on(t, boardA).told().after(time.Second).moved(boardB), NoticeMoved, 2, &boardA},
		"moved from nowhere":                            {notifying(t).told().moved(boardB), NoticeMoved, 2, nil},
		"moved twice":                                   {on(t, boardA).told().moved(boardB).after(time.Minute).moved(boardC), NoticeMoved, 3, &boardA},
		"moved there and back":                          {on(t, boardA).told().moved(boardB).moved(boardA), NoticeMoved, 3, &boardA},
		"moved twice, each told":                        {on(t, boardA).told().moved(boardB).told().moved(boardC), NoticeMoved, 3, &boardB},
		"moved, given up, moved":                        {on(t, boardA).told().moved(boardB).givenUp().moved(boardC), NoticeMoved, 3, &boardA},
		"the end, given up, moved":                      {on(t, boardA).givenUp().moved(boardB), NoticeSucceeded, 2, nil},
		"deleted before the end was told":               {on(t, boardA).deleted(), NoticeDeleted, 2, &boardA},
		"deleted":                                       {on(t, boardA).told().after(time.Hour).deleted(), NoticeDeleted, 2, &boardA},
		"deleted, of no target":                         {notifying(t).told().deleted(), NoticeDeleted, 2, nil},
		"moved and deleted":                             {on(t, boardA).told().moved(boardB).deleted(), NoticeDeleted, 3, &boardB},
		"moved, given up and deleted":                   {on(t, boardA).told().moved(boardB).givenUp().deleted(), NoticeDeleted, 3, &boardB},
		"moved, told and deleted":                       {on(t, boardA).told().moved(boardB).told().deleted(), NoticeDeleted, 3, &boardB},
		"moved before the end does not count":           {onTheWay(t).stored(pictures(1)...), NoticeSucceeded, 1, nil},
		"the end while notices are off, then moved":     {quiet(on(t, boardA).told()).moved(boardB).loud().moved(boardC), NoticeMoved, 3, &boardB},
		"pending when notices were turned off, deleted": {quiet(on(t, boardA)).deleted(), NoticeDeleted, 2, &boardA},
	} {
		c.h.must(nil)
		c.h.checkNotice(name, c.kind, c.version)
		equal(t, name+": target", c.h.NoticeTarget, c.target)
		want := []Message{Notify}
		if c.h.Deleted() {
			want = []Message{Message(Erase), Notify}
		}
		equal(t, name+": messages", c.h.Messages(), want)
		at := c.h.EndedAt
		if c.kind == NoticeMoved || c.kind == NoticeDeleted {
			at = c.h.now
		}
		equal(t, name+": at", c.h.NoticeAt(), at)

		c.h.after(time.Minute).told()
		equal(t, name+": told", c.h.NotifiedAt, c.h.now)
		equal(t, name+": notice, P4", c.h.Notice, "")
		equal(t, name+": turn of what was told", c.h.NoticeTurn, Turn{})
		equal(t, name+": target of what was told", c.h.NoticeTarget, nil)
		equal(t, name+": schema of what was told", c.h.Schema, 1)
		unchanged(t, c.h, func() { c.h.Redrive(c.h.now) })
	}
}

// onTheWay returns a task that was moved while it was being stored.
func onTheWay(t *testing.T) *history {
	h := in(t, Storing, func(d *Draft) { d.Request.Target = &boardA })
	h.r.Notify = true
	return h.moved(boardB)
}

func quiet(h *history) *history   { h.r.Notify = false; return h }
func (h *history) loud() *history { h.r.Notify = true; return h }

func TestWithoutNoticesNothingIsTold(t *testing.T) {
	h := in(t, Succeeded)
	equal(t, "the end", h.Notice, "")
	equal(t, "moved", h.moved(boardA).moved(boardB).Notice, "")
	equal(t, "target", h.NoticeTarget, nil)
	equal(t, "schema", h.Schema, 1)
	h.deleted()
	equal(t, "deleted", h.Notice, "")
	equal(t, "target of a deleted task", h.NoticeTarget, nil)
	equal(t, "messages", h.Messages(), []Message{Message(Erase)})

	given := quiet(on(t, boardA).told().moved(boardB).givenUp())
	given.moved(boardC).deleted()
	equal(t, "given up", given.Notice, "")
	given.Redrive(given.now)
	given.checkNotice("given up, moved, deleted and redriven", NoticeDeleted, 4)
	equal(t, "its target", given.NoticeTarget, &boardC)
}

func TestTheSameTargetTellsNothing(t *testing.T) {
	for _, h := range []*history{on(t, boardA).after(time.Second), on(t, boardA).told(), on(t, boardB).told().moved(boardA).after(time.Second)} {
		unchanged(t, h, func() { h.moved(boardA) })
	}
}

func TestAFailureIsTold(t *testing.T) {
	h := begin(t)
	h.r.Notify = true
	h.refused(Refusal{Code: CodeProviderRejected}).checkNotice("refused", NoticeFailed, 1)
	h = in(t, Waiting)
	h.r.Notify = true
	h.after(time.Second).deleted().checkNotice("canceled", NoticeDeleted, 2)
	equal(t, "without notices", in(t, Failed).Notice, "")
}

// A notice is woken from 5 s to 6 h. Wakes change neither what is told nor when it
// happened: a repeat is the same message.
func TestANoticeIsWoken(t *testing.T) {
	for name, h := range map[string]*history{
		"succeeded": notifying(t), "moved": on(t, boardA).told().moved(boardB), "deleted": on(t, boardA).told().deleted(),
	} {
		kind, version, at, target := h.NoticeKind(), h.NoticeVersion(), h.NoticeAt(), h.NoticeTarget
		for i, seconds := range []int{5, 10, 20, 40, 80, 160, 320, 640, 1280, 2560, 5120, 10240, 20480, 21600, 21600} {
			want := time.Duration(seconds) * time.Second
			equal(t, name+": tries", h.NoticeTurn.Tries, i+1)
			equal(t, name+": wait", h.NoticeTurn.DueAt.Sub(h.now), want)
			h.now = h.NoticeTurn.DueAt
			h.wake()
			equal(t, name+": kind", h.NoticeKind(), kind)
			equal(t, name+": version", h.NoticeVersion(), version)
			equal(t, name+": at", h.NoticeAt(), at)
			equal(t, name+": target", h.NoticeTarget, target)
		}
	}
}

// Preset's answer counts for the version that was sent. A task that has changed since
// is told again: its own write asked for that.
func TestATaskThatChangesWhileItIsTold(t *testing.T) {
	for name, c := range map[string]struct {
		h      *history
		change func(*history)
		kind   NoticeKind
	}{
		"succeeded, moved":   {on(t, boardA), func(h *history) { h.moved(boardB) }, NoticeSucceeded},
		"succeeded, deleted": {on(t, boardA), func(h *history) { h.deleted() }, NoticeDeleted},
		"moved, moved":       {on(t, boardA).told().moved(boardB), func(h *history) { h.moved(boardC) }, NoticeMoved},
		"moved, moved back":  {on(t, boardA).told().moved(boardB), func(h *history) { h.moved(boardA) }, NoticeMoved},
		"moved, deleted":     {on(t, boardA).told().moved(boardB), func(h *history) { h.deleted() }, NoticeDeleted},
	} {
		sent := c.h.NoticeVersion()
		c.change(c.h.after(time.Second))
		c.h.checkNotice(name, c.kind, sent+1)
		unchanged(t, c.h.after(time.Second), func() { c.h.Notified(c.h.now, sent) })
		c.h.told()
		equal(t, name+": told", c.h.Notice, "")
		unchanged(t, c.h, func() { c.h.Notified(c.h.now, sent) })
	}
}

// An erase and a notice do not wait for each other: each has its own times, and the task
// is due at the earlier one until both are done.
func TestAnEraseAndANoticeGoOnByThemselves(t *testing.T) {
	h := on(t, boardA).told().after(time.Hour).deleted()
	deleted := h.now
	equal(t, "due", h.Due(), h.now.Add(5*time.Second))
	h.after(5 * time.Second).wake()
	equal(t, "tries of the notice", h.NoticeTurn.Tries, 2)
	equal(t, "tries of the erase", h.Tries, 1)
	h.after(55 * time.Second).wake()
	equal(t, "tries of the notice, both due", h.NoticeTurn.Tries, 3)
	equal(t, "tries of the erase, both due", h.Tries, 2)
	h.after(16 * time.Minute).Erased(h.now)
	equal(t, "work", h.Work, Work(""))
	equal(t, "notice after the erase", h.Notice, Pending)
	equal(t, "due after the erase", h.Due(), h.NoticeTurn.DueAt)
	h.now = deleted.Add(72 * time.Hour)
	h.wake().after(lastWakeWindow).wake()
	equal(t, "given up", h.NoticeGivenUpAt, h.now)
	equal(t, "due in the end", h.Due(), time.Time{})

	h = on(t, boardA).told().deleted()
	h.told()
	equal(t, "work after the notice", h.Work, Erase)
	equal(t, "due after the notice", h.Due(), h.DueAt)

	h = on(t, boardA).told().deleted().givenUp()
	equal(t, "an erase that failed for three days: given up", h.NoticeGivenUpAt, h.now)
	equal(t, "its work", h.Work, Erase)
	h.now = h.NoticeGivenUpAt.Add(time.Minute)
	h.Redrive(h.now)
	h.must(nil).checkNotice("redriven while it is erased", NoticeDeleted, 2)
	h.after(time.Hour)
	h.Postpone(h.now)
	equal(t, "the notice postponed", h.NoticeTurn.DueAt, h.now.Add(time.Minute))
	equal(t, "the erase postponed", h.DueAt, h.now.Add(time.Minute))
}

func TestRedriveRestartsAGivenUpNotice(t *testing.T) {
	for name, c := range map[string]struct {
		h       *history
		kind    NoticeKind
		version int
	}{
		"the end":                     {on(t, boardA).givenUp(), NoticeSucceeded, 1},
		"a move":                      {on(t, boardA).told().moved(boardB).givenUp(), NoticeMoved, 2},
		"a move, then moved silently": {quiet(on(t, boardA).told().moved(boardB).givenUp()).moved(boardC), NoticeMoved, 3},
		"DELETE":                      {on(t, boardA).told().deleted().givenUp(), NoticeDeleted, 2},
	} {
		c.h.after(time.Hour)
		if c.h.NoticeGivenUpAt.IsZero() {
			t.Fatalf("%s is not given up", name)
		}
		c.h.Redrive(c.h.now)
		c.h.must(nil).checkNotice(name, c.kind, c.version)
	}
	for name, h := range map[string]*history{"delivered": notifying(t).told(), "being delivered": notifying(t), "without a notice": in(t, Failed), "running": in(t, Storing)} {
		unchanged(t, h, func() { h.Redrive(h.now) })
		equal(t, name+": given up", h.NoticeGivenUpAt, time.Time{})
	}
}

// The row as it is stored has the earlier of both due times where the index reads it.
func TestTheStoredDueTime(t *testing.T) {
	h := on(t, boardA).told().deleted()
	stored := func() (due, work string) {
		var row struct{ DueAt, WorkDueAt string }
		if err := json.Unmarshal([]byte(written(t, h.Task)), &row); err != nil {
			t.Fatal(err)
		}
		back := new(Task)
		if err := json.Unmarshal([]byte(written(t, h.Task)), back); err != nil {
			t.Fatal(err)
		}
		back.Refund = h.Refund
		equal(t, "read back", *back, *h.Task)
		return row.DueAt, row.WorkDueAt
	}
	text := func(d time.Duration) string { return h.DeletedAt.Add(d).Format(time.RFC3339Nano) }
	due, work := stored()
	equal(t, "both: due", due, text(5*time.Second))
	equal(t, "both: the erase", work, text(time.Minute))
	h.after(10 * time.Minute).wake() // the notice's next is later than the erase's
	h.NoticeTurn.DueAt = h.DueAt.Add(time.Second)
	due, work = stored()
	equal(t, "the erase first: due", due, work)
	h.told()
	due, work = stored()
	equal(t, "the erase alone: due", due, h.DueAt.Format(time.RFC3339Nano))
	equal(t, "the erase alone: no other time", work, "")
}
