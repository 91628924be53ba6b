package task

import (
	"testing"
	"time"
)

// Records that cannot be used.
var (
	linkless       = Record{State: RecordMade}
	nonsense       = Record{State: RecordUnclear}
	stateless      = Record{State: RecordUnstated, URLs: []string{good}}
	foreign        = Record{State: RecordMade, Match: MatchForeign, URLs: []string{strange}}
	foreignFailure = Record{State: RecordFailed, Match: MatchForeign, Code: CodeGenerationFailed, Retry: true}
)

func TestAForeignRecordNeverEndsATask(t *testing.T) {
	for name, rec := range map[string]Record{"made": foreign, "failed": foreignFailure, "of another shape": {State: RecordUnclear, Match: MatchForeign}} {
		t.Run(name, func(t *testing.T) {
			h := in(t, Generating).after(90 * time.Second).read(rec)
			equal(t, "status", h.Status, Generating)
			equal(t, "doubt", h.Doubt, DoubtForeign)
			equal(t, "unreadable since", h.UnreadableSince, h.now)
			equal(t, "urls", h.URLs, nil)
			h.after(time.Minute).read(made)
			equal(t, "status after our own record", h.Status, Storing)
			equal(t, "urls", h.URLs, []string{good})

			h = in(t, Generating)
			h.now = h.Deadline
			h.read(rec).after(2 * time.Minute).read(rec)
			equal(t, "at the deadline", h.Failure, CodeTimedOut)
			equal(t, "attempts", h.Attempt, 1)
		})
	}
}

func TestATrustedCallbackDecidesIfTheRecordIsUnusable(t *testing.T) {
	for name, rec := range map[string]Record{"made without a link": linkless, "unknown state": nonsense, "foreign": foreign} {
		t.Run(name, func(t *testing.T) {
			said := func(hint Hint) *history {
				h := in(t, Generating).after(90 * time.Second).calledBack(hint).read(rec)
				equal(t, "status at first", h.Status, Generating)
				h.after(2*time.Minute - time.Second).read(rec)
				equal(t, "status a second too early", h.Status, Generating)
				return h.after(36 * time.Second).read(rec)
			}
			h := said(saysSuccess)
			equal(t, "status", h.Status, Storing)
			equal(t, "urls", h.URLs, []string{good})
			equal(t, "from an untrusted host", said(saysUntrusted).Status, Generating)
			equal(t, "a failure", said(saysOther).Failure, saysOther.Failure)
		})
	}
}

// If only a callback named the id, such a record proves nothing, and the callback may be
// about the other task.
func TestAnIDFromACallbackIsNotTrustedIfTheRecordIsUnusable(t *testing.T) {
	for name, rec := range map[string]Record{"made without a link": linkless, "no state we know": nonsense} {
		h := in(t, Unconfirmed).calledBack(saysSuccess).read(rec).after(3 * time.Minute).read(rec)
		equal(t, name, h.Status, Unconfirmed)
		h.now = h.Deadline
		h.read(rec)
		equal(t, name+": at the deadline", h.Failure, CodeOutcomeUnknown)
	}
	h := in(t, Unconfirmed).calledBack(saysSuccess).read(running)
	equal(t, "status with the id attached", h.Status, Generating)
	h.after(time.Minute).read(foreign).after(3 * time.Minute).read(foreign)
	equal(t, "a foreign record under an attached id", h.Status, Generating)
	h.after(time.Minute).read(unread)
	equal(t, "no record after it", h.Status, Generating)
}

// A record that names our callback address proves that the order was accepted, even if
// it is unusable otherwise. The task waits for the link.
func TestARecordWithOurAddressIsOurs(t *testing.T) {
	for name, rec := range map[string]Record{
		"made without a link": {State: RecordMade, Match: MatchOwn}, "no state we know": {State: RecordUnclear, Match: MatchOwn},
	} {
		h := in(t, Unconfirmed).calledBack(saysSuccess).read(rec)
		equal(t, name+": status", h.Status, Generating)
		equal(t, name+": id", h.ProviderID, "p1")
		equal(t, name+": charge", h.Charges, []Charge{ChargeSure})
		equal(t, name+": generations", h.Generations, 1)
		h.after(3 * time.Minute).read(rec)
		equal(t, name+": status", h.Status, Storing)
	}
}

func TestARepeatedRecordWithoutAStateIsASuccess(t *testing.T) {
	h := in(t, Generating).after(90 * time.Second).read(stateless)
	equal(t, "status", h.Status, Generating)
	equal(t, "doubt", h.Doubt, DoubtUnstated)
	h.after(2*time.Minute - time.Second).read(stateless)
	equal(t, "status a second too early", h.Status, Generating)
	h.after(36 * time.Second).read(stateless)
	equal(t, "status", h.Status, Storing)
	equal(t, "urls", h.URLs, []string{good})

	h = in(t, Generating).after(90 * time.Second).read(unread).after(3 * time.Minute).read(stateless)
	equal(t, "after unreadable records", h.Status, Generating)
	h = in(t, Generating).after(90 * time.Second).read(stateless).after(3 * time.Minute).read(Record{State: RecordUnstated, Match: MatchForeign, URLs: []string{strange}})
	equal(t, "after a foreign record", h.Status, Generating)
	h = in(t, Generating).after(90 * time.Second).read(stateless).after(3 * time.Minute).read(running)
	equal(t, "a state clears the doubt", h.Doubt, "")
}

func TestALastingDoubtFailsAsImageUnavailable(t *testing.T) {
	for name, c := range map[string]struct {
		recs []Record
		want Code
	}{
		"made without a link":            {[]Record{linkless, linkless}, CodeImageUnavailable},
		"no state we know":               {[]Record{nonsense, nonsense}, CodeImageUnavailable},
		"no record after it":             {[]Record{nonsense, unread}, CodeImageUnavailable},
		"never a record":                 {[]Record{unread, unread}, CodeTimedOut},
		"a state, then never a record":   {[]Record{running, unread}, CodeTimedOut},
		"foreign, then an unknown state": {[]Record{foreign, nonsense}, CodeImageUnavailable},
		"an unknown state, then foreign": {[]Record{nonsense, foreign}, CodeTimedOut},
	} {
		h := in(t, Generating).after(90 * time.Second).read(c.recs[0])
		h.now = h.Deadline
		for !h.Done() {
			h.read(c.recs[1]).after(36 * time.Second)
		}
		equal(t, name, h.Failure, c.want)
	}
}

func TestCertainLinksReplaceGuesses(t *testing.T) {
	guess := Record{State: RecordMade, URLs: []string{strange}, Guessed: true}
	h := in(t, Generating, images(2)).after(90 * time.Second).read(guess)
	equal(t, "guessed", h.Guessed, true)
	h.after(time.Minute).read(made)
	equal(t, "urls", h.URLs, []string{good})
	equal(t, "guessed", h.Guessed, false)

	h = in(t, Generating, images(2)).after(90 * time.Second).read(made).after(time.Minute).read(guess)
	equal(t, "a guess after a link", h.URLs, []string{good})

	h = in(t, Generating).after(90 * time.Second).read(made).after(time.Hour)
	c, ok, err := h.Wake(h.r, h.now)
	if !ok {
		t.Fatal(err)
	}
	h.must(err).applyRecord(c, guess)
	equal(t, "a guess on a wake", h.URLs, []string{good})
}

func TestLinksOfTrustedCallbacksAreKeptAsSpares(t *testing.T) {
	says := func(id string, urls ...string) Hint { return Hint{ProviderID: id, Success: true, URLs: urls} }
	h := in(t, Generating).after(80 * time.Second).calledBack(says("p1", good2)).read(made)
	equal(t, "status", h.Status, Storing)
	equal(t, "spares", h.Spares, []string{good2})
	unchanged(t, h, func() { h.calledBack(says("p1", good)) })
	unchanged(t, h, func() { h.calledBack(says("p1", strange)) })
	unchanged(t, h, func() { h.calledBack(says("", good+"?3")) })
	unchanged(t, h, func() { h.calledBack(says("p2", good+"?3")) })
	unchanged(t, h, func() { h.calledBack(saysFailure) })
	h.calledBack(says("p1", good+"?3", strange))
	equal(t, "spares after a later callback", h.Spares, []string{good2, good + "?3"})
	for n := range 20 {
		h.calledBack(says("p1", good+"?"+string(rune('a'+n))))
	}
	equal(t, "number of spares", len(h.Spares), 8)
	equal(t, "the latest is kept", h.Spares[7], good+"?t")

	equal(t, "spare links before the record was read again", h.SpareLinks(), nil)
	h.after(time.Hour)
	c, ok, err := h.Wake(h.r, h.now)
	if !ok {
		t.Fatal(err)
	}
	h.must(err).applyRecord(c, unread)
	equal(t, "spare links after it", len(h.SpareLinks()), 8)
	h.stored(Image{N: 1, SHA256: "a"})
	equal(t, "spares after the end", h.Spares, nil)
}

// The record may come back with older links than those of the callback that decided in
// its place.
func TestLinksOfACallbackSurviveAWake(t *testing.T) {
	h := in(t, Generating).calledBack(Hint{ProviderID: "p1", Success: true, URLs: []string{good2}})
	h.after(90 * time.Second).read(unread).after(2 * time.Minute).read(unread)
	equal(t, "status", h.Status, Storing)
	equal(t, "urls", h.URLs, []string{good2})
	h.after(time.Hour)
	c, ok, err := h.Wake(h.r, h.now)
	if !ok {
		t.Fatal(err)
	}
	h.must(err).applyRecord(c, unread)
	equal(t, "spare links while they are the task's links", len(h.SpareLinks()), 0)
	h.after(time.Hour)
	if c, ok, err = h.Wake(h.r, h.now); !ok {
		t.Fatal(err)
	}
	h.must(err).applyRecord(c, made)
	equal(t, "URLs after the wake", h.URLs, []string{good})
	equal(t, "spares", h.SpareLinks(), []string{good2})
}

func TestAWakeTakesNoLinksOfAForeignRecord(t *testing.T) {
	h := in(t, Storing).after(time.Hour)
	c, ok, err := h.Wake(h.r, h.now)
	if !ok {
		t.Fatal(err)
	}
	h.must(err).applyRecord(c, foreign)
	equal(t, "urls", h.URLs, []string{good})
}
