package ops

import (
	"context"
	"flag"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/preset/nanobanana-functions/shared/task"
)

const (
	stuckLimit = 100             // tasks on a page
	stuckRows  = 5               // tasks of a group that people see
	sweepLate  = 3 * time.Minute // then something keeps the sweep, which comes each minute
)

var stuckCommand = Command{
	Name: "stuck", Short: "everything unfinished, by why it waits",
	Rights: []string{"dynamodb:Query"},
	Setup: func(f *flag.FlagSet) Run {
		after := f.String("after", "", "`CURSOR` of the page before")
		limit := f.Int("limit", stuckLimit, "`N` tasks on a page, at most 100")
		rows := f.Int("rows", stuckRows, "`N` tasks shown of each group")
		return func(ctx context.Context, e *Env, _ []string) (Result, error) {
			if *limit < 1 || *limit > stuckLimit {
				return Result{}, Usagef("-limit is from 1 to %d", stuckLimit)
			}
			from, err := parseCursor(*after)
			if err != nil {
				return Result{}, err
			}
			return stuck(ctx, e, from, *limit, *rows)
		}
	},
}

// stuckReport is a page of unfinished tasks.
type stuckReport struct {
	Late   time.Time    `json:"sweepLateSince,omitzero"` // the earliest due time, if it is long past
	Pauses []pause      `json:"pauses"`
	Low    *lowCredits  `json:"lowCredits,omitempty"` // the last check found few
	Tasks  int          `json:"tasks"`                // on this page
	Groups []stuckGroup `json:"groups"`
	Cursor string       `json:"cursor,omitempty"` // of the next page
	First  bool         `json:"-"`                // it is the first page

	rows int
}

// pause is a time in which sweeps make no calls of a kind.
type pause struct {
	Calls task.Calls `json:"calls"`
	Until time.Time  `json:"until"`
}

// lowCredits is a balance that was low at the last check.
type lowCredits struct {
	Credits float64   `json:"credits"`
	Refused bool      `json:"ordersRefused"` // they pay for no picture
	AsOf    time.Time `json:"asOf"`
}

// low returns what the last check of the credits found, or nil if that is enough.
func low(ctx context.Context, e *Env) (*lowCredits, error) {
	b, err := e.Store.Balance(ctx)
	if err != nil || b.AsOf.IsZero() || b.Credits >= float64(e.Settings.LowCredits) && b.Credits >= e.Settings.Prices.Cheapest() {
		return nil, err
	}
	return &lowCredits{b.Credits, b.Credits < e.Settings.Prices.Cheapest(), b.AsOf}, nil
}

// stuckGroup are the tasks that wait for the same reason, the oldest order first.
type stuckGroup struct {
	Why   string      `json:"why"`
	Next  string      `json:"next"` // of the oldest
	Count int         `json:"count"`
	Tasks []stuckTask `json:"tasks"`
}

type stuckTask struct {
	Task     string    `json:"task"`
	Created  time.Time `json:"createdAt"`
	Since    time.Time `json:"since"`
	Due      time.Time `json:"dueAt"`
	Deadline time.Time `json:"deadline,omitzero"`
	Next     string    `json:"next"`
}

func stuck(ctx context.Context, e *Env, from task.DueEntry, limit, rows int) (Result, error) {
	entries, err := e.Store.DuePage(ctx, from, limit)
	if err != nil {
		return Result{}, err
	}
	ids := make([]string, len(entries))
	for i, x := range entries {
		ids[i] = x.ID
	}
	var tasks []*task.Task
	if len(ids) > 0 {
		if tasks, err = e.Store.Tasks(ctx, ids); err != nil {
			return Result{}, err
		}
	}
	paused, err := e.Store.Paused(ctx)
	if err != nil {
		return Result{}, err
	}
	now := e.Now()
	r := stuckReport{Pauses: pauses(paused, now), First: from == task.DueEntry{}, rows: rows}
	if r.First {
		if r.Low, err = low(ctx, e); err != nil {
			return Result{}, err
		}
	}
	if len(entries) > 0 && r.First && now.Sub(entries[0].At) > sweepLate {
		r.Late = entries[0].At
	}
	r.Groups = group(tasks)
	for _, g := range r.Groups {
		r.Tasks += g.Count
	}
	result := Result{Report: &r}
	if len(entries) == limit {
		r.Cursor = cursor(entries[limit-1])
	}
	switch {
	case r.Cursor != "":
		result.Next = "stuck -after " + r.Cursor
	case len(r.Groups) > 0:
		result.Next = "inspect " + r.Groups[0].Tasks[0].Task
	}
	return result, nil
}

func pauses(p task.Pauses, now time.Time) []pause {
	all := []pause{}
	for _, kind := range []task.Calls{task.Reads, task.Posts} {
		if until := *p.Of(kind); until.After(now) {
			all = append(all, pause{kind, until})
		}
	}
	return all
}

// group groups tasks by why they wait: the group with the oldest order first, and in a
// group the oldest order first.
func group(tasks []*task.Task) []stuckGroup {
	slices.SortStableFunc(tasks, func(a, b *task.Task) int { return a.CreatedAt.Compare(b.CreatedAt) })
	at := map[string]int{}
	groups := []stuckGroup{}
	for _, t := range tasks {
		if t.Due().IsZero() {
			continue // it has ended since the index was read
		}
		words := why(t)
		i, ok := at[words]
		if !ok {
			i = len(groups)
			at[words] = i
			groups = append(groups, stuckGroup{Why: words, Next: nextStep(t)})
		}
		g := &groups[i]
		g.Count++
		g.Tasks = append(g.Tasks, stuckTask{
			Task: t.ID, Created: t.CreatedAt, Since: since(t), Due: t.Due(), Deadline: deadline(t), Next: nextStep(t),
		})
	}
	return groups
}

// cursor returns the text of -after for the page behind an entry.
func cursor(e task.DueEntry) string { return fmt.Sprintf("%d.%s", e.At.UnixMilli(), e.ID) }

func parseCursor(s string) (task.DueEntry, error) {
	if s == "" {
		return task.DueEntry{}, nil
	}
	at, id, ok := strings.Cut(s, ".")
	var ms int64
	if _, err := fmt.Sscanf(at, "%d", &ms); err != nil || !ok || !task.ValidID(id) {
		return task.DueEntry{}, Usagef("-after %s is no cursor: copy it from the line \"next:\" of the page before", s)
	}
	return task.DueEntry{At: time.UnixMilli(ms).UTC(), ID: id}, nil
}

// Print prints the groups.
func (r *stuckReport) Print(p *Page) {
	if !r.Late.IsZero() {
		p.Line("THE SWEEP IS LATE: a task has been due for %s. Is the schedule of the sweep on, and does its log have errors?", p.Ago(r.Late))
		p.Blank()
	}
	if r.Low != nil {
		p.Line("%s: %v at the check %s ago.", lowWords[r.Low.Refused], r.Low.Credits, p.Ago(r.Low.AsOf))
	}
	for _, x := range r.Pauses {
		p.Line("%s for another %s, because the provider asked for it.", pauseWords[x.Calls], p.In(x.Until))
	}
	if r.Tasks == 0 {
		p.Line("Nothing is unfinished%s.", map[bool]string{false: " behind this cursor"}[r.First])
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
