package verify

import (
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"

	"github.com/preset/nanobanana-functions/shared/nanobanana"
)

// callbackFindings judge what came to PUBLIC_URL.
func (p *prober) callbackFindings() []finding {
	const (
		arrive = "each task is called back where it said, before the sweep reads after 90 s"
		family = "generate: code and info (A); the newer ones: a whole record (B); both are read (callback.go)"
		source = "unsigned, from no known address: the token in the path and the record decide"
		again  = "after 503 thrice more, perhaps after 1, 5 and 15 min; nothing depends on it"
	)
	if p.callbacks == nil {
		const why = "PUBLIC_URL is not set"
		return []finding{
			unseen("callbacks", arrive, why), unseen("callback's shape", family, why),
			unseen("who calls back", source, why), unseen("called back again", again, why),
		}
	}
	var missing []string
	n := 0 // of those that have ended
	for _, o := range p.orders {
		if !o.done() {
			continue
		}
		if n++; len(p.callbacks.of(o.n)) == 0 {
			missing = append(missing, o.name)
		}
	}
	seen := fmt.Sprintf("%d of %d tasks", n-len(missing), n)
	if missing != nil {
		seen += "; none of " + strings.Join(missing, ", ")
	}
	first := found("callbacks", arrive, seen, missing == nil, "PUBLIC_URL, if the tunnel was at fault; else nothing helps, and the sweep finds the tasks")
	if n == 0 {
		first = unseen("callbacks", arrive, "no task has ended")
	}
	if all := p.callbacks.of(0); len(all) > 0 {
		return []finding{first, familyFinding(all, family), sourceFinding(all, source), p.againFinding(again)}
	}
	const why = "none came"
	return []finding{first, unseen("callback's shape", family, why), unseen("who calls back", source, why), unseen("called back again", again, why)}
}

func familyFinding(all []arrival, guess string) finding {
	shapes, unreadable := map[string]int{}, 0
	for _, a := range all {
		shape := "family A"
		if a.newer() {
			shape = "family B"
		}
		if told, err := nanobanana.ParseCallback(a.Body); err != nil || told.TaskID == "" || !told.Final {
			shape = "not understood"
			unreadable++
		}
		shapes[shape]++
	}
	var seen []string
	for _, shape := range slices.Sorted(maps.Keys(shapes)) {
		seen = append(seen, fmt.Sprintf("%d of %s", shapes[shape], shape))
	}
	return found("callback's shape", guess, strings.Join(seen, ", "), unreadable == 0, "shared/nanobanana/callback.go")
}

func sourceFinding(all []arrival, guess string) finding {
	headers, from := map[string]bool{}, map[string]bool{}
	signed := ""
	for _, a := range all {
		from[a.From] = true
		for _, name := range a.Headers {
			headers[name] = true
			if low := strings.ToLower(name); strings.Contains(low, "sign") || strings.Contains(low, "hmac") || strings.Contains(low, "webhook") {
				signed = name
			}
		}
	}
	seen := fmt.Sprintf("from %s, with %s", strings.Join(slices.Sorted(maps.Keys(from)), ", "), strings.Join(slices.Sorted(maps.Keys(headers)), ", "))
	return found("who calls back", guess, seen, signed == "", "functions/callback could check "+signed+", beside what it does")
}

// againFinding says how often the step answered 503 came, and which others did
// more than once.
func (p *prober) againFinding(guess string) finding {
	var repeated []string
	for _, o := range p.accepted() {
		if n := len(p.callbacks.of(o.n)); o.n != p.callbacks.refused && n > 1 {
			repeated = append(repeated, fmt.Sprintf("%s came %d times though answered 200", o.name, n))
		}
	}
	calls := p.callbacks.of(p.callbacks.refused)
	if len(calls) == 0 {
		return unseen("called back again", guess, "the callback to be answered 503 did not come")
	}
	seen := fmt.Sprintf("%d deliveries", len(calls))
	for i := range calls[1:] {
		seen += fmt.Sprintf(", +%s", brief(calls[i+1].At.Sub(calls[i].At)))
	}
	if len(calls) < deliveries {
		seen += fmt.Sprintf("; no more until %s after the last step", p.pace.Callbacks)
	}
	return found("called back again", guess, strings.Join(append([]string{seen}, repeated...), "; "), true, "")
}

// refusalFinding says how a prompt against the policy fails: only the callback,
// or also the record, may say why.
func (p *prober) refusalFinding() finding {
	const what, guess = "policy refusal", "the callback says code 400; the record may say a bare failure (codes, texts in shared/nanobanana/words.go)"
	o := p.orders[refusedOrder]
	switch {
	case o.submit == nil:
		return unseen(what, guess, "it was not submitted")
	case o.err != nil:
		said, _ := readAnswer(o.submit.Body)
		return found(what, guess, fmt.Sprintf("at the submit: HTTP %d, %s", o.submit.Status, said), refusedBy(o.err), "codes and texts in shared/nanobanana/words.go")
	case !o.done():
		return unseen(what, guess, "the task has not ended")
	case o.record.State == nanobanana.Succeeded:
		return unseen(what, guess, "the prompt was not refused; -refused takes another")
	}
	said, _ := readAnswer(o.read.Body)
	seen := fmt.Sprintf("record: %s, read as %s", said, o.record.Reason)
	policy := o.record.Reason == nanobanana.Policy
	var calls []arrival
	if p.callbacks != nil {
		calls = p.callbacks.of(o.n)
	}
	for _, a := range calls[:min(1, len(calls))] {
		said, _ := readAnswer(a.Body)
		told, _ := nanobanana.ParseCallback(a.Body)
		seen += fmt.Sprintf("; callback: %s, read as %s", said, told.Reason)
		policy = policy || told.Reason == nanobanana.Policy
	}
	change := "texts in shared/nanobanana/words.go"
	if calls == nil {
		seen += "; no callback was seen"
		change = "nothing, if the callback says it; else " + change
	}
	if o.record.Retryable {
		change += "; until then MAX_GENERATIONS=1, or such a prompt is paid for again"
	}
	return found(what, guess, seen, policy, change)
}

// moneyFindings compare the balance from step to step. Others who spend from the
// account show in it.
func (p *prober) moneyFindings() []finding {
	var all []finding
	for _, o := range p.orders[:refusedOrder] {
		all = append(all, o.priceFinding())
	}
	all = append(all, p.refundFinding())
	what, guess := "all together", "what the steps cost, none of it later"
	if p.opening == nil || p.closing == nil {
		return append(all, unseen(what, guess, "the balance could not be read"))
	}
	spent, steps := *p.opening-*p.closing, 0.0
	for _, o := range p.orders {
		if cost, ok := o.cost(); ok {
			steps += cost
		}
	}
	seen := fmt.Sprintf("%g credits: %g before, %g after", spent, *p.opening, *p.closing)
	return append(all, found(what, guess, seen, same(spent, steps), "nothing in the code; the lines above are off by the difference"))
}

// cost is what the balance lost in a step.
func (o *order) cost() (float64, bool) {
	if o.before == nil || o.after == nil {
		return 0, false
	}
	return *o.before - *o.after, true
}

func same(a, b float64) bool { return math.Abs(a-b) < 1e-6 }

// paid says how many credits, and when.
func (o *order) paid(cost float64) string {
	when := ""
	if o.accepted != nil && cost != 0 && o.id != "" {
		switch {
		case same(*o.before-*o.accepted, cost):
			when = ", taken with the submit"
		case same(*o.before, *o.accepted):
			when = ", taken with the result"
		default:
			when = fmt.Sprintf(", of which %g with the submit", *o.before-*o.accepted)
		}
	}
	return fmt.Sprintf("%g credits%s", cost, when)
}

func (o *order) priceFinding() finding {
	what, guess := "price: "+o.name, fmt.Sprintf("%g credits (PRICES)", o.credits)
	cost, ok := o.cost()
	switch {
	case o.id == "" || !ok || !o.done():
		return unseen(what, guess, "no task ended, or the balance could not be read")
	case o.record.State != nanobanana.Succeeded:
		return unseen(what, guess, fmt.Sprintf("it failed, and cost %g", cost))
	}
	change := fmt.Sprintf("PRICES=%s=%g", o.request.Model, cost/float64(o.request.NumImages))
	if o.request.NumImages > 1 {
		change += ", if one picture costs that too; else Credits in shared/config/price.go"
	}
	return found(what, guess, o.paid(cost), same(cost, o.credits), change)
}

func (p *prober) refundFinding() finding {
	const what, guess = "price: a refusal", `is paid: shown as "spent", and the quota is not given back (shared/httpapi/view.go, shared/task)`
	o := p.orders[refusedOrder]
	cost, ok := o.cost()
	switch {
	case o.submit == nil || !ok || o.err == nil && !o.done():
		return unseen(what, guess, "no task ended, or the balance could not be read")
	case o.err == nil && o.record.State == nanobanana.Succeeded:
		return unseen(what, guess, "the prompt was not refused")
	case o.id == "":
		return found(what, guess, fmt.Sprintf("refused at once, and cost %g", cost), true, "")
	case same(cost, 0) && o.accepted != nil && *o.accepted < *o.before:
		return found(what, guess, fmt.Sprintf("%g credits were taken and came back", *o.before-*o.accepted), false, "outcome in shared/httpapi/view.go")
	}
	return found(what, guess, o.paid(cost), cost > 0, "outcome in shared/httpapi/view.go")
}
