package verify

import (
	"fmt"
	"maps"
	"net/url"
	"path"
	"slices"
	"strings"
	"time"

	"github.com/preset/nanobanana-functions/shared/nanobanana"
	"github.com/preset/nanobanana-functions/shared/task"
)

// findings judges what was seen: first answers and records, then pictures,
// callbacks, the refusal and the money.
func (p *prober) findings() []finding {
	all := []finding{
		p.submitFinding(), p.timeFinding(), p.pathFinding(), p.unknownFinding(), p.paramsFinding(), p.lengthFinding(),
		p.hostFinding(), p.formatFinding(), p.linkFinding(), p.severalFinding(), p.editFinding(),
	}
	all = append(all, p.callbackFindings()...)
	all = append(all, p.refusalFinding())
	all = append(all, p.moneyFindings()...)
	for i := range all {
		all[i].Seen = hide(all[i].Seen, p.key)
	}
	return all
}

// accepted are the orders that became tasks.
func (p *prober) accepted() []*order {
	return slices.DeleteFunc(slices.Clone(p.orders), func(o *order) bool { return o.id == "" })
}

func (p *prober) submitFinding() finding {
	const what, guess = "submit", "HTTP 200, code 200, data.taskId of 1 to 128 letters, digits, - and _ (shared/nanobanana/reply.go)"
	var seen []string
	right := true
	for _, o := range p.orders {
		if o.submit == nil || o.n == refusedOrder+1 && o.err != nil {
			continue
		}
		said, _ := readAnswer(o.submit.Body)
		text := fmt.Sprintf("HTTP %d, %s", o.submit.Status, said)
		if o.err == nil {
			text += fmt.Sprintf(", an id of %d characters", len(o.id))
		}
		right = right && o.err == nil
		seen = addNew(seen, text)
	}
	if seen == nil {
		return unseen(what, guess, "nothing was submitted")
	}
	return found(what, guess, strings.Join(seen, "; "), right, "by the answer: the account, or codes in shared/nanobanana/error.go")
}

func (p *prober) timeFinding() finding {
	const what, guess = "answer times", "a submit within 20 s, a read within 10 s (shared/nanobanana/client.go)"
	var submit, read time.Duration
	for _, e := range p.tap.seen {
		if e.Method == "POST" {
			submit = max(submit, e.Took)
		} else {
			read = max(read, e.Took)
		}
	}
	seen := fmt.Sprintf("a submit %s, a read %s at most", submit.Round(time.Millisecond), read.Round(time.Millisecond))
	return found(what, guess, seen, submit < 10*time.Second && read < 5*time.Second,
		"submitTimeout and readTimeout in shared/nanobanana/client.go; with them submit's Timeout in template.yaml")
}

func (p *prober) pathFinding() finding {
	what, guess := "record path", p.settings.RecordPath+" answers (NANOBANANA_RECORD_PATH)"
	i := slices.IndexFunc(p.orders, func(o *order) bool { return o.read != nil })
	if i < 0 {
		return unseen(what, guess, "no record was read")
	}
	o := p.orders[i]
	if o.path != p.settings.RecordPath {
		return found(what, guess, fmt.Sprintf("%s is unknown, %s answers", p.settings.RecordPath, o.path), false, "NANOBANANA_RECORD_PATH="+o.path)
	}
	other := "was not asked"
	switch c := p.other; {
	case c.asked == nil:
	case c.asked.Status == 404 && strings.TrimPrefix(c.asked.Path, p.pathPrefix()) == c.path && !isEnvelope(c.asked.Body):
		other = "is unknown (HTTP 404)"
	case c.err != nil:
		other = fmt.Sprintf("answers HTTP %d, no record", c.asked.Status)
	case c.record.State == c.of.record.State && slices.Equal(c.record.URLs, c.of.record.URLs):
		other = "answers the same"
	default:
		other = fmt.Sprintf("answers otherwise: %s, %d pictures", c.record.State, len(c.record.URLs))
	}
	return found(what, guess, fmt.Sprintf("%s answers; %s %s", o.path, p.other.path, other), true, "")
}

func isEnvelope(body []byte) bool {
	said, ok := readAnswer(body)
	return ok && said.Code != nil
}

func (p *prober) unknownFinding() finding {
	const what, guess = "unknown task", "its record is 404 or 500; neither fails a task (shared/lifecycle/settle.go)"
	if p.unknown == nil || p.unknown.Status == 0 {
		return unseen(what, guess, "not asked, or no answer")
	}
	said, _ := readAnswer(p.unknown.Body)
	failed := said.Data.SuccessFlag != nil // a record of a task that never was
	return found(what, guess, fmt.Sprintf("HTTP %d, %s", p.unknown.Status, said), !failed, "the state of such a record in shared/nanobanana/record.go")
}

func (p *prober) paramsFinding() finding {
	const what, guess = "paramJson", "repeats the callback URL and the prompt, or is absent (match in shared/lifecycle/settle.go)"
	i := slices.IndexFunc(p.orders, (*order).done)
	if i < 0 {
		return unseen(what, guess, "no record of a finished task was read")
	}
	o := p.orders[i]
	said, _ := readAnswer(o.read.Body)
	names, there := said.paramNames()
	switch got := o.record.Params; {
	case !there:
		return found(what, guess, "absent: an answer that was lost is completed by its callback alone", true, "")
	case got.CallbackURL != "" && got.CallbackURL != o.request.CallbackURL || got.Prompt != "" && strings.TrimSpace(got.Prompt) != o.request.Prompt:
		return found(what, guess, "there, and says otherwise than was sent: it would never be ours", false, "match in shared/lifecycle/settle.go")
	case !got.Present:
		return found(what, guess, "there, with neither: "+strings.Join(names, ", "), false, "paramNames in shared/nanobanana/record.go, if one of these names is the callback's")
	case got.CallbackURL == "":
		return found(what, guess, "there, without the callback URL: "+strings.Join(names, ", "), true, "")
	}
	return found(what, guess, "there, as it was sent: "+strings.Join(names, ", "), true, "")
}

func (p *prober) lengthFinding() finding {
	model, _ := task.ModelByID(task.DefaultModel)
	what, guess := "time it takes", fmt.Sprintf("typically %d s (shared/task/model.go); callbacks have 90 s before the sweep reads", model.TypicalSeconds)
	var seen []string
	slow := false
	for _, o := range p.accepted() {
		if !o.done() {
			continue
		}
		came := o.ended
		how := "seen by a read"
		if p.callbacks != nil {
			if calls := p.callbacks.of(o.n); calls != nil {
				came, how = min(came, calls[0].At.Sub(o.begun)), "called back"
			}
		}
		slow = slow || how == "called back" && came > 90*time.Second
		seen = append(seen, fmt.Sprintf("%s %s after %s", o.name, how, brief(came)))
	}
	if seen == nil {
		return unseen(what, guess, "no task has ended")
	}
	return found(what, guess, strings.Join(seen, "; "), !slow, "TypicalSeconds in shared/task/model.go")
}

// pictures are all that were looked at.
func (p *prober) pictures() (all []shownPicture) {
	for _, o := range p.orders {
		all = append(all, o.pictures...)
	}
	return all
}

func (p *prober) hostFinding() finding {
	what, guess := "result host", strings.Join(p.settings.ResultHosts, ", ")+" (RESULT_HOSTS)"
	hosts, right := map[string]bool{}, true
	for _, x := range p.pictures() {
		if u, err := url.Parse(x.url); err == nil {
			hosts[strings.ToLower(u.Host)] = true
			right = right && p.rules.ResultHosts(x.url)
		}
	}
	if len(hosts) == 0 {
		return unseen(what, guess, "no picture was made")
	}
	seen := strings.Join(slices.Sorted(maps.Keys(hosts)), ",")
	return found(what, guess, seen, right, "RESULT_HOSTS="+seen)
}

func (p *prober) formatFinding() finding {
	const what, guess = "picture", "PNG, JPEG or WebP by its bytes, whatever its name; at most 25 MiB, 40 Mpx (shared/media/picture.go)"
	var seen []string
	right := true
	for _, x := range p.pictures() {
		text := ""
		if x.err != nil {
			right, text = false, x.err.Error()
		} else {
			ext := ""
			if u, err := url.Parse(x.url); err == nil {
				ext = path.Ext(u.Path)
			}
			text = fmt.Sprintf("%s %dx%d, named %q, served as %q", x.found.Ext, x.found.Width, x.found.Height, ext, x.contentType)
		}
		seen = addNew(seen, text)
	}
	if seen == nil {
		return unseen(what, guess, "no picture was made")
	}
	return found(what, guess, strings.Join(seen, "; "), right, "by the fault: formats in shared/media/picture.go, or the guard in shared/media/fetch.go")
}

func (p *prober) linkFinding() finding {
	const what, guess = "life of links", "longer than the 72 h in which a copy is tried (a sibling: 14 days)"
	if p.later == "" {
		return unseen(what, guess, "no picture was asked for again")
	}
	seen := p.later + "; look again in 3 days: " + p.notes.file.Name() + " has the link"
	return found(what, guess, seen, strings.HasPrefix(p.later, "served"), "nothing helps but to copy sooner: mind the ingest function's alarms")
}

func (p *prober) severalFinding() finding {
	const what, guess = "several pictures", "numImages 2 gives two URLs, in a field that is known (resultNames in shared/nanobanana/collect.go)"
	o := p.orders[severalOrder]
	if !o.done() || o.record.State != nanobanana.Succeeded {
		return unseen(what, guess, "the task did not succeed")
	}
	var places []string
	strange := ""
	for _, s := range spots(o.read.Body) {
		if strings.Contains(s.place, "originImageUrl") {
			continue
		}
		places = append(places, fmt.Sprintf("%d in %s", len(s.urls), s.place))
		if slices.ContainsFunc(s.urls, func(link string) bool { return !slices.Contains(o.record.URLs, link) }) {
			strange = s.place
		}
	}
	seen := fmt.Sprintf("%d understood; %s", len(o.record.URLs), strings.Join(places, ", "))
	change := "MaxImages in shared/task/model.go to 1, if this is always so"
	if strange != "" {
		change = "resultNames in shared/nanobanana/collect.go: add " + strange
	}
	return found(what, guess, seen, len(o.record.URLs) == o.request.NumImages, change)
}

func (p *prober) editFinding() finding {
	const what, guess = "edit", "type IMAGETOIAMGE with imageUrls, read from a public address (shared/nanobanana/request.go)"
	o := p.orders[editOrder]
	switch {
	case o.submit == nil:
		return unseen(what, guess, "it was not submitted")
	case o.err != nil:
		return found(what, guess, o.err.Error(), false, "generateBody in shared/nanobanana/request.go")
	case !o.done():
		return unseen(what, guess, "the task has not ended")
	case o.record.State == nanobanana.Failed:
		said, _ := readAnswer(o.read.Body)
		return found(what, guess, said.String(), false, "generateBody in shared/nanobanana/request.go")
	}
	return found(what, guess, fmt.Sprintf("succeeded, URLs: %d", len(o.record.URLs)), true, "")
}
