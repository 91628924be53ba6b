package drilltest

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/preset/nanobanana-functions/functions/callback"
	"github.com/preset/nanobanana-functions/functions/credits"
	"github.com/preset/nanobanana-functions/functions/images"
	"github.com/preset/nanobanana-functions/functions/ingest"
	"github.com/preset/nanobanana-functions/functions/notify"
	"github.com/preset/nanobanana-functions/functions/submit"
	"github.com/preset/nanobanana-functions/functions/sweep"
	"github.com/preset/nanobanana-functions/functions/tasks"
	"github.com/preset/nanobanana-functions/shared/auth"
	"github.com/preset/nanobanana-functions/shared/auth/authtest"
	"github.com/preset/nanobanana-functions/shared/config"
	"github.com/preset/nanobanana-functions/shared/httpapi"
	"github.com/preset/nanobanana-functions/shared/lifecycle"
	"github.com/preset/nanobanana-functions/shared/lifecycle/lifecycletest"
	"github.com/preset/nanobanana-functions/shared/media"
	"github.com/preset/nanobanana-functions/shared/media/dir"
	"github.com/preset/nanobanana-functions/shared/media/picture"
	"github.com/preset/nanobanana-functions/shared/metric"
	"github.com/preset/nanobanana-functions/shared/nanobanana/nanobananatest"
	"github.com/preset/nanobanana-functions/shared/outbound"
	"github.com/preset/nanobanana-functions/shared/task"
	"github.com/preset/nanobanana-functions/shared/taskbolt"
	"github.com/preset/nanobanana-functions/shared/webhook"
)

// Addresses in the network in memory.
const (
	site     = "127.0.0.1:7001"
	provider = "127.0.0.1:7002"
	receiver = "127.0.0.1:7003"
	owner    = "ada"
)

// hours is a World in one process and in synctest's time: the functions' own handlers
// over the embedded store and a folder of pictures.
type hours struct {
	t        *testing.T
	net      *network
	sim      *nanobananatest.Server
	preset   *Preset
	settings config.Settings
	log      *slog.Logger
	logged   lifecycletest.Log
	store    *throttled
	bolt     *taskbolt.Store
	folder   string // of the pictures
	bucket   *refusing
	secret   *document
	secrets  *config.Secrets
	service  *lifecycle.Service
	sweep    func(context.Context) (lifecycle.Swept, error)
	credits  credits.Function
	client   *http.Client
	mint     *authtest.Mint

	mu       sync.Mutex // guards what follows
	sweepOff bool
	lines    strings.Builder // what was logged until the last Metrics
	metrics  []Datum
}

// newHours starts everything; the schedules run in Wait. It must run in a bubble.
func newHours(t *testing.T) *hours {
	h := &hours{t: t, net: &network{}, preset: &Preset{}}
	t.Cleanup(h.net.close)
	h.sim = nanobananatest.New(func(k *nanobananatest.Knobs) { k.PictureSide, k.Delay = 32, nanobananatest.Duration(10*time.Second) })
	h.sim.URL, h.sim.Dial = "http://"+provider, h.net.Dial
	t.Cleanup(h.sim.Close)
	h.net.serve(provider, h.sim)
	h.net.serve(receiver, h.preset)
	var err error
	h.settings, err = config.Load(func(name string) string {
		return map[string]string{
			"NANOBANANA_BASE_URL": h.sim.URL, "RESULT_HOSTS": provider, "PUBLIC_URL": "http://" + site, "NOTIFY_URL": "http://" + receiver + "/notices",
			"AUTH_ISSUER": "http://" + site, "AUTH_JWKS_URL": "http://" + site + authtest.Path, "METRICS_NAMESPACE": "nanobanana/" + StackName,
		}[name]
	}, config.Local)
	check(t, err)
	h.log = slog.New(metric.NewHandler(slog.NewJSONHandler(&h.logged, nil), h.settings.MetricsNamespace))
	data := t.TempDir()
	h.bolt, err = taskbolt.Open(filepath.Join(data, "tasks.db"))
	check(t, err)
	t.Cleanup(func() { check(t, h.bolt.Close()) })
	h.bolt.Log = h.log
	h.store = &throttled{Store: h.bolt, count: func() { h.count("AWS/DynamoDB WriteThrottleEvents TableName=Table", 1) }}
	h.folder = filepath.Join(data, "pictures")
	bucket, err := dir.Open(h.folder, func() string { return "http://" + site }, []byte("the key of the bucket's links"))
	check(t, err)
	t.Cleanup(func() { check(t, bucket.Close()) })
	h.bucket = &refusing{Bucket: bucket}
	h.secret = newDocument()
	h.client = outbound.NewClient()
	h.client.Transport.(*http.Transport).DialContext = h.net.Dial
	h.compose(bucket)
	return h
}

func check(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// compose wires the functions as their mains and the local run do.
func (h *hours) compose(links *dir.Bucket) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	check(h.t, err)
	h.mint, err = authtest.NewMint(key, "http://"+site)
	check(h.t, err)
	h.secrets = config.NewSecrets(h.secret.read, outbound.WallClock, h.log)
	verifier, err := auth.FromSettings(h.settings, h.secrets, h.client, h.log)
	check(h.t, err)
	poster := lifecycle.NewPoster(h.settings, h.store, h.secrets, links, h.client, h.log)
	h.service = poster.Service
	view := httpapi.View{PublicURL: h.settings.PublicURL, Secrets: h.secrets}

	mux := http.NewServeMux()
	mux.Handle("GET "+authtest.Path, h.mint)
	submit.Register(mux.Handle, submit.Function{Auth: verifier, Submitter: lifecycle.NewSubmitter(h.settings, poster, h.client), View: view, Log: h.log})
	tasks.Register(mux.Handle, tasks.Function{Auth: verifier, Store: h.store, View: view, Notify: true, Reader: lifecycle.NewReader(poster.Service), Now: outbound.WallClock, Log: h.log})
	callback.Register(mux.Handle, callback.Function{Secrets: h.secrets, Service: poster.Service, Log: h.log})
	h.credits = credits.Function{
		Auth: verifier, Account: poster.Account, Prices: h.settings.Prices, LowBelow: h.settings.LowCredits,
		Sender: webhook.FromSettings(h.settings, h.secrets, h.client), Log: h.log,
	}
	credits.Register(mux.Handle, h.credits)
	images.Register(mux.Handle, images.Function{Secrets: h.secrets, Links: links, Log: h.log})
	mux.Handle(dir.LinkPath, links)
	h.net.serve(site, h.counting(httpapi.Mux(h.log, mux)))

	h.sweep = sweep.New(sweep.Function{Sweeper: lifecycle.NewSweeper(h.settings, poster), Log: h.log})
	ingester := lifecycle.NewIngester(h.settings, h.store, h.bucket, links, picture.Open, picture.Copy, h.log)
	ingester.HTTP, ingester.Dir = h.client, h.t.TempDir()
	ingester.Fetcher = media.NewFetcher(media.FetchOptions{Trusted: []string{provider}, Dial: h.net.Dial})
	copying := ingest.Function{Ingester: ingester, Log: h.log}
	telling := notify.FromSettings(h.settings, h.store, h.secrets, h.client, h.log)
	ctx, stop := context.WithCancel(context.Background())
	var streams sync.WaitGroup
	for message, do := range map[task.Message]func(context.Context, string){
		task.Message(task.Ingest): copying.Task, task.Message(task.Erase): copying.Task, task.Notify: telling.Task,
	} {
		streams.Go(func() {
			_ = h.bolt.Consume(ctx, message, 4, func(ctx context.Context, c taskbolt.Change) error {
				do(ctx, c.ID)
				return nil
			})
		})
	}
	h.t.Cleanup(func() { stop(); streams.Wait() })
}

// counting counts 5xx as the gateway does.
func (h *hours) counting(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		seen := &status{ResponseWriter: w}
		next.ServeHTTP(seen, r)
		if seen.code >= 500 {
			h.count("AWS/ApiGateway 5xx ApiId=Api", 1)
		}
	})
}

type status struct {
	http.ResponseWriter
	code int
}

func (s *status) WriteHeader(code int) {
	s.code = code
	s.ResponseWriter.WriteHeader(code)
}

func (h *hours) count(metric string, v float64) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.metrics = append(h.metrics, Datum{metric, v, time.Now()})
}

func (h *hours) Now() time.Time                   { return time.Now() }
func (h *hours) Provider() *nanobananatest.Server { return h.sim }
func (h *hours) Preset() *Preset                  { return h.preset }

// Wait runs the sweep each minute and the check of the credits every five.
func (h *hours) Wait(d time.Duration) {
	var running sync.WaitGroup
	defer running.Wait()
	for end := time.Now().Add(d); time.Now().Before(end); {
		next := time.Now().Truncate(time.Minute).Add(time.Minute)
		if next.After(end) {
			time.Sleep(time.Until(end))
			return
		}
		time.Sleep(time.Until(next))
		h.mu.Lock()
		off := h.sweepOff
		h.mu.Unlock()
		if !off {
			running.Go(func() {
				h.run("Sweep", func(ctx context.Context) error { _, err := h.sweep(ctx); return err })
			})
		}
		if next.Minute()%5 == 0 {
			running.Go(func() {
				h.run("Credits", func(ctx context.Context) error { _, err := h.credits.Check(ctx); return err })
			})
		}
	}
}

// run invokes a scheduled function, which Lambda counts.
func (h *hours) run(function string, do func(context.Context) error) {
	ctx, cancel := context.WithTimeout(context.Background(), 90*time.Second)
	defer cancel()
	h.count("AWS/Lambda Invocations FunctionName="+function, 1)
	if err := do(ctx); err != nil {
		h.count("AWS/Lambda Errors FunctionName="+function, 1)
	}
}

func (h *hours) Call(method, path string, body any, key string) (int, []byte) {
	content, err := json.Marshal(body)
	check(h.t, err)
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, method, "http://"+site+path, bytes.NewReader(content))
	check(h.t, err)
	token, err := h.mint.Token(owner, time.Hour)
	check(h.t, err)
	r.Header = http.Header{"Authorization": {"Bearer " + token}, "Content-Type": {"application/json"}, "Idempotency-Key": {key}}
	resp, err := h.client.Do(r)
	check(h.t, err)
	defer func() { _ = resp.Body.Close() }()
	answer, err := io.ReadAll(resp.Body)
	check(h.t, err)
	return resp.StatusCode, answer
}

func (h *hours) Row(id string) *task.Task {
	x, err := h.bolt.Task(context.Background(), id)
	check(h.t, err)
	return x
}

func (h *hours) Metrics() []Datum {
	h.mu.Lock()
	defer h.mu.Unlock()
	lines := h.logged.Take()
	h.lines.WriteString(lines)
	data, err := Emitted(lines)
	check(h.t, err)
	h.metrics = append(h.metrics, data...)
	return h.metrics
}

func (h *hours) Logs() string {
	h.Metrics()
	return h.lines.String()
}

func (h *hours) Break(f Fault, is bool) {
	switch f {
	case BucketRefuses:
		h.bucket.set(is)
	case TableThrottled:
		h.store.set(is)
	case SweepOff:
		h.mu.Lock()
		defer h.mu.Unlock()
		h.sweepOff = is
	}
}

func (h *hours) Get(link string) []byte {
	for range 3 {
		r, err := http.NewRequestWithContext(context.Background(), http.MethodGet, link, nil)
		check(h.t, err)
		resp, err := h.client.Do(r)
		check(h.t, err)
		content, err := io.ReadAll(resp.Body)
		check(h.t, errors.Join(err, resp.Body.Close()))
		if link = resp.Header.Get("Location"); link == "" {
			return content
		}
	}
	h.t.Fatal("too many redirects")
	return nil
}

// refusing is a bucket that can refuse writes.
type refusing struct {
	media.Bucket
	mu      sync.Mutex
	refuses bool
}

func (b *refusing) set(refuses bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.refuses = refuses
}

func (b *refusing) Put(ctx context.Context, key string, body io.ReadSeeker, size int64, contentType string, sum [32]byte) error {
	b.mu.Lock()
	refuses := b.refuses
	b.mu.Unlock()
	if refuses {
		return errors.New("AccessDenied: the bucket's policy refuses this")
	}
	return b.Bucket.Put(ctx, key, body, size, contentType, sum)
}

// throttled is a store whose writes of rows can be throttled.
type throttled struct {
	task.Store
	count func()
	mu    sync.Mutex
	is    bool
}

func (s *throttled) set(is bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.is = is
}

func (s *throttled) refuse() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.is {
		return nil
	}
	s.count()
	return errors.New("ProvisionedThroughputExceededException: the table is throttled")
}

func (s *throttled) Create(ctx context.Context, t *task.Task, limit int) (*task.Task, error) {
	if err := s.refuse(); err != nil {
		return nil, err
	}
	return s.Store.Create(ctx, t, limit)
}

func (s *throttled) Put(ctx context.Context, t *task.Task) (*task.Task, error) {
	if err := s.refuse(); err != nil {
		return nil, err
	}
	return s.Store.Put(ctx, t)
}

func (h *hours) Step(time.Duration) time.Duration { return time.Minute }

// The faults of the drill for hours; functions/deployed has the binaries.
func TestHours(t *testing.T) {
	All(t, "hours, in synctest's time", func(t *testing.T, play func(*testing.T, World)) {
		synctest.Test(t, func(t *testing.T) { play(t, newHours(t)) })
	})
}
