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

// simulation is everything around the code under proof. One goroutine, the scheduler,
// runs it: it lets one call of one actor happen at a time, moves the clock, and starts
// actors. Each call of an actor waits in simulation.call for the scheduler.
type simulation struct {
	mutant  mutant
	rows    task.Store // real
	rules   task.Rules
	quota   int
	dir     string // for downloads
	reads   bool   // reads of the store wait like other calls
	forgets bool   // owners are forgotten
	holds   bool   // all POSTs are held now and then

	provider *provider
	bucket   *bucket
	ledger   ledger

	mu          sync.Mutex // guards what follows and all parts above; never held while waiting
	conditions  conditions
	calls       []*call // their actors wait for them
	inFlight    []*call // their actors gave up; they may still arrive
	idle        []*process
	started     int // actors started
	active      int // actors that have not ended
	made        int // processes started
	over        bool
	keyless     bool // the secret, and so every record, was unreadable for a while
	begun       time.Time
	trace       []string
	broken      *violation      // the first one
	mustSucceed map[string]bool // tasks that must succeed
	late        map[string]bool // tasks whose creation arrived after its process had given up
	counts      map[string]int
}

// conditions are the faults and settings that hold until the next change.
type conditions struct {
	storeDown    bool
	secretDown   bool
	secretKey    string  // the API key in the secret
	validKey     string  // the API key that the provider accepts
	balance      float64 // at the provider
	balanceDown  bool
	download     string // "", "403", "cut", "html"
	receiverDown bool
	answer       string // to the next POST; see provider.post
}

// violation is a broken invariant, and how it broke.
type violation struct{ invariant, text string }

func (v *violation) String() string { return v.invariant + ": " + v.text }

// violate notes that an invariant is broken. The caller holds mu.
func (sim *simulation) violate(invariant, format string, args ...any) {
	if sim.broken == nil {
		sim.broken = &violation{invariant, fmt.Sprintf(format, args...)}
		sim.note("BROKEN %s", sim.broken)
	}
}

// note adds a line to the trace for people. The caller holds mu.
func (sim *simulation) note(format string, args ...any) {
	at := time.Since(sim.begun).Round(time.Millisecond)
	sim.trace = append(sim.trace, fmt.Sprintf("%-12v %s", at, fmt.Sprintf(format, args...)))
}

// count counts what the histories should contain often. The caller holds mu.
func (sim *simulation) count(what string, is bool) {
	if is {
		sim.counts[what]++
	}
}

var (
	errDead = errors.New("this process is dead")
	errLost = errors.New("the request or its answer is lost")
)

// call is an I/O operation that an actor waits for.
type call struct {
	actor  *actor
	op     string
	about  string // a task id, or a key
	resent bool   // a layer below the code may resend it
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
	begun    time.Time
	deadline time.Time
	posts    int             // POSTs it has made
	faults   int             // store errors and calls given up
	answered []*attempt      // attempts that it knows as accepted from the answer
	wrote    map[string]bool // by task
	said     []byte          // the body of its callback
	rescues  string          // the task that it rescues
	gaveUp   bool            // a call timed out
	hangUp   func()          // ends its context, as a caller who hangs up does
	hungUp   bool            // hangUp was called
	observed                 // what it has learned
}

// lives reports whether the actor's calls still have an effect. The caller holds
// simulation.mu.
func (a *actor) lives() bool {
	if !time.Now().Before(a.deadline) {
		a.process.dead = true
	}
	return !a.process.dead
}

// call waits until the scheduler runs do, or answers with an error.
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

// byAge sorts calls independently of how goroutines were scheduled.
func byAge(a, b *call) int {
	return cmp.Or(a.sent.Compare(b.sent), cmp.Compare(a.actor.n, b.actor.n), cmp.Compare(a.about, b.about), cmp.Compare(a.op, b.op))
}

// checkHangUp checks, for a call that its actor gives up, that what has begun for a task is
// finished even if the caller hangs up.
func (sim *simulation) checkHangUp(a *actor, ctx context.Context) {
	if a.hungUp && errors.Is(ctx.Err(), context.Canceled) {
		sim.violate("what is begun is finished", "%s #%d ends because its caller hangs up", a.kind, a.n)
	}
}

// waiting returns the waiting calls, the oldest first.
func (sim *simulation) waiting() []*call {
	sim.mu.Lock()
	defer sim.mu.Unlock()
	slices.SortFunc(sim.calls, byAge)
	return slices.Clone(sim.calls)
}

// effect lets a call take effect; its actor keeps waiting.
func (sim *simulation) effect(c *call) {
	sim.mu.Lock()
	defer sim.mu.Unlock()
	c.did = true
	if c.answer = errLost; !c.onStore() || !sim.conditions.storeDown {
		c.answer = c.do()
	}
}

// onStore reports whether the call goes to the store.
func (c *call) onStore() bool {
	switch c.op {
	case "create", "rescue", "put", "task", "tasks", "due", "refuse":
		return true
	}
	return false
}

// answer returns the answer, or err instead, to a call's actor.
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

// kill ends a process: nothing it does from now on has an effect.
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
		sim.inFlight = append(sim.inFlight, c) // it may have been sent already
		c.back <- errDead
	}
	synctest.Wait()
}

// maxFlight is how long a call may be under way after its actor gave up.
const maxFlight = time.Minute

// lateCalls returns the calls that may still arrive.
func (sim *simulation) lateCalls() []*call {
	sim.mu.Lock()
	defer sim.mu.Unlock()
	sim.inFlight = slices.DeleteFunc(sim.inFlight, func(c *call) bool { return c.did || time.Since(c.sent) > maxFlight })
	slices.SortFunc(sim.inFlight, byAge)
	return slices.Clone(sim.inFlight)
}

// start starts an actor in an idle process, or in a new one.
func (sim *simulation) start(kind string, lasts time.Duration, do func(context.Context, *actor)) {
	sim.mu.Lock()
	sim.started++
	sim.active++
	a := &actor{n: sim.started, kind: kind, process: sim.process(kind), begun: time.Now(), deadline: time.Now().Add(lasts), wrote: map[string]bool{}, observed: newObserved()}
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

// runAll lets all calls happen until every actor has ended.
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
		time.Sleep(250 * time.Millisecond) // an actor waits to try again
		synctest.Wait()
	}
	sim.mu.Lock()
	defer sim.mu.Unlock()
	sim.violate("I7", "a function never ends")
}

// proceed lets a call take effect and answers it.
func (sim *simulation) proceed(c *call) {
	if !c.did {
		sim.effect(c)
	}
	sim.answer(c, nil)
}

// end ends all actors, so that the synctest bubble can end.
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
