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
type world struct {
	mutant mutant
	rows   task.Store // real
	rules  task.Rules
	quota  int
	dir    string // for pictures on their way
	reads  bool   // calls that read the store wait like others

	provider *provider
	bucket   *bucket
	book     book

	mu      sync.Mutex // guards what follows and, with it, the world; nobody waits while he holds it
	weather conditions
	calls   []*call // their actors wait
	flight  []*call // their actors have given up; they may still arrive
	idle    []*process
	started int // actors, ever
	active  int // actors that have not ended
	made    int // processes, ever
	over    bool
	keyless bool // for a while the secret, and so every record, could not be read
	begun   time.Time
	trace   []string
	broken  *violation      // the first
	wanted  map[string]bool // tasks that have to succeed
	counts  map[string]int
}

// conditions are what goes wrong, or is otherwise, until it changes.
type conditions struct {
	storeAway    bool
	secretAway   bool
	held         string  // the provider's key, as the secret holds it
	good         string  // the one that the provider takes
	balance      float64 // what the provider says
	balanceAway  bool
	download     string // "", "403", "cut", "html"
	receiverAway bool
	answer       string // of the next POST; see provider.post
}

// violation is an invariant that was broken, and how.
type violation struct{ invariant, text string }

func (v *violation) String() string { return v.invariant + ": " + v.text }

// violate notes that an invariant is broken. The caller holds world.mu.
func (w *world) violate(invariant, format string, args ...any) {
	if w.broken == nil {
		w.broken = &violation{invariant, fmt.Sprintf(format, args...)}
		w.note("BROKEN %s", w.broken)
	}
}

// note adds to what a person reads who wants to know what happened.
func (w *world) note(format string, args ...any) {
	at := time.Since(w.begun).Round(time.Millisecond)
	w.trace = append(w.trace, fmt.Sprintf("%-12v %s", at, fmt.Sprintf(format, args...)))
}

// count counts what histories are to be rich in. The caller holds world.mu.
func (w *world) count(what string, is bool) {
	if is {
		w.counts[what]++
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
	sight                    // what it has read
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
func (w *world) call(ctx context.Context, a *actor, op, about string, resent bool, do func() error) error {
	if err := ctx.Err(); err != nil {
		w.mu.Lock()
		defer w.mu.Unlock()
		w.checkHangUp(a, ctx)
		return err
	}
	w.mu.Lock()
	if w.over || !a.lives() {
		w.mu.Unlock()
		return errDead
	}
	c := &call{actor: a, op: op, about: about, resent: resent, do: do, sent: time.Now(), back: make(chan error, 1)}
	if c.onStore() && !resent && !w.reads {
		defer w.mu.Unlock()
		if w.weather.storeAway {
			a.faults++
			return errLost
		}
		return do()
	}
	w.calls = append(w.calls, c)
	w.mu.Unlock()
	select {
	case err := <-c.back:
		return err
	case <-ctx.Done():
		w.mu.Lock()
		defer w.mu.Unlock()
		if i := slices.Index(w.calls, c); i >= 0 {
			w.calls = slices.Delete(w.calls, i, i+1)
			a.faults++
			a.gaveUp = true
			w.checkHangUp(a, ctx)
			w.flight = append(w.flight, c)
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
func (w *world) checkHangUp(a *actor, ctx context.Context) {
	if a.hungUp && errors.Is(ctx.Err(), context.Canceled) {
		w.violate("what is begun is finished", "%s #%d ends as its caller hangs up", a.kind, a.n)
	}
}

// waiting gives the calls that wait, the oldest first.
func (w *world) waiting() []*call {
	w.mu.Lock()
	defer w.mu.Unlock()
	slices.SortFunc(w.calls, byAge)
	return slices.Clone(w.calls)
}

// effect lets a call have its effect; its actor waits on.
func (w *world) effect(c *call) {
	w.mu.Lock()
	defer w.mu.Unlock()
	c.did = true
	if c.answer = errLost; !c.onStore() || !w.weather.storeAway {
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
func (w *world) answer(c *call, err error) {
	w.mu.Lock()
	if err == nil {
		err = c.answer
	}
	if errors.Is(err, errLost) && c.onStore() {
		c.actor.faults++
	}
	w.calls = slices.DeleteFunc(w.calls, func(x *call) bool { return x == c })
	w.mu.Unlock()
	c.back <- err
	synctest.Wait()
}

// kill ends a process: nothing it does from here on has an effect.
func (w *world) kill(p *process) {
	w.mu.Lock()
	p.dead = true
	var its []*call
	w.calls = slices.DeleteFunc(w.calls, func(c *call) bool {
		if c.actor.process == p {
			its = append(its, c)
			return true
		}
		return false
	})
	w.mu.Unlock()
	for _, c := range its {
		w.flight = append(w.flight, c) // it may have been sent
		c.back <- errDead
	}
	synctest.Wait()
}

// abroad is for how long a call may be on its way whose actor does not wait for
// it any more.
const abroad = time.Minute

// late gives the calls that may still arrive.
func (w *world) late() []*call {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.flight = slices.DeleteFunc(w.flight, func(c *call) bool { return c.did || time.Since(c.sent) > abroad })
	slices.SortFunc(w.flight, byAge)
	return slices.Clone(w.flight)
}

// start starts an actor in a process that is idle, or in a new one.
func (w *world) start(kind string, lasts time.Duration, do func(context.Context, *actor)) {
	w.mu.Lock()
	w.started++
	w.active++
	a := &actor{n: w.started, kind: kind, process: w.process(kind), deadline: time.Now().Add(lasts), wrote: map[string]bool{}, sight: newSight()}
	a.process.actor = a
	w.mu.Unlock()
	ctx, cancel := context.WithTimeout(context.Background(), lasts)
	a.hangUp = cancel
	go func() {
		defer cancel()
		defer func() {
			p := recover()
			w.mu.Lock()
			defer w.mu.Unlock()
			if p != nil {
				w.violate("no panic", "%s: %v", a.kind, p)
			}
			w.active--
			if a.lives() {
				w.checkSilence(a)
				w.idle = append(w.idle, a.process)
			}
		}()
		do(ctx, a)
	}()
	synctest.Wait()
}

// runAll lets everything happen until every actor has ended.
func (w *world) runAll() {
	for range 2000 {
		if all := w.waiting(); len(all) > 0 {
			w.proceed(all[0])
			continue
		}
		w.mu.Lock()
		active := w.active
		w.mu.Unlock()
		if active == 0 {
			return
		}
		time.Sleep(250 * time.Millisecond) // somebody is about to try again
		synctest.Wait()
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.violate("I7", "a function goes on for ever")
}

// proceed lets a call happen and be answered.
func (w *world) proceed(c *call) {
	if !c.did {
		w.effect(c)
	}
	w.answer(c, nil)
}

// end ends all actors, so that the bubble can be left.
func (w *world) end() {
	w.mu.Lock()
	w.over = true
	w.mu.Unlock()
	for {
		for _, c := range w.waiting() {
			w.answer(c, errDead)
		}
		w.mu.Lock()
		active := w.active
		w.mu.Unlock()
		if active == 0 {
			return
		}
		time.Sleep(10 * time.Second)
		synctest.Wait()
	}
}
