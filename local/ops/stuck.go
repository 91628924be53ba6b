package ops

import (
	"context"
	"flag"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/preset/nanobanana-functions/shared/task"
)

const (
	stuckLimit = 80              // tasks on a page
	stuckRows  = 5               // tasks of a group that people see
	sweepLate  = 3 * time.Minute // then something keeps the sweep, which comes each minute
)

var stuckCommand = Command{
	Name: "stuck", Short: "everything unfinished, by why it waits",
	Rights: []string{"dynamodb:Query", "logs:FilterLogEvents"},
	Setup: func(f *flag.FlagSet) Run {
		after := f.String("after", "", "the page after `CURSOR`")
		limit := f.Int("limit", stuckLimit, "`N` tasks on a page, at most 80")
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
	Late    time.Time    `json:"sweepLateSince,omitzero"` // the earliest due time, if it is long past
	Holds   []hold       `json:"holds"`
	Pauses  []pause      `json:"pauses"`
	Low     *lowCredits  `json:"lowCredits,omitempty"`     // the last check found few
	GivenUp *int         `json:"noticesGivenUp,omitempty"` // lately; nil: not known
	Tasks   int          `json:"tasks"`                    // on this page
	Groups  []stuckGroup `json:"groups"`
	Cursor  string       `json:"cursor,omitempty"` // of the next page

	first bool // it is the first page
	rows  int
}

// hold is what keeps every POST.
type hold struct {
	By task.Holder `json:"by"`
	task.Hold
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
	now := e.Now()
	r := stuckReport{first: from == task.DueEntry{}, rows: rows}
	entries, err := e.Store.DuePage(ctx, from, limit)
	if err != nil {
		return Result{}, err
	}
	if len(entries) == limit {
		r.Cursor = cursor(entries[limit-1])
	}
	ids := make([]string, len(entries))
	for i, x := range entries {
		ids[i] = x.ID
	}
	var lost []string // tasks whose notices may have been given up
	if r.first {
		if lost, err = givenUpLately(ctx, e); err == nil {
			r.GivenUp = new(int)
		}
		if r.Low, err = low(ctx, e); err != nil {
			return Result{}, err
		}
		if len(entries) > 0 && now.Sub(entries[0].At) > sweepLate {
			r.Late = entries[0].At
		}
	}
	tasks, err := readTasks(ctx, e, slices.Concat(ids, lost))
	if err != nil {
		return Result{}, err
	}
	for _, t := range tasks {
		if r.GivenUp != nil && slices.Contains(lost, t.ID) && !t.NoticeGivenUpAt.IsZero() {
			*r.GivenUp++
		}
	}
	tasks = slices.DeleteFunc(tasks, func(t *task.Task) bool { return !slices.Contains(ids, t.ID) })
	paused, err := e.Store.Paused(ctx)
	if err != nil {
		return Result{}, err
	}
	r.Holds, r.Pauses = holds(paused, now), pauses(paused, now)
	r.Groups = group(tasks, len(r.Holds) > 0)
	for _, g := range r.Groups {
		r.Tasks += g.Count
	}
	return Result{Report: &r, Next: r.next()}, nil
}

// next returns the command that shows more.
func (r *stuckReport) next() string {
	switch {
	case r.Cursor != "":
		return "stuck -after " + r.Cursor
	case len(r.Groups) > 0:
		return "inspect " + r.Groups[0].Tasks[0].Task
	case r.GivenUp != nil && *r.GivenUp > 0:
		return "redrive"
	}
	return ""
}

// readTasks returns the rows of up to 100 tasks. It asks for nothing if there are none.
func readTasks(ctx context.Context, e *Env, ids []string) ([]*task.Task, error) {
	if len(ids) == 0 {
		return nil, nil
	}
	return e.Store.Tasks(ctx, ids)
}

const (
	givenUpTime = 7 * 24 * time.Hour
	givenUpWait = 3 * time.Second // for the log
	givenUpMost = 20              // with stuckLimit, what one request for rows may ask for
)

// givenUpLately returns tasks whose notices the log says were given up lately, or an
// error if it does not say so soon.
func givenUpLately(ctx context.Context, e *Env) ([]string, error) {
	ctx, cancel := context.WithTimeout(ctx, givenUpWait)
	defer cancel()
	ids, _, err := givenUpInLog(ctx, e, e.Now().Add(-givenUpTime), givenUpMost)
	return ids, err
}

func holds(p task.Pauses, now time.Time) []hold {
	all := []hold{}
	for _, by := range []task.Holder{task.HeldByOperator, task.HeldByBudget} {
		if h, ok := p.By[by]; ok && (h.Until.IsZero() || now.Before(h.Until)) {
			all = append(all, hold{by, h})
		}
	}
	return all
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
func group(tasks []*task.Task, held bool) []stuckGroup {
	slices.SortStableFunc(tasks, func(a, b *task.Task) int { return a.CreatedAt.Compare(b.CreatedAt) })
	at := map[string]int{}
	groups := []stuckGroup{}
	for _, t := range tasks {
		if t.Due().IsZero() {
			continue // it has ended since the index was read
		}
		words, next := why(t), nextStep(t, held)
		i, ok := at[words]
		if !ok {
			i = len(groups)
			at[words] = i
			groups = append(groups, stuckGroup{Why: words, Next: next})
		}
		g := &groups[i]
		g.Count++
		g.Tasks = append(g.Tasks, stuckTask{
			Task: t.ID, Created: t.CreatedAt, Since: since(t), Due: t.Due(), Deadline: deadline(t), Next: next,
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
	ms, err := strconv.ParseInt(at, 10, 64)
	if err != nil || !ok || ms < 0 || !task.ValidID(id) {
		return task.DueEntry{}, Usagef("-after %s is no cursor: copy it from the line \"next:\" of the page before", s)
	}
	return task.DueEntry{At: time.UnixMilli(ms).UTC(), ID: id}, nil
}
