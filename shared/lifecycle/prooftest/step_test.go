package prooftest

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"testing/synctest"
	"time"

	"github.com/preset/nanobanana-functions/shared/lifecycle"
	"github.com/preset/nanobanana-functions/shared/nanobanana/nanobananatest"
	"github.com/preset/nanobanana-functions/shared/task"
)

// pick returns the element that n names, counted from the end: most happens to new ones.
func pick[T any](all []T, n int) (one T, ok bool) {
	if len(all) == 0 {
		return one, false
	}
	return all[len(all)-1-n%len(all)], true
}

// step runs one step. A step that does not apply does nothing.
func (sim *simulation) step(s step) {
	if sim.onCall(s) {
		return
	}
	switch s.Do {
	case run:
		sim.runAll()
	case normal, secondTry, unreadable, uselessRecord, liveLinks, unproved, strangersID, manyRefusals, earlyCallback, afterEnd, lost:
		sim.scenario(s)
	case submit:
		sim.submitOrder(s.A, s.B)
	case sweep:
		sim.logStep("sweep")
		sim.sweep()
	case later:
		sim.later(spans[s.B%len(spans)])
	case due:
		if next, left := sim.nextDue(); left {
			sim.later(max(0, time.Until(next)) + skew)
			sim.sweep()
			sim.sweep()
		}
	case answer:
		all := append(sortedKeys(refusals), sortedKeys(ambiguous)...)
		sim.conditions.answer = all[(s.A*12+s.B)%len(all)]
		if _, is := ambiguous[sim.conditions.answer]; is && s.A%2 == 0 {
			sim.conditions.answer += "!"
		}
		sim.logStep("the answer to the next POST: %s", sim.conditions.answer)
	case condition:
		sim.changeConditions(s.B)
	case callback, finish:
		if o, ok := pick(sim.provider.orders, s.A); ok {
			sim.onOrder(s, o)
		}
	case record:
		if o, ok := pick(sim.provider.orders, s.A%3); ok {
			sim.setRecord(o, s.A/3*12+s.B, s.A)
		}
	case forget:
		sim.forgetStep(s)
	case hold:
		sim.holdStep(s)
	case rescue:
		sim.rescueAny(s)
	case forge, wait, consume, remove, retarget:
		if id, ok := pick(sim.ledger.ids, s.A); ok {
			sim.onTask(s, id)
		}
	}
}

func (sim *simulation) logStep(format string, args ...any) {
	sim.mu.Lock()
	defer sim.mu.Unlock()
	sim.note(format, args...)
}

// onCall runs a step about a call under way, and reports whether it was one.
func (sim *simulation) onCall(s step) bool {
	all := sim.waiting()
	if s.Do == arrive {
		all = sim.lateCalls()
	}
	switch s.Do {
	case goOn, effect, fail, lose, resend, crash, crashAfter, arrive, hangUp:
	default:
		return false
	}
	if len(all) == 0 {
		return true
	}
	c := all[s.A%len(all)]
	sim.counts[actionNames[s.Do]+" "+c.op]++
	sim.logStep("%s: %s", actionNames[s.Do], c)
	switch {
	case s.Do == goOn:
		sim.proceed(c)
	case s.Do == arrive:
		sim.effect(c)
	case s.Do == hangUp:
		if c.actor.kind == "submit" || c.actor.kind == "callback" {
			c.actor.hungUp = true
			c.actor.hangUp()
			synctest.Wait()
		}
	case s.Do == crash:
		sim.kill(c.actor.process)
	case s.Do == fail:
		sim.answer(c, errLost)
	case s.Do == resend && c.resent:
		sim.effect(c)
		c.did = false
	case !c.did:
		sim.effect(c)
	}
	switch s.Do {
	case lose:
		sim.answer(c, errLost)
	case crashAfter:
		sim.kill(c.actor.process)
	}
	return true
}

// submitOrder submits an order: the same few again and again, some with another body.
func (sim *simulation) submitOrder(a, b int) {
	o := lifecycle.Order{
		Owner: "ada", IdempotencyKey: fmt.Sprint("key ", a%4),
		Request: task.Request{Prompt: prompt, NumImages: 1 + a%2, Target: &task.Target{Kind: "moodboard", ID: "1"}},
	}
	if sim.ledger.forgotten("ada") && a%4 > 0 {
		o.Owner = "cy" // who ordered most is gone
	}
	switch b {
	case 9:
		o.Owner = "bob"
	case 10:
		o.Request.Prompt = "a harbour"
	case 11:
		o.IdempotencyKey += ", an edit"
		if id, ok := pick(sim.withPictures(), a); ok && a%2 == 0 {
			o.Request.ImageURLs = []string{"task:" + id + "/1"}
		} else {
			o.Request.ImageURLs = []string{"upload:" + uploaded}
		}
	}
	sim.logStep("submit %s %s %q, %d pictures", o.Owner, o.IdempotencyKey, o.Request.Prompt, o.Request.NumImages)
	sim.submit(o)
}

// withPictures returns the tasks that have pictures.
func (sim *simulation) withPictures() []string {
	return slices.DeleteFunc(slices.Clone(sim.ledger.ids), func(id string) bool { return len(sim.ledger.row(id).Images) == 0 })
}

// generating returns the tasks that are generating.
func (sim *simulation) generating() []string {
	return slices.DeleteFunc(slices.Clone(sim.ledger.ids), func(id string) bool { return sim.ledger.row(id).Status != task.Generating })
}

// spans are steps of the clock, longer than each time of a task's life.
var spans = []time.Duration{
	time.Second, 40 * time.Second, 95 * time.Second, 5 * time.Second, 7 * time.Second, 21 * time.Second,
	3 * time.Minute, 17 * time.Minute, 65 * time.Minute, 3 * time.Hour, 25 * time.Hour, 74 * time.Hour,
}

func (sim *simulation) later(d time.Duration) {
	sim.logStep("%v pass", d)
	time.Sleep(d)
	synctest.Wait()
}

// changeConditions changes a fault or setting that affects all calls.
func (sim *simulation) changeConditions(b int) {
	sim.mu.Lock()
	defer sim.mu.Unlock()
	x := &sim.conditions
	switch b {
	case 0, 1:
		x.storeDown = !x.storeDown
	case 2:
		x.secretDown = !x.secretDown
		sim.keyless = true
	case 3: // the provider accepts another key, which the secret does not have yet
		x.validKey = rolledKey
	case 4, 5:
		x.secretKey, x.validKey = rolledKey, rolledKey
	case 6:
		x.balance = 107.5 - x.balance // 100 or 7.5: enough for one picture
	case 7:
		x.balanceDown = !x.balanceDown
	case 8, 9, 10:
		if how := []string{"403", "cut", "html"}[b-8]; x.download != how {
			x.download = how
		} else {
			x.download = ""
		}
	case 11:
		x.receiverDown = !x.receiverDown
	}
	sim.note("conditions: %+v", *x)
}

// onTask runs a step about one task.
func (sim *simulation) onTask(s step, id string) {
	t := sim.ledger.row(id)
	switch s.Do {
	case forge:
		sim.forgeCallback(t, s.B)
	case wait:
		if generating, ok := pick(sim.generating(), s.A); ok && s.B%3 > 0 {
			id = generating
			sim.later(max(0, time.Until(sim.ledger.row(id).DueAt)) + skew)
		}
		if s.B%3 == 2 {
			sim.sweep()
		}
		sim.logStep("a client waits for %s", short(id))
		sim.wait(id)
	case consume:
		kind := "ingest"
		if all := t.Messages(); len(all) > 0 {
			kind = consumerOf(all[s.B%len(all)])
		}
		if s.B == 11 {
			kind = "notify"
		}
		sim.logStep("%s %s", kind, short(id))
		sim.consume(kind, id)
	case remove:
		sim.logStep("DELETE %s", short(id))
		sim.change("delete", id, func(s *lifecycle.Service, x *task.Task) error { return x.Delete(s.Rules, s.Now()) }, (*task.Task).Deleted)
	case retarget:
		to := task.Target{Kind: "showcase", ID: fmt.Sprint(s.B % 3)}
		if s.B >= 6 {
			sim.newer(id, s.B)
		}
		sim.logStep("%s is for %s", short(id), to)
		sim.change("retarget", id, func(s *lifecycle.Service, x *task.Task) error { return x.SetTarget(s.Rules, to, s.Now()) },
			func(t *task.Task) bool { return t.Target != nil || t.Deleted() }) // another change may have come since
	}
}

// newer writes a row as a newer release that runs at the same time might.
func (sim *simulation) newer(id string, b int) {
	sim.mu.Lock()
	defer sim.mu.Unlock()
	t, err := task.Update(context.Background(), sim.rows, sim.read(id), func(x *task.Task) error {
		x.Extra = map[string]json.RawMessage{"newer": json.RawMessage(fmt.Sprint(b))}
		return nil
	})
	if err != nil {
		panic(err)
	}
	sim.ledger.rows[id] = t
	sim.note("%s has an attribute of a newer release", short(id))
}

// onOrder runs a step about one of the provider's orders.
func (sim *simulation) onOrder(s step, o *order) {
	switch s.Do {
	case finish:
		sim.finish(o, s.B)
	case callback:
		sim.callBack(o, s.B)
	}
}

// recordModes are the ways to answer a read of a record.
var recordModes = [...]string{
	"", "hidden", "500", "HTML", "429", "running", "short", "echo", "flag 7", "failed", "fresh", "fresh",
	"linkless", "stateless", "contrary", "guessed", "stranger", "stranger failed", "namesake", "namesake failed", "impostor failed", "sibling", "echo", "stale",
}

// setRecord sets how an order's record is answered, and how it repeats the parameters.
func (sim *simulation) setRecord(o *order, way, echo int) {
	switch o.record = recordModes[way]; o.record {
	case "":
		o.echo, o.stale = "", false
	case "fresh":
		o.record = ""
		o.links++
		o.lasting = way == 10
	case "stale":
		o.record = ""
		o.outdate()
	case "echo":
		o.record, o.echo = "", sortedKeys(echoes)[(3*way+echo)%len(echoes)]
	}
	sim.logStep("the record of %s is now %q, %q", o.id[30:], o.record, o.echo)
}

// outdate lets an order's links die, and its record keep them for ever.
func (o *order) outdate() {
	o.links++
	o.stale, o.lasting = true, false
}

// finish ends an order as success or failure.
func (sim *simulation) finish(o *order, b int) {
	if o.done() {
		return
	}
	o.flag = nanobananatest.FlagFailed
	switch b {
	case 1:
		o.code, o.text = 500, "internal error"
	case 2, 3:
		o.code, o.text = 501, "Image generation task failed"
	case 4:
		o.code, o.text = 400, "Your prompt has been flagged for violating content policy"
	case 5:
		o.code, o.text = 422, "failed to fetch image url"
	default:
		o.flag = nanobananatest.FlagSucceeded
	}
	sim.logStep("%s is made, code %d", o.id[30:], o.code)
}
