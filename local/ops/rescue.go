package ops

import (
	"context"
	"errors"
	"flag"
	"fmt"

	"github.com/preset/nanobanana-functions/shared/lifecycle"
	"github.com/preset/nanobanana-functions/shared/task"
)

var rescueCommand = Command{
	Name: "rescue", Args: "TASK", Short: "fetch the lost pictures of a failed task, as a new one", Writes: true,
	Rights: []string{"secretsmanager:GetSecretValue", "dynamodb:PutItem", "dynamodb:ConditionCheckItem"},
	Setup: func(f *flag.FlagSet) Run {
		given := f.String("provider-id", "", "ask for the record of this `ID`, not of the known one")
		return func(ctx context.Context, e *Env, args []string) (Result, error) {
			return rescue(ctx, e, args[0], *given)
		}
	},
}

// rescueReport is what became of a rescue.
type rescueReport struct {
	Task       string               `json:"task"`
	RescuedAs  string               `json:"rescuedAs,omitempty"` // the task that has the pictures
	Links      int                  `json:"links,omitempty"`     // to pictures, in the record
	ProviderID string               `json:"providerId,omitempty"`
	Refused    lifecycle.NotRescued `json:"refused,omitempty"`
	Text       string               `json:"text"`
}

// Print prints what became of it.
func (r *rescueReport) Print(p *Page) { p.Line("%s", r.Text) }

func rescue(ctx context.Context, e *Env, id, given string) (Result, error) {
	if !task.ValidID(id) {
		_, err := readTask(ctx, e, id)
		return Result{}, err
	}
	r := &rescueReport{Task: id, ProviderID: given}
	t, err := lifecycle.Rescuer{Service: e.Service}.Rescue(ctx, id, given)
	refusal, refused := errors.AsType[*lifecycle.RescueError](err)
	switch {
	case refused && refusal.Why == lifecycle.NoSuchTask:
		_, err := readTask(ctx, e, id)
		return Result{}, err
	case refused && refusal.Why == lifecycle.RescueBadID:
		return Result{}, Usagef("%q is no provider id: that has at most 128 letters, digits, _ and -", given)
	case refused:
		r.Refused, r.ProviderID = refusal.Why, refusal.ProviderID
		var next string
		if r.Text, next = refusalText(id, refusal); refusal.Rescued != nil {
			r.RescuedAs = refusal.Rescued.ID
		}
		return Result{Report: r, Next: next, Exit: Failed}, nil
	case err != nil:
		return Result{}, fmt.Errorf("task %s: %w. Run the command again: it tells whether there is a rescued task", id, err)
	}
	r.RescuedAs, r.Links, r.ProviderID = t.ID, len(t.URLs), t.ProviderID
	r.Text = fmt.Sprintf("Task %s is rescued as %s: %s in the record, copied now. For its owner that is a new task, which costs nothing; task %s stays as it is.",
		id, t.ID, Count(len(t.URLs), "link"), id)
	return Result{Report: r, Next: "inspect " + t.ID}, nil
}

// refusalText returns why a task was not rescued, and the command that helps next.
func refusalText(id string, x *lifecycle.RescueError) (text, next string) {
	again, look := "rescue "+id, "inspect "+id
	if x.ProviderID != "" && x.Origin != nil && x.ProviderID != x.Origin.ProviderID {
		again += " -provider-id " + x.ProviderID
	}
	switch x.Why {
	case lifecycle.RescueDeleted:
		return "Its owner has deleted task " + id + ". What its owner has deleted is not rescued.", look
	case lifecycle.RescueForgotten:
		return "The owner of task " + id + " was forgotten. Nothing of theirs is rescued.", look
	case lifecycle.RescueRunning:
		return "Task " + id + " has not ended: it may still get its pictures by itself.", look
	case lifecycle.RescueNeedless:
		return "Task " + id + " has its pictures: it succeeded.", look
	case lifecycle.RescueHopeless:
		return fmt.Sprintf("Task %s failed with %s because the provider said so. Rescued is what ended %s, %s or %s, or by a callback's word alone.",
			id, x.Origin.Failure, task.CodeImageUnavailable, task.CodeTimedOut, task.CodeOutcomeUnknown), look
	case lifecycle.RescueDone:
		return rescuedText(id, x.Rescued)
	case lifecycle.RescueUnnamed:
		return fmt.Sprintf("No provider id is known of task %s: no answer had one, and no callback. Look for it in the provider's own list of tasks, by the time at which the last attempt was sent (bin/ops inspect), and give it.", id),
			again + " -provider-id ID"
	case lifecycle.RescueTooSoon:
		return "The record was read a moment ago, or the provider wants no reads for now. It may be read again in " + Span(x.Wait+roundUp) + ".", again
	case lifecycle.RescueOvertaken:
		return "Task " + id + " changed after its record was read: its owner moved it, or somebody else rescues it, too. Nothing was done. Its record may be read again in 40 s.", again
	case lifecycle.RescueForbidden:
		return "A newer release wrote the row of task " + id + ". Use the bin/ops of that release.", look
	}
	return recordText(x), map[bool]string{true: again, false: look}[x.Why == lifecycle.RescueUnread || x.State == task.RecordRunning]
}

// roundUp makes a wait in whole seconds long enough.
const roundUp = 999_999_999

// recordText returns what is wrong with the record that a rescue has read.
func recordText(x *lifecycle.RescueError) string {
	of := "The provider's record of " + x.ProviderID
	switch {
	case x.Why == lifecycle.RescueForeign:
		return of + " is not this task's: it names another task, another attempt, another id or another prompt."
	case x.Why == lifecycle.RescueUnproved:
		return of + " does not name this task's callback address with a valid token, so nothing proves that it is this task's. An id that our own answer did not have needs that proof; an equal prompt is none."
	case x.Why == lifecycle.RescueUnread && x.ProviderCode != 0:
		return fmt.Sprintf("%s cannot be read: the provider answers with code %d. If it knows no such task, its pictures are gone.", of, x.ProviderCode)
	case x.Why == lifecycle.RescueUnread:
		return of + " cannot be read: there is no answer, or none that is a record. A local run's own simulator answers only while the run does."
	case x.State == task.RecordRunning:
		return of + " says that it is still being made."
	case x.State == task.RecordFailed:
		return of + " says that it failed: " + string(x.Code) + "."
	}
	return of + " has no link to a picture that this release finds. What it is made of: " + x.Shape
}

// rescuedText returns which task has the pictures of a task, and what became of it.
func rescuedText(id string, t *task.Task) (text, next string) {
	text = "Task " + id + " was rescued as " + t.ID
	next = "inspect " + t.ID
	switch {
	case t.Deleted():
		return text + ", which its owner has deleted. It is not made again.", next
	case t.Status == task.Succeeded:
		return text + ", which has the pictures.", next
	case !t.Done():
		return text + ", whose pictures are being copied.", next
	}
	return fmt.Sprintf("%s, which failed with %s: its links died, too. It can be rescued in turn.", text, t.Failure), "rescue " + t.ID
}
