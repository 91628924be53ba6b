package ops

import (
	"context"
	"errors"
	"iter"
	"strings"
	"testing"
	"time"

	"github.com/preset/nanobanana-functions/shared/task"
)

// stuckPages runs stuck page by page, as "next:" says, and returns its reports.
func stuckPages(t *testing.T, e *Env, words ...string) (all []*stuckReport) {
	t.Helper()
	words = append([]string{"stuck"}, words...)
	for more := words; more != nil; {
		r, _, err := parse(more)
		if err != nil {
			t.Fatal(err)
		}
		got, err := r.run(t.Context(), e, r.args)
		if err != nil {
			t.Fatal(err)
		}
		report := got.Report.(*stuckReport)
		if all = append(all, report); len(all) > 20 {
			t.Fatal("the pages have no end")
		}
		if more = nil; report.Cursor != "" {
			more = append(strings.Fields(got.Next), words[1:]...)
		}
	}
	return all
}

// TestStuckPages goes through all unfinished tasks, whatever the size of a page: each
// comes once.
func TestStuckPages(t *testing.T) {
	e := localEnv(t)
	for _, limit := range []string{"1", "2", "6", "80"} {
		seen := map[string]int{}
		for _, r := range stuckPages(t, e, "-limit", limit) {
			for _, g := range r.Groups {
				for i, x := range g.Tasks {
					seen[x.Task]++
					if i > 0 && x.Created.Before(g.Tasks[i-1].Created) {
						t.Error("a group does not begin with the oldest order")
					}
				}
			}
		}
		if len(seen) != 6 {
			t.Errorf("with pages of %s: %v", limit, seen)
		}
		for id, n := range seen {
			if n != 1 {
				t.Errorf("with pages of %s, %s comes %d times", limit, id, n)
			}
		}
	}
}

// failingLogs cannot be read.
type failingLogs struct{ Logs }

func (failingLogs) Lines(context.Context, LogQuery) iter.Seq2[LogLine, error] {
	return func(yield func(LogLine, error) bool) { yield(LogLine{}, errors.New("no")) }
}

// TestStuckSays holds what stuck says about all tasks.
func TestStuckSays(t *testing.T) {
	for name, c := range map[string]struct {
		change func(e *Env) error
		want   []string
		not    []string
	}{
		"as the samples are": {
			func(*Env) error { return nil },
			[]string{"Waiting orders are not sent for another 9 s", "1 notice given up in the last 7 days", "next: the sweep sends it again"},
			[]string{"SWEEP IS LATE", "HELD", "REFUSED"},
		},
		"later, with nothing done": {
			func(e *Env) error {
				e.Now = func() time.Time { return night.Add(10 * time.Minute) }
				return nil
			},
			[]string{"THE SWEEP IS LATE: a task has been due for"},
			[]string{"Waiting orders are not sent"},
		},
		"held by the operator": {
			func(e *Env) error {
				return e.Store.ChangeHolds(context.Background(), func(h *task.Holds) {
					h.Put(task.HeldByOperator, task.Hold{Reason: "We replace a key.", Since: night.Add(-time.Hour)})
				})
			},
			[]string{"HELD by the operator for 1 h 00 min", "We replace a key.", "next: it is sent again once the hold has ended"},
			nil,
		},
		"without credits": {
			func(e *Env) error {
				return e.Store.SetBalance(context.Background(), task.Balance{Credits: 1, AsOf: night.Add(-time.Minute)})
			},
			[]string{"NEW ORDERS ARE REFUSED, since the credits pay for no picture: 1 at the check"},
			nil,
		},
		"with a log that cannot be read": {
			func(e *Env) error {
				e.Logs = failingLogs{}
				return nil
			},
			[]string{"Whether notices were given up is not known", "6 tasks unfinished"},
			nil,
		},
	} {
		t.Run(name, func(t *testing.T) {
			e := localEnv(t)
			if err := c.change(e); err != nil {
				t.Fatal(err)
			}
			got := strings.Join(strings.Fields(runWords(t, e, "stuck")), " ")
			for _, want := range c.want {
				if !strings.Contains(got, want) {
					t.Errorf("it does not say %q:\n%s", want, got)
				}
			}
			for _, not := range c.not {
				if strings.Contains(got, not) {
					t.Errorf("it says %q:\n%s", not, got)
				}
			}
		})
	}
}

// TestWhy holds that each kind of row in the index of due tasks has a reason and a next
// step.
func TestWhy(t *testing.T) {
	for _, x := range []*task.Task{
		{Status: task.Submitting}, {Status: task.Waiting}, {Status: task.Waiting, Setback: task.CodeRateLimited}, {Status: task.Waiting, Setback: "a code of later"},
		{Status: task.Unconfirmed}, {Status: task.Generating}, {Status: task.Generating, UnreadableSince: night, Doubt: task.DoubtForeign}, {Status: task.Storing, Work: task.Ingest},
		{Status: task.Succeeded, Notice: task.Pending}, {Status: task.Failed, Work: task.Erase, DeletedAt: night}, {Status: task.Failed, Work: task.Erase, Notice: task.Pending, DeletedAt: night},
		{Status: "of a newer release"}, {Status: task.Waiting, Schema: 99},
	} {
		x.Turn = task.Turn{DueAt: night, Deadline: night.Add(time.Hour)}
		if x.Notice != "" {
			x.NoticeTurn = x.Turn
		}
		words, next := why(x), nextStep(x, false)
		if words == "" || next == "" || strings.HasSuffix(words, ": ") {
			t.Errorf("%+v: %q, %q", x, words, next)
		}
		if x.Known() == strings.HasPrefix(next, "nothing") {
			t.Errorf("%s: next is %q", x.Status, next)
		}
	}
}
