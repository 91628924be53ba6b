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

// trouble is a log line that a developer should look at, without anything that may
// be secret.
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

// troubles counts what went wrong and keeps the latest, for people who do not read
// the log.
type troubles struct {
	news chan struct{} // holds one element when there is something new

	mu            sync.Mutex // guards what follows
	ended, errors int        // tasks that ended badly, and other errors
	last          []trouble  // the latest, oldest first
}

func newTroubles() *troubles { return &troubles{news: make(chan struct{}, 1)} }

// maxTroubles is how many troubles are kept.
const maxTroubles = 5

func (t *troubles) add(x trouble) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if x.ended {
		t.ended++
	} else {
		t.errors++
	}
	t.last = append(t.last, x)
	t.last = t.last[max(0, len(t.last)-maxTroubles):]
	select {
	case t.news <- struct{}{}:
	default:
	}
}

// report is what has gone wrong so far.
type report struct {
	Ended  int       `json:"ended"`  // tasks that ended badly
	Errors int       `json:"errors"` // other errors
	Last   []trouble `json:"last"`   // newest first
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
	return fmt.Sprintf("%s; the latest: %s; see the log on standard error", strings.Join(counts, ", "), r.Last[0])
}

// read answers GET /local/troubles.
func (t *troubles) read(*http.Request) (httpapi.Answer, error) {
	return httpapi.Answer{Body: t.report()}, nil
}

// printPause is how long print waits after a line, so that many troubles at once
// do not flood the terminal.
const printPause = 10 * time.Second

// print prints a line whenever something has gone wrong, until ctx ends.
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

// troubleHandler is a slog.Handler that adds to troubles each line at ERROR, and
// each task that ended badly, which may be logged at WARN.
type troubleHandler struct {
	slog.Handler
	troubles *troubles
	base     trouble // from the logger's own attributes
}

// Enabled implements slog.Handler.
func (h troubleHandler) Enabled(ctx context.Context, level slog.Level) bool {
	return level >= slog.LevelWarn || h.Handler.Enabled(ctx, level)
}

// Handle implements slog.Handler.
func (h troubleHandler) Handle(ctx context.Context, r slog.Record) error {
	x := h.base
	r.Attrs(func(a slog.Attr) bool {
		x.setFrom(a)
		return true
	})
	if r.Level >= slog.LevelError || r.Level >= slog.LevelWarn && x.ended {
		x.At, x.Message = r.Time, r.Message
		h.troubles.add(x)
	}
	if !h.Handler.Enabled(ctx, r.Level) {
		return nil
	}
	return h.Handler.Handle(ctx, r)
}

// WithAttrs implements slog.Handler.
func (h troubleHandler) WithAttrs(attrs []slog.Attr) slog.Handler {
	for _, a := range attrs {
		h.base.setFrom(a)
	}
	h.Handler = h.Handler.WithAttrs(attrs)
	return h
}

// WithGroup implements slog.Handler.
func (h troubleHandler) WithGroup(name string) slog.Handler {
	h.Handler = h.Handler.WithGroup(name)
	return h
}

// plainWord matches ids and codes. Anything else may come from outside.
var plainWord = regexp.MustCompile(`^[A-Za-z0-9_-]{1,64}$`)

// setFrom sets the field that a log attribute belongs to, if any.
func (x *trouble) setFrom(a slog.Attr) {
	value := a.Value.Resolve().String()
	if a.Key == "event" && value == lifecycle.EventEnded {
		x.ended = true
	}
	field := map[string]*string{"task": &x.Task, "code": &x.Code, "missing": &x.Missing}[a.Key]
	if field != nil && plainWord.MatchString(value) {
		*field = value
	}
}
