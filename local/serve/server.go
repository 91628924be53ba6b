// Package serve runs every function in one process: the handlers behind one
// mux, the schedules and the stream pumped here, the embedded store and the
// pictures in one folder, and the studio page with its stand-ins.
package serve

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"os"
	"sync"
	"time"

	"github.com/preset/nanobanana-functions/functions/callback"
	"github.com/preset/nanobanana-functions/functions/credits"
	"github.com/preset/nanobanana-functions/functions/images"
	"github.com/preset/nanobanana-functions/functions/ingest"
	"github.com/preset/nanobanana-functions/functions/mcp"
	"github.com/preset/nanobanana-functions/functions/mcp/oauthproxy"
	"github.com/preset/nanobanana-functions/functions/notify"
	"github.com/preset/nanobanana-functions/functions/submit"
	"github.com/preset/nanobanana-functions/functions/sweep"
	"github.com/preset/nanobanana-functions/functions/tasks"
	"github.com/preset/nanobanana-functions/functions/uploads"
	"github.com/preset/nanobanana-functions/local/ops"
	"github.com/preset/nanobanana-functions/local/signin"
	"github.com/preset/nanobanana-functions/shared/auth"
	"github.com/preset/nanobanana-functions/shared/config"
	"github.com/preset/nanobanana-functions/shared/httpapi"
	"github.com/preset/nanobanana-functions/shared/lifecycle"
	"github.com/preset/nanobanana-functions/shared/media/dir"
	"github.com/preset/nanobanana-functions/shared/nanobanana/nanobananatest"
	"github.com/preset/nanobanana-functions/shared/outbound"
	"github.com/preset/nanobanana-functions/shared/task"
	"github.com/preset/nanobanana-functions/shared/taskbolt"
	"github.com/preset/nanobanana-functions/shared/webhook"
)

// The flags' defaults.
const (
	DefaultAddr = "127.0.0.1:8787"
	DefaultData = ".local"
)

// Options are the flags and surroundings of a run.
type Options struct {
	Addr   string // host:port to listen on
	Data   string // folder for tasks, pictures and keys
	Live   bool   // use the real provider, which costs credits
	Getenv func(string) string
	Log    io.Writer // gets the log as JSON lines
}

// Server is the running bundle.
type Server struct {
	URL string // where it listens, such as http://127.0.0.1:8787

	data      string // the data folder, as given in Options
	live      bool
	settings  config.Settings
	secret    *Secret
	submitter *lifecycle.Submitter
	reader    *lifecycle.Reader
	sweeper   *lifecycle.Sweeper
	account   credits.Function
	notify    notify.Function
	store     *taskbolt.Store
	bucket    *dir.Bucket
	log       *logFile
	ingester  *lifecycle.Ingester
	studio    *studio // with the stand-ins
	http      *http.Server
	failed    chan error // receives why the HTTP server stopped by itself
	orphans   bool       // pictures are stored whose tasks are lost
	troubles  *troubles

	stop  context.CancelFunc // ends the pumps
	pumps sync.WaitGroup     // the schedules and streams that run
}

// Run starts the bundle, prints where it listens and what to try next, and
// serves until ctx ends or the server fails.
func Run(ctx context.Context, o Options, out io.Writer) error {
	s, err := Start(o)
	if err != nil {
		return err
	}
	fmt.Fprintf(out, "listening on %s\n\n", s.URL)
	s.banner(ctx, out)
	printing, stop := context.WithCancel(ctx)
	printed := make(chan struct{})
	go func() {
		defer close(printed)
		s.troubles.print(printing, out)
	}()
	select {
	case <-ctx.Done():
	case err = <-s.failed:
	case <-s.store.Damaged():
		err = s.store.Damage()
	}
	stop()
	closeErr := s.Close()
	select {
	case <-printed:
	case <-time.After(time.Second): // what is printed is not read
	}
	if err == nil {
		err = closeErr
	}
	return err
}

// Start starts the bundle; the caller closes it.
func Start(o Options) (_ *Server, err error) {
	listener, err := net.Listen("tcp", o.Addr)
	if err != nil {
		return nil, fmt.Errorf("cannot listen: %w (is bin/local already running? Choose another port with -addr)", err)
	}
	_, port, _ := net.SplitHostPort(listener.Addr().String())
	s := &Server{URL: signin.Origin(o.Addr, port), troubles: newTroubles(), data: o.Data, live: o.Live, failed: make(chan error, 1)}
	defer func() {
		if err != nil {
			err = errors.Join(err, listener.Close(), s.Close())
		}
	}()
	if s.settings, s.secret, err = settings(o, s.URL); err != nil {
		return nil, err
	}
	if s.log, err = openLog(logFiles(o.Data)); err != nil {
		return nil, err
	}
	log := slog.New(troubleHandler{Handler: slog.NewJSONHandler(io.MultiWriter(o.Log, s.log), &slog.HandlerOptions{Level: s.settings.LogLevel}), troubles: s.troubles})
	if err := s.open(o.Data, log); err != nil {
		return nil, err
	}
	handler, err := s.handler(log)
	if err != nil {
		return nil, err
	}
	s.http = &http.Server{
		Handler: handler, ReadHeaderTimeout: 5 * time.Second, ReadTimeout: 30 * time.Second,
		WriteTimeout: time.Minute, IdleTimeout: 2 * time.Minute,
		ErrorLog: slog.NewLogLogger(log.Handler(), slog.LevelWarn),
	}
	go func() {
		if err := s.http.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
			s.failed <- err
		}
	}()
	s.run(log)
	return s, nil
}

// settings reads the environment. What it leaves unset is filled in with the
// local run's own keys and stand-ins. The secret is the data folder's.
func settings(o Options, origin string) (config.Settings, *Secret, error) {
	getenv := o.Getenv
	if o.Live {
		getenv = func(name string) string {
			if name == "NANOBANANA_BASE_URL" {
				return config.DefaultBaseURL
			}
			return o.Getenv(name)
		}
	}
	c, err := config.Load(getenv, config.Local)
	if err != nil {
		return c, nil, err
	}
	if o.Live && c.APIKey == "" {
		return c, nil, errors.New("-live uses the real provider: set NANOBANANA_API_KEY to the key of the account that pays")
	}
	if err := os.MkdirAll(o.Data, 0o700); err != nil {
		return c, nil, err
	}
	k, err := openKeys(o.Data)
	if err != nil {
		return c, nil, err
	}
	fromEnv := c
	k.fill(&c)
	if _, err := webhook.ParseKey(string(c.NotifyKey)); err != nil {
		return c, nil, fmt.Errorf("NOTIFY_KEY %w", err)
	}
	if c.BaseURL == "" {
		c.BaseURL, c.APIKey = origin+simulatorPath, simulatorKey
		host := origin[len("http://"):]
		c.ResultHosts = append(c.ResultHosts, host)
	}
	if c.PublicURL == "" {
		c.PublicURL = origin
	}
	c.NoCallbacks = o.Live && c.PublicURL == origin
	if c.AuthIssuer == "" {
		c.AuthIssuer = origin + signin.Path
		c.AuthJWKSURL = c.AuthIssuer + "/.well-known/jwks.json"
	}
	return c, openSecret(o.Data, fromEnv, c), nil
}

// handler wires the functions behind one mux, with the stand-ins and the studio.
func (s *Server) handler(log *slog.Logger) (http.Handler, error) {
	c := s.settings
	secrets := config.NewSecrets(s.secret.value, outbound.WallClock, log)
	client := outbound.NewClient()
	verifier, err := auth.FromSettings(c, secrets, client, log)
	if err != nil {
		return nil, err
	}
	forClients, err := auth.ForClients(c, secrets, client, log)
	if err != nil {
		return nil, err
	}
	poster := lifecycle.NewPoster(c, s.store, secrets, s.bucket, client, log)
	s.submitter = lifecycle.NewSubmitter(c, poster, client)
	s.reader = lifecycle.NewReader(poster.Service)
	s.sweeper = lifecycle.NewSweeper(c, poster)
	s.sweeper.PostTime = min(s.settings.SweepEvery, time.Minute)
	if s.studio.simulator != nil {
		s.sweeper.Rate = nil // the simulator has no rate limit
	}
	s.notify = notify.FromSettings(c, s.store, secrets, client, log)
	s.account = credits.Function{
		Auth: verifier, Account: poster.Account, Prices: c.Prices, Quota: c.DailyQuota, LowBelow: c.LowCredits, Budget: c.DailyBudget,
		Sender: webhook.FromSettings(c, secrets, client), Log: log,
	}

	mux := s.api(verifier, secrets, log)
	callback.Register(limited(mux, 15*time.Second), callback.Function{Secrets: secrets, Service: poster.Service, Log: log})
	public, err := url.Parse(c.PublicURL)
	if err != nil {
		return nil, err
	}
	mcp.Register(limited(mux, 28*time.Second), mcp.Function{
		Auth: forClients, API: s.api(forClients, secrets, log), HTTP: client, Hosts: []string{public.Host}, Settings: c, Log: log,
	})
	oauthproxy.Register(limited(mux, 28*time.Second), oauthproxy.Function{HTTP: client, Settings: c, Now: outbound.WallClock, Log: log})
	mux.Handle(dir.LinkPath, s.bucket)
	s.studio.register(mux)
	return splitLocal(s.studio.localHandler(log, s.troubles, s.CheckBalance, ops.Handler(s.opsHere(secrets, poster.Service, log))), cors(c.AllowsOrigin, httpapi.Mux(log, mux))), nil
}

// api returns the routes that users call; verifier decides whose tokens are
// accepted.
func (s *Server) api(verifier *auth.Verifier, secrets *config.Secrets, log *slog.Logger) *http.ServeMux {
	c := s.settings
	view := httpapi.View{PublicURL: c.PublicURL, Secrets: secrets}
	mux := http.NewServeMux()
	submit.Register(limited(mux, 28*time.Second), submit.Function{Auth: verifier, Submitter: s.submitter, View: view, Log: log})
	tasks.Register(mux.Handle, tasks.Function{
		Auth: verifier, Store: s.store, View: view, WaitMax: c.WaitMax, Notify: c.Notifies(),
		Reader: s.reader, Now: s.submitter.Now, Log: log,
	})
	images.Register(mux.Handle, images.Function{Secrets: secrets, Links: s.bucket, Log: log})
	account := s.account
	account.Auth = verifier
	credits.Register(mux.Handle, account)
	uploads.Register(mux.Handle, uploads.Function{
		Auth: verifier, Store: s.store, Links: s.bucket, PerDay: c.UploadsPerDay, Now: time.Now, Log: log,
	})
	return mux
}

// limited returns a mux.Handle that ends each request's context after d, as the
// function's timeout on Lambda does.
func limited(mux *http.ServeMux, d time.Duration) func(string, http.Handler) {
	return func(pattern string, h http.Handler) {
		mux.HandleFunc(pattern, func(w http.ResponseWriter, r *http.Request) {
			ctx, cancel := context.WithTimeout(r.Context(), d)
			defer cancel()
			h.ServeHTTP(w, r.WithContext(ctx))
		})
	}
}

// run starts what AWS would run: the schedules and the streams.
func (s *Server) run(log *slog.Logger) {
	ctx, stop := context.WithCancel(context.Background())
	s.stop = stop
	if s.studio.simulator != nil {
		s.studio.simulator.Resume() // sends callbacks that a restart interrupted
	}
	sweeper := sweep.New(sweep.Function{Sweeper: s.sweeper, Log: log})
	s.pumps.Go(func() {
		schedule(ctx, s.settings.SweepEvery, sweepsAtOnce, func(run context.Context) {
			if _, err := sweeper(run); err != nil && ctx.Err() == nil {
				log.ErrorContext(ctx, "the sweep failed; the next one tries again", "error", err)
			}
		})
	})
	s.pumps.Go(func() {
		schedule(ctx, s.checkEvery(), balanceAtOnce, func(run context.Context) { _ = s.CheckBalance(run) })
	})
	s.pumps.Go(func() { expire(ctx, s.bucket, log) })

	ingester := ingest.Function{Ingester: s.ingester, Log: log}
	for message, do := range map[task.Message]func(context.Context, string){
		task.Message(task.Ingest): ingester.Task, task.Message(task.Erase): ingester.Task, task.Notify: s.notify.Task,
	} {
		s.pumps.Go(func() { stream(ctx, s.store, message, do, log) })
	}
}

// CheckBalance reads the provider's balance and keeps it, as the schedule does.
// It logs its own errors.
func (s *Server) CheckBalance(ctx context.Context) error {
	_, err := s.account.Check(ctx)
	return err
}

// Simulator is the stand-in for the provider, or nil if a provider is set.
func (s *Server) Simulator() *nanobananatest.Server { return s.studio.simulator }

// checkEvery returns how often the balance is checked. On AWS that is every 5
// minutes; here a developer watches what each picture costs.
func (s *Server) checkEvery() time.Duration {
	if s.studio.simulator == nil {
		return max(time.Minute, s.settings.SweepEvery) // a real service is not asked more often
	}
	return s.settings.SweepEvery
}

// Close ends requests first, then the pumps, then closes the files.
func (s *Server) Close() error {
	var errs []error
	if s.http != nil {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		if err := s.http.Shutdown(ctx); err != nil {
			errs = append(errs, s.http.Close()) // does not wait longer for clients
		}
	}
	if s.stop != nil {
		s.stop()
		s.pumps.Wait()
	}
	if s.studio != nil {
		s.studio.close()
	}
	if s.store != nil {
		errs = append(errs, s.store.Close())
	}
	if s.bucket != nil {
		errs = append(errs, s.bucket.Close())
	}
	if s.log != nil {
		errs = append(errs, s.log.Close())
	}
	return errors.Join(errs...)
}
