package verify

import (
	"fmt"
	"math"

	"github.com/preset/nanobanana-functions/shared/nanobanana"
	"github.com/preset/nanobanana-functions/shared/task"
)

// priceFindings compares the balance from step to step. It includes what others
// spend from the account meanwhile.
func (p *accountProbe) priceFindings() []finding {
	var all []finding
	for _, t := range p.tasks[:refusedTask] {
		all = append(all, t.priceFinding())
	}
	all = append(all, p.refundFinding())
	what, guess := "all together", "the sum of the steps, nothing later"
	if p.opening == nil || p.closing == nil {
		return append(all, unseen(what, guess, "the balance could not be read"))
	}
	spent, steps := *p.opening-*p.closing, 0.0
	for _, t := range p.tasks {
		if cost, ok := t.cost(); ok {
			steps += cost
		}
	}
	seen := fmt.Sprintf("%s credits: %s before, %s after", task.Credits(spent), task.Credits(*p.opening), task.Credits(*p.closing))
	return append(all, found(what, guess, seen, sameCredits(spent, steps), "nothing in the code; the prices above are off by the difference"))
}

// cost returns by how much a step lowered the balance, if that is known.
func (t *accountTask) cost() (float64, bool) {
	if t.before == nil || t.after == nil {
		return 0, false
	}
	return *t.before - *t.after, true
}

func sameCredits(a, b float64) bool { return math.Abs(a-b) < 1e-6 }

// paid describes how many credits were taken, and when.
func (t *accountTask) paid(cost float64) string {
	when := ""
	if t.accepted != nil && cost != 0 && t.id != "" {
		switch {
		case sameCredits(*t.before-*t.accepted, cost):
			when = ", taken with the submit"
		case sameCredits(*t.before, *t.accepted):
			when = ", taken with the result"
		default:
			when = fmt.Sprintf(", of which %s with the submit", task.Credits(*t.before-*t.accepted))
		}
	}
	return fmt.Sprintf("%s credits%s", task.Credits(cost), when)
}

func (t *accountTask) priceFinding() finding {
	what, guess := "price: "+t.name, fmt.Sprintf("%s credits (PRICES)", task.Credits(t.credits))
	cost, ok := t.cost()
	switch {
	case t.id == "" || !ok || !t.done():
		return unseen(what, guess, "no task ended, or the balance could not be read")
	case t.record.State != nanobanana.Succeeded:
		return unseen(what, guess, fmt.Sprintf("it failed, and cost %s credits", task.Credits(cost)))
	}
	change := fmt.Sprintf("PRICES=%s=%s", t.request.Model, task.Credits(cost/float64(t.request.NumImages)))
	if t.request.NumImages > 1 {
		change += ", if a single picture costs that too; otherwise Credits in shared/config/price.go"
	}
	return found(what, guess, t.paid(cost), sameCredits(cost, t.credits), change)
}

func (p *accountProbe) refundFinding() finding {
	const what, guess = "price: a refusal", `costs credits: shown as "spent", and the quota is not given back (shared/httpapi/view.go, shared/task)`
	t := p.tasks[refusedTask]
	cost, ok := t.cost()
	switch {
	case t.submit == nil || !ok || t.err == nil && !t.done():
		return unseen(what, guess, "no task ended, or the balance could not be read")
	case t.err == nil && t.record.State == nanobanana.Succeeded:
		return unseen(what, guess, "the prompt was not refused")
	case t.id == "":
		return found(what, guess, fmt.Sprintf("refused at once, and cost %s credits", task.Credits(cost)), true, "")
	case sameCredits(cost, 0) && t.accepted != nil && *t.accepted < *t.before:
		return found(what, guess, fmt.Sprintf("%s credits were taken and given back", task.Credits(*t.before-*t.accepted)), false, "outcome in shared/httpapi/view.go")
	}
	return found(what, guess, t.paid(cost), cost > 0, "outcome in shared/httpapi/view.go")
}
