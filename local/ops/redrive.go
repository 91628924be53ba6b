package ops

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"slices"
	"time"

	"github.com/preset/nanobanana-functions/shared/lifecycle"
	"github.com/preset/nanobanana-functions/shared/task"
)

var redriveCommand = Command{
	Name: "redrive", Args: "[TASK]", Short: "notices that were given up; sends one, or -all, again", Writes: true,
	Rights: append([]string{"dynamodb:PutItem"}, logRights...),
	Setup: func(f *flag.FlagSet) Run {
		all := f.Bool("all", false, "send all of them again")
		since := f.String("since", "30d", "given up since `TIME`: 7d, a day")
		return func(ctx context.Context, e *Env, args []string) (Result, error) {
			from, err := parseSince(*since, e.Now())
			switch {
			case err != nil:
				return Result{}, err
			case len(args) > 0 && *all:
				return Result{}, Usagef("name a task, or -all, not both")
			case len(args) > 0:
				return redriveOne(ctx, e, args[0])
			}
			return redrive(ctx, e, from, *all)
		}
	},
}

const (
	redriveBatch = 100    // rows in one request
	redriveShown = 20     // notices that people see
	maxRedrive   = 20_000 // notices that one run handles
)

// redriveReport are the notices that were given up.
type redriveReport struct {
	Since   time.Time `json:"since,omitzero"`
	GivenUp []givenUp `json:"givenUp"` // and still are, or were until this run
	Again   int       `json:"again"`   // that are sent again now
	Failed  int       `json:"failed"`  // that could not be taken up
	More    bool      `json:"more,omitempty"`
}

// givenUp is a notice that was given up.
type givenUp struct {
	Task    string          `json:"task"`
	Kind    task.NoticeKind `json:"kind"`
	GivenUp time.Time       `json:"givenUpAt"`
	Error   string          `json:"error,omitempty"`
}

func redriveOne(ctx context.Context, e *Env, id string) (Result, error) {
	t, err := readTask(ctx, e, id)
	if err != nil {
		return Result{}, err
	}
	if t.NoticeGivenUpAt.IsZero() {
		if t.Notice != "" {
			return Result{}, fmt.Errorf("the notice of task %s is still being sent: bin/ops inspect %s shows when", id, id)
		}
		return Result{}, fmt.Errorf("no notice of task %s was given up; nothing was changed", id)
	}
	r := redriveReport{}
	r.take(ctx, e, t)
	if r.Failed > 0 {
		return Result{}, errors.New(r.GivenUp[0].Error)
	}
	return Result{Report: &r, Next: "inspect " + id}, nil
}

func redrive(ctx context.Context, e *Env, from time.Time, all bool) (Result, error) {
	r := redriveReport{Since: from, GivenUp: []givenUp{}}
	ids, more, err := givenUpInLog(ctx, e, from, maxRedrive)
	if err != nil {
		return Result{}, err
	}
	r.More = more
	for batch := range slices.Chunk(ids, redriveBatch) {
		rows, err := e.Store.Tasks(ctx, batch)
		if err != nil {
			return Result{}, err
		}
		for _, t := range rows {
			switch {
			case t.NoticeGivenUpAt.IsZero(): // delivered or taken up since
			case all:
				r.take(ctx, e, t)
			default:
				r.GivenUp = append(r.GivenUp, givenUpOf(t))
			}
		}
	}
	result := Result{Report: &r}
	switch {
	case r.Failed > 0:
		result.Exit, result.Next = NeedsYou, "redrive -all"
	case r.Again > 0:
		result.Next = "stuck"
	case len(r.GivenUp) > 0:
		result.Next = "redrive -all"
	}
	return result, nil
}

// givenUpInLog returns the tasks whose notices the log says were given up since from, at
// most so many, and whether there are more.
func givenUpInLog(ctx context.Context, e *Env, from time.Time, most int) (ids []string, more bool, err error) {
	seen := map[string]bool{}
	for l, err := range e.Logs.Lines(ctx, LogQuery{Since: from, Events: []string{lifecycle.EventNoticeGivenUp}}) {
		if err != nil {
			return nil, false, err
		}
		if seen[l.Task] || !task.ValidID(l.Task) {
			continue
		}
		if len(ids) == most {
			return ids, true, nil
		}
		seen[l.Task] = true
		ids = append(ids, l.Task)
	}
	return ids, false, nil
}

// take takes a notice up again; the stream, or the sweep, hands it to what sends it.
func (r *redriveReport) take(ctx context.Context, e *Env, t *task.Task) {
	x := givenUpOf(t)
	if _, err := lifecycle.Redrive(ctx, e.Store, t, e.Now()); err != nil {
		x.Error = fmt.Sprintf("task %s could not be written: %v", t.ID, err)
		r.Failed++
	} else {
		r.Again++
	}
	r.GivenUp = append(r.GivenUp, x)
}

func givenUpOf(t *task.Task) givenUp {
	return givenUp{Task: t.ID, Kind: t.NoticeKind(), GivenUp: t.NoticeGivenUpAt}
}

// Print prints the notices.
func (r *redriveReport) Print(p *Page) {
	switch {
	case len(r.GivenUp) == 0:
		p.Line("No notice that was given up since %s UTC is still undelivered.", At(r.Since))
		return
	case r.Again+r.Failed == 0:
		p.Line("%s given up since %s UTC. Preset has not been told of these:", Count(len(r.GivenUp), "notice"), At(r.Since))
	default:
		p.Line("%d of %s taken up again. They are sent now, and again for 3 days if need be.", r.Again, Count(len(r.GivenUp), "notice"))
	}
	p.Blank()
	var rows [][]string
	for _, x := range r.GivenUp[:min(redriveShown, len(r.GivenUp))] {
		rows = append(rows, []string{x.Task, string(x.Kind), p.Ago(x.GivenUp), x.Error})
	}
	p.Table([]string{"task", "notice", "given up for", ""}, rows...)
	if left := len(r.GivenUp) - len(rows); left > 0 {
		p.Item("and %d more", left)
	}
	if r.More {
		p.Line("The log has more than %d: run this again for the rest.", maxRedrive)
	}
}
