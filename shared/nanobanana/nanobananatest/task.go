package nanobananatest

import (
	"bytes"
	"cmp"
	"context"
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"io"
	"net/http"
	"sync"
	"time"
)

const (
	callbackTimeout = 15 * time.Second
	maxInput        = 25 << 20
	maxPixels       = 40_000_000
	inputSide       = 192 // input images are kept no larger: they are only drawn into others
)

// The successFlag of a task.
const (
	FlagRunning   = 0
	FlagSucceeded = 1
	FlagFailed    = 3
)

// Task is one order the server took.
type Task struct {
	ID           string
	Endpoint     string         // generate, generate-2 or generate-pro
	Prompt       string         //
	Params       map[string]any // the fields of the body that the endpoint knows
	CallbackURL  string
	CreatedAt    time.Time
	Flag         int    // what became of it: FlagRunning, FlagSucceeded, FlagFailed
	ErrorCode    int    // of a failure
	ErrorMessage string // of a failure
	Charge       float64
	Refunded     bool
	URLs         []string    // of its pictures, as ordered; nothing of this is written to
	Reads        []time.Time // of its record, when it was asked for, whatever the answer was
	Callbacks    []Callback  // in the order of their answers
	Downloads    int         // of its pictures, whatever the answer was
}

// Callback is one delivery, retries each on their own.
type Callback struct {
	At     time.Time
	Status int // the HTTP status answered; 0 where there was no answer
}

// task is a Task and what is nobody else's business. The Task is guarded by Server.mu.
type task struct {
	Task
	endpoint endpoint
	order    order
	outcome  Outcome
	visible  time.Time // its record is 404 until then
	doneAt   time.Time
	inputs   [][]byte      // small PNGs, set before it is done
	told     int           // how often its record said success
	toldOnce bool          // a callback was taken
	called   chan struct{} // closed after the first delivery, or when there is none
	early    bool
	once     sync.Once // closes called
}

// accept takes an order, charges for it and starts its life; or refuses it.
func (s *Server) accept(name string, e endpoint, o order, params map[string]any) (*task, refusal) {
	s.mu.Lock()
	defer s.mu.Unlock()
	charge := e.resolutions[o.Resolution] * float64(o.count())
	switch {
	case s.closed:
		return nil, refusal{500, "the server is shutting down"}
	case s.knobs.OutOfCredits || charge > s.balance:
		return nil, refusal{402, "Credits insufficient: please top up to continue."}
	}
	now, delay := s.Now(), s.knobs.Delay
	if s.knobs.EarlyCallbacks {
		delay = 0
	}
	t := &task{
		Task: Task{
			ID: newID(), Endpoint: name, Prompt: o.Prompt, Params: params, CallbackURL: o.CallbackURL,
			CreatedAt: now, Charge: charge,
		},
		endpoint: e, order: o, outcome: s.knobs.Outcome, early: s.knobs.EarlyCallbacks,
		visible: now.Add(time.Duration(s.knobs.RecordHiddenFor)), doneAt: now.Add(time.Duration(delay)), called: make(chan struct{}),
	}
	if spend(&s.knobs.Outcome.Times) {
		s.knobs.Outcome = Outcome{}
	}
	extension := s.knobs.extension(t)
	for n := range o.count() {
		t.URLs = append(t.URLs, fmt.Sprintf("%s/result/%s-%d.%s", s.URL, t.ID, n+1, extension))
	}
	if err := s.write(entry{Accepted: t.acceptance()}); err != nil {
		return nil, refusal{500, err.Error()}
	}
	s.balance -= charge
	s.tasks[t.ID] = t
	s.order = append(s.order, t)
	s.running.Go(func() { s.live(t, delay) })
	return t, refusal{}
}

// live is the life of a task, from acceptance to its last callback.
func (s *Server) live(t *task, delay Duration) {
	defer t.markCalled()
	if !s.sleep(delay) {
		return
	}
	if t.Flag == FlagRunning { // or it was found in the journal, done
		s.finish(t)
	}
	knobs := s.Knobs()
	if t.CallbackURL == "" || knobs.LoseCallbacks {
		return
	}
	s.deliver(t, knobs, s.callbackBody(t, knobs, false))
	if knobs.ContradictCallbacks && t.Flag == FlagSucceeded { // final: nobody writes it any more
		s.deliver(t, knobs, s.callbackBody(t, knobs, true))
	}
}

// finish looks at the input images and decides what became of the task.
func (s *Server) finish(t *task) {
	inputs, err := s.fetchAll(t.order.inputs())
	s.mu.Lock()
	defer s.mu.Unlock()
	t.inputs = inputs
	switch {
	case t.outcome.ErrorCode != 0:
		t.fail(t.outcome.ErrorCode, cmp.Or(t.outcome.Message, usualMessage(t.outcome.ErrorCode)))
	case err != nil:
		t.fail(422, "failed to fetch image url")
	default:
		t.Flag = FlagSucceeded
	}
	if t.Flag == FlagFailed && s.knobs.RefundFailures {
		t.Refunded = true
		s.balance += t.Charge
	}
	_ = s.write(entry{Finished: t.ending()}) // unwritten, it is done again
}

func (t *task) fail(code int, message string) {
	t.Flag, t.ErrorCode, t.ErrorMessage = FlagFailed, code, message
}

func usualMessage(code int) string {
	if code == 400 {
		return "Your prompt has been flagged for violating content policy"
	}
	return "Image generation task failed"
}

// deliver sends a callback as often as the knobs say, each time with retries, and returns when
// all is over.
func (s *Server) deliver(t *task, knobs Knobs, body []byte) {
	var deliveries sync.WaitGroup
	for range max(1, knobs.RepeatCallbacks) {
		deliveries.Go(func() {
			for try := 0; !s.post(t, body) && try < len(knobs.CallbackRetries); try++ {
				if !s.sleep(knobs.CallbackRetries[try]) {
					return
				}
			}
		})
	}
	deliveries.Wait()
}

// post calls back once, and tells whether the answer was 2xx.
func (s *Server) post(t *task, body []byte) bool {
	defer t.markCalled()
	status := 0
	req, err := http.NewRequestWithContext(s.life, http.MethodPost, t.CallbackURL, bytes.NewReader(body))
	if err == nil {
		req.Header.Set("Content-Type", "application/json")
		req.Header.Set("User-Agent", userAgent)
		var resp *http.Response
		if resp, err = s.client.Do(req); err == nil {
			_, _ = io.Copy(io.Discard, io.LimitReader(resp.Body, maxBody))
			_ = resp.Body.Close()
			status = resp.StatusCode
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	t.Callbacks = append(t.Callbacks, Callback{At: s.Now(), Status: status})
	taken := status >= 200 && status < 300
	if taken && !t.toldOnce {
		t.toldOnce = true
		_ = s.write(entry{Told: t.ID}) // unwritten, it is told again
	}
	return taken
}

func (t *task) markCalled() { t.once.Do(func() { close(t.called) }) }

// waitForEarlyCallback holds the answer to a submit back until its callback was delivered, where
// that is to come first.
func (t *task) waitForEarlyCallback(r *http.Request) {
	if !t.early {
		return
	}
	select {
	case <-t.called:
	case <-r.Context().Done():
	}
}

// fetchAll gets the input images, scaled down. One that cannot be had spoils the order.
func (s *Server) fetchAll(urls []string) ([][]byte, error) {
	ctx, cancel := context.WithTimeout(s.life, callbackTimeout)
	defer cancel()
	var images [][]byte
	for _, url := range urls {
		img, err := s.fetch(ctx, url)
		if err != nil {
			return nil, fmt.Errorf("fetch input image: %w", err)
		}
		images = append(images, img)
	}
	return images, nil
}

func newID() string {
	var id [16]byte
	_, _ = rand.Read(id[:]) // never fails
	return hex.EncodeToString(id[:])
}
