// Package lifecycletest provides what the lifecycle works with. The bucket and
// the server that the provider calls back are real; the store is in memory, the clock
// and the secret are the test's, and the provider is a simulator over HTTP. An identity provider can
// join them ([Harness.Identity]). The test runs sweeps and the stream's work itself.
package lifecycletest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/preset/nanobanana-functions/shared/config"
	"github.com/preset/nanobanana-functions/shared/lifecycle"
	"github.com/preset/nanobanana-functions/shared/media/dir"
	"github.com/preset/nanobanana-functions/shared/media/picture"
	"github.com/preset/nanobanana-functions/shared/metric"
	"github.com/preset/nanobanana-functions/shared/nanobanana"
	"github.com/preset/nanobanana-functions/shared/nanobanana/nanobananatest"
	"github.com/preset/nanobanana-functions/shared/outbound"
	"github.com/preset/nanobanana-functions/shared/task"
	"github.com/preset/nanobanana-functions/shared/task/tasktest"
)

// Namespace is that of the metrics in what is logged.
const Namespace = "nanobanana/drill"

// Harness is a lifecycle with all that it works with.
type Harness struct {
	*lifecycle.Poster // shared by the next two, and the one that h.Store, h.Now and the like mean
	*lifecycle.Submitter
	*lifecycle.Sweeper
	Sim      *nanobananatest.Server
	Rows     *Store // the same as Store
	Bucket   *dir.Bucket
	Ingester *lifecycle.Ingester
	Clock    *Clock
	Settings config.Settings
	Secret   *Secret
	Logged   *Log

	// Mux serves Settings.PublicURL: the bucket's links, callbacks, and what
	// a test registers.
	Mux *http.ServeMux
}

// New returns a Harness whose provider sends no callbacks. A test that needs them
// calls Settle itself, or turns LoseCallbacks off.
func New(t testing.TB, adjust ...func(*nanobananatest.Knobs)) *Harness {
	t.Helper()
	h := &Harness{Clock: &Clock{now: time.Date(2026, 3, 14, 12, 0, 0, 0, time.UTC)}, Logged: &Log{}, Mux: http.NewServeMux()}
	h.Sim = nanobananatest.NewServer(append([]func(*nanobananatest.Knobs){func(k *nanobananatest.Knobs) {
		k.LoseCallbacks, k.PictureSide = true, 32
	}}, adjust...)...)
	t.Cleanup(h.Sim.Close)

	h.Rows = &Store{Store: tasktest.NewMemory(), calls: map[string]int{}}

	site := httptest.NewServer(h.Mux)
	t.Cleanup(site.Close)
	var err error
	h.Bucket, err = dir.Open(t.TempDir(), func() string { return site.URL }, []byte("the key of the bucket's links"))
	if err != nil {
		t.Fatal(err)
	}
	h.Mux.Handle(dir.LinkPath, h.Bucket)
	h.Mux.HandleFunc("POST /v1/callbacks/{id}/{attempt}/{token}", h.callback)

	h.Settings = settings(t, map[string]string{
		"NANOBANANA_BASE_URL": h.Sim.URL, "RESULT_HOSTS": hostOf(t, h.Sim.URL) + "," + hostOf(t, site.URL), "PUBLIC_URL": site.URL,
	})
	h.Secret = newSecret()
	log := slog.New(metric.NewHandler(slog.NewJSONHandler(h.Logged, nil), Namespace))
	client := outbound.NewClient()
	h.Poster = lifecycle.NewPoster(h.Settings, h.Rows, config.NewSecrets(h.Secret.read, h.Clock.Now, log), h.Bucket, client, log)
	h.Now, h.Account.Now = h.Clock.Now, h.Clock.Now
	h.Submitter = lifecycle.NewSubmitter(h.Settings, h.Poster, client)
	h.Sweeper = lifecycle.NewSweeper(h.Settings, h.Poster)
	h.Rate, h.Posts = nil, nil
	h.Sleep = func(context.Context, time.Duration) error { return errClockStands }
	h.Ingester = lifecycle.NewIngester(h.Settings, h.Rows, h.Bucket, h.Bucket, picture.Open, picture.Copy, log)
	h.Ingester.Now = h.Clock.Now
	h.Ingester.Dir = t.TempDir()
	h.Ingester.Retries = []time.Duration{time.Millisecond, time.Millisecond} // tests need the tries, not the pauses
	return h
}

func hostOf(t testing.TB, link string) string {
	t.Helper()
	u, err := url.Parse(link)
	if err != nil {
		t.Fatal(err)
	}
	return u.Host
}

func settings(t testing.TB, env map[string]string) config.Settings {
	t.Helper()
	c, err := config.Load(func(name string) string { return env[name] }, config.Local)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// callback does what functions/callback does after it has verified the token.
func (h *Harness) callback(rw http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	attempt, _ := strconv.Atoi(r.PathValue("attempt"))
	if err := h.Settle(r.Context(), r.PathValue("id"), attempt, body); err != nil {
		rw.WriteHeader(http.StatusServiceUnavailable)
	}
}

// Generated waits until the provider has finished its nth task, counted from 0, and
// returns it.
func (h *Harness) Generated(t testing.TB, n int) (got nanobananatest.Task) {
	t.Helper()
	Eventually(t, func() error {
		all := h.Sim.Tasks()
		if len(all) <= n {
			return fmt.Errorf("the provider has %d tasks", len(all))
		}
		if got = all[n]; got.Flag == nanobananatest.FlagRunning {
			return fmt.Errorf("the provider's task is still running")
		}
		return nil
	})
	return got
}

// errClockStands ends a wait: the clock stands still until the test moves it.
var errClockStands = errors.New("the clock stands still")

// Prompt is the prompt of tasks made by Submitted.
const Prompt = "a lighthouse"

// Pause holds all orders, as the operator does, until every process knows.
func (h *Harness) Pause(t testing.TB) {
	t.Helper()
	if err := h.Rows.Store.Hold(t.Context(), task.HeldByOperator, task.Hold{Reason: "We replace a key", Since: h.Now()}); err != nil {
		t.Fatal(err)
	}
	h.Clock.Add(10 * time.Second)
}

// Submitted submits a task for n pictures and returns it.
func (h *Harness) Submitted(t testing.TB, owner string, n int) *task.Task {
	t.Helper()
	x, _, err := h.Submit(t.Context(), lifecycle.Order{Owner: owner, Request: task.Request{Prompt: Prompt, NumImages: n}})
	if err != nil {
		t.Fatal(err)
	}
	return x
}

// Succeeded returns a task whose one picture is in the bucket.
func (h *Harness) Succeeded(t testing.TB, owner string) *task.Task {
	t.Helper()
	n := len(h.Sim.Tasks())
	id := h.Submitted(t, owner, 1).ID
	made := h.Generated(t, n)
	err := h.Settle(t.Context(), id, 1, fmt.Appendf(nil, `{"code":200,"data":{"taskId":%q,"info":{"resultImageUrl":%q}}}`, made.ID, made.URLs[0]))
	if err == nil {
		err = h.Ingester.Ingest(t.Context(), id)
	}
	x, readErr := h.Rows.Task(t.Context(), id)
	if err := errors.Join(err, readErr); err != nil {
		t.Fatal(err)
	}
	return x
}

// Eventually waits until check returns nil, for a minute at most.
func Eventually(t testing.TB, check func() error) {
	t.Helper()
	var err error
	for end := time.Now().Add(time.Minute); time.Now().Before(end); time.Sleep(2 * time.Millisecond) {
		if err = check(); err == nil {
			return
		}
	}
	t.Fatalf("after a minute: %v", err)
}

// Clock is a clock that the test moves.
type Clock struct {
	mu  sync.Mutex
	now time.Time
}

// Now returns the time.
func (c *Clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

// Add moves the clock forward.
func (c *Clock) Add(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

// Log keeps what was logged.
type Log struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (l *Log) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(b)
}

// String returns what was logged since the last Take.
func (l *Log) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

// TakeUncommon is Take, reduced to what Uncommon returns.
func (l *Log) TakeUncommon() string { return Uncommon(l.Take()) }

// Uncommon returns the lines of a log without those that each change of a task's status
// and each call of the provider has.
func Uncommon(log string) string {
	var uncommon strings.Builder
	for line := range strings.Lines(log) {
		if !strings.Contains(line, `"event":"`+lifecycle.EventTransition+`"`) && !strings.Contains(line, `"event":"`+nanobanana.EventCalled+`"`) {
			uncommon.WriteString(line)
		}
	}
	return uncommon.String()
}

// Take returns what was logged since the last Take, and forgets it.
func (l *Log) Take() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	defer l.text.Reset()
	return l.text.String()
}
