package lifecycle_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
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
	"github.com/preset/nanobanana-functions/shared/media"
	"github.com/preset/nanobanana-functions/shared/nanobanana"
	"github.com/preset/nanobanana-functions/shared/nanobanana/nanobananatest"
	"github.com/preset/nanobanana-functions/shared/task"
	"github.com/preset/nanobanana-functions/shared/taskbolt"
)

const owner = "ada"

// world is everything around a task, real but for the clock: a store, a
// bucket, a provider that is simulated over HTTP, and the address it calls
// back. Schedule and stream are the test's to run.
type world struct {
	*lifecycle.Service
	t        testing.TB
	sim      *nanobananatest.Server
	store    *faultyStore
	bucket   *media.DirBucket
	ingester *lifecycle.Ingester
	clock    *clock
	settings config.Settings
	secret   *secret
}

// newWorld gives a world whose provider loses its callbacks: a test that wants
// them calls back itself, or turns them on.
func newWorld(t testing.TB, adjust ...func(*nanobananatest.Knobs)) *world {
	t.Helper()
	w := &world{t: t, clock: &clock{now: time.Date(2026, 3, 14, 12, 0, 0, 0, time.UTC)}}
	w.sim = nanobananatest.NewServer(append([]func(*nanobananatest.Knobs){func(k *nanobananatest.Knobs) {
		k.LoseCallbacks, k.PictureSide = true, 32
	}}, adjust...)...)
	t.Cleanup(w.sim.Close)

	bolt, err := taskbolt.Open(filepath.Join(t.TempDir(), "tasks.db"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = bolt.Close() })
	w.store = &faultyStore{Store: bolt, calls: map[string]int{}}

	mux := http.NewServeMux()
	site := httptest.NewServer(mux)
	t.Cleanup(site.Close)
	w.bucket, err = media.OpenDir(t.TempDir(), func() string { return site.URL }, []byte("the key of the bucket's links"))
	if err != nil {
		t.Fatal(err)
	}
	mux.Handle("GET "+media.LinkPath, w.bucket)
	mux.HandleFunc("POST /v1/callbacks/{id}/{attempt}/{token}", w.callback)

	host := hostOf(t, w.sim.URL)
	w.settings = settings(t, map[string]string{
		"NANOBANANA_BASE_URL": w.sim.URL, "RESULT_HOSTS": host, "PUBLIC_URL": site.URL,
	})
	w.secret = &secret{key: nanobananatest.DefaultKey}
	log := slog.New(slog.DiscardHandler)
	w.Service = lifecycle.New(w.settings, w.store, config.NewSecrets(w.secret.read, w.clock.Now), w.bucket, nanobanana.NewHTTPClient(), log)
	w.Service.Now = w.clock.Now
	w.Service.Rate = nil
	w.ingester = lifecycle.NewIngester(w.settings, w.store, w.bucket, log)
	w.ingester.Now = w.clock.Now
	w.ingester.Dir = t.TempDir()
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
func (w *world) callback(rw http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	attempt, _ := strconv.Atoi(r.PathValue("attempt"))
	if err := w.Settle(r.Context(), r.PathValue("id"), attempt, body); err != nil {
		rw.WriteHeader(http.StatusServiceUnavailable)
	}
}

// order is a good order, with what change makes of it.
func order(change ...func(*lifecycle.Order)) lifecycle.Order {
	o := lifecycle.Order{Owner: owner, Request: task.Request{Prompt: "a lighthouse", NumImages: 1}}
	for _, c := range change {
		c(&o)
	}
	return o
}

func key(k string) func(*lifecycle.Order) {
	return func(o *lifecycle.Order) { o.IdempotencyKey = k }
}

// submit submits, and expects a task.
func (w *world) submit(change ...func(*lifecycle.Order)) *task.Task {
	w.t.Helper()
	t, _, err := w.Submit(w.t.Context(), order(change...))
	if err != nil {
		w.t.Fatalf("submit: %v", err)
	}
	return t
}

// task reads the row.
func (w *world) task(id string) *task.Task {
	w.t.Helper()
	t, err := w.store.Store.Task(context.Background(), id)
	if err != nil {
		w.t.Fatal(err)
	}
	return t
}

// sweep sweeps once, d later.
func (w *world) sweep(d time.Duration) {
	w.t.Helper()
	w.clock.add(d)
	if _, err := w.Sweep(w.t.Context()); err != nil {
		w.t.Fatalf("sweep: %v", err)
	}
}

// until sweeps, and does what the stream would, a minute at a time until the
// task is as wanted.
func (w *world) until(id string, want task.Status, within time.Duration) *task.Task {
	w.t.Helper()
	for begun := w.clock.Now(); w.clock.Now().Sub(begun) <= within; {
		w.work(id)
		t := w.task(id)
		if t.Status == want {
			return t
		}
		if t.Done() {
			w.t.Fatalf("it ended %s %s, want %s", t.Status, t.Failure, want)
		}
		w.sweep(time.Minute)
	}
	w.t.Fatalf("it is %s after %v, want %s", w.task(id).Status, within, want)
	return nil
}

// work does a task's work, as the stream's consumer does.
func (w *world) work(id string) {
	w.t.Helper()
	if w.task(id).Work == task.Ingest || w.task(id).Work == task.Erase {
		if err := w.ingester.Ingest(w.t.Context(), id); err != nil {
			w.t.Logf("ingest: %v", err)
		}
	}
}

// generated waits until the provider is done with its nth task, from 0.
func (w *world) generated(n int) nanobananatest.Task {
	w.t.Helper()
	var got nanobananatest.Task
	eventually(w.t, func() error {
		all := w.sim.Tasks()
		if len(all) <= n {
			return fmt.Errorf("the provider has %d tasks", len(all))
		}
		if got = all[n]; got.Flag == nanobananatest.FlagRunning {
			return errors.New("the provider's task still runs")
		}
		return nil
	})
	return got
}

// eventually waits until check is content.
func eventually(t testing.TB, check func() error) {
	t.Helper()
	var err error
	for end := time.Now().Add(20 * time.Second); time.Now().Before(end); time.Sleep(2 * time.Millisecond) {
		if err = check(); err == nil {
			return
		}
	}
	t.Fatalf("in vain: %v", err)
}

// expect fails the test if the task is not so.
func (w *world) expect(id string, status task.Status, failure task.Code) *task.Task {
	w.t.Helper()
	t := w.task(id)
	if t.Status != status || t.Failure != failure {
		w.t.Fatalf("task is %s %s, want %s %s", t.Status, t.Failure, status, failure)
	}
	return t
}

// posted fails the test if the provider has not seen n POSTs.
func (w *world) posted(n int) {
	w.t.Helper()
	if got := w.sim.Posts(); got != n {
		w.t.Errorf("the provider saw %d POSTs, want %d", got, n)
	}
}

// clock is a clock that the test moves.
type clock struct {
	mu  sync.Mutex
	now time.Time
}

func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *clock) add(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

// secret is Secrets Manager.
type secret struct {
	mu  sync.Mutex
	key string
	err error
}

func (s *secret) set(key string, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.key, s.err = key, err
}

func (s *secret) read(context.Context) ([]byte, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	const k = `[{"id":"k","key":"0123456789abcdef0123456789abcdef"}]`
	return fmt.Appendf(nil, `{"apiKey":%q,"callbackKeys":%s,"imageKeys":%s}`, s.key, k, k), s.err
}

// errStore is a store that is away.
var errStore = errors.New("the store is away")

// faultyStore is a real store whose calls a test counts, and makes fail before
// or after they have had their effect.
type faultyStore struct {
	task.Store
	mu     sync.Mutex
	calls  map[string]int
	before func(call string, t *task.Task) error
	after  func(call string, t *task.Task) error
}

func (s *faultyStore) fail(before, after func(call string, t *task.Task) error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.before, s.after = before, after
}

func (s *faultyStore) count(call string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.calls[call]
}

func (s *faultyStore) total() (n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, c := range s.calls {
		n += c
	}
	return n
}

// enter counts a call, and gives what is to happen before and after it.
func (s *faultyStore) enter(call string, t *task.Task) (before error, after func() error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.calls[call]++
	if s.before != nil {
		before = s.before(call, t)
	}
	hook := s.after
	return before, func() error {
		if hook == nil {
			return nil
		}
		return hook(call, t)
	}
}

func around[T any](s *faultyStore, call string, t *task.Task, do func() (T, error)) (v T, err error) {
	before, after := s.enter(call, t)
	if before != nil {
		return v, before
	}
	v, err = do()
	if lost := after(); lost != nil {
		var none T
		return none, lost
	}
	return v, err
}

func (s *faultyStore) Create(ctx context.Context, t *task.Task, limit int) (*task.Task, error) {
	return around(s, "create", t, func() (*task.Task, error) { return s.Store.Create(ctx, t, limit) })
}

func (s *faultyStore) Put(ctx context.Context, t *task.Task) (*task.Task, error) {
	return around(s, "put", t, func() (*task.Task, error) { return s.Store.Put(ctx, t) })
}

func (s *faultyStore) Task(ctx context.Context, id string) (*task.Task, error) {
	return around(s, "task", nil, func() (*task.Task, error) { return s.Store.Task(ctx, id) })
}

func (s *faultyStore) Tasks(ctx context.Context, ids []string) ([]*task.Task, error) {
	return around(s, "tasks", nil, func() ([]*task.Task, error) { return s.Store.Tasks(ctx, ids) })
}

func (s *faultyStore) Paused(ctx context.Context) (time.Time, error) {
	return around(s, "paused", nil, func() (time.Time, error) { return s.Store.Paused(ctx) })
}

func (s *faultyStore) Due(ctx context.Context, now time.Time) iter.Seq2[string, error] {
	return func(yield func(string, error) bool) {
		if before, _ := s.enter("due", nil); before != nil {
			yield("", before)
			return
		}
		s.Store.Due(ctx, now)(yield)
	}
}
