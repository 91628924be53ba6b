package task

import (
	"testing"
	"time"
)

// Hints, in the order in which a later one replaces an earlier one.
var (
	saysNothing   = Hint{}
	saysID        = Hint{ProviderID: "p1"}
	saysFailure   = Hint{ProviderID: "p1", Failure: CodeGenerationFailed}
	saysOther     = Hint{ProviderID: "p1", Failure: CodeProviderRejected}
	saysPolicy    = Hint{ProviderID: "p1", Failure: CodeContentPolicy, Bars: true}
	saysUntrusted = Hint{ProviderID: "p1", Success: true, URLs: []string{strange}}
	saysMixed     = Hint{ProviderID: "p1", Success: true, URLs: []string{good, strange}}
	saysSuccess   = Hint{ProviderID: "p1", Success: true, URLs: []string{good}}
	saysSuccess2  = Hint{ProviderID: "p1", Success: true, URLs: []string{good2}}
)

func TestWhichHintIsKept(t *testing.T) {
	for name, c := range map[string]struct{ first, second, want Hint }{
		"a success is not replaced by a failure":                           {saysSuccess, saysFailure, saysSuccess},
		"a success is not replaced by a policy refusal":                    {saysSuccess, saysPolicy, saysSuccess},
		"a success of another host is not replaced by a failure":           {saysUntrusted, saysFailure, saysUntrusted},
		"a success of RESULT_HOSTS is not replaced by one of another host": {saysSuccess, saysUntrusted, saysSuccess},
		"nor by one with a single other host":                              {saysSuccess, saysMixed, saysSuccess},
		"no hint is replaced by an empty callback":                         {saysSuccess, saysNothing, saysSuccess},
		"a failure is not replaced by a callback with only an id":          {saysFailure, saysID, saysFailure},
		"otherwise the later stays: success after failure":                 {saysFailure, saysSuccess, saysSuccess},
		"otherwise the later stays: any host after failure":                {saysFailure, saysUntrusted, saysUntrusted},
		"otherwise the later stays: RESULT_HOSTS after another host":       {saysUntrusted, saysSuccess, saysSuccess},
		"otherwise the later stays: success after success":                 {saysSuccess, saysSuccess2, saysSuccess2},
		"otherwise the later stays: another host after another host":       {saysUntrusted, saysMixed, saysMixed},
		"otherwise the later stays: failure after failure":                 {saysOther, saysFailure, saysFailure},
		"otherwise the later stays: failure after an id":                   {saysID, saysFailure, saysFailure},
	} {
		for _, s := range []Status{Submitting, Unconfirmed, Generating} {
			h := in(t, s).calledBack(c.first).calledBack(c.second)
			if h.Hint == nil {
				t.Errorf("%s, in %q: no hint", name, s)
				continue
			}
			equal(t, name+", in "+string(s), *h.Hint, c.want)
		}
	}
}

func TestAHintKeepsTheIDNamedBefore(t *testing.T) {
	anonymous := Hint{Success: true, URLs: []string{good}}
	h := in(t, Unconfirmed).calledBack(saysFailure).calledBack(anonymous)
	equal(t, "hint", *h.Hint, saysSuccess)
}

func TestALaterIDReplacesAnUnconfirmedOne(t *testing.T) {
	h := in(t, Unconfirmed).calledBack(Hint{ProviderID: "foreign", Failure: CodeGenerationFailed}).calledBack(saysSuccess)
	equal(t, "id to read", h.claim().ProviderID, "p1")
}

func TestACode400IsKeptSeparatelyFromTheHint(t *testing.T) {
	for _, s := range []Status{Submitting, Unconfirmed, Generating} {
		h := in(t, s).calledBack(saysSuccess).calledBack(saysPolicy)
		equal(t, "barred attempt", h.Barred, 1)
		equal(t, "hint", *h.Hint, saysSuccess)
	}
}

func TestAnIDOtherThanTheKnownOneIsIgnored(t *testing.T) {
	foreign := Hint{ProviderID: "foreign", Success: true, URLs: []string{good}, Bars: true}
	for name, h := range map[string]*history{
		"generating":                      in(t, Generating),
		"waiting after failed generation": brokenOnce(t),
		"storing":                         in(t, Storing),
	} {
		h.after(time.Hour)
		unchanged(t, h, func() {
			woken, err := h.CalledBack(h.r, h.now, h.Attempt, foreign)
			h.must(err)
			equal(t, name+": woken", woken, false)
		})
	}
}

func TestACallbackWhileSubmittingIsOnlyKept(t *testing.T) {
	h := begin(t)
	want := h.Clone()
	kept := saysSuccess
	want.Hint = &kept
	h.after(time.Second)
	woken, err := h.CalledBack(h.r, h.now, 1, saysSuccess)
	h.must(err)
	equal(t, "woken", woken, false)
	equal(t, "row", h.Task, want)
	_, ok := h.Claim(h.r, h.now)
	equal(t, "claimed", ok, false)
}

// A callback gets 503 while no provider id is known, so that it comes again.
func TestFindable(t *testing.T) {
	for _, s := range []Status{Submitting, Unconfirmed} {
		h := in(t, s)
		for name, hint := range map[string]Hint{
			"unreadable body":    saysNothing,
			"success without id": {Success: true, URLs: []string{good}},
			"400 without id":     {Failure: CodeContentPolicy, Bars: true},
		} {
			unchanged(t, h, func() { h.calledBack(hint) })
			equal(t, string(s)+", "+name, h.Findable(), false)
		}
		h.calledBack(saysID)
		equal(t, string(s)+", an id named", h.Findable(), true)
		h.calledBack(saysNothing)
		equal(t, string(s)+", an id named before", h.Findable(), true)
	}
	for _, s := range []Status{Waiting, Generating, Storing, Succeeded, Failed} {
		equal(t, string(s), in(t, s).Findable(), true)
	}
}

func TestACallbackMakesTheTaskDueAtTheEarliestRead(t *testing.T) {
	t.Run("at once", func(t *testing.T) {
		h := in(t, Generating).after(time.Second).calledBack(saysNothing)
		equal(t, "due", h.DueAt, h.now)
	})
	t.Run("36 s after the last claim", func(t *testing.T) {
		h := in(t, Generating).after(10 * time.Minute)
		h.read(running).after(35 * time.Second).calledBack(saysFailure)
		equal(t, "due", h.DueAt, h.ReadAt.Add(36*time.Second))
	})
	t.Run("60 s after a short record", func(t *testing.T) {
		h := in(t, Generating, images(2)).after(time.Minute).read(made).after(time.Second).calledBack(saysNothing)
		equal(t, "due", h.DueAt, h.ShortAt.Add(60*time.Second))
	})
}

func TestTenThousandCallbacksCauseOneReadPer36Seconds(t *testing.T) {
	h := in(t, Generating)
	var claims []time.Time
	for range 10_000 {
		h.after(37 * time.Millisecond)
		if woken, err := h.CalledBack(h.r, h.now, h.Attempt, saysFailure); !woken || err != nil {
			t.Fatalf("woken %v, error %v; want true, nil", woken, err)
		}
		if c, ok := h.Claim(h.r, h.now); ok {
			claims = append(claims, c.At)
		}
	}
	equal(t, "claims within 370 s", len(claims), 11)
	for i := 1; i < len(claims); i++ {
		if apart := claims[i].Sub(claims[i-1]); apart < 36*time.Second {
			t.Errorf("claims %v apart, want at least 36 s", apart)
		}
	}
}

func TestARepeatedCallbackWritesNothing(t *testing.T) {
	h := in(t, Generating).after(time.Second).calledBack(saysSuccess)
	h.claim()
	h.after(time.Second).calledBack(saysSuccess)
	unchanged(t, h, func() { h.after(time.Second).calledBack(saysSuccess) })
}

// UNREADABLE_AFTER is the time from the first failed read since the last good one to the
// read that decides.
func TestTheHintDecidesAloneOnlyAfterFailedReads(t *testing.T) {
	const poll, after = 36 * time.Second, 2 * time.Minute
	for name, c := range map[string]struct {
		hint Hint
		do   func(*history)
		want Status
	}{
		"the record decides while it can be read": {saysFailure, func(h *history) { h.read(running) }, Generating},
		"one failed read":                         {saysSuccess, func(h *history) { h.read(unread) }, Generating},
		"failed reads for less than UNREADABLE_AFTER": {saysSuccess,
			func(h *history) { h.read(unread).after(after - time.Millisecond).read(unread) }, Generating},
		"failed reads for UNREADABLE_AFTER": {saysSuccess,
			func(h *history) { h.read(unread).after(after).read(unread) }, Storing},
		"a good read in between restarts the time": {saysSuccess,
			func(h *history) { h.read(unread).after(poll).read(running).after(after).read(unread) }, Generating},
		"a running record is readable": {saysFailure,
			func(h *history) { h.read(running).after(after).read(unread).after(poll).read(unread) }, Generating},
		"the failed reads may be older than the hint": {saysID,
			func(h *history) { h.read(unread).after(after).calledBack(saysSuccess).read(unread) }, Storing},
		"success on another host": {saysUntrusted,
			func(h *history) { h.read(unread).after(time.Hour).read(unread) }, Generating},
		"success with one other host": {saysMixed,
			func(h *history) { h.read(unread).after(time.Hour).read(unread) }, Generating},
		"only an id": {saysID, func(h *history) { h.read(unread).after(time.Hour).read(unread) }, Generating},
		"failure":    {saysFailure, func(h *history) { h.read(unread).after(after).read(unread) }, Failed},
	} {
		t.Run(name, func(t *testing.T) {
			h := in(t, Generating).after(time.Second).calledBack(c.hint)
			c.do(h)
			equal(t, "status", h.Status, c.want)
		})
	}
}

func TestTheHintAloneDecidesForUnconfirmed(t *testing.T) {
	h := readsFail(in(t, Unconfirmed).calledBack(saysSuccess))
	equal(t, "status", h.Status, Storing)
	equal(t, "urls", h.URLs, saysSuccess.URLs)
	equal(t, "provider id", h.ProviderID, "p1")
	equal(t, "charges", h.Charges, []Charge{ChargeDoubtful})
	equal(t, "generations", h.Generations, 1)

	h = readsFail(in(t, Unconfirmed).calledBack(saysFailure))
	equal(t, "failure", h.Failure, CodeGenerationFailed)
	equal(t, "charges", h.Charges, []Charge{ChargeDoubtful})
}

func TestAFailureFromTheHintAloneIsNeverRetried(t *testing.T) {
	h := readsFail(in(t, Generating).calledBack(saysFailure))
	equal(t, "status", h.Status, Failed)
	equal(t, "failure", h.Failure, CodeGenerationFailed)
	h = readsFail(in(t, Generating).calledBack(saysPolicy).calledBack(saysFailure))
	equal(t, "failure after a 400", h.Failure, CodeContentPolicy)
	equal(t, "refund after a 400", h.Refund, 0)
}

func TestTheRecordDecidesAndTheCallbackMayAddTheReason(t *testing.T) {
	rejected := Record{State: RecordFailed, Code: CodeProviderRejected}
	for name, c := range map[string]struct {
		heard []Hint
		rec   Record
		code  Code
	}{
		"nothing heard":               {nil, Record{State: RecordFailed, Code: CodeGenerationFailed}, CodeGenerationFailed},
		"a 400":                       {[]Hint{saysPolicy}, broken, CodeContentPolicy},
		"a 400, then another failure": {[]Hint{saysPolicy, saysFailure}, broken, CodeContentPolicy},
		"a 400 after a success":       {[]Hint{saysSuccess, saysPolicy}, broken, CodeContentPolicy},
		"a cause":                     {[]Hint{saysOther}, Record{State: RecordFailed, Code: CodeGenerationFailed}, CodeProviderRejected},
		"a success":                   {[]Hint{saysSuccess}, Record{State: RecordFailed, Code: CodeGenerationFailed}, CodeGenerationFailed},
		"the record's own cause wins": {[]Hint{saysPolicy}, rejected, CodeProviderRejected},
	} {
		h := in(t, Generating).after(time.Second)
		for _, hint := range c.heard {
			h.calledBack(hint)
		}
		h.read(c.rec)
		equal(t, name+": status", h.Status, Failed)
		equal(t, name+": failure", h.Failure, c.code)
	}
	h := in(t, Generating).after(time.Second).calledBack(saysPolicy).read(made)
	equal(t, "the record is a success in spite of a 400", h.Status, Storing)
}

// The failed reads of one id's record do not count for another id's record.
func TestACallbackWithAnotherIDRestartsTheTime(t *testing.T) {
	h := in(t, Unconfirmed).calledBack(saysSuccess).read(unread)
	h.after(2 * time.Minute).calledBack(Hint{ProviderID: "p2", Success: true, URLs: []string{good2}}).after(36 * time.Second).read(unread)
	equal(t, "status at the first failed read of p2", h.Status, Unconfirmed)
	equal(t, "unreadable since", h.UnreadableSince, h.now)
	h.after(2 * time.Minute).read(unread)
	equal(t, "status", h.Status, Storing)
	equal(t, "provider id", h.ProviderID, "p2")
}

// A callback may leave out the provider id. It still decides once the record cannot be
// read.
func TestAFailureWithoutAnIDCountsWhileTheRecordIsUnreadable(t *testing.T) {
	nameless := Hint{Failure: CodeProviderRejected}

	h := readsFail(in(t, Generating).calledBack(nameless))
	equal(t, "status with our own id", h.Status, Failed)
	equal(t, "failure with our own id", h.Failure, CodeProviderRejected)
	equal(t, "provider id", h.ProviderID, "p1")

	h = in(t, Unconfirmed).calledBack(saysID).calledBack(nameless)
	equal(t, "hint with the id named before", *h.Hint, saysOther)
	h = in(t, Unconfirmed).calledBack(saysFailure).calledBack(nameless)
	equal(t, "hint with the id of an earlier failure", *h.Hint, saysOther)
}
