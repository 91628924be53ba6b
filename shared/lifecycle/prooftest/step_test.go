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

// pick gives the element that n names, the last ones first: what is new is
// what most happens to.
func pick[T any](all []T, n int) (one T, ok bool) {
	if len(all) == 0 {
		return one, false
	}
	return all[len(all)-1-n%len(all)], true
}

// step does one step. What there is nothing for is nothing.
func (w *world) step(s step) {
	if w.onCall(s) {
		return
	}
	switch s.Do {
	case run:
		w.runAll()
	case usual, second, dark, useless, lend, unproved, stray, siege, early:
		w.plot(s)
	case submit:
		w.place(s.A, s.B)
	case sweep:
		w.said("sweep")
		w.sweep()
	case later:
		w.later(spans[s.B%len(spans)])
	case due:
		if next, left := w.nextDue(); left {
			w.later(max(0, time.Until(next)) + skew)
			w.sweep()
			w.sweep()
		}
	case answer:
		all := append(sortedKeys(refusals), sortedKeys(vague)...)
		w.weather.answer = all[(s.A*12+s.B)%len(all)]
		if _, is := vague[w.weather.answer]; is && s.A%2 == 0 {
			w.weather.answer += "!"
		}
		w.said("the next POST is answered: %s", w.weather.answer)
	case weather:
		w.turn(s.B)
	case callback, finish:
		if o, ok := pick(w.provider.orders, s.A); ok {
			w.onOrder(s, o)
		}
	case record:
		if o, ok := pick(w.provider.orders, s.A%3); ok {
			w.answered(o, s.A/3*12+s.B, s.A)
		}
	case forge, consume, remove, retarget:
		if id, ok := pick(w.book.ids, s.A); ok {
			w.onTask(s, id)
		}
	}
}

func (w *world) said(format string, args ...any) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.note(format, args...)
}

// onCall does a step that is about a call under way, if it is one.
func (w *world) onCall(s step) bool {
	all := w.waiting()
	if s.Do == arrive {
		all = w.late()
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
	w.counts[actionNames[s.Do]+" "+c.op]++
	w.said("%s: %s", actionNames[s.Do], c)
	switch {
	case s.Do == goOn:
		w.proceed(c)
	case s.Do == arrive:
		w.effect(c)
	case s.Do == hangUp:
		if c.actor.kind == "submit" || c.actor.kind == "callback" {
			c.actor.hungUp = true
			c.actor.hangUp()
			synctest.Wait()
		}
	case s.Do == crash:
		w.kill(c.actor.process)
	case s.Do == fail:
		w.answer(c, errLost)
	case s.Do == resend && c.resent:
		w.effect(c)
		c.did = false
	case !c.did:
		w.effect(c)
	}
	switch s.Do {
	case lose:
		w.answer(c, errLost)
	case crashAfter:
		w.kill(c.actor.process)
	}
	return true
}

// place places an order: the same orders again and again, some with a body of their own.
func (w *world) place(a, b int) {
	o := lifecycle.Order{
		Owner: "ada", IdempotencyKey: fmt.Sprint("key ", a%4),
		Request: task.Request{Prompt: prompt, NumImages: 1 + a%2, Target: &task.Target{Kind: "moodboard", ID: "1"}},
	}
	switch b {
	case 9:
		o.Owner = "bob"
	case 10:
		o.Request.Prompt = "a harbour"
	case 11:
		o.IdempotencyKey += ", an edit"
		if id, ok := pick(w.pictured(), a); ok {
			o.Request.ImageURLs = []string{"task:" + id + "/1"}
		}
	}
	w.said("submit %s %s %q, %d pictures", o.Owner, o.IdempotencyKey, o.Request.Prompt, o.Request.NumImages)
	w.submit(o)
}

// pictured gives the tasks that have pictures.
func (w *world) pictured() []string {
	return slices.DeleteFunc(slices.Clone(w.book.ids), func(id string) bool { return len(w.book.row(id).Images) == 0 })
}

// spans are by how much the clock moves: past each time that the design names.
var spans = []time.Duration{
	time.Second, 40 * time.Second, 95 * time.Second, 5 * time.Second, 7 * time.Second, 21 * time.Second,
	3 * time.Minute, 17 * time.Minute, 65 * time.Minute, 3 * time.Hour, 25 * time.Hour, 74 * time.Hour,
}

func (w *world) later(d time.Duration) {
	w.said("%v pass", d)
	time.Sleep(d)
	synctest.Wait()
}

// turn turns the weather: what is the fault of no call in particular.
func (w *world) turn(b int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	x := &w.weather
	switch b {
	case 0, 1:
		x.storeAway = !x.storeAway
	case 2:
		x.secretAway = !x.secretAway
		w.keyless = true
	case 3: // the provider takes another key, and the secret does not have it yet
		x.good = rolledKey
	case 4, 5:
		x.held, x.good = rolledKey, rolledKey
	case 6:
		x.balance = 107.5 - x.balance // 100 or 7.5: enough for one picture
	case 7:
		x.balanceAway = !x.balanceAway
	case 8, 9, 10:
		if how := []string{"403", "cut", "html"}[b-8]; x.download != how {
			x.download = how
		} else {
			x.download = ""
		}
	case 11:
		x.receiverAway = !x.receiverAway
	}
	w.note("weather: %+v", *x)
}

// onTask does a step that is about one task.
func (w *world) onTask(s step, id string) {
	t := w.book.row(id)
	switch s.Do {
	case forge:
		w.forged(t, s.B)
	case consume:
		kind := "ingest"
		if t.Work == task.Notify || s.B == 11 {
			kind = "notify"
		}
		w.said("%s %s", kind, short(id))
		w.consume(kind, id)
	case remove:
		w.said("DELETE %s", short(id))
		w.change("delete", id, func(s *lifecycle.Service, x *task.Task) error { return x.Delete(s.Rules, s.Now()) }, (*task.Task).Deleted)
	case retarget:
		to := task.Target{Kind: "showcase", ID: fmt.Sprint(s.B)}
		if s.B >= 6 {
			w.newer(id, s.B)
		}
		w.said("%s is for %s", short(id), to)
		w.change("retarget", id, func(s *lifecycle.Service, x *task.Task) error { return x.SetTarget(to, s.Now()) },
			func(t *task.Task) bool { return t.Target != nil || t.Deleted() }) // another may have come since
	}
}

// newer writes a row as the next release might, which runs beside this one for a while.
func (w *world) newer(id string, b int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	t, err := task.Update(context.Background(), w.rows, w.read(id), func(x *task.Task) error {
		x.Extra = map[string]json.RawMessage{"newer": json.RawMessage(fmt.Sprint(b))}
		return nil
	})
	if err != nil {
		panic(err)
	}
	w.book.rows[id] = t
	w.note("%s has an attribute of a newer release", short(id))
}

// onOrder does a step that is about one of the provider's own tasks.
func (w *world) onOrder(s step, o *order) {
	switch s.Do {
	case finish:
		w.finish(o, s.B)
	case callback:
		w.called(o, s.B)
	}
}

// ways are the ways in which a record may be answered from now on.
var ways = [...]string{
	"", "hidden", "500", "HTML", "429", "running", "short", "echo", "flag 7", "failed", "fresh", "fresh",
	"linkless", "stateless", "contrary", "guessed", "stranger", "stranger failed", "namesake", "namesake failed", "impostor failed", "sibling", "echo", "stale",
}

// answered sets how an order's record is answered, and how it repeats what was
// ordered.
func (w *world) answered(o *order, way, echo int) {
	switch o.record = ways[way]; o.record {
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
	w.said("the record of %s is %q, %q, from now on", o.id[30:], o.record, o.echo)
}

// outdate has an order's links die, and its record keep them for ever.
func (o *order) outdate() {
	o.links++
	o.stale, o.lasting = true, false
}

// finish ends an order, in success or not.
func (w *world) finish(o *order, b int) {
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
	w.said("%s is made, code %d", o.id[30:], o.code)
}
