// Package nanobananatest simulates the NanoBanana API, in the style of net/http/httptest: a real
// HTTP server that takes orders, keeps their records and a ledger of credits, calls back, and
// serves pictures drawn from the prompts. Its [Knobs] make it fail in every way a provider has
// been seen to. It shares no code with the client, so that neither hides the other's mistakes.
package nanobananatest

import (
	"context"
	"fmt"
	"maps"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"
)

const (
	// DefaultKey is the API key that a new Server takes.
	DefaultKey = "nanobanana-test-key"

	defaultBalance = 1000
	userAgent      = "nanobanana-simulator/1"
)

// Server is the simulated provider. It is an http.Handler; NewServer also listens, and Open gives
// one that remembers.
type Server struct {
	// URL is where the server is reached, such as http://127.0.0.1:4711: the client's BaseURL, and
	// the beginning of the pictures' URLs. Set by NewServer; set it before use after New and Open.
	URL string

	// Now is the clock that stamps tasks and reads; set it before use. Waiting is done in real time.
	Now func() time.Time

	mux      *http.ServeMux
	listener *http.Server // of NewServer
	client   *http.Client // for callbacks and input images
	album    album
	running  sync.WaitGroup // the listener, requests and the tasks' goroutines
	life     context.Context
	stop     context.CancelFunc
	resume   sync.Once

	mu      sync.Mutex // guards what follows
	journal journal
	closed  bool
	knobs   Knobs
	keys    []string
	balance float64
	tasks   map[string]*task
	order   []*task // as accepted
	posts   int
	credits int
}

// New returns a Server that does not listen, for use as an http.Handler. The caller sets URL, and
// calls Close when finished.
func New(adjust ...func(*Knobs)) *Server {
	s := &Server{
		Now:     time.Now,
		client:  newClient(),
		knobs:   defaults(),
		keys:    []string{DefaultKey},
		balance: defaultBalance,
		tasks:   map[string]*task{},
	}
	s.life, s.stop = context.WithCancel(context.Background())
	for _, change := range adjust {
		s.SetKnobs(change)
	}
	s.mux = http.NewServeMux()
	for name, e := range endpoints {
		s.mux.HandleFunc("POST /api/v1/nanobanana/"+name, func(w http.ResponseWriter, r *http.Request) { s.submit(w, r, name, e) })
	}
	for _, path := range []string{"record-info", "record"} {
		s.mux.HandleFunc("GET /api/v1/nanobanana/"+path, func(w http.ResponseWriter, r *http.Request) { s.record(w, r, path) })
	}
	s.mux.HandleFunc("GET /api/v1/common/credit", s.credit)
	s.mux.HandleFunc("GET /result/{name}", s.result)
	return s
}

// NewServer returns a Server that listens on a port of loopback. The caller calls Close when
// finished. It panics if it cannot listen, as httptest does.
func NewServer(adjust ...func(*Knobs)) *Server {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		panic(fmt.Errorf("nanobananatest: listen: %w", err))
	}
	s := New(adjust...)
	s.URL = "http://" + listener.Addr().String()
	s.listener = &http.Server{Handler: s, ReadHeaderTimeout: 10 * time.Second}
	s.running.Go(func() { _ = s.listener.Serve(listener) }) // ends by Close alone
	return s
}

// ServeHTTP answers as the provider would, also behind http.StripPrefix: URL then ends in the
// prefix.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.Resume()
	if !s.enter() {
		http.Error(w, "the server is closed", http.StatusServiceUnavailable)
		return
	}
	defer s.running.Done()
	s.mux.ServeHTTP(w, r)
}

// enter counts one that runs, unless the server is closed. Done is for the caller.
func (s *Server) enter() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.closed {
		s.running.Add(1)
	}
	return !s.closed
}

// Close stops listening, gives up the tasks that are not done and the callbacks that are not
// delivered, and returns when nothing runs any more. Behind another server it is called when that
// one is closed.
func (s *Server) Close() {
	s.mu.Lock()
	s.closed = true
	s.mu.Unlock()
	s.stop()
	if s.listener != nil {
		_ = s.listener.Close()
	}
	s.running.Wait()
	s.client.CloseIdleConnections()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.journal.close()
}

// SetKeys makes these the only API keys taken: so one rotates them.
func (s *Server) SetKeys(keys ...string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.keys = slices.Clone(keys)
}

// SetBalance sets the account's credits.
func (s *Server) SetBalance(credits float64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.balance = credits
	_ = s.journal.write(entry{Balance: &credits}) // the journal keeps the error, and takes no order any more
}

// Balance returns the account's credits: those set, less the Charge of every task that was not
// refunded.
func (s *Server) Balance() float64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.balance
}

// Posts returns how many requests for pictures reached the server, refused ones too.
func (s *Server) Posts() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.posts
}

// CreditReads returns how often the balance was asked for.
func (s *Server) CreditReads() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.credits
}

// Charged returns what each task has cost so far, by its id: its Charge, or 0 once it was refunded.
// The sum is what is missing from the balance as it was last set.
func (s *Server) Charged() map[string]float64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	charged := make(map[string]float64, len(s.order))
	for _, t := range s.order {
		charged[t.ID] = 0
		if !t.Refunded {
			charged[t.ID] = t.Charge
		}
	}
	return charged
}

// Tasks returns a copy of every task, in the order of acceptance.
func (s *Server) Tasks() []Task {
	s.mu.Lock()
	defer s.mu.Unlock()
	tasks := make([]Task, len(s.order))
	for i, t := range s.order {
		tasks[i] = s.snapshot(t)
	}
	return tasks
}

// Task returns a copy of the task with this id, and whether there is one.
func (s *Server) Task(id string) (Task, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	t, ok := s.tasks[id]
	if !ok {
		return Task{}, false
	}
	return s.snapshot(t), true
}

// authorized tells whether the request has a valid key.
func (s *Server) authorized(r *http.Request) bool {
	key, isBearer := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	s.mu.Lock()
	defer s.mu.Unlock()
	return isBearer && slices.Contains(s.keys, key)
}

func (s *Server) unauthorized() reply { return s.refuse(401, "You do not have access permissions") }

func (s *Server) credit(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	s.credits++
	balance, knobs := s.balance, s.knobs
	s.mu.Unlock()
	if knobs.OutOfCredits {
		balance = 0
	}
	fault := s.take(func(k *Knobs) *Fault { return &k.Credit })
	proper := success(knobs.spell(fill("credit", fields{"data": balance})))
	if !s.authorized(r) {
		proper = s.unauthorized()
	}
	s.answer(w, r, fault, proper)
}

// newClient returns the client for callbacks and input images. Like the vendor's it does not
// follow redirects.
func newClient() *http.Client {
	transport := &http.Transport{
		DialContext:           (&net.Dialer{Timeout: 5 * time.Second}).DialContext,
		MaxIdleConnsPerHost:   16,
		IdleConnTimeout:       10 * time.Second,
		ResponseHeaderTimeout: callbackTimeout,
	}
	return &http.Client{
		Transport:     transport,
		Timeout:       callbackTimeout,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

// sleep waits, and tells whether it waited to the end: false when the server closes.
func (s *Server) sleep(d time.Duration) bool {
	if d <= 0 {
		return s.life.Err() == nil
	}
	select {
	case <-time.After(d):
		return true
	case <-s.life.Done():
		return false
	}
}

// snapshot copies what callers may see. The caller holds Server.mu.
func (s *Server) snapshot(t *task) Task {
	copied := t.Task
	copied.URLs = s.urls(t)
	copied.Params = maps.Clone(t.Params)
	copied.Reads = slices.Clone(t.Reads)
	copied.Callbacks = slices.Clone(t.Callbacks)
	return copied
}
