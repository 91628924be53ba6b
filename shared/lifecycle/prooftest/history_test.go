package prooftest

import (
	"fmt"
	"math/bits"
	"strings"

	"pgregory.net/rapid"
)

// history is what is to happen, drawn before anything does: it shrinks well,
// and the same one always does the same.
type history struct {
	Notify bool // Preset is told
	Quota  int  // images per owner and day; 0: none
	Blind  bool // no callback's URL is taken without a record
	Never  bool // in the end what the provider has not finished it never will
	Reads  bool // reads of the store are calls like others; else they happen at once
	Steps  []step
}

// step is one thing that happens. A and B say which, among what there is.
type step struct {
	Do   action
	A, B int
}

// action is a kind of step.
type action int

const (
	nothing       action = iota
	run                  // everything under way goes on to its end
	goOn                 // a call happens and is answered
	effect               // a call has its effect; its answer is on its way
	fail                 // a call fails before its effect, or after it if that has been
	lose                 // a call has its effect, and its answer is lost
	resend               // a call has its effect, and a layer below the code will send it again
	crash                // the process dies at a call
	crashAfter           // a call has its effect, and the process dies
	arrive               // a call whose actor gave it up, or died, arrives all the same
	hangUp               // who called the API, or called back, does not wait for the answer
	submit               // an order, new or not
	callback             // about an order at the provider
	forge                // a callback with a true token, about whatever
	sweep                //
	consume              // a stream record: true, repeated or late
	remove               // DELETE
	retarget             //
	later                // the clock moves
	finish               // the provider is done with an order
	record               // how a record is answered from now on
	answer               // how the next POST is answered
	condition            // something else goes wrong, or right again
	normal               // an order that nothing happens to until the provider has it
	due                  // the clock moves to the next thing that is due, and two sweeps find it
	secondTry            // another attempt, since the first was made in vain
	unreadable           // an order's record cannot be read for a while, as it is called back
	uselessRecord        // it comes, and nobody can use it
	liveLinks            // its links are dead, and a callback's are not
	unproved             // an order whose id only a callback names, and a record that repeats what was ordered in some way
	strangersID          // an order that nobody knows the fate of, and a callback that names another
	manyRefusals         // POSTs are refused, again and again
	earlyCallback        // a callback that names another order, or says 400, comes before the answer to the POST
)

var actionNames = [...]string{
	"nothing", "run", "goOn", "effect", "fail", "lose", "resend", "crash", "crashAfter", "arrive", "hangUp", "submit", "callback",
	"forge", "sweep", "consume", "remove", "retarget", "later", "finish", "record", "answer", "condition", "normal", "due",
	"secondTry", "unreadable", "uselessRecord", "liveLinks", "unproved", "strangersID", "manyRefusals", "earlyCallback",
}

// often says how often each action comes: those first that are the simplest,
// since failures shrink towards the beginning.
var often = func() (all []action) {
	for _, of := range []struct {
		action
		times int
	}{
		{nothing, 1}, {run, 7}, {goOn, 24}, {normal, 4}, {secondTry, 2}, {unreadable, 3}, {uselessRecord, 5}, {liveLinks, 3}, {unproved, 3}, {strangersID, 1}, {manyRefusals, 1}, {earlyCallback, 2}, {submit, 6}, {due, 8}, {sweep, 4}, {later, 8}, {callback, 9}, {finish, 6},
		{consume, 7}, {effect, 7}, {fail, 3}, {lose, 4}, {resend, 4}, {crash, 2}, {crashAfter, 3}, {arrive, 3}, {hangUp, 2},
		{forge, 3}, {remove, 3}, {retarget, 1}, {record, 4}, {answer, 5}, {condition, 3},
	} {
		for range of.times {
			all = append(all, of.action)
		}
	}
	return all
}()

// drawn gives one of n, each as often: rapid's own ranges prefer what is small,
// and these histories would be nothing but their most frequent steps. It shrinks
// towards 0 all the same.
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
			Never: drawn(t, 8) == 7, Reads: drawn(t, 4) == 3,
			Steps: rapid.SliceOfN(steps, 24, 72).Draw(t, "steps"),
		}
	})
}

// GoString is a history as it can be pasted into a test.
func (h history) GoString() string {
	var b strings.Builder
	fmt.Fprintf(&b, "history{Notify: %v, Quota: %d, Blind: %v, Never: %v, Reads: %v, Steps: []step{", h.Notify, h.Quota, h.Blind, h.Never, h.Reads)
	for _, s := range h.Steps {
		if s.Do != nothing {
			fmt.Fprintf(&b, "{%s, %d, %d}, ", actionNames[s.Do], s.A, s.B)
		}
	}
	return b.String() + "}}"
}
