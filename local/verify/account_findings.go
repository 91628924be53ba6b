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

// findings returns the lines of the table: first answers and records, then pictures,
// callbacks, the refusal and the prices.
func (p *accountProbe) findings() []finding {
	all := []finding{
		p.submitFinding(), p.timeFinding(), p.pathFinding(), p.unknownFinding(), p.paramsFinding(), p.lengthFinding(),
		p.hostFinding(), p.formatFinding(), p.linkFinding(), p.severalFinding(), p.editFinding(),
	}
	all = append(all, p.callbackFindings()...)
	all = append(all, p.refusalFinding())
	all = append(all, p.priceFindings()...)
	for i := range all {
		all[i].Seen = redact(all[i].Seen, p.key)
	}
	return all
}

// accepted returns the tasks that the provider accepted.
func (p *accountProbe) accepted() []*accountTask {
	return slices.DeleteFunc(slices.Clone(p.tasks), func(t *accountTask) bool { return t.id == "" })
}

func (p *accountProbe) submitFinding() finding {
	const what, guess = "submit", "HTTP 200, code 200, data.taskId of 1 to 128 letters, digits, - and _ (shared/nanobanana/reply.go)"
	var seen []string
	asGuessed := true
	for _, t := range p.tasks {
		if t.submit == nil || t.n == refusedTask+1 && t.err != nil {
			continue
		}
		answer, _ := parseAnswer(t.submit.Body)
		text := fmt.Sprintf("HTTP %d, %s", t.submit.Status, answer)
		if t.err == nil {
			text += fmt.Sprintf(", an id of %d characters", len(t.id))
		}
		asGuessed = asGuessed && t.err == nil
		seen = appendNew(seen, text)
	}
	if seen == nil {
		return unseen(what, guess, "nothing was submitted")
	}
	return found(what, guess, strings.Join(seen, "; "), asGuessed, "depends on the answer: the account, or codes in shared/nanobanana/error.go")
}

func (p *accountProbe) timeFinding() finding {
	const what, guess = "answer times", "a submit within 20 s, a read within 10 s (shared/nanobanana/client.go)"
	var submit, read time.Duration
	for _, e := range p.recorder.exchanges {
		if e.Method == "POST" {
			submit = max(submit, e.Took)
		} else {
			read = max(read, e.Took)
		}
	}
	seen := fmt.Sprintf("a submit %s, a read %s at most", submit.Round(time.Millisecond), read.Round(time.Millisecond))
	return found(what, guess, seen, submit < 10*time.Second && read < 5*time.Second,
		"submitTimeout and readTimeout in shared/nanobanana/client.go, and with them submit's Timeout in template.yaml")
}

func (p *accountProbe) pathFinding() finding {
	what, guess := "record path", p.settings.RecordPath+" answers (NANOBANANA_RECORD_PATH)"
	i := slices.IndexFunc(p.tasks, func(t *accountTask) bool { return t.read != nil })
	if i < 0 {
		return unseen(what, guess, "no record was read")
	}
	t := p.tasks[i]
	if t.path != p.settings.RecordPath {
		return found(what, guess, fmt.Sprintf("%s is unknown, %s answers", p.settings.RecordPath, t.path), false, "NANOBANANA_RECORD_PATH="+t.path)
	}
	other := "was not tried"
	switch c := p.otherPath; {
	case c.read == nil:
	case c.read.Status == 404 && strings.TrimPrefix(c.read.Path, p.pathPrefix()) == c.path && !isEnvelope(c.read.Body):
		other = "is unknown (HTTP 404)"
	case c.err != nil:
		other = fmt.Sprintf("answers HTTP %d, no record", c.read.Status)
	case c.record.State == c.task.record.State && slices.Equal(c.record.URLs, c.task.record.URLs):
		other = "answers the same"
	default:
		other = fmt.Sprintf("answers differently: %s, %d pictures", c.record.State, len(c.record.URLs))
	}
	return found(what, guess, fmt.Sprintf("%s answers; %s %s", t.path, p.otherPath.path, other), true, "")
}

// isEnvelope reports whether body is in the form of the provider's own answers.
func isEnvelope(body []byte) bool {
	answer, ok := parseAnswer(body)
	return ok && answer.Code != nil
}

func (p *accountProbe) unknownFinding() finding {
	const what, guess = "unknown task", "its record is 404 or 500; neither fails a task (shared/lifecycle/settle.go)"
	if p.unknown == nil || p.unknown.Status == 0 {
		return unseen(what, guess, "not tried, or no answer came")
	}
	answer, _ := parseAnswer(p.unknown.Body)
	failed := answer.Data.SuccessFlag != nil // a record of a task that does not exist
	return found(what, guess, fmt.Sprintf("HTTP %d, %s", p.unknown.Status, answer), !failed, "the state of such a record in shared/nanobanana/record.go")
}

func (p *accountProbe) paramsFinding() finding {
	const what, guess = "paramJson", "repeats the callback URL and the prompt, or is absent (match in shared/lifecycle/match.go)"
	i := slices.IndexFunc(p.tasks, (*accountTask).done)
	if i < 0 {
		return unseen(what, guess, "no record of a finished task was read")
	}
	t := p.tasks[i]
	answer, _ := parseAnswer(t.read.Body)
	names, there := answer.paramNames()
	switch got := t.record.Params; {
	case !there:
		return found(what, guess, "absent: if the answer to a submit is lost, only a callback can complete the task", true, "")
	case got.CallbackURL != "" && got.CallbackURL != t.request.CallbackURL || got.Prompt != "" && strings.TrimSpace(got.Prompt) != t.request.Prompt:
		return found(what, guess, "present, but differs from what was sent: no record would match its task", false, "match in shared/lifecycle/match.go")
	case !got.Present:
		return found(what, guess, "present, with neither: "+strings.Join(names, ", "), false, "if one of these names is the callback's: params in shared/nanobanana/reader.go")
	case got.CallbackURL == "":
		return found(what, guess, "present, without the callback URL: "+strings.Join(names, ", "), true, "")
	}
	return found(what, guess, "present, as it was sent: "+strings.Join(names, ", "), true, "")
}

func (p *accountProbe) lengthFinding() finding {
	model, _ := task.ModelByID(task.DefaultModel)
	what, guess := "time it takes", fmt.Sprintf("typically %d s (shared/task/model.go); callbacks have %v before the sweep reads", model.TypicalSeconds, livePace.FirstRead)
	var seen []string
	slow := false
	for _, t := range p.accepted() {
		if !t.done() {
			continue
		}
		came := t.ended
		how := "seen by a read"
		if p.callbacks != nil {
			if calls := p.callbacks.of(t.n); calls != nil {
				came, how = min(came, calls[0].At.Sub(t.started)), "called back"
			}
		}
		slow = slow || how == "called back" && came > livePace.FirstRead
		seen = append(seen, fmt.Sprintf("%s %s after %s", t.name, how, shortDuration(came)))
	}
	if seen == nil {
		return unseen(what, guess, "no task has ended")
	}
	return found(what, guess, strings.Join(seen, "; "), !slow, "TypicalSeconds in shared/task/model.go")
}

// pictures returns all pictures that were inspected.
func (p *accountProbe) pictures() (all []servedPicture) {
	for _, t := range p.tasks {
		all = append(all, t.pictures...)
	}
	return all
}

func (p *accountProbe) hostFinding() finding {
	what, guess := "result host", strings.Join(p.settings.ResultHosts, ", ")+" (RESULT_HOSTS)"
	hosts, asGuessed := map[string]bool{}, true
	for _, x := range p.pictures() {
		if u, err := url.Parse(x.url); err == nil {
			hosts[strings.ToLower(u.Host)] = true
			asGuessed = asGuessed && p.rules.ResultHosts(x.url)
		}
	}
	if len(hosts) == 0 {
		return unseen(what, guess, "no picture was made")
	}
	seen := strings.Join(slices.Sorted(maps.Keys(hosts)), ",")
	return found(what, guess, seen, asGuessed, "RESULT_HOSTS="+seen)
}

func (p *accountProbe) formatFinding() finding {
	const what, guess = "picture", "its bytes are PNG, JPEG or WebP, whatever its name; at most 25 MiB, 40 Mpx (shared/media/picture/picture.go)"
	var seen []string
	asGuessed := true
	for _, x := range p.pictures() {
		text := ""
		if x.err != nil {
			asGuessed, text = false, x.err.Error()
		} else {
			ext := ""
			if u, err := url.Parse(x.url); err == nil {
				ext = path.Ext(u.Path)
			}
			text = fmt.Sprintf("%s %dx%d, named %q, served as %q", x.picture.Ext, x.picture.Width, x.picture.Height, ext, x.contentType)
			if x.picture.C2PA {
				text += ", with a C2PA manifest"
			}
		}
		seen = appendNew(seen, text)
	}
	if seen == nil {
		return unseen(what, guess, "no picture was made")
	}
	return found(what, guess, strings.Join(seen, "; "), asGuessed, "depends on the error: formats in shared/media/format.go, or the guard in shared/media/fetch.go")
}

func (p *accountProbe) linkFinding() finding {
	const what, guess = "life of links", "longer than the 72 h in which copies are tried (a sister service: 14 days)"
	if p.later == "" {
		return unseen(what, guess, "no picture was requested again")
	}
	seen := p.later + "; try again in 3 days: " + p.transcript.file.Name() + " has the link"
	return found(what, guess, seen, strings.HasPrefix(p.later, "served"), "pictures must be copied sooner: watch the ingest function's alarms")
}

func (p *accountProbe) severalFinding() finding {
	const what, guess = "several pictures", "numImages 2 returns two URLs in a known field (resultNames in shared/nanobanana/collect.go)"
	t := p.tasks[severalTask]
	if !t.done() || t.record.State != nanobanana.Succeeded {
		return unseen(what, guess, "the task did not succeed")
	}
	var places []string
	unknown := ""
	for _, s := range findURLs(t.read.Body) {
		if strings.Contains(s.place, "originImageUrl") {
			continue
		}
		places = append(places, fmt.Sprintf("%d in %s", len(s.urls), s.place))
		if slices.ContainsFunc(s.urls, func(link string) bool { return !slices.Contains(t.record.URLs, link) }) {
			unknown = s.place
		}
	}
	seen := fmt.Sprintf("%d understood; %s", len(t.record.URLs), strings.Join(places, ", "))
	change := "if this is always so: MaxImages in shared/task/model.go to 1"
	if unknown != "" {
		change = "resultNames in shared/nanobanana/collect.go: add " + unknown
	}
	return found(what, guess, seen, len(t.record.URLs) == t.request.NumImages, change)
}

func (p *accountProbe) editFinding() finding {
	const what, guess = "edit", "type IMAGETOIAMGE with imageUrls, read from a public address (shared/nanobanana/request.go)"
	t := p.tasks[editTask]
	switch {
	case t.submit == nil:
		return unseen(what, guess, "it was not submitted")
	case t.err != nil:
		return found(what, guess, t.err.Error(), false, "generateBody in shared/nanobanana/request.go")
	case !t.done():
		return unseen(what, guess, "the task has not ended")
	case t.record.State == nanobanana.Failed:
		answer, _ := parseAnswer(t.read.Body)
		return found(what, guess, answer.String(), false, "generateBody in shared/nanobanana/request.go")
	}
	return found(what, guess, fmt.Sprintf("succeeded, URLs: %d", len(t.record.URLs)), true, "")
}
