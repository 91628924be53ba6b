package ops

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"strings"
	"time"

	"github.com/preset/nanobanana-functions/local/ops/vault"
	"github.com/preset/nanobanana-functions/shared/lifecycle"
	"github.com/preset/nanobanana-functions/shared/task"
)

var forgetCommand = Command{
	Name: "forget", Args: "OWNER", Short: "erase everything of a user, and refuse their orders", Writes: true,
	Rights: []string{"dynamodb:Query", "dynamodb:PutItem", "dynamodb:UpdateItem", "secretsmanager:GetSecretValue"},
	Setup: func(f *flag.FlagSet) Run {
		rows := f.String("tasks", "", "`IDS` that an older release deleted, with commas")
		return func(ctx context.Context, e *Env, args []string) (Result, error) {
			ids, err := taskIDs(*rows)
			owner := args[0]
			switch {
			case err != nil:
				return Result{}, err
			case strings.TrimSpace(owner) == "" || len(owner) > maxOwner:
				return Result{}, Usagef("an owner's id is the sub of their tokens: a UUID, with Supabase")
			}
			x := forgetter{Env: e, Forgetter: lifecycle.Forgetter{
				Store: e.Store, Rules: e.Service.Rules, Now: e.Now, Sleep: e.wait, Log: e.Service.Log,
			}, owner: owner, rows: ids}
			switch e.Answer {
			case "":
				return x.count(ctx)
			case owner:
				return x.forget(ctx)
			}
			return Result{}, errors.New("what was typed is not the owner's id; nothing was changed")
		}
	},
}

const (
	maxOwner     = 255              // characters of an id
	maxNamed     = 100              // tasks that -tasks names
	forgetMargin = 5 * time.Second  // before the command's time is over it says how far it came
	forgetTell   = 500              // after so many tasks it says how far it is
	erasedIn     = 17 * time.Minute // after DELETE, if nothing goes wrong
	longestStep  = 97 * time.Hour   // of what a running task may still go through: generating, storing, their last wakes
)

// forgetter is one run of forget.
type forgetter struct {
	*Env
	lifecycle.Forgetter
	owner string
	rows  []string // of -tasks
}

// forgetReport is what there is of an owner, what was erased, and what remains.
type forgetReport struct {
	Found   lifecycle.Owned   `json:"found"` // before; after the erase, what still runs
	Notices bool              `json:"notices"`
	Until   time.Time         `json:"ordersRefusedUntil,omitzero"`
	Erased  *lifecycle.Erased `json:"erased,omitempty"`
	Stopped bool              `json:"stopped,omitempty"` // the local run must run again
	Partly  bool              `json:"partly,omitempty"`  // there was no time for all
	Remains []remainder       `json:"remains,omitempty"`

	wait time.Duration // until no order is accepted
}

// remainder is something that is not erased.
type remainder struct {
	What  string    `json:"what"`
	Until time.Time `json:"until,omitzero"`
	Words string    `json:"untilWhen,omitempty"` // instead of a time
}

func taskIDs(list string) ([]string, error) {
	if list == "" {
		return nil, nil
	}
	ids := strings.Split(list, ",")
	if len(ids) > maxNamed {
		return nil, Usagef("-tasks takes at most %d tasks at once", maxNamed)
	}
	for _, id := range ids {
		if !task.ValidID(id) {
			return nil, Usagef("%q is no task's id. -tasks takes them separated by commas", id)
		}
	}
	return ids, nil
}

// count shows what there is, and asks.
func (x forgetter) count(ctx context.Context) (Result, error) {
	found, err := x.Owned(ctx, x.owner)
	if err != nil {
		return Result{}, err
	}
	return Result{
		Report: &forgetReport{Found: found, Notices: x.Rules.Notify, Stopped: x.Env.Stopped, wait: lifecycle.LateOrder},
		Ask:    "Type the owner's id again to erase all of this for good:",
	}, nil
}

// forget refuses the owner's orders, and erases.
func (x forgetter) forget(ctx context.Context) (Result, error) {
	if end, ok := ctx.Deadline(); ok {
		var cancel context.CancelFunc
		ctx, cancel = context.WithDeadline(ctx, end.Add(-forgetMargin))
		defer cancel()
	}
	refused, err := x.Refuse(ctx, x.owner)
	switch {
	case errors.Is(err, task.ErrFull):
		return Result{}, fmt.Errorf("%d owners are forgotten already, and each is remembered for 90 days: nothing was changed", task.MaxForgotten)
	case err != nil:
		return Result{}, err
	case x.Env.Stopped:
		refused = time.Time{} // no process takes orders
	}
	p, err := x.Env.Store.Paused(ctx)
	if err != nil {
		return Result{}, err
	}
	since, _ := p.Forgotten.Since(x.owner, x.Env.Now())
	if left := refused.Sub(x.Env.Now()); left > 0 {
		x.tell("new orders are refused; waiting %s for those that were on their way", Span(left))
	}
	r := &forgetReport{Notices: x.Rules.Notify, Stopped: x.Env.Stopped, Until: since.Add(task.ForgottenFor)}
	told := 0
	e, err := x.Erase(ctx, x.owner, refused, func(e lifecycle.Erased) {
		if n := e.Changes(); n >= told+forgetTell {
			told = n
			x.tell("%s so far", Count(n, "task"))
		}
	})
	if err == nil {
		err = x.EraseRows(ctx, x.owner, x.rows, &e)
	}
	r.Erased = &e
	if err == nil {
		r.Found, err = x.Owned(ctx, x.owner)
	}
	if r.Partly = ctx.Err() != nil; err != nil && !r.Partly {
		return Result{}, fmt.Errorf("after %s: %w. Run the same command again; it goes on", Count(e.Changes(), "task"), err)
	}
	tokens := x.personalTokens(ctx)
	r.Remains = append(tokens, x.remains()...)
	result := Result{Report: r}
	if r.Found.Running > 0 {
		result.Next = "stuck"
	}
	if len(tokens) > 0 {
		result.Next = "token list"
	}
	if r.Partly || len(e.Failed)+len(e.Foreign) > 0 {
		result.Exit = NeedsYou
	}
	return result, nil
}

// What is not erased stays for so long.
const (
	uploadsKept = 2 * 24 * time.Hour  // by the bucket's lifecycle rule
	noticeTime  = 3 * 24 * time.Hour  // then a notice is given up
	countsKept  = 8 * 24 * time.Hour  // of a day, by the table's time to live
	logsKept    = 30 * 24 * time.Hour // of the log groups, and of traces
	recovery    = 35 * 24 * time.Hour // of the table's point-in-time recovery
)

// personalTokens lists the owner's personal tokens: they stand in the secret with the
// owner's id, and open /mcp.
func (x forgetter) personalTokens(ctx context.Context) (all []remainder) {
	_, d, err := readSecret(ctx, x.Env)
	if err != nil {
		return []remainder{{What: "personal tokens, if there are any, with the owner's id: the secret could not be read", Words: "unknown"}}
	}
	for _, t := range d.Tokens() {
		if t.Kind == vault.Personal && t.Owner == x.owner {
			all = append(all, remainder{
				What:  "the personal token " + t.ID + ", with the owner's id, until you type: bin/ops token revoke -kind personal " + t.ID,
				Words: "for good",
			})
		}
	}
	return all
}

// remains lists what else the command cannot erase, and until when it stays.
func (x forgetter) remains() []remainder {
	until := func(d time.Duration, what string) remainder {
		return remainder{What: what, Until: x.Env.Now().Add(d).UTC().Truncate(time.Second)}
	}
	all := []remainder{until(uploadsKept, "uploads; a day longer where the bucket keeps versions")}
	if x.Stack == nil {
		all = []remainder{until(uploadsKept, "uploads")}
	}
	preset := remainder{What: "what Preset keeps: it is not told, since NOTIFY_URL is empty", Words: "unknown"}
	if x.Rules.Notify {
		preset = until(noticeTime, "what Preset keeps: it is told of each task (task.deleted), for so long if need be")
	}
	all = append(all, preset, until(countsKept, "how many pictures and uploads they ordered on a day, by the owner's id"))
	if x.Stack != nil {
		all = append(all,
			until(logsKept, "log lines and traces, with ids of tasks; no owner, no prompt"),
			until(recovery, "the table's point-in-time recovery, with everything"))
	}
	all = append(all, until(task.ForgottenFor, "a salted hash of the owner's id, by which orders are refused"))
	if x.Stack == nil {
		all = append(all, remainder{What: "log lines, with ids of tasks; no owner, no prompt: until newer ones replace them", Words: "unknown"})
	}
	return append(all,
		remainder{What: "rows of erased tasks, with id, status, times and charge, and no owner; those of failed ones 400 days", Words: "for good"},
		remainder{What: "rows of tasks that a release before 2026-11-29 had deleted: they keep the owner's id, and no index finds them (-tasks); those of failed ones 400 days", Words: "for good"},
		remainder{What: "the provider's copies of prompts, inputs and pictures", Words: "unknown"},
		remainder{What: "backups and exports that you made", Words: "unknown"},
	)
}

// Print prints the report.
func (r *forgetReport) Print(p *Page) {
	if r.Erased == nil {
		r.printFound(p)
		return
	}
	r.printErased(p)
	p.Blank()
	p.Line("What remains, and until when (UTC):")
	p.Blank()
	for _, x := range r.Remains {
		until := x.Words
		if until == "" {
			until = x.Until.Format(time.DateOnly)
		}
		p.Field(until, "%s", x.What)
	}
}

func (r *forgetReport) printFound(p *Page) {
	if r.Found.Tasks() == 0 {
		p.Line("This owner has no tasks that are not deleted. Is the id right? It is the sub of their tokens: a UUID, with Supabase.")
	} else {
		fieldOf(p, "ended", r.Found.Ended, "task", "")
		fieldOf(p, "waiting", r.Found.Waiting, "task", ", to be cancelled, free of charge")
		fieldOf(p, "running", r.Found.Running, "task", ", erased when it is finished")
		fieldOf(p, "pictures", r.Found.Pictures, "picture", "")
		fieldOf(p, "inputs", r.Found.Inputs, "kept upload", "")
	}
	p.Blank()
	p.Line("First, new orders and uploads of this owner are refused, for 90 days.%s Then all of this is erased, with every version of each picture, and the pictures' links are dead. %s", r.waitWords(), r.presetWords())
	if r.Stopped {
		p.Line("Pictures are deleted only when the local run runs again.")
	}
	p.Blank()
}

// fieldOf prints a number with its noun, unless it is 0.
func fieldOf(p *Page, name string, n int, noun, more string) {
	if n > 0 {
		p.Field(name, "%s%s", Count(n, noun), more)
	}
}

func (r *forgetReport) waitWords() string {
	if r.Stopped {
		return ""
	}
	return fmt.Sprintf(" Then the command waits for %s, so that none slips in between.", Span(r.wait))
}

func (r *forgetReport) presetWords() string {
	if r.Notices {
		return "Preset is told of each task."
	}
	return "Preset is not told: NOTIFY_URL is empty."
}

func (r *forgetReport) printErased(p *Page) {
	p.Line("New orders and uploads of this owner are refused until %s.", r.Until.UTC().Format(time.DateOnly))
	p.Blank()
	e := r.Erased
	if e.Changes() == 0 && r.Found.Tasks() == 0 && !r.Partly {
		p.Line("Nothing was left to erase.")
	} else {
		fieldOf(p, "erased", e.Deleted, "task", "")
		fieldOf(p, "cancelled", e.Canceled, "task", ", and erased")
		fieldOf(p, "emptied", e.Emptied, "row", " of what an older release had deleted")
		fieldOf(p, "running", r.Found.Running, "task", ", erased at the end: all by "+At(r.lastEnd())+" at the latest")
	}
	for _, id := range e.Foreign {
		p.Item("%s was written by a newer release and is left alone: use the bin/ops of that release", id)
	}
	for _, id := range e.Failed {
		p.Item("%s could not be written (%v)", id, e.Err)
	}
	p.Blank()
	switch {
	case r.Partly:
		p.Line("There was no time for all of it. Run the same command again: it goes on.")
	case len(e.Failed) > 0:
		p.Line("Run the same command again for these.")
	case r.Stopped:
		p.Line("Pictures are deleted when the local run runs again, and the rows lose the owner %s after that.", Span(erasedIn))
	default:
		p.Line("Pictures are deleted within a minute, and after 16 minutes whatever was still being written; then the rows lose the owner. Run the same command again in %s: it finds an order that was accepted meanwhile, if there is one.", Span(erasedIn))
	}
}

// lastEnd returns by when the last running task has ended, whatever happens to it.
func (r *forgetReport) lastEnd() time.Time {
	if r.Found.Running == 0 {
		return time.Time{}
	}
	return r.Found.EndBy.Add(longestStep)
}
