package serve

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/preset/nanobanana-functions/shared/httpapi"
	"github.com/preset/nanobanana-functions/shared/lifecycle"
)

// trouble is a log line that somebody should look at, without what may be
// secret in it.
type trouble struct {
	At      time.Time `json:"at"`
	Message string    `json:"message"`
	Task    string    `json:"task,omitempty"`
	Code    string    `json:"code,omitempty"`
	Missing string    `json:"missing,omitempty"` // how many pictures
	ended   bool      // a task ended badly
}

func (x trouble) String() string {
	text := x.Message
	for _, part := range []struct{ name, value string }{{"task", x.Task}, {"code", x.Code}, {"missing", x.Missing}} {
		if part.value != "" {
			text += ", " + part.name + " " + part.value
		}
	}
	return text
}

// troubles counts what went wrong, and keeps the last of it, for people who do
// not read the log.
type troubles struct {
	news chan struct{} // holds one when there is something new

	mu            sync.Mutex // guards what follows
	ended, errors int        // tasks that ended badly, and other errors
	last          []trouble  // oldest first
}

func newTroubles() *troubles { return &troubles{news: make(chan struct{}, 1)} }

// keepTroubles is how many troubles are kept.
const keepTroubles = 5

func (t *troubles) add(x trouble) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if x.ended {
		t.ended++
	} else {
		t.errors++
	}
	t.last = append(t.last, x)
	t.last = t.last[max(0, len(t.last)-keepTroubles):]
	select {
	case t.news <- struct{}{}:
	default:
	}
}

// report is what went wrong so far.
type report struct {
	Ended  int       `json:"ended"`  // tasks, badly
	Errors int       `json:"errors"` // others
	Last   []trouble `json:"last"`   // the newest first
}

func (t *troubles) report() report {
	t.mu.Lock()
	defer t.mu.Unlock()
	last := append([]trouble{}, t.last...)
	slices.Reverse(last)
	return report{Ended: t.ended, Errors: t.errors, Last: last}
}

func (r report) String() string {
	var counts []string
	for _, c := range []struct {
		n         int
		one, many string
	}{{r.Ended, "1 task ended badly", "%d tasks ended badly"}, {r.Errors, "1 error", "%d errors"}} {
		switch c.n {
		case 0:
		case 1:
			counts = append(counts, c.one)
		default:
			counts = append(counts, fmt.Sprintf(c.many, c.n))
		}
	}
	return fmt.Sprintf("%s; the last: %s; see the log on standard error", strings.Join(counts, ", "), r.Last[0])
}

// read answers GET /local/troubles.
func (t *troubles) read(*http.Request) (httpapi.Answer, error) {
	return httpapi.Answer{Body: t.report()}, nil
}

// printPause is how long print waits after a line, so that many troubles at
// once do not flood the terminal.
const printPause = 10 * time.Second

// print prints a line when something has gone wrong, until ctx ends.
func (t *troubles) print(ctx context.Context, out io.Writer) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-t.news:
		}
		fmt.Fprintln(out, t.report())
		select {
		case <-ctx.Done():
			return
		case <-time.After(printPause):
		}
	}
}

// watch is a log handler that adds to troubles every record at ERROR, and each
// task that ended badly, which may be less than that.
type watch struct {
	slog.Handler
	troubles *troubles
	known    trouble // what the logger's own attributes say
}

// Enabled implements slog.Handler.
func (w watch) Enabled(ctx context.Context, level slog.Level) bool {
	return level >= slog.LevelWarn || w.Handler.Enabled(ctx, level)
}

// Handle implements slog.Handler.
func (w watch) Handle(ctx context.Context, r slog.Record) error {
	x := w.known
	r.Attrs(func(a slog.Attr) bool {
		x.take(a)
		return true
	})
	if r.Level >= slog.LevelError || r.Level >= slog.LevelWarn && x.ended {
		x.At, x.Message = r.Time, r.Message
		w.troubles.add(x)
	}
	if !w.Handler.Enabled(ctx, r.Level) {
		return nil
	}
	return w.Handler.Handle(ctx, r)
}

// WithAttrs implements slog.Handler.
func (w watch) WithAttrs(attrs []slog.Attr) slog.Handler {
	for _, a := range attrs {
		w.known.take(a)
	}
	w.Handler = w.Handler.WithAttrs(attrs)
	return w
}

// WithGroup implements slog.Handler.
func (w watch) WithGroup(name string) slog.Handler {
	w.Handler = w.Handler.WithGroup(name)
	return w
}

// word is what an id or a code looks like. Anything else may be of outside.
var word = regexp.MustCompile(`^[A-Za-z0-9_-]{1,64}$`)

// take takes what an attribute says of the task.
func (x *trouble) take(a slog.Attr) {
	value := a.Value.Resolve().String()
	if a.Key == "event" && value == lifecycle.EventEnded {
		x.ended = true
	}
	field := map[string]*string{"task": &x.Task, "code": &x.Code, "missing": &x.Missing}[a.Key]
	if field != nil && word.MatchString(value) {
		*field = value
	}
}
