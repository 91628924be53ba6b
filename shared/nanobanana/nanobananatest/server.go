// Package nanobananatest simulates the NanoBanana API, in the style of net/http/httptest: a real
// HTTP server that accepts requests, keeps their records and a ledger of credits, calls back, and
// serves pictures drawn from the prompts. Its [Knobs] make it fail in every way in which a provider
// has been seen to fail. It shares no code with the client, so that neither hides the other's mistakes.
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
	// DefaultKey is the API key that a new Server accepts.
	DefaultKey = "nanobanana-test-key"

	defaultBalance = 1000
	userAgent      = "nanobanana-simulator/1"
)

// Server is the simulated provider. It is an http.Handler; one from NewServer also listens, and one
// from Open keeps its state in a file.
type Server struct {
	// URL is the server's address, such as http://127.0.0.1:4711: the client's BaseURL, and the
	// beginning of the pictures' URLs. NewServer sets it; after New and Open, set it before use.
	URL string

	// Now is the clock for the times of tasks and reads; set it before use. Waits are in real time.
	Now func() time.Time

	// Dial connects to who is called back and to input images; set it before use. Nil: by TCP.
	Dial func(ctx context.Context, network, address string) (net.Conn, error)

	mux      *http.ServeMux
	listener *http.Server // from NewServer
	client   *http.Client // for callbacks and input images
	album    album
	running  sync.WaitGroup // the listener, requests and the tasks' goroutines
	life     context.Context
	stop     context.CancelFunc
	resume   sync.Once

	mu       sync.Mutex // guards what follows
	journal  journal
	closed   bool
	knobs    Knobs
	keys     []string
	balance  float64
	tasks    map[string]*task
	accepted []*task // in the order of acceptance
	posts    int
	credits  int
}

// New returns a Server that does not listen, for use as an http.Handler. The caller sets URL, and
// calls Close when finished.
func New(adjust ...func(*Knobs)) *Server {
	s := &Server{
		Now:     time.Now,
		knobs:   defaults(),
		keys:    []string{DefaultKey},
		balance: defaultBalance,
		tasks:   map[string]*task{},
	}
	s.client = newClient(s.dial)
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
	s.running.Go(func() { _ = s.listener.Serve(listener) }) // until Close
	return s
}

// ServeHTTP answers as the provider would. Behind http.StripPrefix, URL ends in the prefix.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.Resume()
	if !s.begin() {
		http.Error(w, "the server is closed", http.StatusServiceUnavailable)
		return
	}
	defer s.running.Done()
	s.mux.ServeHTTP(w, r)
}

// begin adds one to running, unless the server is closed, and reports whether it did. The caller calls
// Done.
func (s *Server) begin() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.closed {
		s.running.Add(1)
	}
	return !s.closed
}

// Close stops listening, gives up unfinished tasks and undelivered callbacks, and returns when nothing
// runs any more. Close another server in front of it first.
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

// SetKeys makes these the only valid API keys.
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
	_ = s.journal.write(entry{Balance: &credits}) // the journal keeps the error and refuses further tasks
}

// TopUp adds credits to the account. Negative ones are what somebody else spends.
func (s *Server) TopUp(credits float64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.balance += credits
	_ = s.journal.write(entry{Balance: &s.balance})
}

// Balance returns the account's credits: the balance that was set less the Charge of every task that
// was charged and not refunded.
func (s *Server) Balance() float64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.balance
}

// Posts returns how many requests for pictures reached the server, including refused ones.
func (s *Server) Posts() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.posts
}

// CreditReads returns how often the balance was read.
func (s *Server) CreditReads() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.credits
}

// Charged returns the cost of each task by its id: its Charge, or 0 before it is charged and after a refund. The sum is what is
// missing from the balance that was last set.
func (s *Server) Charged() map[string]float64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	charged := make(map[string]float64, len(s.accepted))
	for _, t := range s.accepted {
		charged[t.ID] = 0
		if t.Charged && !t.Refunded {
			charged[t.ID] = t.Charge
		}
	}
	return charged
}

// Tasks returns a copy of every task, in the order of acceptance.
func (s *Server) Tasks() []Task {
	s.mu.Lock()
	defer s.mu.Unlock()
	tasks := make([]Task, len(s.accepted))
	for i, t := range s.accepted {
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

// authorized reports whether the request has a valid key.
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
	fault := s.takeFault(func(k *Knobs) *Fault { return &k.Credit })
	proper := success(knobs.spellNumbers(fill("credit", fields{"data": balance})))
	if !s.authorized(r) {
		proper = s.unauthorized()
	}
	s.answer(w, r, fault, proper)
}

// newClient returns the client for callbacks and input images. Like the vendor's, it does not
// follow redirects.
func newClient(dial func(ctx context.Context, network, address string) (net.Conn, error)) *http.Client {
	transport := &http.Transport{
		DialContext:           dial,
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

func (s *Server) dial(ctx context.Context, network, address string) (net.Conn, error) {
	if s.Dial != nil {
		return s.Dial(ctx, network, address)
	}
	return (&net.Dialer{Timeout: 5 * time.Second}).DialContext(ctx, network, address)
}

// sleep waits and reports whether it waited to the end; it stops when the server closes.
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
