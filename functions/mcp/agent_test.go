package mcp_test

import (
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/preset/nanobanana-functions/shared/nanobanana/nanobananatest"
	"github.com/preset/nanobanana-functions/shared/task"
)

var (
	agents    = flag.Int("agents", 3, "how many noisy agents TestNoisyAgent runs")
	agentSeed = flag.Uint64("agentseed", 0, "run the noisy agent with this seed alone")
)

// An agent whose calls time out after they acted, are repeated, arrive twice and late,
// orders nothing twice, and finds every picture again.
func TestNoisyAgent(t *testing.T) {
	seeds := []uint64{*agentSeed}
	if *agentSeed == 0 {
		seeds = nil
		for range *agents {
			seeds = append(seeds, rand.Uint64())
		}
	}
	var all tally
	for _, seed := range seeds {
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) {
			n, faults := runAgent(t, seed, nil)
			for _, fault := range faults {
				t.Errorf("%s; again: go test ./functions/mcp -run TestNoisyAgent -agentseed=%d", fault, seed)
			}
			all.add(n)
		})
	}
	t.Logf("%d runs: %+v", len(seeds), all)
	if len(seeds) > 1 && (all.lost == 0 || all.late == 0 || all.twice == 0 || all.cut == 0 || all.deleted == 0) {
		t.Error("some noise or deletion never happened")
	}
}

// tally is what happened in a run.
type tally struct {
	orders, calls, lost, late, twice, cut, moved, deleted int
}

func (a *tally) add(b tally) {
	a.orders, a.calls, a.lost, a.late, a.twice = a.orders+b.orders, a.calls+b.calls, a.lost+b.lost, a.late+b.late, a.twice+b.twice
	a.cut, a.moved, a.deleted = a.cut+b.cut, a.moved+b.moved, a.deleted+b.deleted
}

// wish is a picture that the user wants, and what the agent knows of it. Only the
// worker that fulfils it uses it, until all are done.
type wish struct {
	key, prompt string
	images      int
	targets     []task.Target // the first of the order, the others of moves
	quoted      bool          // asks for the price before
	again       bool          // orders once more, as agents that lost their memory do
	hasty       bool          // is to be deleted while it is made
	unwanted    bool          // is to be deleted once it is made
	edit        *wish         // of the finished picture

	id           string
	askedToPart  bool // a deletion was asked for, and may have been done by a late copy
	gone         bool // a deletion was answered with success
	source       string
	asked, moved int // of targets: how many may have been set, and were answered
}

// plan returns the wishes of a run.
func plan(seed uint64) (wishes []*wish) {
	rng := rand.New(rand.NewPCG(seed, 1))
	chance := func(percent int) bool { return rng.IntN(100) < percent }
	make1 := func(key string) *wish {
		w := &wish{key: key, prompt: "a picture of " + key, images: 1 + rng.IntN(2), quoted: chance(40), again: chance(30), hasty: chance(15), unwanted: chance(20)}
		for range 1 + rng.IntN(3) {
			w.targets = append(w.targets, task.Target{Kind: "moodboard", ID: fmt.Sprint(rng.IntN(3))})
		}
		return w
	}
	for i := range 12 {
		w := make1(fmt.Sprintf("wish-%d", i))
		if chance(30) {
			w.edit = make1(w.key + "-edit")
		}
		wishes = append(wishes, w)
	}
	return wishes
}

// agent fulfils wishes by the tools, over a noisy network.
type agent struct {
	n *noise

	mu     sync.Mutex // guards faults
	faults []string
}

func (a *agent) fault(format string, args ...any) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.faults = append(a.faults, fmt.Sprintf(format, args...))
}

// patience is how often the agent repeats a call, and how often it looks at a picture.
const patience = 3000

// call repeats a call until an answer comes that is not about the moment, as an agent
// does. Calls that are repeated have the same arguments.
func (a *agent) call(tool string, arguments map[string]any) toolResult {
	for range patience {
		got, err := a.n.call(tool, arguments)
		if err == nil && codeOf(got) != task.CodeUnavailable {
			return got
		}
	}
	a.fault("%s %v is never answered", tool, arguments)
	return toolResult{IsError: true}
}

// fulfil orders a wish and does all that is wished with the picture.
func (a *agent) fulfil(w *wish) {
	order := args("requestKey", w.key, "prompt", w.prompt, "numImages", w.images, "target", w.targets[0])
	if w.source != "" {
		order["imageUrls"] = []string{w.source}
	}
	if w.quoted {
		var q struct{ Credits float64 }
		if got := a.call("quote_image", order); got.IsError || json.Unmarshal(got.StructuredContent, &q) != nil || q.Credits != float64(4*w.images) {
			a.fault("%s is quoted as %s", w.key, got.StructuredContent)
		}
	}
	w.asked, w.moved = 1, 1
	for range map[bool]int{false: 1, true: 2}[w.again] {
		got := a.call("generate_image", order)
		p := pictureOf(got)
		if got.IsError || p.TaskID == "" || w.id != "" && w.id != p.TaskID {
			a.fault("%s is task %s, then %q: %v", w.key, w.id, p.TaskID, got.Content)
			return
		}
		w.id = p.TaskID
	}
	if w.hasty && a.delete(w) {
		return
	}
	images, ok := a.await(w)
	if !ok {
		return
	}
	if w.edit != nil && !w.askedToPart { // a late copy may delete what it would be made from
		w.edit.source = images[0]
		a.fulfil(w.edit)
	}
	for _, to := range w.targets[1:] {
		w.asked++
		if got := a.call("move_image", args("taskId", w.id, "target", to)); !got.IsError {
			w.moved++
		} else if !w.askedToPart {
			a.fault("%s cannot be moved: %v", w.key, got.Content)
		}
	}
	if w.unwanted && !a.delete(w) {
		a.fault("%s is done and cannot be deleted", w.key)
	}
}

// await looks at a picture until it is done, and returns what edits of it name.
func (a *agent) await(w *wish) (images []string, ok bool) {
	for range patience {
		got := a.call("get_image", args("taskId", w.id))
		p := pictureOf(got)
		switch {
		case codeOf(got) == task.CodeNotFound && w.askedToPart: // by a late copy
			return nil, false
		case got.IsError:
			a.fault("%s came to %v", w.key, got.Content)
			return nil, false
		case p.Done:
			for _, i := range p.Images {
				images = append(images, i.ImageURL)
			}
			return images, true
		}
	}
	a.fault("%s is never done", w.key)
	return nil, false
}

// delete deletes a picture and reports whether it is gone. One that is being made stays.
func (a *agent) delete(w *wish) bool {
	w.askedToPart = true
	got := a.call("delete_image", args("taskId", w.id))
	if got.IsError && codeOf(got) != task.CodeConflict {
		a.fault("%s cannot be deleted: %v", w.key, got.Content)
	}
	w.gone = !got.IsError
	return w.gone
}

// mutant is a fault that is put between the tools and the API, so that a run must find it.
type mutant func(h *harness)

// runAgent lets an agent with four hands fulfil the wishes of a seed, and returns what
// is wrong in the end.
func runAgent(t *testing.T, seed uint64, m mutant) (tally, []string) {
	h := newHarness(t)
	h.Sim.SetKnobs(func(k *nanobananatest.Knobs) {
		k.LoseCallbacks, k.RepeatCallbacks, k.EarlyCallbacks = false, 2, seed%2 == 0
		k.CallbackRetries = slices.Repeat([]nanobananatest.Duration{nanobananatest.Duration(10 * time.Millisecond)}, 100) // calls, not the wall clock, let time pass
		k.Submit = nanobananatest.Fault{Kind: nanobananatest.FaultReset, Accepted: true, Times: 2}                        // orders whose answer is lost
	})
	if m != nil {
		m(h)
	}
	n := newNoise(h, seed)
	a := &agent{n: n}
	wishes := make(chan *wish)
	var hands sync.WaitGroup
	for range 4 {
		hands.Go(func() {
			for w := range wishes {
				a.fulfil(w)
			}
		})
	}
	planned := plan(seed)
	for _, w := range planned {
		wishes <- w
	}
	close(wishes)
	hands.Wait()
	n.settle(t)

	var ordered []*wish
	for _, w := range planned {
		for ; w != nil; w = w.edit {
			if w.id != "" {
				ordered = append(ordered, w)
			}
		}
	}
	a.audit(h, ordered)
	return n.tallied(ordered), a.faults
}

// pictureOf returns the picture of a result, empty if it has none.
func pictureOf(r toolResult) (p picture) {
	if r.StructuredContent != nil {
		_ = json.Unmarshal(r.StructuredContent, &p)
	}
	return p
}

// codeOf returns the code of a refusal.
func codeOf(r toolResult) task.Code {
	if !r.IsError || len(r.Content) == 0 {
		return ""
	}
	for _, code := range []task.Code{task.CodeUnavailable, task.CodeConflict, task.CodeNotFound, task.CodeIdempotencyKeyReused} {
		if len(r.text()) > len(code) && r.text()[:len(code)] == string(code) {
			return code
		}
	}
	return ""
}

var errLost = errors.New("no answer came")
