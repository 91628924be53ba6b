// Package lifecycletest gives tests everything that stands around a task, real
// but for the clock and the secret: a store, a bucket, a provider that is
// simulated over HTTP, and the site it calls back, where an identity provider
// can stand ([World.Identity]). Schedule and stream are the test's to run.
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
	"path/filepath"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/preset/nanobanana-functions/shared/config"
	"github.com/preset/nanobanana-functions/shared/lifecycle"
	"github.com/preset/nanobanana-functions/shared/media/dir"
	"github.com/preset/nanobanana-functions/shared/media/picture"
	"github.com/preset/nanobanana-functions/shared/nanobanana"
	"github.com/preset/nanobanana-functions/shared/nanobanana/nanobananatest"
	"github.com/preset/nanobanana-functions/shared/task"
	"github.com/preset/nanobanana-functions/shared/taskbolt"
)

// World is what the functions share of a task's life, and all that it works with.
type World struct {
	*lifecycle.Poster // first, so that Store, Now and the like are found in it
	*lifecycle.Submitter
	*lifecycle.Sweeper
	Sim      *nanobananatest.Server
	Rows     *Store // what Store is
	Bucket   *dir.Bucket
	Ingester *lifecycle.Ingester
	Clock    *Clock
	Settings config.Settings
	Secret   *Secret
	Logged   *Log

	// Site serves Settings.PublicURL: the bucket's links, callbacks, and what
	// a test adds.
	Site *http.ServeMux
}

// New gives a world whose provider loses its callbacks: a test that wants
// them calls back itself, or turns them on.
func New(t testing.TB, adjust ...func(*nanobananatest.Knobs)) *World {
	t.Helper()
	w := &World{Clock: &Clock{now: time.Date(2026, 3, 14, 12, 0, 0, 0, time.UTC)}, Logged: &Log{}, Site: http.NewServeMux()}
	w.Sim = nanobananatest.NewServer(append([]func(*nanobananatest.Knobs){func(k *nanobananatest.Knobs) {
		k.LoseCallbacks, k.PictureSide = true, 32
	}}, adjust...)...)
	t.Cleanup(w.Sim.Close)

	bolt, err := taskbolt.Open(filepath.Join(t.TempDir(), "tasks.db"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = bolt.Close() })
	w.Rows = &Store{Store: bolt, calls: map[string]int{}}

	site := httptest.NewServer(w.Site)
	t.Cleanup(site.Close)
	w.Bucket, err = dir.Open(t.TempDir(), func() string { return site.URL }, []byte("the key of the bucket's links"))
	if err != nil {
		t.Fatal(err)
	}
	w.Site.Handle(dir.LinkPath, w.Bucket)
	w.Site.HandleFunc("POST /v1/callbacks/{id}/{attempt}/{token}", w.callback)

	w.Settings = settings(t, map[string]string{
		"NANOBANANA_BASE_URL": w.Sim.URL, "RESULT_HOSTS": hostOf(t, w.Sim.URL) + "," + hostOf(t, site.URL), "PUBLIC_URL": site.URL,
	})
	w.Secret = newSecret()
	log := slog.New(slog.NewJSONHandler(w.Logged, nil))
	client := nanobanana.NewHTTPClient()
	w.Poster = lifecycle.NewPoster(w.Settings, w.Rows, config.NewSecrets(w.Secret.read, w.Clock.Now), w.Bucket, client, log)
	w.Now, w.Account.Now = w.Clock.Now, w.Clock.Now
	w.Submitter = lifecycle.NewSubmitter(w.Settings, w.Poster, client)
	w.Sweeper = lifecycle.NewSweeper(w.Settings, w.Poster)
	w.Rate, w.Posts = nil, nil
	w.Sleep = func(context.Context, time.Duration) error { return errTestsClock }
	w.Ingester = lifecycle.NewIngester(w.Settings, w.Rows, w.Bucket, picture.Open, log)
	w.Ingester.Now = w.Clock.Now
	w.Ingester.Dir = t.TempDir()
	w.Ingester.Retries = []time.Duration{time.Millisecond, time.Millisecond} // that it tries again is what tests are about
	return w
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

// callback is what functions/callback does once the token is verified.
func (w *World) callback(rw http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	attempt, _ := strconv.Atoi(r.PathValue("attempt"))
	if err := w.Settle(r.Context(), r.PathValue("id"), attempt, body); err != nil {
		rw.WriteHeader(http.StatusServiceUnavailable)
	}
}

// Generated waits until the provider is done with its nth task, from 0.
func (w *World) Generated(t testing.TB, n int) (got nanobananatest.Task) {
	t.Helper()
	Eventually(t, func() error {
		all := w.Sim.Tasks()
		if len(all) <= n {
			return fmt.Errorf("the provider has %d tasks", len(all))
		}
		if got = all[n]; got.Flag == nanobananatest.FlagRunning {
			return fmt.Errorf("the provider's task still runs")
		}
		return nil
	})
	return got
}

// errTestsClock ends a wait: a test's clock stands still until the test moves it.
var errTestsClock = errors.New("the clock stands still")

// Prompt is what Ordered asks for.
const Prompt = "a lighthouse"

// Ordered submits a task of n pictures.
func (w *World) Ordered(t testing.TB, owner string, n int) *task.Task {
	t.Helper()
	x, _, err := w.Submit(t.Context(), lifecycle.Order{Owner: owner, Request: task.Request{Prompt: Prompt, NumImages: n}})
	if err != nil {
		t.Fatal(err)
	}
	return x
}

// Succeeded gives a task whose one picture is in the bucket.
func (w *World) Succeeded(t testing.TB, owner string) *task.Task {
	t.Helper()
	n := len(w.Sim.Tasks())
	id := w.Ordered(t, owner, 1).ID
	made := w.Generated(t, n)
	err := w.Settle(t.Context(), id, 1, fmt.Appendf(nil, `{"code":200,"data":{"taskId":%q,"info":{"resultImageUrl":%q}}}`, made.ID, made.URLs[0]))
	if err == nil {
		err = w.Ingester.Ingest(t.Context(), id)
	}
	x, lost := w.Rows.Task(t.Context(), id)
	if err := errors.Join(err, lost); err != nil {
		t.Fatal(err)
	}
	return x
}

// Eventually waits until check is content.
func Eventually(t testing.TB, check func() error) {
	t.Helper()
	var err error
	for end := time.Now().Add(time.Minute); time.Now().Before(end); time.Sleep(2 * time.Millisecond) {
		if err = check(); err == nil {
			return
		}
	}
	t.Fatalf("in vain: %v", err)
}

// Clock is a clock that the test moves.
type Clock struct {
	mu  sync.Mutex
	now time.Time
}

// Now tells the time.
func (c *Clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

// Add moves the clock.
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

// String returns what was logged since it was last taken, and leaves it there.
func (l *Log) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

// Take returns what was logged since it was last asked.
func (l *Log) Take() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	defer l.text.Reset()
	return l.text.String()
}
