package ops

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/preset/nanobanana-functions/shared/lifecycle"
	"github.com/preset/nanobanana-functions/shared/task"
)

// Print prints the task's life.
func (r *inspectReport) Print(p *Page) {
	p.Field("task", "%s", r.Task)
	r.printHead(p)
	r.printAttempts(p)
	r.printPictures(p)
	r.printLogs(p)
}

func (r *inspectReport) printHead(p *Page) {
	status := string(r.Status)
	if r.Code != "" {
		status += ": " + string(r.Code)
	}
	p.Field("status", "%s, for %s", status, p.Ago(r.Since))
	if r.Why != "" {
		p.Field("why", "%s, for %s", r.Why, p.Ago(r.WhyFrom))
		p.Field("next", "%s: %s", dueWords(p, r.Due), r.Next)
		if r.Held != "" {
			p.Field("held", "no order is sent: %s", r.Held)
		}
		if !r.GivenUp.IsZero() {
			p.Field("given up", "in %s, at %s", p.In(r.GivenUp), At(r.GivenUp))
		}
	}
	p.Field("created", "%s, %s ago", At(r.Created), p.Ago(r.Created))
	if !r.Ended.IsZero() {
		p.Field("ended", "%s, after %s", At(r.Ended), Span(r.Ended.Sub(r.Created)))
	}
	if !r.Deleted.IsZero() {
		p.Field("deleted", "%s; the row keeps no order and no pictures", At(r.Deleted))
	}
	if r.EraseAtEnd {
		p.Field("forgotten", "its owner is forgotten: it is erased when it ends")
	}
	if s := r.Order.String(); s != "" {
		p.Field("order", "%s", s)
	}
	if r.Rescued != "" {
		p.Field("rescued", "from task %s", r.Rescued)
	}
	if r.Owner != "" {
		p.Field("owner", "%s (a keyed hash)", r.Owner)
	}
	r.printProvider(p)
	r.printLeft(p)
}

func dueWords(p *Page, due time.Time) string {
	if !due.After(p.Now) {
		return "due now"
	}
	return "in " + p.In(due)
}

// String returns what was ordered, in words.
func (o ordered) String() string {
	if o.Model == "" {
		return ""
	}
	s := Count(o.Pictures, "picture") + " by " + o.Model
	if o.Resolution != "" {
		s += " at " + o.Resolution
	}
	if o.Inputs > 0 {
		s += ", an edit of " + strconv.Itoa(o.Inputs)
	}
	if o.Estimate > 0 {
		s += "; about " + task.Credits(o.Estimate) + " credits"
	}
	return s
}

func (r *inspectReport) printProvider(p *Page) {
	if r.ProviderID != "" {
		p.Field("provider id", "%s", r.ProviderID)
	}
	switch {
	case !r.Unreadable.IsZero():
		p.Field("record", "unreadable for %s%s; last read %s ago", p.Ago(r.Unreadable), doubtWords(r.Doubt), p.Ago(r.ReadAt))
	case !r.ReadAt.IsZero():
		p.Field("record", "last read %s ago", p.Ago(r.ReadAt))
	}
	if r.Callback != "" {
		p.Field("callback", "said %s", r.Callback)
	}
	if r.Refusals > 0 {
		p.Field("refusals", "%d in a row", r.Refusals)
	}
}

func (r *inspectReport) printLeft(p *Page) {
	if r.Work != nil {
		p.Field("work", "%s", r.Work.words(p))
	}
	switch {
	case r.Notice != nil:
		p.Field("notice", "%s", r.Notice.words(p))
	case !r.NoticeLost.IsZero():
		p.Field("notice", "GIVEN UP %s ago: Preset has not been told", p.Ago(r.NoticeLost))
	case !r.Notified.IsZero():
		p.Field("notice", "accepted %s", At(r.Notified))
	}
	if q := r.Quota; q != nil {
		state := "counted"
		if q.Returned {
			state = "given back"
		}
		p.Field("quota", "%s of %s, %s", Count(q.Images, "picture"), q.Day, state)
	}
	if len(r.Unknown) > 0 {
		p.Field("unknown", "attributes of a newer release: %s", strings.Join(r.Unknown, ", "))
	}
}

func (x *turnLine) words(p *Page) string {
	times := "times"
	if x.Tries == 1 {
		times = "time"
	}
	s := fmt.Sprintf("%s, begun %d %s, again %s", x.What, x.Tries, times, dueWords(p, x.Due))
	if !x.Deadline.IsZero() {
		s += ", given up in " + p.In(x.Deadline)
	}
	return s
}

func (r *inspectReport) printAttempts(p *Page) {
	if len(r.Attempts) == 0 {
		return
	}
	rows := make([][]string, len(r.Attempts))
	for i, a := range r.Attempts {
		took := "-"
		if !a.Answered.IsZero() && !a.Sent.IsZero() {
			took = fmt.Sprintf("%.1f s", a.Answered.Sub(a.Sent).Seconds())
		}
		outcome := dash(string(a.Outcome))
		if a.ByCallback {
			outcome += ", by callback"
		}
		rows[i] = []string{strconv.Itoa(a.Attempt), clock(a.Sent, r.Created), took, outcome, string(a.Charge), dash(string(a.Code))}
	}
	p.Blank()
	p.Table([]string{"attempt", "sent", "answered", "outcome", "charge", "code"}, rows...)
	for _, a := range r.Attempts {
		if a.ProviderID != "" && a.ProviderID != r.ProviderID {
			p.Item("attempt %d had the provider id %s", a.Attempt, a.ProviderID)
		}
	}
}

func (r *inspectReport) printPictures(p *Page) {
	if len(r.Pictures) > 0 {
		var rows [][]string
		for _, x := range r.Pictures {
			damaged := ""
			if x.Damaged {
				damaged = "damaged"
			}
			rows = append(rows, []string{
				strconv.Itoa(x.N), x.File, fmt.Sprintf("%d x %d", x.Width, x.Height), fmt.Sprintf("%d KB", (x.Bytes+999)/1000), damaged,
			})
		}
		p.Blank()
		p.Table([]string{"picture", "file", "size", "bytes", ""}, rows...)
	}
	if r.Saved > 0 {
		p.Blank()
		p.Line("%s in the bucket already.", Count(r.Saved, "picture"))
	}
	if r.Missing > 0 {
		p.Blank()
		p.Line("%s of the order did not come.", Count(r.Missing, "picture"))
	}
}

func (r *inspectReport) printLogs(p *Page) {
	if !r.withLogs {
		return
	}
	p.Blank()
	switch {
	case r.LogBegin.IsZero():
		p.Line("The log has no line yet.")
		return
	case len(r.Logs) == 0:
		p.Line("The log has no line about it. It has lines since %s UTC.", At(r.LogBegin))
		return
	case r.LogBegin.After(r.Created):
		p.Line("The log has lines only since %s UTC.", At(r.LogBegin))
		p.Blank()
	}
	day := ""
	for _, l := range r.Logs {
		if d := l.Time.UTC().Format(time.DateOnly); d != day {
			day = d
			p.Line("%s", d)
		}
		l.print(p)
	}
	if r.LogsMore {
		p.Line("There are more than %d lines.", maxLogLines)
	}
}

func (l logLineShown) print(p *Page) {
	text, told := l.Msg, map[string]bool{}
	if l.More["event"] == lifecycle.EventTransition {
		text, told = l.transition(), map[string]bool{"event": true, "from": true, "to": true, "cause": true, "ms": true}
	}
	for _, name := range slices.Sorted(maps.Keys(l.More)) {
		if v := l.More[name]; v != "" && !told[name] {
			text += fmt.Sprintf(" %s=%v", name, v)
		}
	}
	p.paragraph(fmt.Sprintf("  %s %-5s ", l.Time.UTC().Format("15:04:05.000"), clean(l.Level)), strings.Repeat(" ", 21), text)
}

// transition returns in words how a task moved on.
func (l logLineShown) transition() string {
	from, _ := l.More["from"].(string)
	ms, _ := l.More["ms"].(float64)
	return fmt.Sprintf("%s -> %v by %v after %s", cmp.Or(from, "new"), l.More["to"], l.More["cause"], time.Duration(ms)*time.Millisecond)
}

func dash(s string) string {
	if s == "" {
		return "-"
	}
	return s
}
