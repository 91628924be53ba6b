package ops

import (
	"fmt"
	"time"

	"github.com/preset/nanobanana-functions/shared/task"
)

// why returns in plain words why a task is unfinished, or an ended one still in the index
// of due tasks. Tasks with the same words are one group of `stuck`.
func why(t *task.Task) string {
	switch {
	case !t.Known():
		return fmt.Sprintf("a newer release wrote the row (status %s, schema %d); this one leaves it alone", t.Status, t.Schema)
	case t.Work == task.Erase && t.Notice != "":
		return "deleted; its pictures are being removed, and Preset has not accepted the notice yet"
	case t.Work == task.Erase:
		return "deleted; its pictures are being removed"
	case t.Done():
		return "ended; Preset has not accepted the notice yet"
	}
	switch t.Status {
	case task.Submitting:
		return "its order is being sent to the provider"
	case task.Waiting:
		return "will be sent again: " + setback(t.Setback)
	case task.Unconfirmed:
		return "nobody knows whether the provider accepted the order"
	case task.Storing:
		return "its pictures are made and are being copied"
	}
	if !t.UnreadableSince.IsZero() {
		return "the provider's record cannot be read" + doubtWords(t.Doubt)
	}
	return "the provider is making the picture"
}

// setbacks are why a task is sent again, in words.
var setbacks = map[task.Code]string{
	task.CodeRateLimited:          "the provider takes no more orders for now",
	task.CodePaused:               "the provider is being maintained",
	task.CodeProviderUnavailable:  "the provider could not be reached",
	task.CodeProviderUnauthorized: "the provider refused the API key",
	task.CodeGenerationFailed:     "the provider failed to make it",
	task.CodeInsufficientCredits:  "the credits do not suffice",
}

func setback(c task.Code) string {
	switch words := setbacks[c]; {
	case words != "":
		return words + " (" + string(c) + ")"
	case c == "":
		return "its process had no time left to send it"
	}
	return string(c)
}

func doubtWords(d task.Doubt) string {
	if d == "" {
		return ""
	}
	return " (" + string(d) + ")"
}

// nextStep returns in words what happens to a task at its next due time if nothing else
// comes before. held reports whether a hold keeps every POST.
func nextStep(t *task.Task, held bool) string {
	if !t.Known() {
		return "nothing, until the newer release runs again"
	}
	switch t.Next(t.Due()) {
	case task.NextUnanswered:
		return "without an answer it becomes unconfirmed; it is never sent twice"
	case task.NextRead:
		if !t.Deadline.After(t.Due()) {
			return "the sweep reads the record once more, then it ends"
		}
		return "the sweep reads the provider's record"
	case task.NextResubmit:
		if held {
			return "it is sent again once the hold has ended"
		}
		return "the sweep sends it again"
	case task.NextExpire:
		return "it ends, failed: " + string(expiryCode(t))
	case task.NextWake:
		return wakeStep(t)
	}
	return "nothing"
}

func wakeStep(t *task.Task) string {
	own, notice := t.DueAt, t.NoticeTurn.DueAt
	x, what := t.Turn, "its pictures are copied again"
	switch {
	case t.Notice != "" && (own.IsZero() || notice.Before(own)):
		x, what = t.NoticeTurn, "the notice is sent again"
	case t.Work == task.Erase:
		what = "its pictures are removed again"
	}
	if x.LastWake {
		switch what {
		case "the notice is sent again":
			return "the notice is given up; bin/ops redrive takes it up again"
		case "its pictures are copied again":
			return "it ends with the pictures that are there, or failed: image_unavailable"
		}
	}
	return what
}

// expiryCode is the code with which the task ends at its deadline.
func expiryCode(t *task.Task) task.Code {
	switch t.Status {
	case task.Unconfirmed:
		return task.CodeOutcomeUnknown
	case task.Waiting:
		return t.Setback
	}
	return task.CodeTimedOut
}

// deadline returns when the task, or its notice, is given up; zero if never.
func deadline(t *task.Task) time.Time {
	if t.Done() && t.Work == "" {
		return t.NoticeTurn.Deadline
	}
	return t.Deadline
}

// since returns since when the task waits for what why names.
func since(t *task.Task) time.Time {
	switch {
	case !t.Done() && !t.UnreadableSince.IsZero():
		return t.UnreadableSince
	case t.Deleted():
		return t.DeletedAt
	case t.Done() && t.Notice != "":
		return t.NoticeAt()
	}
	return t.Since
}
