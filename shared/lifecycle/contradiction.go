package lifecycle

import (
	"context"
	"log/slog"

	"github.com/preset/nanobanana-functions/shared/task"
)

// EventContradicted is the attribute "event" of the log line for a callback that
// contradicts what is known about its task. It changes nothing, but a picture that the
// task does not have may exist, and may have been paid for.
const EventContradicted = "contradicted"

// contradicted returns what a callback of an attempt contradicts: the task's "failure",
// "refusal", "success" or provider "id". Empty: nothing.
func contradicted(t *task.Task, attempt int, h task.Hint) string {
	earlier := attempt < t.Attempt
	switch {
	case attempt < 1, attempt > t.Attempt, t.Deleted():
		return ""
	case !earlier && t.ProviderID != "" && h.ProviderID != "" && h.ProviderID != t.ProviderID:
		return "id"
	case h.Success && (earlier || t.Status == task.Waiting):
		if t.Charges[attempt-1] == task.ChargeNone {
			return "refusal"
		}
		return "failure"
	case h.Success && t.Status == task.Failed:
		return "failure"
	case h.Failure != "" && t.Status == task.Succeeded:
		return "success"
	}
	return ""
}

// logContradiction logs what a callback of an attempt contradicts, if anything.
func (s *Service) logContradiction(ctx context.Context, t *task.Task, what string, attempt int) {
	if what != "" {
		s.log(ctx, slog.LevelWarn, t, "a callback contradicts what is known about its task; nothing changes",
			"event", EventContradicted, "contradicts", what, "callback", attempt)
	}
}
