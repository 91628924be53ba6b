package prooftest

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing/synctest"
	"time"

	"github.com/preset/nanobanana-functions/shared/task"
)

// world is everything around the code under proof. One goroutine, the
// scheduler's, moves it: it lets one call of one actor happen at a time, moves
// the clock, and starts actors. What actors call ends in world.call, where they
// wait for it.
type simulation struct {
	mutant mutant
	rows   task.Store // real
	rules  task.Rules
	quota  int
	dir    string // for pictures on their way
	reads  bool   // calls that read the store wait like others

	provider *provider
	bucket   *bucket
	ledger   ledger

	mu          sync.Mutex // guards what follows and, with it, the world; nobody waits while he holds it
	conditions  conditions
	calls       []*call // their actors wait
	inFlight    []*call // their actors have given up; they may still arrive
	idle        []*process
	started     int // actors, ever
	active      int // actors that have not ended
	made        int // processes, ever
	over        bool
	keyless     bool // for a while the secret, and so every record, could not be read
	begun       time.Time
	trace       []string
	broken      *violation      // the first
	mustSucceed map[string]bool // tasks that have to succeed
	counts      map[string]int
}

// conditions are what goes wrong, or is otherwise, until it changes.
type conditions struct {
	storeDown    bool
	secretDown   bool
	secretKey    string  // the provider's key, as the secret holds it
	validKey     string  // the one that the provider takes
	balance      float64 // what the provider says
	balanceDown  bool
	download     string // "", "403", "cut", "html"
	receiverDown bool
	answer       string // of the next POST; see provider.post
}

// violation is an invariant that was broken, and how.
type violation struct{ invariant, text string }

func (v *violation) String() string { return v.invariant + ": " + v.text }

// violate notes that an invariant is broken. The caller holds world.mu.
func (sim *simulation) violate(invariant, format string, args ...any) {
	if sim.broken == nil {
		sim.broken = &violation{invariant, fmt.Sprintf(format, args...)}
		sim.note("BROKEN %s", sim.broken)
	}
}

// note adds to what a person reads who wants to know what happened.
func (sim *simulation) note(format string, args ...any) {
	at := time.Since(sim.begun).Round(time.Millisecond)
	sim.trace = append(sim.trace, fmt.Sprintf("%-12v %s", at, fmt.Sprintf(format, args...)))
}

// count counts what histories are to be rich in. The caller holds world.mu.
func (sim *simulation) count(what string, is bool) {
	if is {
		sim.counts[what]++
	}
}

var (
	errDead = errors.New("this process is gone")
	errLost = errors.New("the answer is lost, or the request was")
)

// call is one I/O point at which an actor waits.
type call struct {
	actor  *actor
	op     string
	about  string // a task, a key
	resent bool   // a layer below the code may send it again
	do     func() error
	did    bool
	sent   time.Time
	answer error // of do
	back   chan error
}

func (c *call) String() string {
	return fmt.Sprintf("%s#%d %s %s", c.actor.kind, c.actor.n, c.op, short(c.about))
}

func short(id string) string { return id[:min(len(id), 6)] }

// actor is one invocation of a function in a process.
type actor struct {
	n        int
	kind     string
	process  *process
	deadline time.Time
	posts    int             // it has made
	faults   int             // its store failed so often, or it gave a call up
	answered []*attempt      // that it knows to be accepted, by their own answers
	wrote    map[string]bool // rows, by task
	said     []byte          // a callback's body
	gaveUp   bool            // a call of its: its time was up
	hangUp   func()          // its caller does,
	hungUp   bool            // and has
	observed                 // what it has read
}

// lives says whether what the actor does still has an effect. The caller holds
// world.mu.
func (a *actor) lives() bool {
	if !time.Now().Before(a.deadline) {
		a.process.dead = true
	}
	return !a.process.dead
}

// call waits until the scheduler lets do happen, or says that it failed.
func (sim *simulation) call(ctx context.Context, a *actor, op, about string, resent bool, do func() error) error {
	if err := ctx.Err(); err != nil {
		sim.mu.Lock()
		defer sim.mu.Unlock()
		sim.checkHangUp(a, ctx)
		return err
	}
	sim.mu.Lock()
	if sim.over || !a.lives() {
		sim.mu.Unlock()
		return errDead
	}
	c := &call{actor: a, op: op, about: about, resent: resent, do: do, sent: time.Now(), back: make(chan error, 1)}
	if c.onStore() && !resent && !sim.reads {
		defer sim.mu.Unlock()
		if sim.conditions.storeDown {
			a.faults++
			return errLost
		}
		return do()
	}
	sim.calls = append(sim.calls, c)
	sim.mu.Unlock()
	select {
	case err := <-c.back:
		return err
	case <-ctx.Done():
		sim.mu.Lock()
		defer sim.mu.Unlock()
		if i := slices.Index(sim.calls, c); i >= 0 {
			sim.calls = slices.Delete(sim.calls, i, i+1)
			a.faults++
			a.gaveUp = true
			sim.checkHangUp(a, ctx)
			sim.inFlight = append(sim.inFlight, c)
		}
		return ctx.Err()
	}
}

// byAge sorts calls so that it does not show how goroutines were scheduled.
func byAge(a, b *call) int {
	return cmp.Or(a.sent.Compare(b.sent), cmp.Compare(a.actor.n, b.actor.n), cmp.Compare(a.about, b.about), cmp.Compare(a.op, b.op))
}

// checkHangUp holds a call that its actor gives up against the promise that what
// has been begun for a task is finished, whether or not the caller waits for it.
func (sim *simulation) checkHangUp(a *actor, ctx context.Context) {
	if a.hungUp && errors.Is(ctx.Err(), context.Canceled) {
		sim.violate("what is begun is finished", "%s #%d ends as its caller hangs up", a.kind, a.n)
	}
}

// waiting gives the calls that wait, the oldest first.
func (sim *simulation) waiting() []*call {
	sim.mu.Lock()
	defer sim.mu.Unlock()
	slices.SortFunc(sim.calls, byAge)
	return slices.Clone(sim.calls)
}

// effect lets a call have its effect; its actor waits on.
func (sim *simulation) effect(c *call) {
	sim.mu.Lock()
	defer sim.mu.Unlock()
	c.did = true
	if c.answer = errLost; !c.onStore() || !sim.conditions.storeDown {
		c.answer = c.do()
	}
}

// onStore says whether the call is one to the store.
func (c *call) onStore() bool {
	switch c.op {
	case "create", "put", "task", "tasks", "due":
		return true
	}
	return false
}

// answer gives a call's actor the answer, or err in its place.
func (sim *simulation) answer(c *call, err error) {
	sim.mu.Lock()
	if err == nil {
		err = c.answer
	}
	if errors.Is(err, errLost) && c.onStore() {
		c.actor.faults++
	}
	sim.calls = slices.DeleteFunc(sim.calls, func(x *call) bool { return x == c })
	sim.mu.Unlock()
	c.back <- err
	synctest.Wait()
}

// kill ends a process: nothing it does from here on has an effect.
func (sim *simulation) kill(p *process) {
	sim.mu.Lock()
	p.dead = true
	var its []*call
	sim.calls = slices.DeleteFunc(sim.calls, func(c *call) bool {
		if c.actor.process == p {
			its = append(its, c)
			return true
		}
		return false
	})
	sim.mu.Unlock()
	for _, c := range its {
		sim.inFlight = append(sim.inFlight, c) // it may have been sent
		c.back <- errDead
	}
	synctest.Wait()
}

// abroad is for how long a call may be on its way whose actor does not wait for
// it any more.
const maxFlight = time.Minute

// late gives the calls that may still arrive.
func (sim *simulation) lateCalls() []*call {
	sim.mu.Lock()
	defer sim.mu.Unlock()
	sim.inFlight = slices.DeleteFunc(sim.inFlight, func(c *call) bool { return c.did || time.Since(c.sent) > maxFlight })
	slices.SortFunc(sim.inFlight, byAge)
	return slices.Clone(sim.inFlight)
}

// start starts an actor in a process that is idle, or in a new one.
func (sim *simulation) start(kind string, lasts time.Duration, do func(context.Context, *actor)) {
	sim.mu.Lock()
	sim.started++
	sim.active++
	a := &actor{n: sim.started, kind: kind, process: sim.process(kind), deadline: time.Now().Add(lasts), wrote: map[string]bool{}, observed: newObserved()}
	a.process.actor = a
	sim.mu.Unlock()
	ctx, cancel := context.WithTimeout(context.Background(), lasts)
	a.hangUp = cancel
	go func() {
		defer cancel()
		defer func() {
			p := recover()
			sim.mu.Lock()
			defer sim.mu.Unlock()
			if p != nil {
				sim.violate("no panic", "%s: %v", a.kind, p)
			}
			sim.active--
			if a.lives() {
				sim.checkSilence(a)
				sim.idle = append(sim.idle, a.process)
			}
		}()
		do(ctx, a)
	}()
	synctest.Wait()
}

// runAll lets everything happen until every actor has ended.
func (sim *simulation) runAll() {
	for range 2000 {
		if all := sim.waiting(); len(all) > 0 {
			sim.proceed(all[0])
			continue
		}
		sim.mu.Lock()
		active := sim.active
		sim.mu.Unlock()
		if active == 0 {
			return
		}
		time.Sleep(250 * time.Millisecond) // somebody is about to try again
		synctest.Wait()
	}
	sim.mu.Lock()
	defer sim.mu.Unlock()
	sim.violate("I7", "a function goes on for ever")
}

// proceed lets a call happen and be answered.
func (sim *simulation) proceed(c *call) {
	if !c.did {
		sim.effect(c)
	}
	sim.answer(c, nil)
}

// end ends all actors, so that the bubble can be left.
func (sim *simulation) end() {
	sim.mu.Lock()
	sim.over = true
	sim.mu.Unlock()
	for {
		for _, c := range sim.waiting() {
			sim.answer(c, errDead)
		}
		sim.mu.Lock()
		active := sim.active
		sim.mu.Unlock()
		if active == 0 {
			return
		}
		time.Sleep(10 * time.Second)
		synctest.Wait()
	}
}
