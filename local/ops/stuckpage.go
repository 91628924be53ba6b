package ops

import "github.com/preset/nanobanana-functions/shared/task"

// Print prints the groups.
func (r *stuckReport) Print(p *Page) {
	r.printAll(p)
	if r.Tasks == 0 {
		p.Line("Nothing is unfinished%s.", map[bool]string{false: " behind this cursor"}[r.first])
		return
	}
	more := ""
	if r.Cursor != "" {
		more = " on this page, those due first"
	}
	p.Line("%s unfinished%s.", Count(r.Tasks, "task"), more)
	for _, g := range r.Groups {
		r.printGroup(p, g)
	}
}

// printAll prints what concerns all tasks.
func (r *stuckReport) printAll(p *Page) {
	if !r.Late.IsZero() {
		p.Line("THE SWEEP IS LATE: a task has been due for %s. Is its schedule on, and does its log have errors?", p.Ago(r.Late))
	}
	if r.Low != nil {
		p.Line("%s: %s at the check %s ago.", lowWords[r.Low.Refused], task.Credits(r.Low.Credits), p.Ago(r.Low.AsOf))
	}
	for _, h := range r.Holds {
		until := "until bin/ops resume"
		if !h.Until.IsZero() {
			until = "until " + At(h.Until) + " UTC"
		}
		p.Line("HELD by the %s for %s, %s: no order is sent. %s", h.By, p.Ago(h.Since), until, h.Reason)
	}
	for _, x := range r.Pauses {
		p.Line("%s for another %s, because the provider asked for it.", pauseWords[x.Calls], p.In(x.Until))
	}
	switch {
	case r.first && r.GivenUp == nil:
		p.Line("Whether notices were given up is not known: the log could not be read in time. See bin/ops redrive.")
	case r.GivenUp != nil && *r.GivenUp > 0:
		atLeast := ""
		if *r.GivenUp == givenUpMost {
			atLeast = "at least "
		}
		p.Line("%s%s given up in the last 7 days: Preset has not been told. See bin/ops redrive.", atLeast, Count(*r.GivenUp, "notice"))
	}
	p.Blank()
}

// lowWords are by whether orders are refused.
var lowWords = map[bool]string{
	false: "The credits are low",
	true:  "NEW ORDERS ARE REFUSED, since the credits pay for no picture",
}

var pauseWords = map[task.Calls]string{
	task.Reads: "Records are not read",
	task.Posts: "Waiting orders are not sent",
}

func (r *stuckReport) printGroup(p *Page, g stuckGroup) {
	p.Blank()
	p.Line("%d: %s", g.Count, g.Why)
	p.Item("next: %s", g.Next)
	shown := min(len(g.Tasks), max(0, r.rows))
	rows := make([][]string, shown)
	for i, t := range g.Tasks[:shown] {
		rows[i] = []string{t.Task, p.Ago(t.Created), p.Ago(t.Since), p.In(t.Due), p.In(t.Deadline)}
	}
	if shown > 0 {
		p.Table([]string{"task", "age", "so for", "due in", "given up in"}, rows...)
	}
	if left := g.Count - shown; left > 0 {
		p.Item("and %d more", left)
	}
}
