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

// EventEnded is the attribute "event" of the log line that a task ends with:
// every one but those that their owner cancels. Alarms go by it.
const EventEnded = "task_ended"

// endLevels are the levels of ends that are not the operator's to look at.
// Every other end is an error: somebody has lost a picture, or its price.
var endLevels = map[task.Code]slog.Level{
	"":                           slog.LevelInfo, // a success
	task.CodeContentPolicy:       slog.LevelInfo,
	task.CodeInputImageUnusable:  slog.LevelInfo,
	task.CodeInsufficientCredits: slog.LevelInfo,
	task.CodeCanceled:            slog.LevelInfo,
	task.CodeGenerationFailed:    slog.LevelWarn, // now and then one fails; many are an alarm of their own
}

// word is what the provider said, as far as a log may hold it.
type word struct {
	code  int    // its numeric code; 0: none
	text  string // its words, without links
	shape string // of its record, without values

	rest time.Duration // for how long it wants no more POSTs
}

// wordOf is what a failed call's answer said.
func wordOf(err error) *word {
	var e *nanobanana.Error
	if !errors.As(err, &e) {
		return &word{}
	}
	w := &word{code: e.Code, text: e.Words, shape: e.Shape}
	if e.Reason == nanobanana.RateLimited || e.Reason == nanobanana.Maintenance {
		w.rest = cmp.Or(e.RetryAfter, postsBackoff)
	}
	return w
}

// journal writes rows, and says aloud how they end.
type journal struct {
	store task.Store
	log   *slog.Logger
}

// update is [task.Update] for a change that may end the task, by what the
// provider said last.
func (j journal) update(ctx context.Context, t *task.Task, said *word, change func(*task.Task) error) (*task.Task, error) {
	var ended bool
	var prompt string
	t, err := task.Update(ctx, j.store, t, func(x *task.Task) error {
		was := x.Done()
		prompt = x.Prompt // a change may empty it
		err := change(x)
		ended = err == nil && !was && x.Done()
		return err
	})
	if err == nil && ended {
		j.end(ctx, t, prompt, said)
	}
	return t, err
}

func (j journal) end(ctx context.Context, t *task.Task, prompt string, said *word) {
	level, known := endLevels[t.Failure]
	switch {
	case !known:
		level = slog.LevelError
	case t.Missing > 0:
		level = slog.LevelWarn
	}
	args := []any{
		"event", EventEnded, "bad", level == slog.LevelError, "task", t.ID, "status", t.Status, "code", t.Failure,
		"model", t.Model, "ageSeconds", int(t.EndedAt.Sub(t.CreatedAt) / time.Second), "attempts", t.Attempt,
	}
	if t.Missing > 0 {
		args = append(args, "missing", t.Missing)
	}
	if said != nil && t.Failure != "" {
		args = append(args, "providerCode", said.code, "providerWords", without(said.text, prompt), "recordShape", said.shape)
	}
	j.log.Log(ctx, level, "a task has ended", args...)
}

// leastQuote is how many characters of a prompt in a row count as a quotation
// of it.
const leastQuote = 8

// without takes out of text what it quotes of the prompt.
func without(text, prompt string) string {
	words, of := []rune(strings.ToLower(text)), strings.ToLower(prompt)
	least := min(leastQuote, utf8.RuneCountInString(of))
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
