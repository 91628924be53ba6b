package prooftest

import (
	"maps"
	"slices"

	"github.com/preset/nanobanana-functions/shared/nanobanana/nanobananatest"
	"github.com/preset/nanobanana-functions/shared/task"
)

func sortedKeys[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }

// good and bad return the bodies of callbacks.
func good(id string, urls []string) []byte {
	return fill("callback-generate", fields{"data.taskId": id, "data.info": map[string]any{"resultImageUrl": urls}})
}

func bad(id string, code int, text string) []byte {
	return fill("callback-generate-failed", fields{"code": code, "msg": text, "data.taskId": id})
}

// callBack sends a callback for an order, mostly a true one.
func (sim *simulation) callBack(o *order, b int) {
	var body []byte
	var what callbackContent
	switch b {
	case 8: // false: it was made, or is not finished
		sim.logStep("callback: %s failed", o.id[30:])
		body = bad(o.id, 501, "Image generation task failed")
	case 9: // unless it was made: the record only says failed
		sim.finish(o, 2)
		sim.logStep("callback: %s is against the policy", o.id[30:])
		body, what.policy = bad(o.id, 400, "flagged"), true
	case 10: // false: it failed, or is not finished
		sim.logStep("callback: %s is made, whatever its state", o.id[30:])
		body = good(o.id, o.urls())
	default:
		sim.finish(o, b)
		sim.logStep("callback for %s, a true one", o.id[30:])
		if what.policy = o.code == 400; o.flag == nanobananatest.FlagFailed {
			body = bad(o.id, o.code, o.text)
			break
		}
		id := o.id
		if b == 11 {
			id = "" // without an id
		}
		body, what.success = good(id, o.urls()), true
		if id != "" {
			what.of, what.links = o, o.links
		}
	}
	sim.callback(o.task, o.attempt, body, what)
}

// forgeCallback sends a callback for a task's current attempt with a valid token and false
// content.
func (sim *simulation) forgeCallback(t *task.Task, b int) {
	if sim.ledger.attempt(t.ID, t.Attempt).tries == 0 {
		return // nobody has seen its token
	}
	var body []byte
	var what callbackContent
	other, is := pick(sim.provider.orders, b/3)
	switch {
	case b == 11: // for an order that may not exist
		id := t.ProviderID
		if id == "" {
			id, what.ids = "nobody", []string{"nobody"}
		}
		sim.logStep("callback for %s: it is against the policy", short(t.ID))
		body, what.policy = bad(id, 400, "flagged"), true
	case b%3 == 0 && is, b%3 == 1 && is && other.task != t.ID:
		sim.logStep("callback for %s: it is %s", short(t.ID), other.id[30:])
		if body = good(other.id, other.urls()); other.task != t.ID || other.attempt != t.Attempt {
			what = callbackContent{ids: []string{other.id}, urls: other.urls()}
			other.foreign = true
		}
	case b%3 == 1 && is: // its own id, another's pictures
		sim.logStep("callback for %s: pictures of %s", short(t.ID), other.id[30:])
		body, what.urls = good(t.ProviderID, other.urls()), other.urls()
	case b%3 == 2 && is:
		sim.logStep("callback for %s: an unknown id, pictures of %s", short(t.ID), other.id[30:])
		body, what = good("nobody", other.urls()), callbackContent{ids: []string{"nobody"}, urls: other.urls()}
	default:
		sim.logStep("callback for %s: nothing", short(t.ID))
	}
	sim.callback(t.ID, t.Attempt, body, what)
}
