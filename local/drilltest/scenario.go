package drilltest

import (
	"strings"
	"time"

	"github.com/preset/nanobanana-functions/shared/nanobanana/nanobananatest"
	"github.com/preset/nanobanana-functions/shared/task"
)

// A scenario is a fault, how the operator hears of it, and what ends it.
type scenario struct {
	Fault  string
	Alarm  string        // rings
	Within time.Duration // of the fault
	First  string        // rings before; empty: none

	Prepare func(World) // before the orders that are in flight; nil: nothing
	Break   func(World)
	Worse   []func(World) // before each order during the fault; the nil ones do nothing
	Lasts   time.Duration // at least
	Stuck   string        // stuck shows this pattern, at First or else at the end of that

	Few bool // one order, since the fault makes each of them slow

	Meanwhile func(*drill) []command // for the users, until it is mended; nil: nothing
	Repair    func(World)            // what ends it besides commands of ours; nil: nothing
	By        string                 // what that is, for people
	Mend      func(*drill) []command
	Ends      time.Duration // all has ended so long after that

	MayFail []task.Code // how a task may end besides as a success
	Refused task.Code   // why orders are refused meanwhile; empty: none is
}

// command is a command of bin/ops.
type command struct {
	Words []string
	Input string // standard input
}

// verb is the command without its arguments.
func (c command) verb() string {
	var words []string
	for _, w := range c.Words {
		if strings.HasPrefix(w, "-") || len(words) == 1 && words[0] != "key" && words[0] != "token" || len(words) == 2 {
			break
		}
		words = append(words, w)
	}
	return strings.Join(words, " ")
}

func run(words ...string) func(*drill) []command {
	return func(*drill) []command { return []command{{Words: words}} }
}

const (
	newKey = "another-key-of-the-provider"
	hour   = time.Hour
	day    = 24 * hour
)

func knobs(change func(*nanobananatest.Knobs)) func(World) {
	return func(w World) { w.Provider().SetKnobs(change) }
}

// refuse lets the provider answer orders so.
func refuse(f nanobananatest.Fault) func(World) {
	return knobs(func(k *nanobananatest.Knobs) { k.Submit = f })
}

func loseCallbacks(is bool) func(World) {
	return knobs(func(k *nanobananatest.Knobs) { k.LoseCallbacks = is })
}

func fault(f Fault, is bool) func(World) { return func(w World) { w.Break(f, is) } }

func preset(down bool) func(World) { return func(w World) { w.Preset().SetDown(down) } }

// scenarios are the faults of the drill.
var scenarios = []scenario{
	{
		Fault: "the balance runs dry", Alarm: "CreditsLow", Within: 15 * time.Minute,
		Break:  func(w World) { w.Provider().SetBalance(0) },
		Stuck:  "NEW ORDERS ARE REFUSED",
		Repair: func(w World) { w.Provider().SetBalance(1000) }, By: "a top-up",
		Ends: 2 * hour, MayFail: []task.Code{task.CodeInsufficientCredits}, Refused: task.CodeInsufficientCredits,
	},
	{
		Fault: "the key is revoked, and rotated", Alarm: "CheckRests", Within: hour,
		Prepare: loseCallbacks(true), Break: func(w World) { w.Provider().SetKeys(newKey) },
		Lasts:  2 * hour,
		Stuck:  "cannot be read",
		Repair: loseCallbacks(false),
		Mend:   func(*drill) []command { return []command{{Words: []string{"key", "set"}, Input: newKey + "\n"}} },
		Ends:   2 * hour, MayFail: []task.Code{task.CodeProviderUnauthorized},
	},
	{
		Fault: "Preset's webhook is down", Alarm: "NoticesGivenUp", Within: 4 * day, First: "NoticesWait",
		Break: preset(true), Lasts: 77 * hour, // all notices are given up
		Stuck:  "Preset has not accepted the notice yet",
		Repair: preset(false), By: "Preset", Mend: run("redrive", "-all"),
		Ends: 2 * hour,
	},
	{
		Fault: "the provider answers 500, then 429", Alarm: "TaskIsOld", Within: 2 * hour,
		Break: refuse(nanobananatest.Fault{Kind: nanobananatest.FaultStatus, Code: 500, Accepted: true}),
		Worse: []func(World){
			1: refuse(nanobananatest.Fault{Kind: nanobananatest.FaultStatus, Code: 500}),
			2: refuse(nanobananatest.Fault{Kind: nanobananatest.FaultStatus, Code: 429, RetryAfter: nanobananatest.Duration(2 * time.Minute)}),
		},
		Stuck:     "nobody knows whether .* the provider takes no more orders",
		Meanwhile: run("pause", "-reason", "The image service is down. Orders wait until it is back."),
		Repair:    refuse(nanobananatest.Fault{}), By: "the provider", Mend: run("resume"),
		Ends: 4 * hour, MayFail: []task.Code{task.CodeOutcomeUnknown}, Refused: task.CodePaused,
	},
	{
		Fault: "the bucket refuses writes", Alarm: "TaskIsOld", Within: 2 * hour,
		Break: fault(BucketRefuses, true), Few: true, Stuck: "pictures are made and are being copied",
		Repair: fault(BucketRefuses, false), By: "the bucket's policy",
		Ends: 3 * hour,
	},
	{
		Fault: "the table is throttled", Alarm: "TableThrottled", Within: 20 * time.Minute,
		Break: fault(TableThrottled, true), Stuck: "unfinished",
		Repair: fault(TableThrottled, false), By: "DynamoDB",
		Ends: 3 * hour, MayFail: []task.Code{task.CodeOutcomeUnknown}, Refused: task.CodeUnavailable,
	},
	{
		Fault: "the sweep's schedule is off", Alarm: "SweepRests", Within: 20 * time.Minute,
		Prepare: loseCallbacks(true), Break: fault(SweepOff, true),
		Stuck: "THE SWEEP IS LATE",
		Repair: func(w World) {
			loseCallbacks(false)(w)
			w.Break(SweepOff, false)
		},
		By:   "the schedule",
		Ends: hour,
	},
	{
		Fault: "a record that nobody can read", Alarm: "ErrorsLogged", Within: hour,
		Prepare: loseCallbacks(true), Break: knobs(func(k *nanobananatest.Knobs) { k.Reshape = nanobananatest.Shapes["unknown"] }),
		Lasts: 25 * hour, Stuck: "",
		Repair: knobs(func(k *nanobananatest.Knobs) { k.Reshape, k.LoseCallbacks = nil, false }), By: "a release",
		Mend: func(d *drill) (all []command) {
			for _, id := range d.unpictured() {
				all = append(all, command{Words: []string{"rescue", id}})
			}
			return all
		},
		Ends: 3 * hour, MayFail: []task.Code{task.CodeImageUnavailable},
	},
}
