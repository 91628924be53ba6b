package httpapi

import (
	"time"

	"github.com/preset/nanobanana-functions/shared/task"
)

// phase is what clients see of a status from a certain time on.
type phase struct {
	// After is how long a task must have had the status.
	After time.Duration
	// Text is for people. Clients show it unchanged.
	Text string
	// Claude states, for a model that uses our tools, what can follow. It is empty if
	// the model can only wait, or read the result.
	Claude string
}

// phases holds the phases of each status, the latest first. Time alone changes a
// phase, without a write of the row.
var phases = map[task.Status][]phase{
	task.Submitting: {{Text: "In the queue"}},
	task.Waiting:    {{Text: "In the queue"}},
	task.Unconfirmed: {
		{
			After: 5 * time.Minute,
			Text: "There is no sign that the image service accepted this order. You may order again: that is a new order with a new key, " +
				"which may be charged in addition to this one. If this picture still arrives, it is kept.",
			Claude: "There is no sign that the image service accepted this order. Whether to order again is for the user to decide: " +
				"that is a new call of generate_image with a new requestKey, which may be charged in addition to this one. " +
				"If this picture still arrives, it is kept, and get_image with this taskId shows it.",
		},
		{Text: "Checking with the image service; you are charged at most once"},
	},
	task.Generating: {{Text: "Making your picture"}},
	task.Storing:    {{Text: "Saving"}},
	task.Succeeded:  {{Text: "Done"}},
	task.Failed:     {{Text: "Not made"}},
}

// statusText returns the text of the phase that t is in at now.
func statusText(t *task.Task, now time.Time) string {
	for _, p := range phases[t.Status] {
		// After a callback there is a sign of the order, which is being checked.
		late := !t.Since.IsZero() && now.Sub(t.Since) >= p.After && t.Hint == nil
		if p.After == 0 || late {
			return p.Text
		}
	}
	return "Working on it" // a status of a newer release
}

// StatusHint returns what can follow for a model to which a task is shown like this. It
// is empty if the model can only wait, or read the result.
func StatusHint(shown Task) string {
	for _, p := range phases[shown.Status] {
		if p.Text == shown.StatusText {
			return p.Claude
		}
	}
	return ""
}
