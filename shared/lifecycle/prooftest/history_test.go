package prooftest

import (
	"fmt"
	"math/bits"
	"strings"

	"pgregory.net/rapid"
)

// history is drawn as a whole before it runs, so that it shrinks well and always runs the
// same way.
type history struct {
	Notify bool // Preset is notified
	Quota  int  // images per owner and day; 0: none
	Blind  bool // RESULT_HOSTS is empty: no link of a callback counts alone
	Never  bool // after the history, the provider finishes no more orders
	Reads  bool // reads of the store wait like other calls
	Forget bool // owners are forgotten
	Hold   bool // all POSTs are held now and then
	Steps  []step
}

// step is one thing that happens. A and B select to what.
type step struct {
	Do   action
	A, B int
}

// action is a kind of step.
type action int

const (
	nothing       action = iota
	run                  // everything under way ends
	goOn                 // a call takes effect and is answered
	effect               // a call takes effect; its answer is still under way
	fail                 // a call fails, before its effect unless that came already
	lose                 // a call takes effect, and its answer is lost
	resend               // a call takes effect, and a layer below the code will resend it
	crash                // the process dies before a call takes effect
	crashAfter           // a call takes effect, and the process dies
	arrive               // a call whose actor gave up or died arrives
	hangUp               // the caller of the API, or of the callback, hangs up
	submit               // an order, new or not
	callback             // a callback for an order at the provider
	forge                // a callback with a valid token and false content
	sweep                //
	wait                 // a client waits for a task: now, or when its record is due, alone or beside a sweep
	consume              // a stream message: new, repeated or late
	remove               // DELETE
	retarget             //
	later                // the clock moves
	finish               // the provider finishes an order
	record               // changes how a record is answered
	answer               // how the next POST is answered
	condition            // another fault begins or ends
	normal               // an order without faults until the provider has it
	due                  // the clock moves to when something is due, and two sweeps come
	secondTry            // an order fails, and another attempt begins
	unreadable           // an order's record cannot be read for a while, and a callback comes
	uselessRecord        // an order's record is unusable for a while, and a callback comes
	liveLinks            // the links in a record are dead, and those of a callback are live
	unproved             // only a callback names an order's id, and its record repeats the parameters in some way
	strangersID          // a POST's outcome is unknown, and a callback names another order
	manyRefusals         // many POSTs in a row are refused
	earlyCallback        // a callback that names another order, or says 400, comes before the answer to the POST
	afterEnd             // a task that has ended is moved or deleted, before, while or after Preset is told
	forget               // an owner is forgotten, if the history has that; sometimes once more
	hold                 // all POSTs are held or released, if the history has that; or a task waits through a hold
	rescue               // somebody rescues a task
	lost                 // an order ends without its pictures, which are made all the same, and is rescued
)

var actionNames = [...]string{
	"nothing", "run", "goOn", "effect", "fail", "lose", "resend", "crash", "crashAfter", "arrive", "hangUp", "submit", "callback",
	"forge", "sweep", "wait", "consume", "remove", "retarget", "later", "finish", "record", "answer", "condition", "normal", "due",
	"secondTry", "unreadable", "uselessRecord", "liveLinks", "unproved", "strangersID", "manyRefusals", "earlyCallback", "afterEnd", "forget", "hold", "rescue", "lost",
}

// often lists each action as often as it shall be drawn. The simplest ones come first,
// since histories shrink towards them.
var often = func() (all []action) {
	for _, of := range []struct {
		action
		times int
	}{
		{nothing, 1}, {run, 7}, {goOn, 24}, {normal, 4}, {secondTry, 2}, {unreadable, 3}, {uselessRecord, 5}, {liveLinks, 3}, {unproved, 3}, {strangersID, 1}, {manyRefusals, 1}, {earlyCallback, 2}, {afterEnd, 5}, {forget, 3}, {hold, 5}, {submit, 6}, {due, 8}, {sweep, 4}, {wait, 5}, {later, 8}, {callback, 9}, {finish, 6},
		{consume, 7}, {effect, 7}, {fail, 3}, {lose, 4}, {resend, 4}, {crash, 2}, {crashAfter, 3}, {arrive, 3}, {hangUp, 2},
		{lost, 4}, {rescue, 3}, {forge, 3}, {remove, 3}, {retarget, 1}, {record, 4}, {answer, 5}, {condition, 3},
	} {
		for range of.times {
			all = append(all, of.action)
		}
	}
	return all
}()

// drawn draws one of n uniformly: rapid's own ranges prefer small numbers, and the
// histories would be nothing but their most frequent steps. It still shrinks towards 0.
func drawn(t *rapid.T, n int) (one int) {
	for range bits.Len(uint(n-1)) + 2 {
		one *= 2
		if rapid.Bool().Draw(t, "bit") {
			one++
		}
	}
	return one % n
}

// histories draws histories.
func histories() *rapid.Generator[history] {
	steps := rapid.Custom(func(t *rapid.T) step { return step{often[drawn(t, len(often))], drawn(t, 6), drawn(t, 12)} })
	return rapid.Custom(func(t *rapid.T) history {
		return history{
			Notify: rapid.Bool().Draw(t, "notify"), Quota: 3 * drawn(t, 2), Blind: rapid.Bool().Draw(t, "blind"),
			Never: drawn(t, 8) == 7, Reads: drawn(t, 4) == 3, Forget: drawn(t, 4) == 3, Hold: drawn(t, 4) == 3,
			Steps: rapid.SliceOfN(steps, 24, 72).Draw(t, "steps"),
		}
	})
}

// GoString is a history as it can be pasted into a test.
func (h history) GoString() string {
	var b strings.Builder
	fmt.Fprintf(&b, "history{Notify: %v, Quota: %d, Blind: %v, Never: %v, Reads: %v, Forget: %v, Hold: %v, Steps: []step{", h.Notify, h.Quota, h.Blind, h.Never, h.Reads, h.Forget, h.Hold)
	for _, s := range h.Steps {
		if s.Do != nothing {
			fmt.Fprintf(&b, "{%s, %d, %d}, ", actionNames[s.Do], s.A, s.B)
		}
	}
	return b.String() + "}}"
}
