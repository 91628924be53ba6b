package verify

import (
	"fmt"
	"strings"
	"time"

	"github.com/preset/nanobanana-functions/shared/task"
)

// findings returns the lines of the table: what can be seen of a stack from outside.
func (p *stackProbe) findings() []finding {
	all := []finding{p.signInFinding(), p.acceptFinding(), p.callbackFinding(), p.linkFinding(), p.bytesFinding(), p.severalFinding(), p.editFinding(), p.refusalFinding()}
	for _, t := range p.tasks {
		all = append(all, t.priceFinding())
	}
	return append(all, p.totalFinding())
}

func (p *stackProbe) signInFinding() finding {
	seen := fmt.Sprintf("GET /v1/credits: 200 after %s; %s credits", shortDuration(p.first), task.Credits(p.opening.Balance))
	return found("sign-in", "TOKEN is accepted (AUTH_ISSUER), the secret has the key; the first answer may be a cold start", seen, true, "")
}

func (p *stackProbe) acceptFinding() finding {
	const what, guess = "submit", "202 within 28 s (submit's Timeout in template.yaml)"
	var seen []string
	asGuessed := true
	for _, t := range p.tasks {
		switch {
		case !t.sent:
		case t.err != nil:
			asGuessed = asGuessed && t == p.tasks[refusedTask]
			seen = append(seen, t.name+": "+t.err.Error())
		default:
			seen = append(seen, fmt.Sprintf("%s after %s", t.name, shortDuration(t.took)))
		}
	}
	if seen == nil {
		return unseen(what, guess, "nothing was submitted")
	}
	return found(what, guess, strings.Join(seen, "; "), asGuessed, "depends on the answer; the stack's log has its requestId")
}

// callbackFinding infers from the time a task took whether a callback came, which
// cannot be seen from outside.
func (p *stackProbe) callbackFinding() finding {
	what := "callbacks"
	guess := fmt.Sprintf("they come: a task ends before the sweep first reads its record, %s after the submit", p.pace.FirstRead)
	var early, late []string
	for _, t := range p.tasks {
		switch {
		case !t.task.Done:
		case t.duration() < p.pace.FirstRead:
			early = append(early, fmt.Sprintf("%s (%s)", t.name, shortDuration(t.duration())))
		default:
			late = append(late, fmt.Sprintf("%s (%s)", t.name, shortDuration(t.duration())))
		}
	}
	var seen []string
	if early != nil {
		seen = append(seen, "ended earlier, so a callback came: "+strings.Join(early, ", "))
	}
	if late != nil {
		seen = append(seen, "ended later, so no callback came or the task took that long: "+strings.Join(late, ", "))
	}
	if seen == nil {
		return unseen(what, guess, "no task has ended")
	}
	return found(what, guess, "inferred: "+strings.Join(seen, "; "), late == nil,
		"see the callback function's log in the stack; if it was not called: PUBLIC_URL, and the API's route /v1/callbacks")
}

func (p *stackProbe) links() (all []link) {
	for _, t := range p.tasks {
		all = append(all, t.links...)
	}
	return all
}

func (p *stackProbe) linkFinding() finding {
	const what, guess = "lasting link", "302, max-age=600, to a presigned link valid for 900 s (functions/images)"
	var seen []string
	asGuessed := true
	for _, l := range p.links() {
		text := fmt.Sprintf("%d, %s, to a link valid for %s", l.status, l.cacheControl, l.expires)
		if l.err != nil {
			asGuessed, text = false, fmt.Sprintf("%d: %v", l.status, l.err)
		}
		asGuessed = asGuessed && l.status == 302
		seen = appendNew(seen, text)
	}
	if seen == nil {
		return unseen(what, guess, "no picture was stored")
	}
	return found(what, guess, strings.Join(seen, "; "), asGuessed, "the images function's permissions on the bucket in template.yaml")
}

func (p *stackProbe) bytesFinding() finding {
	const what, guess = "stored bytes", "the link serves what the API shows: sha256, bytes"
	links := p.links()
	if len(links) == 0 {
		return unseen(what, guess, "no picture was stored")
	}
	n := 0
	for _, l := range links {
		if l.matches {
			n++
		}
	}
	return found(what, guess, fmt.Sprintf("%d of %d pictures", n, len(links)), n == len(links), "see who writes to the bucket: only the functions may")
}

func (p *stackProbe) severalFinding() finding {
	const what, guess = "several pictures", "numImages 2 stores two"
	t := p.tasks[severalTask]
	if !t.succeeded() {
		return unseen(what, guess, "the task did not succeed")
	}
	return found(what, guess, fmt.Sprintf("%d stored, %d missing", len(t.task.Images), t.task.Missing), t.task.Missing == 0,
		"run verify-live with an API key to see which field they are in; otherwise MaxImages in shared/task/model.go")
}

func (p *stackProbe) editFinding() finding {
	const what, guess = "edit", "the provider reads our presigned link of a stored picture"
	t := p.tasks[editTask]
	switch {
	case !t.sent:
		return unseen(what, guess, "it was not submitted")
	case t.err != nil:
		return found(what, guess, t.err.Error(), false, "depends on the answer")
	case !t.task.Done:
		return unseen(what, guess, "the task has not ended")
	case t.task.Error != nil:
		return found(what, guess, "failed: "+string(t.task.Error.Code), false,
			"for input_image_unusable: the submit function's permission to read the bucket, its link's form; otherwise shared/nanobanana/request.go")
	}
	return found(what, guess, fmt.Sprintf("succeeded after %s", shortDuration(t.duration())), true, "")
}

func (p *stackProbe) refusalFinding() finding {
	const what, guess = "policy refusal", `the task fails with content_policy, credits "spent"`
	t := p.tasks[refusedTask]
	switch {
	case !t.sent:
		return unseen(what, guess, "it was not submitted")
	case t.err != nil && strings.HasPrefix(t.err.Error(), "422"):
		return unseen(what, guess, "our own filter (shared/moderation) refused it first; try another prompt with -refused")
	case t.err != nil:
		return found(what, guess, t.err.Error(), false, "depends on the answer")
	case !t.task.Done:
		return unseen(what, guess, "the task has not ended")
	case t.task.Error == nil:
		return unseen(what, guess, "the prompt was not refused; try another one with -refused")
	}
	return found(what, guess, fmt.Sprintf("%s, credits %q", t.task.Error.Code, t.task.Credits.Outcome), t.task.Error.Code == task.CodeContentPolicy,
		"run verify-live with an API key to see the record's and the callback's words; then wordings in shared/nanobanana/wording.go")
}

func (t *stackTask) priceFinding() finding {
	what, guess := "price: "+t.name, fmt.Sprintf("%s credits (PRICES)", task.Credits(t.credits))
	switch {
	case t.cost == nil:
		return unseen(what, guess, "no balance newer than its end was seen")
	case t.succeeded():
		n := float64(len(t.task.Images) + t.task.Missing)
		return found(what, guess, fmt.Sprintf("%s credits", task.Credits(*t.cost)), sameCredits(*t.cost, t.credits), fmt.Sprintf("PRICES=%s=%s", task.DefaultModel, task.Credits(*t.cost/n)))
	case t.task.Credits.Outcome == "spent":
		return found(what, `costs credits, as "spent" shows (shared/httpapi/view.go)`, fmt.Sprintf("%s credits", task.Credits(*t.cost)), *t.cost > 0, "outcome in shared/httpapi/view.go")
	}
	return found(what, `costs nothing, as "returned" shows (shared/httpapi/view.go)`, fmt.Sprintf("%s credits", task.Credits(*t.cost)), sameCredits(*t.cost, 0),
		"outcome in shared/httpapi/view.go; if failures cost credits, MAX_GENERATIONS=1")
}

func (p *stackProbe) totalFinding() finding {
	return finding{
		"all together", "only the above, unless others used the account",
		fmt.Sprintf("%s credits: %s before, %s as of %s", task.Credits(p.opening.Balance-p.balance.Balance), task.Credits(p.opening.Balance), task.Credits(p.balance.Balance), p.balance.AsOf.Format(time.TimeOnly)),
		setNothing,
	}
}
