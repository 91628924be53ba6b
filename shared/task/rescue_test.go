package task

import (
	"errors"
	"testing"
	"time"
)

// endedWithout returns a task of two pictures that was accepted as p1 and timed out.
func endedWithout(t *testing.T, edit ...func(*Draft)) *history {
	t.Helper()
	h := in(t, Generating, append([]func(*Draft){images(2), func(d *Draft) {
		d.Parent, d.SourceType, d.PublicURL, d.Estimate = NewID("owner", "parent"), "trainedAlgorithmicMedia", "https://api.example", 8
		d.Request.Target = &Target{"moodboard", "1"}
		d.Request.Metadata = map[string]string{"board": "spring"}
		d.InputTypes = map[string]string{"upload:x": "image/png"}
	}}, edit...)...)
	h.at(25 * time.Hour).read(running)
	equal(t, "failure", h.Failure, CodeTimedOut)
	h.Refund = 0 // as the store returns it
	return h
}

// rescue returns the task that a rescue makes of h's an hour later, as its history.
func (h *history) rescue(rec Record) *history {
	h.t.Helper()
	c, wait := h.after(time.Hour).ClaimRescue(h.r, h.now, "")
	equal(h.t, "wait", wait, 0)
	x := &history{Task: Rescue(h.Task, c, rec, h.now), t: h.t, r: h.r, now: h.now}
	return x.must(nil)
}

func TestRescue(t *testing.T) {
	h := endedWithout(t)
	before := h.Task.Clone()
	x := h.rescue(made)
	equal(t, "id", x.ID, RescueID(h.ID))
	equal(t, "id: no other task's", x.ID == h.ID || x.ID == NewID("owner", "key"), false)
	equal(t, "rescued from", x.RescuedFrom, h.ID)
	equal(t, "maker", x.Maker(), AttemptRef{h.ID, 1})
	equal(t, "status", x.Status, Storing)
	equal(t, "work", x.Work, Ingest)
	equal(t, "deadline", x.Deadline, h.now.Add(72*time.Hour))
	equal(t, "created", x.CreatedAt, h.now)
	equal(t, "read", x.ReadAt, h.now)
	equal(t, "URLs", x.URLs, made.URLs)
	equal(t, "provider id", x.ProviderID, "p1")
	equal(t, "proved", x.Proved(), true)
	equal(t, "attempt", x.Attempt, 0)
	equal(t, "charges", x.Charges, nil)
	equal(t, "charge", x.charge(), "")
	equal(t, "estimate", x.Estimate, 0)
	equal(t, "quota", x.Quota, nil)
	equal(t, "owner", x.Owner, h.Owner)
	equal(t, "request", x.Request, h.Request)
	equal(t, "parent", x.Parent, h.Parent)
	equal(t, "source type", x.SourceType, h.SourceType)
	equal(t, "public url", x.PublicURL, h.PublicURL)
	equal(t, "input types", x.InputTypes, h.InputTypes)
	equal(t, "schema: older releases leave it alone", x.Schema, 3)
	equal(t, "writers differ", x.Writer != h.Writer && x.Writer != "", true)

	before.ReadAt = h.now
	equal(t, "the origin, except the claim", h.Task, before)
	x.Target.ID, x.Metadata["board"], x.InputTypes["upload:x"] = "changed", "changed", "changed"
	equal(t, "the origin shares nothing", h.Task, before)
}

// A rescued task ends like any other, and as one that every release may write.
func TestARescuedTaskEnds(t *testing.T) {
	stored := endedWithout(t).rescue(made).after(time.Second).stored(pictures(1)...)
	equal(t, "status", stored.Status, Succeeded)
	equal(t, "missing", stored.Missing, 1)
	equal(t, "schema", stored.Schema, 1)
	_, timed := stored.Timing()
	equal(t, "timed", timed, false)
	equal(t, "may be rescued", stored.MayBeRescued(), false)

	told := endedWithout(t).rescue(made)
	told.r.Notify = true
	told.after(time.Second).stored(pictures(2)...)
	equal(t, "notice", told.NoticeKind(), NoticeSucceeded)
	equal(t, "schema with a notice", told.Schema, 2)

	h := endedWithout(t).rescue(made)
	for h.Status == Storing {
		h.now = h.Due()
		h.wake()
	}
	equal(t, "status", h.Status, Failed)
	equal(t, "failure", h.Failure, CodeImageUnavailable)
	equal(t, "refund", h.Refund, 0)
	if lived := h.EndedAt.Sub(h.CreatedAt); lived < 72*time.Hour {
		t.Errorf("it was given up after %v", lived)
	}
	h.deleted()
	equal(t, "deleted: rescued from", h.RescuedFrom != "", true)
}

// Storing reads the record again for fresh links. That is the origin's record.
func TestARescuedTaskReadsItsRecordAgain(t *testing.T) {
	h := endedWithout(t).rescue(made)
	h.now = h.Due()
	c, ok, err := h.Wake(h.r, h.now)
	h.must(err)
	equal(t, "claimed", ok, true)
	equal(t, "claim", c, Claim{Attempt: 0, ProviderID: "p1", Proved: true, At: h.now})
	h.applyRecord(c, Record{State: RecordMade, Match: MatchOwn, URLs: []string{good2}})
	equal(t, "URLs", h.URLs, []string{good2})
	equal(t, "charges", h.Charges, nil)
}

// Without an attempt there is no POST, whatever the row says, and nothing that an attempt's
// process or a callback reports changes it.
func TestARescuedTaskNeverPosts(t *testing.T) {
	for _, to := range allStatuses {
		h := endedWithout(t).rescue(made)
		want := error(nil)
		if to != Storing && to != Succeeded && to != Failed {
			want = errUnlawful
		}
		for _, c := range lawful {
			h.Status = c.from
			if err := h.move(c.by, to, h.now, time.Hour); want != nil && !errors.Is(err, want) {
				t.Errorf("from %s to %s by %s: %v, want %v", c.from, to, c.by, err, want)
			}
		}
	}
	h := endedWithout(t).rescue(made)
	for _, attempt := range []int{0, 1} {
		unchanged(t, h, func() {
			h.must(h.Accepted(h.r, h.now, attempt, "p2"))
			h.must(h.Refused(h.r, h.now, attempt, Refusal{Code: CodeRateLimited, Retry: RetryNow}))
			h.must(h.NotPosted(h.now, attempt))
			h.must(h.Unanswered(h.r, h.now, attempt))
			woken, err := h.CalledBack(h.r, h.now, attempt, Hint{ProviderID: "p1", Success: true, URLs: []string{good2}})
			h.must(err)
			equal(t, "woken", woken, false)
		})
	}
	h.Status = Waiting // as no code writes it
	if err := h.Resubmit(h.now); !errors.Is(err, errUnlawful) {
		t.Errorf("a row that waits: %v, want errUnlawful", err)
	}
}

func TestMayBeRescued(t *testing.T) {
	fails := Hint{Failure: CodeContentPolicy, Bars: true}
	byCallback := func() *history {
		return in(t, Generating).after(90 * time.Second).calledBack(fails).read(unread).after(3 * time.Minute).read(unread)
	}
	older := func(h *history) *history { h.Notes = nil; return h }
	for name, c := range map[string]struct {
		h    *history
		want bool
	}{
		"timed out":                  {endedWithout(t), true},
		"outcome unknown":            {in(t, Unconfirmed).at(3 * time.Hour).expire(), true},
		"a callback alone":           {byCallback(), true},
		"refused":                    {in(t, Failed), false},
		"its record says failed":     {in(t, Generating).after(90 * time.Second).read(Record{State: RecordFailed, Code: CodeContentPolicy}), false},
		"canceled":                   {in(t, Waiting).deleted(), false},
		"succeeded":                  {in(t, Succeeded), false},
		"deleted":                    {endedWithout(t).deleted(), false},
		"of an older release":        {older(byCallback()), true},
		"of an older release, no id": {older(in(t, Failed)), false},
	} {
		equal(t, name, c.h.MayBeRescued(), c.want)
	}
	for _, s := range []Status{Submitting, Waiting, Unconfirmed, Generating, Storing} {
		equal(t, string(s), in(t, s).MayBeRescued(), false)
	}
}

// What is asked for, and whether it is certainly the attempt's.
func TestClaimRescue(t *testing.T) {
	named := in(t, Unconfirmed).calledBack(Hint{ProviderID: "named"}).read(unread).at(3 * time.Hour).read(unread).after(time.Hour)
	equal(t, "failure", named.Failure, CodeOutcomeUnknown)
	doubtful := in(t, Unconfirmed).calledBack(Hint{ProviderID: "named"}).read(running).at(27 * time.Hour).read(running).after(time.Hour)
	equal(t, "failure", doubtful.Failure, CodeTimedOut)
	proved := in(t, Unconfirmed).calledBack(Hint{ProviderID: "named"}).read(Record{State: RecordRunning, Match: MatchOwn}).at(27 * time.Hour).read(running).after(time.Hour)
	// A callback named an id, whose record was stored from; then came the attempt's answer.
	own := in(t, Unconfirmed).calledBack(Hint{ProviderID: "named"}).read(made).after(time.Second).accepted("own")
	for own.Status == Storing {
		own.now = own.Due()
		own.wake()
	}
	own.after(time.Hour)
	never := in(t, Unconfirmed).at(3 * time.Hour).expire().after(time.Hour)
	for name, c := range map[string]struct {
		h      *history
		given  string
		id     string
		proved bool
	}{
		"its own answer's":             {endedWithout(t).after(time.Hour), "", "p1", true},
		"its own answer's, given":      {endedWithout(t).after(time.Hour), "p1", "p1", true},
		"another, given":               {endedWithout(t).after(time.Hour), "p2", "p2", false},
		"named by a callback":          {named, "", "named", false},
		"named by a callback, given":   {named, "named", "named", false},
		"generated, but not proved":    {doubtful, "", "named", false},
		"proved by its record":         {proved, "", "named", true},
		"the answer's, not a callback": {own, "", "own", true},
		"a callback's beside answer's": {own, "named", "named", false},
		"none":                         {never, "", "", false},
		"none, given":                  {never, "p9", "p9", false},
		"rescued before":               {endedWithout(t).rescue(made).after(time.Hour), "", "p1", true},
	} {
		before, after := c.h.Task.Clone(), c.h.Task.Clone()
		got, wait := after.ClaimRescue(c.h.r, c.h.now, c.given)
		equal(t, name+": wait", wait, 0)
		equal(t, name, got, Claim{Attempt: c.h.Attempt, ProviderID: c.id, Proved: c.proved, At: c.h.now})
		if c.id != "" {
			before.ReadAt = c.h.now
		}
		equal(t, name+": row", after, before)
	}

	h := endedWithout(t).after(10 * time.Second)
	unchanged(t, h, func() {
		_, wait := h.ClaimRescue(h.r, h.now, "")
		equal(t, "wait", wait, 26*time.Second)
	})
}

// A rescued task that lost its pictures again is rescued like any other; the maker stays.
func TestARescuedTaskIsRescued(t *testing.T) {
	first := endedWithout(t)
	second := first.rescue(made)
	for second.Status == Storing {
		second.now = second.Due()
		second.wake()
	}
	equal(t, "may be rescued", second.MayBeRescued(), true)
	third := second.rescue(made)
	equal(t, "rescued from", third.RescuedFrom, second.ID)
	equal(t, "maker", third.Maker(), AttemptRef{first.ID, 1})
	equal(t, "id", third.ID == second.ID || third.ID == first.ID, false)
}
