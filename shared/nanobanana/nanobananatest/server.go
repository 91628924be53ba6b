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
	"os"
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

// Server is the simulated provider. It is an http.Handler; NewServer also listens.
type Server struct {
	// URL is where the server is reached, such as http://127.0.0.1:4711: the client's BaseURL, and
	// the beginning of the pictures' URLs. Set by NewServer; set it before use after New.
	URL string

	// Now is the clock that stamps tasks and reads; set it before use. Waiting is done in real time.
	Now func() time.Time

	mux     *http.ServeMux
	client  *http.Client // for callbacks and input images
	album   album
	running sync.WaitGroup // the tasks' goroutines and the listener
	life    context.Context
	stop    context.CancelFunc

	mu      sync.Mutex // guards what follows
	journal *os.File   // nil where nothing is kept
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
	s.mux.HandleFunc("GET /api/v1/nanobanana/record-info", func(w http.ResponseWriter, r *http.Request) { s.record(w, r, "record-info") })
	s.mux.HandleFunc("GET /api/v1/nanobanana/record", func(w http.ResponseWriter, r *http.Request) { s.record(w, r, "record") })
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
	server := &http.Server{Handler: s, ReadHeaderTimeout: 10 * time.Second}
	s.running.Go(func() { _ = server.Serve(listener) }) // ends by Close alone
	context.AfterFunc(s.life, func() { _ = server.Close() })
	return s
}

// ServeHTTP answers as the provider would.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) { s.mux.ServeHTTP(w, r) }

// Close stops listening, gives up the tasks that are not done and the callbacks that are not
// delivered, and returns when nothing runs any more.
func (s *Server) Close() {
	s.mu.Lock()
	s.closed = true // no task is started any more
	s.mu.Unlock()
	s.stop()
	s.running.Wait()
	s.client.CloseIdleConnections()
	if s.journal != nil {
		_ = s.journal.Close() // every line is written already
	}
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
	_ = s.write(entry{Balance: &credits})
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

// Tasks returns a copy of every task, in the order of acceptance.
func (s *Server) Tasks() []Task {
	s.mu.Lock()
	defer s.mu.Unlock()
	tasks := make([]Task, len(s.order))
	for i, t := range s.order {
		tasks[i] = t.snapshot()
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
	return t.snapshot(), true
}

// authorized tells whether the request has a valid key, and answers it if not.
func (s *Server) authorized(w http.ResponseWriter, r *http.Request) bool {
	key, isBearer := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	s.mu.Lock()
	known := isBearer && slices.Contains(s.keys, key)
	s.mu.Unlock()
	if !known {
		s.refuse(w, refusal{401, "You do not have access permissions"})
	}
	return known
}

func (s *Server) credit(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	s.credits++
	balance := s.balance
	if s.knobs.OutOfCredits {
		balance = 0
	}
	s.mu.Unlock()
	fault := s.take(func(k *Knobs) *Fault { return &k.Credit })
	if s.authorized(w, r) {
		s.answer(w, r, fault, "application/json", fill("credit", fields{"data": balance}))
	}
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
func (s *Server) sleep(d Duration) bool {
	select {
	case <-time.After(time.Duration(d)):
		return true
	case <-s.life.Done():
		return false
	}
}

// snapshot copies what callers may see. The caller holds Server.mu.
func (t *task) snapshot() Task {
	copied := t.Task
	copied.Params = maps.Clone(t.Params)
	copied.Reads = slices.Clone(t.Reads)
	copied.Callbacks = slices.Clone(t.Callbacks)
	return copied
}
