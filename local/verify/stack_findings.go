package verify

import (
	"fmt"
	"strings"
	"time"

	"github.com/preset/nanobanana-functions/shared/task"
)

// findings judges what can be seen of a stack from outside.
func (p *stackProber) findings() []finding {
	all := []finding{p.signInFinding(), p.acceptFinding(), p.callbackFinding(), p.linkFinding(), p.bytesFinding(), p.severalFinding(), p.editFinding(), p.refusalFinding()}
	for _, w := range p.wishes {
		all = append(all, w.priceFinding())
	}
	return append(all, p.totalFinding())
}

func (p *stackProber) signInFinding() finding {
	seen := fmt.Sprintf("GET /v1/credits: 200 after %s; %g credits", brief(p.first), p.opening.Balance)
	return found("sign-in", "TOKEN is taken (AUTH_ISSUER), the secret has the key; the first answer may be a cold start", seen, true, "")
}

func (p *stackProber) acceptFinding() finding {
	const what, guess = "submit", "202 within 28 s (submit's Timeout in template.yaml)"
	var seen []string
	right := true
	for _, w := range p.wishes {
		switch {
		case !w.sent:
		case w.err != nil:
			right = right && w == p.wishes[refusedOrder]
			seen = append(seen, w.name+": "+w.err.Error())
		default:
			seen = append(seen, fmt.Sprintf("%s after %s", w.name, brief(w.took)))
		}
	}
	if seen == nil {
		return unseen(what, guess, "nothing was submitted")
	}
	return found(what, guess, strings.Join(seen, "; "), right, "by the answer; the stack's log has its requestId")
}

// callbackFinding infers from when a task ended whether it was called back: that
// itself cannot be seen from outside.
func (p *stackProber) callbackFinding() finding {
	what := "callbacks"
	guess := fmt.Sprintf("come: a task ends before the sweep first reads its record, %s after it was taken", p.pace.FirstRead)
	var early, late []string
	for _, w := range p.wishes {
		switch {
		case !w.task.Done:
		case w.length() < p.pace.FirstRead:
			early = append(early, fmt.Sprintf("%s (%s)", w.name, brief(w.length())))
		default:
			late = append(late, fmt.Sprintf("%s (%s)", w.name, brief(w.length())))
		}
	}
	var seen []string
	if early != nil {
		seen = append(seen, "ended before, so that a callback must have come: "+strings.Join(early, ", "))
	}
	if late != nil {
		seen = append(seen, "ended later, so that either no callback came or it took that long: "+strings.Join(late, ", "))
	}
	if seen == nil {
		return unseen(what, guess, "no task has ended")
	}
	return found(what, guess, "inferred: "+strings.Join(seen, "; "), late == nil,
		"look for the callback function in the stack's log; if it was not called: PUBLIC_URL, and the route /v1/callbacks of the API")
}

func (p *stackProber) links() (all []link) {
	for _, w := range p.wishes {
		all = append(all, w.links...)
	}
	return all
}

func (p *stackProber) linkFinding() finding {
	const what, guess = "lasting link", "302, max-age=600, to a presigned link of 900 s (functions/images)"
	var seen []string
	right := true
	for _, l := range p.links() {
		text := fmt.Sprintf("%d, %s, to a link of %s", l.status, l.cacheControl, l.expires)
		if l.err != nil {
			right, text = false, fmt.Sprintf("%d: %v", l.status, l.err)
		}
		right = right && l.status == 302
		seen = addNew(seen, text)
	}
	if seen == nil {
		return unseen(what, guess, "no picture was stored")
	}
	return found(what, guess, strings.Join(seen, "; "), right, "the images function's rights to the bucket in template.yaml")
}

func (p *stackProber) bytesFinding() finding {
	const what, guess = "stored bytes", "the link gives what the API names: sha256, bytes"
	links := p.links()
	if len(links) == 0 {
		return unseen(what, guess, "no picture was stored")
	}
	n := 0
	for _, l := range links {
		if l.same {
			n++
		}
	}
	return found(what, guess, fmt.Sprintf("%d of %d pictures", n, len(links)), n == len(links), "look at the bucket: nothing else may write to it")
}

func (p *stackProber) severalFinding() finding {
	const what, guess = "several pictures", "numImages 2 stores two"
	w := p.wishes[severalOrder]
	if !w.succeeded() {
		return unseen(what, guess, "the task did not succeed")
	}
	return found(what, guess, fmt.Sprintf("%d stored, %d missing", len(w.task.Images), w.task.Missing), w.task.Missing == 0,
		"run verify-live by API key: it says in which field they are; else MaxImages in shared/task/model.go")
}

func (p *stackProber) editFinding() finding {
	const what, guess = "edit", "the provider reads our presigned link of a stored picture"
	w := p.wishes[editOrder]
	switch {
	case !w.sent:
		return unseen(what, guess, "it was not submitted")
	case w.err != nil:
		return found(what, guess, w.err.Error(), false, "by the answer")
	case !w.task.Done:
		return unseen(what, guess, "the task has not ended")
	case w.task.Error != nil:
		return found(what, guess, "failed: "+string(w.task.Error.Code), false,
			"input_image_unusable: the submit function's rights to read the bucket, its link's form; else shared/nanobanana/request.go")
	}
	return found(what, guess, fmt.Sprintf("succeeded after %s", brief(w.length())), true, "")
}

func (p *stackProber) refusalFinding() finding {
	const what, guess = "policy refusal", `the task fails with content_policy, credits "spent"`
	w := p.wishes[refusedOrder]
	switch {
	case !w.sent:
		return unseen(what, guess, "it was not submitted")
	case w.err != nil && strings.HasPrefix(w.err.Error(), "422"):
		return unseen(what, guess, "our own filter (shared/moderation) was faster; -refused takes another prompt")
	case w.err != nil:
		return found(what, guess, w.err.Error(), false, "by the answer")
	case !w.task.Done:
		return unseen(what, guess, "the task has not ended")
	case w.task.Error == nil:
		return unseen(what, guess, "the prompt was not refused; -refused takes another")
	}
	return found(what, guess, fmt.Sprintf("%s, credits %q", w.task.Error.Code, w.task.Credits.Outcome), w.task.Error.Code == task.CodeContentPolicy,
		"run verify-live by API key: it says how record and callback put it; then texts in shared/nanobanana/words.go")
}

func (w *wish) priceFinding() finding {
	what, guess := "price: "+w.name, fmt.Sprintf("%g credits (PRICES)", w.credits)
	switch {
	case w.cost == nil:
		return unseen(what, guess, "no balance was seen that is newer than its end")
	case w.succeeded():
		n := float64(len(w.task.Images) + w.task.Missing)
		return found(what, guess, fmt.Sprintf("%g credits", *w.cost), same(*w.cost, w.credits), fmt.Sprintf("PRICES=%s=%g", task.DefaultModel, *w.cost/n))
	case w.task.Credits.Outcome == "spent":
		return found(what, `is paid, as "spent" says (shared/httpapi/view.go)`, fmt.Sprintf("%g credits", *w.cost), *w.cost > 0, "outcome in shared/httpapi/view.go")
	}
	return found(what, `is not paid, as "returned" says (shared/httpapi/view.go)`, fmt.Sprintf("%g credits", *w.cost), same(*w.cost, 0),
		"outcome in shared/httpapi/view.go; MAX_GENERATIONS=1, if failures are paid")
}

func (p *stackProber) totalFinding() finding {
	return finding{
		"all together", "only the above, if nobody else used the account",
		fmt.Sprintf("%g credits: %g before, %g as of %s", p.opening.Balance-p.balance.Balance, p.opening.Balance, p.balance.Balance, p.balance.AsOf.Format(time.TimeOnly)),
		setNothing,
	}
}
