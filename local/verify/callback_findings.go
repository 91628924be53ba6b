package verify

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/preset/nanobanana-functions/shared/nanobanana"
)

// callbackFindings compares the callbacks that came with the guesses.
func (p *accountProbe) callbackFindings() []finding {
	const (
		arrive = "one comes for each task, to the URL that was sent, before the sweep first reads"
		family = "generate: code and info (A); newer models: a whole record (B); both are understood (shared/nanobanana/callback.go)"
		source = "unsigned, from no fixed address: the token in the path and the record decide"
		again  = "after a 503 three times more, perhaps after 1, 5 and 15 min; nothing depends on it"
	)
	if p.callbacks == nil {
		const why = "PUBLIC_URL is not set"
		return []finding{
			unseen("callbacks", arrive, why), unseen("callback's shape", family, why),
			unseen("who calls back", source, why), unseen("called back again", again, why),
		}
	}
	var missing []string
	n := 0 // tasks that have ended
	for _, t := range p.tasks {
		if !t.done() {
			continue
		}
		if n++; len(p.callbacks.of(t.n)) == 0 {
			missing = append(missing, t.name)
		}
	}
	seen := fmt.Sprintf("%d of %d tasks", n-len(missing), n)
	if missing != nil {
		seen += "; none of " + strings.Join(missing, ", ")
	}
	first := found("callbacks", arrive, seen, missing == nil, "PUBLIC_URL, if the tunnel failed; otherwise nothing: the sweep finds the tasks")
	if n == 0 {
		first = unseen("callbacks", arrive, "no task has ended")
	}
	if all := p.callbacks.of(0); len(all) > 0 {
		return []finding{first, familyFinding(all, family), sourceFinding(all, source), p.againFinding(again)}
	}
	const why = "none came"
	return []finding{first, unseen("callback's shape", family, why), unseen("who calls back", source, why), unseen("called back again", again, why)}
}

func familyFinding(all []delivery, guess string) finding {
	shapes, unreadable := map[string]int{}, 0
	for _, a := range all {
		shape := "family A"
		if a.isRecord() {
			shape = "family B"
		}
		if callback, err := nanobanana.ParseCallback(a.Body); err != nil || callback.TaskID == "" || !callback.Final {
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

func sourceFinding(all []delivery, guess string) finding {
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
	return found("who calls back", guess, seen, signed == "", "functions/callback could check "+signed+" too")
}

// againFinding reports how often the callback answered with 503 came, and which
// others came more than once.
func (p *accountProbe) againFinding(guess string) finding {
	var repeated []string
	for _, t := range p.accepted() {
		if n := len(p.callbacks.of(t.n)); t.n != p.callbacks.refused && n > 1 {
			repeated = append(repeated, fmt.Sprintf("%s came %d times although answered with 200", t.name, n))
		}
	}
	calls := p.callbacks.of(p.callbacks.refused)
	if len(calls) == 0 {
		return unseen("called back again", guess, "the first task's callback, which gets a 503, did not come")
	}
	seen := fmt.Sprintf("%d deliveries", len(calls))
	for i := range calls[1:] {
		seen += fmt.Sprintf(", +%s", shortDuration(calls[i+1].At.Sub(calls[i].At)))
	}
	if len(calls) < maxDeliveries {
		seen += fmt.Sprintf("; no more within %s after the last step", p.pace.CallbackTimeout)
	}
	return found("called back again", guess, strings.Join(append([]string{seen}, repeated...), "; "), true, "")
}

// refusalFinding reports how a prompt against the policy fails. Perhaps only the
// callback says why, perhaps the record too.
func (p *accountProbe) refusalFinding() finding {
	const what, guess = "policy refusal", "the callback has code 400; the record may only say that it failed (codes, wordings in shared/nanobanana/wording.go)"
	t := p.tasks[refusedTask]
	switch {
	case t.submit == nil:
		return unseen(what, guess, "it was not submitted")
	case t.err != nil:
		answer, _ := parseAnswer(t.submit.Body)
		return found(what, guess, fmt.Sprintf("at the submit: HTTP %d, %s", t.submit.Status, answer), isPromptRefusal(t.err), "codes and wordings in shared/nanobanana/wording.go")
	case !t.done():
		return unseen(what, guess, "the task has not ended")
	case t.record.State == nanobanana.Succeeded:
		return unseen(what, guess, "the prompt was not refused; try another one with -refused")
	}
	answer, _ := parseAnswer(t.read.Body)
	seen := fmt.Sprintf("record: %s, read as %s", answer, t.record.Reason)
	policy := t.record.Reason == nanobanana.Policy
	var calls []delivery
	if p.callbacks != nil {
		calls = p.callbacks.of(t.n)
	}
	for _, a := range calls[:min(1, len(calls))] {
		answer, _ := parseAnswer(a.Body)
		callback, _ := nanobanana.ParseCallback(a.Body)
		seen += fmt.Sprintf("; callback: %s, read as %s", answer, callback.Reason)
		policy = policy || callback.Reason == nanobanana.Policy
	}
	change := "wordings in shared/nanobanana/wording.go"
	if calls == nil {
		seen += "; no callback was seen"
		change = "nothing, if the callback says it; otherwise " + change
	}
	if t.record.Retryable {
		change += "; until then MAX_GENERATIONS=1, or such a prompt is paid for more than once"
	}
	return found(what, guess, seen, policy, change)
}
