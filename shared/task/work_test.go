package task

import (
	"errors"
	"testing"
	"time"
)

func TestStoringIsWorkForIngest(t *testing.T) {
	h := in(t, Storing)
	equal(t, "work", h.Work, Ingest)
	equal(t, "tries", h.Tries, 1)
	equal(t, "due", h.DueAt, h.now.Add(time.Minute))
	equal(t, "hint", h.Hint, nil)
}

func TestWakesBackOff(t *testing.T) {
	minutes := func(ns ...time.Duration) (ds []time.Duration) {
		for _, n := range ns {
			ds = append(ds, n*time.Minute)
		}
		return ds
	}
	for name, c := range map[string]struct {
		h     *history
		waits []time.Duration
	}{
		"ingest, 1 min to 1 h": {in(t, Storing), minutes(1, 2, 4, 8, 16, 32, 60, 60, 60)},
		"erase, 1 min to 1 h":  {in(t, Succeeded).deleted(), minutes(1, 2, 4, 8, 16, 32, 60, 60, 60)},
	} {
		work := c.h.Work
		for i, want := range c.waits {
			equal(t, name+": tries", c.h.Tries, i+1)
			equal(t, name+": wait", c.h.DueAt.Sub(c.h.now), want)
			unchanged(t, c.h, func() { c.h.after(want - time.Millisecond).wake() })
			c.h.after(time.Millisecond).wake()
			equal(t, name+": work", c.h.Work, work)
		}
	}
}

func TestAWakeOfStoringClaimsARead(t *testing.T) {
	h := in(t, Storing).after(time.Minute)
	c, ok, err := h.Wake(h.r, h.now)
	h.must(err)
	equal(t, "claimed", ok, true)
	equal(t, "claim", c, Claim{Attempt: 1, ProviderID: "p1", Proved: true, At: h.now})
	equal(t, "read at", h.ReadAt, h.now)

	h = in(t, Storing)
	h.now = h.DueAt
	h.ReadAt = h.now.Add(-35 * time.Second) // by a callback just before its record was applied
	_, ok, err = h.Wake(h.r, h.now)
	h.must(err)
	equal(t, "claimed within 36 s of another claim", ok, false)
	equal(t, "tries", h.Tries, 2)

	h = notifying(t)
	h.now = h.Due()
	_, ok, err = h.Wake(h.r, h.now)
	h.must(err)
	equal(t, "claimed by a notice", ok, false)
}

func TestAWakesReadFindsFreshLinks(t *testing.T) {
	fresh := []string{good + "?fresh", good2 + "?fresh"}
	for name, c := range map[string]struct {
		rec  Record
		want []string
	}{
		"as many":     {Record{State: RecordMade, URLs: fresh}, fresh},
		"fewer":       {Record{State: RecordMade, URLs: fresh[:1]}, []string{good, good2}},
		"none":        {Record{State: RecordMade}, []string{good, good2}},
		"running":     {running, []string{good, good2}},
		"failed":      {broken, []string{good, good2}},
		"unreadable":  {unread, []string{good, good2}},
		"those there": {Record{State: RecordMade, URLs: []string{good, good2}}, []string{good, good2}},
	} {
		h := in(t, Storing, images(2)).after(time.Minute)
		claim, _, err := h.Wake(h.r, h.now)
		h.must(err)
		h.applyRecord(claim, c.rec)
		equal(t, name+": urls", h.URLs, c.want)
		equal(t, name+": status", h.Status, Storing)
	}
}

// A record whose paramJson names the attempt makes its charge sure; see
// docs/decisions/quota.md.
func TestAWakesReadMakesTheChargeSure(t *testing.T) {
	h := readsFail(in(t, Unconfirmed).calledBack(saysSuccess))
	equal(t, "charges by the hint alone", h.Charges, []Charge{ChargeDoubtful})
	h.after(time.Minute)
	claim, _, err := h.Wake(h.r, h.now)
	h.must(err)
	h.applyRecord(claim, Record{State: RecordMade, Match: MatchOwn, URLs: []string{good}})
	equal(t, "charges by the record", h.Charges, []Charge{ChargeSure})
}

func TestStoredEndsWithAllImages(t *testing.T) {
	h := in(t, Storing, images(2)).after(time.Second).stored(pictures(2)...)
	equal(t, "status", h.Status, Succeeded)
	equal(t, "images", h.Images, pictures(2))
	equal(t, "missing", h.Missing, 0)
	equal(t, "ended", h.EndedAt, h.now)
	equal(t, "work, P4", h.Work, "")
	equal(t, "tries", h.Tries, 0)
	equal(t, "due", h.DueAt, time.Time{})
	equal(t, "urls", h.URLs, nil)
	equal(t, "refund", h.Refund, 0)
}

func TestStoredRefusesAnIncompleteSetBeforeTheLastWake(t *testing.T) {
	h := in(t, Storing, images(2))
	refused := func() {
		for n := range 2 {
			if err := h.Stored(h.r, h.now, pictures(n)); !errors.Is(err, errUnlawful) {
				t.Errorf("%d of 2 images: error %v, want %v", n, err, errUnlawful)
			}
		}
	}
	unchanged(t, h, refused)
	unchanged(t, h.after(71*time.Hour).wake(), refused)
}

// After a short record, a later one may have fresh links to the same pictures. The old
// links are dead, or lead to the same bytes.
func TestStoredAfterFreshLinks(t *testing.T) {
	shortThenAll := func() *history {
		h := in(t, Generating, images(2)).after(90 * time.Second).read(made).after(time.Minute)
		h.read(Record{State: RecordMade, URLs: []string{good + "?fresh", good2 + "?fresh"}})
		equal(t, "urls", len(h.URLs), 3)
		return h
	}
	all := pictures(3)
	fresh := all[1:]
	numbered := func(images ...Image) []Image {
		for i := range images {
			images[i].N = i + 1
		}
		return images
	}
	h := shortThenAll().stored(fresh...)
	equal(t, "images if the old link is dead", h.Images, numbered(all[1], all[2]))
	equal(t, "missing", h.Missing, 0)

	all[1].SHA256 = all[0].SHA256
	h = shortThenAll().stored(all...)
	equal(t, "images if the old link works", h.Images, numbered(all[0], all[2]))
	equal(t, "missing", h.Missing, 0)

	h = shortThenAll().after(time.Minute) // the fresh links die too
	claim, _, err := h.Wake(h.r, h.now)
	h.must(err)
	again := []string{good + "?again", good2 + "?again"}
	h.applyRecord(claim, Record{State: RecordMade, URLs: again})
	equal(t, "URLs, fresh again", h.URLs, again)

	h = shortThenAll()
	unchanged(t, h, func() {
		if err := h.Stored(h.r, h.now, all[:2]); !errors.Is(err, errUnlawful) {
			t.Errorf("one picture of two, from two links: %v", err)
		}
	})
}

// If a record has more pictures than requested, the task waits for all of them.
func TestStoredWaitsForMoreThanRequested(t *testing.T) {
	h := in(t, Generating).after(90 * time.Second).read(Record{State: RecordMade, URLs: []string{good, good2}})
	unchanged(t, h, func() {
		if err := h.Stored(h.r, h.now, pictures(2)[1:]); !errors.Is(err, errUnlawful) {
			t.Errorf("one picture of two: %v", err)
		}
	})
	h.after(2 * time.Minute)
	claim, _, err := h.Wake(h.r, h.now)
	h.must(err)
	h.applyRecord(claim, Record{State: RecordMade, URLs: []string{good + "?fresh"}})
	equal(t, "urls", h.URLs, []string{good, good2})
}

func TestStoredCountsTheMissing(t *testing.T) {
	short := in(t, Generating, images(3)).after(90 * time.Second).read(made).after(time.Minute).read(made)
	equal(t, "missing of three requested, one promised", short.stored(pictures(1)...).Missing, 2)

	late := in(t, Storing, images(3)).after(72 * time.Hour).wake().stored(pictures(2)...)
	equal(t, "status after the last wake", late.Status, Succeeded)
	equal(t, "missing after the last wake", late.Missing, 1)
	equal(t, "refund", late.Refund, 0)

	more := in(t, Generating).after(90 * time.Second).read(Record{State: RecordMade, URLs: []string{good, good2}})
	equal(t, "missing of one requested, two promised", more.stored(pictures(2)...).Missing, 0)

	none := in(t, Storing).after(72 * time.Hour).wake()
	if err := none.Stored(none.r, none.now, nil); !errors.Is(err, errUnlawful) {
		t.Errorf("no images after the last wake: error %v, want %v", err, errUnlawful)
	}
}

// At its deadline a task is woken one last time. It ends at the sweep after that wake,
// never before. So does a notice.
func TestTheLastWake(t *testing.T) {
	storing, told := in(t, Storing), notifying(t)
	for name, c := range map[string]struct {
		h    *history
		turn *Turn
		done func(*history) bool
	}{
		"storing": {storing, &storing.Turn, func(h *history) bool { return h.Failure == CodeImageUnavailable }},
		"notice":  {told, &told.NoticeTurn, func(h *history) bool { return !h.NoticeGivenUpAt.IsZero() && h.Notice == "" }},
	} {
		const wait = 72 * time.Hour
		equal(t, name+": deadline", c.turn.Deadline, c.h.now.Add(wait))
		c.h.after(wait - time.Millisecond).wake()
		equal(t, name+": last wake before the deadline", c.turn.LastWake, false)
		equal(t, name+": due", c.h.Due(), c.turn.Deadline)
		tries := c.turn.Tries
		c.h.after(time.Millisecond).wake()
		equal(t, name+": last wake at the deadline", c.turn.LastWake, true)
		equal(t, name+": tries", c.turn.Tries, tries+1)
		equal(t, name+": done by the last wake", c.done(c.h), false)
		end := c.h.Due()
		if end.Sub(c.h.now) < 5*time.Minute {
			t.Errorf("%s: ends %v after the last wake, which is less than a consumer's run", name, end.Sub(c.h.now))
		}
		unchanged(t, c.h, func() { c.h.now = end.Add(-time.Millisecond); c.h.wake() })
		c.h.after(time.Millisecond).wake()
		equal(t, name+": done by the sweep after it", c.done(c.h), true)
		equal(t, name+": due in the end", c.h.Due(), time.Time{})
	}
}

func TestALateSweepStillWakesFirst(t *testing.T) {
	h := in(t, Storing).after(100 * time.Hour).wake()
	equal(t, "status", h.Status, Storing)
	equal(t, "last wake", h.LastWake, true)
	equal(t, "status after the images are stored", h.stored(pictures(1)...).Status, Succeeded)
}

func TestAnEndIsFinal(t *testing.T) {
	h := notifying(t)
	for range 20 {
		h.now = h.Due()
		h.wake()
	}
	equal(t, "status", h.Status, Succeeded)
	equal(t, "images", h.Images, pictures(1))
	equal(t, "ended", h.EndedAt, h.UpdatedAt)
}

func TestInputsAreKeptByTheWriteThatStoresThePictures(t *testing.T) {
	kept := []Input{{N: 2, File: "2-0123456789abcdef-input.jpg", Thumbnail: "2-0123456789abcdef-input-512.jpg", Width: 3, Height: 4}}
	h := in(t, Storing)
	h.KeepInputs(kept)
	h.after(time.Second).stored(pictures(1)...)
	equal(t, "inputs", h.Inputs, kept)
	h.Clone().Inputs[0].N = 7
	equal(t, "inputs after a change of a clone", h.Inputs, kept)
	unchanged(t, h, func() { h.KeepInputs(nil) }) // by a run that came too late
}
