package lifecycle

import (
	"cmp"
	"context"
	"errors"
	"log/slog"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/preset/nanobanana-functions/shared/nanobanana"
	"github.com/preset/nanobanana-functions/shared/task"
)

// EventEnded is the attribute "event" of the log line for each task that ends,
// except those that their owner cancels. Alarms match it.
const EventEnded = "task_ended"

// endLevels are the log levels of ends that need no operator. Every other end is
// an error: somebody has lost a picture, or its price.
var endLevels = map[task.Code]slog.Level{
	"":                           slog.LevelInfo, // a success
	task.CodeContentPolicy:       slog.LevelInfo,
	task.CodeInputImageUnusable:  slog.LevelInfo,
	task.CodeInsufficientCredits: slog.LevelInfo,
	task.CodeCanceled:            slog.LevelInfo,
	task.CodeGenerationFailed:    slog.LevelWarn, // a few are normal; an alarm counts them
}

// reply is what the provider said, reduced to what a log may hold.
type reply struct {
	code  int    // its numeric code; 0: none
	text  string // its words, without links
	shape string // of its record, without values
	id    string // of its record; empty: it has none

	backoff time.Duration // for how long it wants no more POSTs
}

// replyOf returns what the answer of a failed call said.
func replyOf(err error) *reply {
	e, ok := errors.AsType[*nanobanana.Error](err)
	if !ok {
		return &reply{}
	}
	r := &reply{code: e.Code, text: e.Message, shape: e.Shape}
	if e.Reason == nanobanana.RateLimited || e.Reason == nanobanana.Maintenance {
		r.backoff = cmp.Or(e.RetryAfter, postsBackoff)
	}
	return r
}

// logEnd logs the end of a task, if t is one. The end may have emptied the row.
func (w rowWriter) logEnd(ctx context.Context, t *task.Task, model, prompt string, last *reply) {
	if !t.Done() {
		return
	}
	level, known := endLevels[t.Failure]
	inputsMissing := 0
	if t.Status == task.Succeeded {
		inputsMissing = len(t.InputsToKeep()) - len(t.Inputs)
	}
	switch {
	case !known:
		level = slog.LevelError
	case t.Missing > 0, inputsMissing > 0:
		level = slog.LevelWarn
	}
	args := []any{
		"event", EventEnded, "bad", level == slog.LevelError, "task", t.ID, "status", t.Status, "code", t.Failure,
		"model", model, "ageSeconds", int(t.EndedAt.Sub(t.CreatedAt) / time.Second), "seconds", t.EndedAt.Sub(t.CreatedAt).Seconds(), "attempts", t.Attempt,
	}
	if t.Missing > 0 {
		args = append(args, "missing", t.Missing)
	}
	if inputsMissing > 0 {
		args = append(args, "inputsMissing", inputsMissing)
	}
	if last != nil && t.Failure != "" {
		args = append(args, "providerCode", last.code, "providerWords", withoutQuotes(last.text, prompt), "recordShape", last.shape)
	}
	w.log.Log(ctx, level, "a task has ended", args...)
}

// minQuote is how many consecutive characters of a prompt count as a quote of it.
const minQuote = 8

// withoutQuotes replaces with "…" what text quotes of the prompt.
func withoutQuotes(text, prompt string) string {
	words, of := []rune(strings.ToLower(text)), strings.ToLower(prompt)
	least := min(minQuote, utf8.RuneCountInString(of))
	if least == 0 || len(words) != utf8.RuneCountInString(text) {
		return text
	}
	quoted := make([]bool, len(words))
	for i := 0; i+least <= len(words); i++ {
		if strings.Contains(of, string(words[i:i+least])) {
			for k := range least {
				quoted[i+k] = true
			}
		}
	}
	var kept strings.Builder
	for i, r := range []rune(text) {
		switch {
		case !quoted[i]:
			kept.WriteRune(r)
		case i == 0 || !quoted[i-1]:
			kept.WriteRune('…')
		}
	}
	return kept.String()
}
