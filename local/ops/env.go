package ops

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"iter"
	"regexp"
	"strings"
	"time"

	jsonfast "github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/preset/nanobanana-functions/local/ops/vault"
	"github.com/preset/nanobanana-functions/shared/config"
	"github.com/preset/nanobanana-functions/shared/lifecycle"
	"github.com/preset/nanobanana-functions/shared/task"
)

// Env is what a command acts on: a stack, or a local run. Its fields are set before use.
type Env struct {
	Store    task.Store
	Settings config.Settings
	Secrets  *config.Secrets
	Service  *lifecycle.Service // reads records; has the Provider too
	Secret   vault.Secret
	Logs     Logs
	Stack    *Stack // nil in a local run

	// Name is the run's, for people: "stack NAME", "local run in FOLDER".
	Name string
	// Prefix and Suffix are what a command line for this run has before and after the
	// command's words: "STACK=NAME ", " -data FOLDER".
	Prefix, Suffix string

	In io.Reader // standard input; nil unless Command.Input is set
	// Stopped: a local run that is stopped. What its sweep and stream do waits.
	Stopped bool

	// Wait waits for this long. Nil: by the real clock.
	Wait func(context.Context, time.Duration) error
	// Tell prints how far a long command has come. Nil: nobody reads it.
	Tell func(line string)

	Answer string           // to Result.Ask, without the line's end; empty: not asked yet
	Now    func() time.Time // the wall clock
}

// Command returns the command line that runs these words of bin/ops on the same run.
func (e *Env) Command(words string) string { return e.Prefix + "bin/ops " + words + e.Suffix }

// plainWord matches a word that no shell reads as anything else.
var plainWord = regexp.MustCompile(`^[A-Za-z0-9_@%+=:,./-]+$`)

// Quote returns a word as it is typed in a shell, for command lines that people copy.
func Quote(word string) string {
	if plainWord.MatchString(word) {
		return word
	}
	return "'" + strings.ReplaceAll(word, "'", `'\''`) + "'"
}

func (e *Env) tell(format string, args ...any) {
	if e.Tell != nil {
		e.Tell(fmt.Sprintf(format, args...))
	}
}

func (e *Env) wait(ctx context.Context, d time.Duration) error {
	if e.Wait != nil {
		return e.Wait(ctx, d)
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Logs are the functions' log lines.
type Logs interface {
	// Lines returns the lines that match, oldest first. It reads page by page while
	// the caller ranges over it; an error ends it.
	Lines(ctx context.Context, q LogQuery) iter.Seq2[LogLine, error]
	// Begin returns from when on lines are kept.
	Begin(ctx context.Context) (time.Time, error)
}

// LogQuery selects log lines. An empty field selects all.
type LogQuery struct {
	Since  time.Time
	Events []string // values of "event"
	Task   string   // the value of "task"
}

// LogLine is one line of JSON in the log.
type LogLine struct {
	Time      time.Time `json:"time"`
	Level     string    `json:"level"`
	Msg       string    `json:"msg"`
	Event     string    `json:"event"`
	Task      string    `json:"task"`
	endedLine           // where Event is EventEnded

	Raw json.RawMessage `json:"-"` // the whole line
}

// parseLine reads a line of the log. Ok is false for one that is no JSON object, such as
// Lambda's own.
func parseLine(raw []byte) (l LogLine, ok bool) {
	if err := jsonfast.Unmarshal(raw, &l, jsontext.AllowDuplicateNames(true), jsontext.AllowInvalidUTF8(true)); err != nil {
		return LogLine{}, false
	}
	l.Raw = append(json.RawMessage(nil), raw...)
	return l, true
}

// matches reports whether q selects the line. Every Logs checks it, too, whatever it
// has asked its source for: stand-ins ignore some filters.
func (q LogQuery) matches(l LogLine) bool {
	if l.Time.Before(q.Since) || q.Task != "" && l.Task != q.Task {
		return false
	}
	for _, e := range q.Events {
		if l.Event == e {
			return true
		}
	}
	return len(q.Events) == 0
}
