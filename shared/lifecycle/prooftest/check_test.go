package prooftest

import (
	"context"
	"reflect"
	"slices"
	"time"

	"github.com/preset/nanobanana-functions/shared/media"
	"github.com/preset/nanobanana-functions/shared/nanobanana/nanobananatest"
	"github.com/preset/nanobanana-functions/shared/task"
)

// skew is how much two processes' clocks may differ.
const skew = time.Second

// ledger holds what has happened, for the checks. Guarded by simulation.mu.
type ledger struct {
	rows          map[string]*task.Task     // as stored
	attempts      map[string][]*attempt     // by task; attempt n is the nth
	ids           []string                  // of tasks, in the order of their creation
	callbacks     map[string]*callbackFacts // by task
	preset        map[string]*preset        // what Preset knows, by task
	unusableSince map[string]time.Time      // by task: since when its record cannot be read, or used
	ends          map[string]*ending        // by task
	owners        map[string]string         // by task: who ordered it
	refused       map[string]time.Time      // by owner: when Store.Forget was written first
	marked        map[string]bool           // tasks that a forgetter has marked
	held          []heldSpan                // in the order of their begin
	rescued       map[string]string         // the task that was rescued from a task, by that
	makers        map[string]*attempt       // by rescued task: the attempt that made its pictures
}

// attempt is the truth about an attempt.
type attempt struct {
	task     string
	n        int
	tries    int    // POSTs begun
	refused  bool   // the provider certainly did not accept it
	answered bool   // the provider's answer arrived
	order    *order // what became of it at the provider
	faults   int    // store errors that its actor had seen when it was answered
}

// callbackFacts are what callbacks with a valid token have said about a task.
type callbackFacts struct {
	promised    int             // the attempt whose true success was answered 200 in time
	barred      int             // the attempt whose 400 was answered 200 while it was current
	foreignIDs  map[string]bool // named besides its own
	foreignURLs map[string]bool // named besides its own
	ids         map[string]bool // all ids named
	links       map[string]bool // each URL, after the id that was named with it
	underway    map[string]int  // callbacks under way that name a URL without an id
}

func newLedger() ledger {
	return ledger{
		rows: map[string]*task.Task{}, attempts: map[string][]*attempt{},
		callbacks: map[string]*callbackFacts{}, preset: map[string]*preset{}, unusableSince: map[string]time.Time{}, ends: map[string]*ending{},
		owners: map[string]string{}, refused: map[string]time.Time{}, marked: map[string]bool{},
		rescued: map[string]string{}, makers: map[string]*attempt{},
	}
}

func (b *ledger) row(id string) *task.Task { return b.rows[id] }

func (b *ledger) attempt(id string, n int) *attempt {
	if n == 0 { // a rescued task's
		return &attempt{task: id}
	}
	for len(b.attempts[id]) < n {
		b.attempts[id] = append(b.attempts[id], &attempt{task: id, n: len(b.attempts[id]) + 1})
	}
	return b.attempts[id][n-1]
}

func (b *ledger) callbacksOf(id string) *callbackFacts {
	if b.callbacks[id] == nil {
		b.callbacks[id] = &callbackFacts{foreignIDs: map[string]bool{}, foreignURLs: map[string]bool{}, ids: map[string]bool{}, links: map[string]bool{}, underway: map[string]int{}}
	}
	return b.callbacks[id]
}

// checkPost checks a POST as it begins: I1 and P3.
func (sim *simulation) checkPost(by *actor, a *attempt) {
	if !by.lives() {
		return
	}
	by.posts++
	sim.checkHeld(by, a)
	sim.count("another attempt", a.n > 1)
	if a.tries++; a.tries > 1 {
		sim.violate("I1", "%s/%d is posted again", short(a.task), a.n)
	}
	if sim.ledger.makers[a.task] != nil {
		sim.violate("I1", "%s/%d is posted, and was rescued", short(a.task), a.n)
	}
	if a.n == 1 {
		return
	}
	before, row := sim.ledger.attempt(a.task, a.n-1), sim.ledger.row(a.task)
	failed := before.order != nil && before.order.broken
	sure := row.Charges[a.n-2] == task.ChargeSure
	switch {
	case before.tries == 0 && row.Charges[a.n-2] == task.ChargeNone: // its POST was never begun
	case before.refused && before.answered:
	case failed && !sure:
		sim.violate("no other attempt for an id that only a callback named", "%s/%d is posted", short(a.task), a.n)
	case failed && (before.order.code == 500 || before.order.code == 501 || before.order.lied):
	case before.order != nil && before.order.doubt.last == strange:
		sim.violate(decidesNothing, "%s/%d is posted", short(a.task), a.n)
	default:
		sim.violate("I1", "%s/%d is posted, though the outcome of %d is unknown", short(a.task), a.n, a.n-1)
	}
	if h := sim.ledger.callbacks[a.task]; h != nil && h.barred == a.n-1 {
		sim.violate("P3", "%s/%d is posted after a 400 for the attempt before", short(a.task), a.n)
	}
}

// checkRead checks a read of a record as it begins: I6. A record that a callback of another
// task named may be read for that task, too.
func (sim *simulation) checkRead(by *actor, o *order) {
	if t := sim.ledger.row(by.rescues); t != nil && sim.ledger.maker(t).order != o {
		return // so may that of an id given to a rescue
	}
	if apart := time.Since(o.read); !o.foreign && !o.read.IsZero() && apart < 30*time.Second {
		sim.violate("I6", "the record of %s is read after %v", short(o.task), apart)
	}
	o.read = time.Now()
	sim.count("record read", true)
}

// moves are the lawful changes of status; see docs/ARCHITECTURE.md.
var moves = map[task.Status][]task.Status{
	task.Submitting:  {task.Generating, task.Waiting, task.Failed, task.Unconfirmed},
	task.Unconfirmed: {task.Generating, task.Waiting, task.Failed, task.Storing},
	task.Waiting:     {task.Submitting, task.Failed},
	task.Generating:  {task.Storing, task.Waiting, task.Failed},
	task.Storing:     {task.Succeeded, task.Failed},
}

// checkWrite checks a write of a row as it happens.
func (sim *simulation) checkWrite(by *actor, old, new *task.Task) {
	id := short(new.ID)
	if err := new.Check(); err != nil {
		sim.violate("I9", "%s: %v", id, err)
	}
	if old == nil {
		by.moved = append(by.moved, &moving{task: new.ID, to: new.Status})
		sim.ledger.ids = append(sim.ledger.ids, new.ID)
		sim.checkOrder(by, new)
		if by.rescues != "" {
			sim.checkRescue(by.rescues, new)
		}
		return
	}
	if new.Version != old.Version+1 {
		sim.violate("versioned puts", "%s: version %d follows %d", id, new.Version, old.Version)
	}
	if old.Status != new.Status && !slices.Contains(moves[old.Status], new.Status) {
		sim.violate("I2", "%s went from %s to %s", id, old.Status, new.Status)
	}
	same := reflect.DeepEqual(new.Images, old.Images) && reflect.DeepEqual(new.Inputs, old.Inputs)
	if old.Done() && (new.Failure != old.Failure || !same && !(new.Deleted() && new.Images == nil && new.Inputs == nil)) {
		sim.violate("I2", "%s had ended, and was changed", id)
	}
	if by.kind == "ingest" && old.Work != "" && new.Work == old.Work {
		sim.violate("P4", "%s: the put of ingest keeps its own work", id)
	}
	sim.checkNotice(by, old, new)
	sim.checkErased(by, old, new)
	for i, was := range old.Charges {
		if i >= len(new.Charges) || was == task.ChargeSure && new.Charges[i] != was {
			sim.violate("I4", "%s: the charges %v became %v", id, old.Charges, new.Charges)
		} else if was != task.ChargeSure && new.Charges[i] == task.ChargeSure && !by.proof(sim.ledger.attempt(new.ID, i+1)) {
			sim.violate("I4", "%s/%d is marked sure without proof", id, i+1)
		}
	}
	if !reflect.DeepEqual(new.Extra, old.Extra) {
		sim.violate("unknown attributes are kept", "%s had %s and has %s", id, old.Extra, new.Extra)
	}
	sim.checkRest(old, new)
	if q := new.Quota; q != nil && q.Returned != (new.Status == task.Failed && new.Failure != task.CodeContentPolicy) {
		sim.violate("I4", "%s is %s; its images returned: %v", id, state(new), q.Returned)
	}
	if new.Refusals > 10 {
		sim.violate("bounded tries", "%s was refused %d times in a row", id, new.Refusals)
	}
	refused := new.Status == task.Waiting && !new.FirstRefusal.IsZero()
	ahead := time.Until(new.Deadline) > skew // else the next sweep judges it
	if left := new.Deadline.Sub(new.FirstRefusal) - sim.ledger.heldFor(new.FirstRefusal); refused && ahead && left > 6*time.Hour+skew {
		sim.violate("bounded tries", "%s may wait %v from its first refusal, besides holds", id, left)
	}
	sim.count("waiting failed", old.Status == task.Waiting && new.Status == task.Failed && new.Failure == old.Setback)
	sim.count("DELETE", new.Deleted() && !old.Deleted())
	sim.count("last wake", !old.LastWake && new.LastWake)
	sim.checkSpares(old, new)
	sim.count("salvaged", len(new.Salvaged) > len(old.Salvaged))
	if old.Status != new.Status {
		by.moved = append(by.moved, &moving{task: new.ID, from: old.Status, to: new.Status})
		sim.checkTime(old, new)
		sim.checkPatience(old, new)
		sim.checkCause(by, old, new)
	}
	if !old.Done() && new.Done() {
		copies := new.Status == task.Succeeded && len(new.InputsToKeep()) > 0
		sim.count("inputs kept", len(new.Inputs) > 0)
		sim.count("inputs not kept", copies && len(new.Inputs) == 0)
		sim.ledger.ends[new.ID] = &ending{by: by, lacking: new.Missing > 0 || copies && len(new.Inputs) == 0}
	}
	sim.noteRecord(by, old, new)
}

// checkRest checks the end of a row's work, and fresh links.
func (sim *simulation) checkRest(old, new *task.Task) {
	id := short(new.ID)
	switch {
	case new.LastWake && !old.LastWake && time.Until(new.Deadline) < 5*time.Minute:
		sim.violate("I8", "the last wake of %s comes too late", id)
	case new.Failure == task.CodeImageUnavailable && old.Status == task.Storing && !old.LastWake:
		sim.violate("I8", "%s is given up without a last wake", id)
	case old.Work == task.Erase && new.Work != task.Erase:
		if after := time.Since(new.DeletedAt); after < 16*time.Minute-skew {
			sim.violate("P2", "%s is marked as erased %v after DELETE", id, after)
		}
	case old.Status == task.Storing && new.Status == task.Storing:
		o := sim.provider.byID(new.ProviderID)
		for _, url := range new.URLs {
			if len(new.URLs) < min(len(old.URLs), new.NumImages) || !slices.Contains(old.URLs, url) && (o == nil || !o.shown[url]) {
				sim.violate("the record decides", "%s is to store %s, which no record had", id, url)
			}
		}
		sim.count("fresh links", !slices.Equal(old.URLs, new.URLs))
	}
}

// checkTime checks an end by deadline: I8.
func (sim *simulation) checkTime(old, new *task.Task) {
	var late bool // it ended by deadline
	switch new.Failure {
	case task.CodeTimedOut, task.CodeOutcomeUnknown, task.CodeImageUnavailable:
		late = true
	case task.CodeCanceled, task.CodeContentPolicy:
	default:
		late = new.Status == task.Failed && old.Status == task.Waiting
	}
	if left := time.Until(old.Deadline); late && left > skew {
		sim.violate("I8", "%s is %s %s, %v before its deadline", short(new.ID), old.Status, new.Failure, left)
	}
}

// checkAll checks the invariants between two steps.
func (sim *simulation) checkAll() {
	sim.mu.Lock()
	defer sim.mu.Unlock()
	type day struct{ owner, day string }
	used := map[day]int{}
	for _, id := range sim.ledger.ids {
		t := sim.ledger.row(id)
		if t.Quota != nil {
			d := day{sim.ledger.owners[id], t.Quota.Day}
			if used[d] += t.Quota.Images; t.Quota.Returned {
				used[d] -= t.Quota.Images
			}
		}
		sim.checkCharges(t)
		if t.Status == task.Succeeded && !t.Deleted() {
			sim.checkStored(t)
		}
	}
	for d, want := range used {
		if got, err := sim.rows.UsedImages(context.Background(), d.owner, d.day); err != nil || got != want {
			sim.violate("I4", "%s has used %d, %v; the tasks add up to %d", d.owner, got, err, want)
		}
		if sim.quota > 0 && want > sim.quota {
			sim.violate("I4", "%s has used %d of %d", d.owner, want, sim.quota)
		}
	}
}

// checkCharges checks a row's charges against the provider's.
func (sim *simulation) checkCharges(t *task.Task) {
	taken := 0
	for i, charge := range t.Charges {
		charged := sim.ledger.attempt(t.ID, i+1).order != nil
		if charged {
			taken++
		}
		if charge == task.ChargeSure && !charged || charge == task.ChargeNone && charged {
			sim.violate("I4", "%s/%d is marked %s; charged: %v", short(t.ID), i+1, charge, charged)
		}
	}
	if taken > sim.rules.MaxGenerations {
		sim.violate("P3", "%s was accepted %d times", short(t.ID), taken)
	}
}

// checkStored checks a success: I3.
func (sim *simulation) checkStored(t *task.Task) {
	seen, sums := map[int]bool{}, map[string]bool{}
	for _, image := range t.Images {
		if seen[image.N] {
			sim.violate("I3", "%s has picture %d twice", short(t.ID), image.N)
		}
		if sums[image.SHA256] {
			sim.violate("I3", "%s has the same picture twice", short(t.ID))
		}
		seen[image.N], sums[image.SHA256] = true, true
		if sim.bucket.objects[media.Prefix(t.ID)+image.File] != image.SHA256 {
			sim.violate("I3", "%s has succeeded, and %s is not in the bucket", short(t.ID), image.File)
		}
	}
	for _, in := range t.Inputs {
		for _, file := range []string{in.File, in.Thumbnail} {
			if sim.bucket.objects[media.Prefix(t.ID)+file] == "" {
				sim.violate("I3", "%s has succeeded, and %s is not in the bucket", short(t.ID), file)
			}
		}
	}
	if len(t.Images) == 0 {
		sim.violate("I3", "%s has succeeded without a picture", short(t.ID))
	}
}

// checkIndex checks the index of due tasks: I9.
func (sim *simulation) checkIndex() {
	due := map[string]bool{}
	for id, err := range sim.rows.Due(context.Background(), time.Now().Add(10000*time.Hour)) {
		if err != nil {
			sim.violate("I9", "the index cannot be read: %v", err)
		}
		due[id] = true
	}
	for _, id := range sim.ledger.ids {
		if t := sim.ledger.row(id); due[id] == (t.Done() && len(t.Messages()) == 0) {
			sim.violate("I9", "%s is %s; in the index: %v", short(id), state(t), due[id])
		}
	}
}

// done reports whether an order has ended.
func (o *order) done() bool { return o.flag != nanobananatest.FlagRunning }
