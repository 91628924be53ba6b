package lifecycle

import (
	"cmp"
	"context"
	"log/slog"

	"github.com/preset/nanobanana-functions/shared/task"
)

// EventTransition is the attribute "event" of the log line for each change of a task's
// status, its creation included.
const EventTransition = "transition"

// Update is [task.Update] for a change by the task's owner. It logs the change of status,
// if there is one; what the owner ends himself has no line of [EventEnded].
func Update(ctx context.Context, log *slog.Logger, store task.Store, t *task.Task, change func(*task.Task) error) (*task.Task, error) {
	t, _, err := rowWriter{store, log}.write(ctx, t, change)
	return t, err
}

// rowWriter writes rows, and logs each change of status and each task that a write ends.
// Every write that may change a status goes through it.
type rowWriter struct {
	store task.Store
	log   *slog.Logger
}

// update is [task.Update]. last is the provider's last reply about the task, for the log;
// nil: none.
func (w rowWriter) update(ctx context.Context, t *task.Task, last *reply, change func(*task.Task) error) (*task.Task, error) {
	var prompt string
	t, move, err := w.write(ctx, t, func(x *task.Task) error {
		prompt = x.Prompt // a change may empty it
		return change(x)
	})
	if move.Cause != "" {
		w.logEnd(ctx, t, move.Model, prompt, last)
	}
	return t, err
}

// write changes a row, and returns how that moved it; without a Cause it did not.
func (w rowWriter) write(ctx context.Context, t *task.Task, change func(*task.Task) error) (_ *task.Task, move task.Move, err error) {
	t, err = task.Update(ctx, w.store, t, func(x *task.Task) (err error) {
		move, err = x.Moving(change)
		return err
	})
	if err != nil {
		return t, task.Move{}, err
	}
	if move.Cause != "" {
		w.logMove(ctx, t, move)
	}
	return t, move, nil
}

// logMove logs a change of status that was written. The credits are the estimate for one
// attempt, and the charge is what is known about the current one.
func (w rowWriter) logMove(ctx context.Context, t *task.Task, move task.Move) {
	args := []any{
		"event", EventTransition, "task", t.ID, "from", move.From, "to", t.Status, "cause", move.Cause,
		"ms", move.Spent.Milliseconds(), "attempt", t.Attempt, "model", cmp.Or(move.Model, t.Model), "credits", t.Estimate,
	}
	if n := len(t.Charges); n > 0 {
		args = append(args, "charge", t.Charges[n-1])
	}
	if t.Failure != "" {
		args = append(args, "code", t.Failure)
	}
	w.log.InfoContext(ctx, "a task has moved on", args...)
}
