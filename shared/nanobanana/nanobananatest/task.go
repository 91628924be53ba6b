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
	inputSide       = 192 // longest side of what is kept of an input image: it is only drawn into others
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
	URLs         []string    // of its pictures, as ordered
	Reads        []time.Time // of its record, when it was asked for, whatever the answer was
	Callbacks    []Callback  // in the order of their answers
	Over         bool        // it is done, and nothing will be called back any more
	Downloads    int         // of its pictures, whatever the answer was
}

// Callback is one delivery, retries each on their own.
type Callback struct {
	At     time.Time
	Status int // the HTTP status answered; 0 where there was no answer
}

// task is a Task and what is nobody else's business. The Task is guarded by Server.mu; its URLs
// are made when they are asked for.
type task struct {
	Task
	endpoint endpoint
	order    order
	look     look
	outcome  Outcome
	visible  time.Time     // its record is 404 until then
	due      time.Time     // when it will be done, by the clock of the machine
	doneAt   time.Time     // when it was done; this and inputs are set before it is
	inputs   [][]byte      // small JPEGs: an edit is drawn from them when the originals may be gone
	told     int           // how often its record said success
	called   chan struct{} // closed after the first delivery, or when there is none
	early    bool
	once     sync.Once // closes called
}

// accept takes an order, charges for it and starts its life; or refuses it.
func (s *Server) accept(name string, e endpoint, o order, params map[string]any) (*task, reply) {
	charge := e.resolutions[o.Resolution] * float64(o.count())
	s.mu.Lock()
	if s.knobs.OutOfCredits || charge > s.balance {
		s.mu.Unlock()
		return nil, s.refuse(402, "Credits insufficient: please top up to continue.")
	}
	defer s.mu.Unlock()
	now, delay := s.Now(), time.Duration(s.knobs.Delay)
	if s.knobs.EarlyCallbacks {
		delay = 0
	}
	t := &task{
		Task: Task{
			ID: newID(), Endpoint: name, Prompt: o.Prompt, Params: params, CallbackURL: o.CallbackURL,
			CreatedAt: now, Charge: charge,
		},
		endpoint: e, order: o, look: s.knobs.look(e, o), outcome: s.knobs.Outcome, early: s.knobs.EarlyCallbacks,
		visible: now.Add(time.Duration(s.knobs.RecordHiddenFor)), due: time.Now().Add(delay), called: make(chan struct{}),
	}
	if err := s.journal.write(entry{Accepted: t.acceptance()}); err != nil {
		return nil, refusal(500, 500, err.Error())
	}
	if spend(&s.knobs.Outcome.Times) {
		s.knobs.Outcome = Outcome{}
	}
	s.add(t)
	s.running.Go(func() { s.live(t) })
	return t, reply{}
}

// add enters a task in the books. The caller holds Server.mu.
func (s *Server) add(t *task) {
	s.balance -= t.Charge
	s.tasks[t.ID] = t
	s.order = append(s.order, t)
}

// live is the life of a task, from acceptance, or where the journal left it, to its last callback.
func (s *Server) live(t *task) {
	defer t.markCalled()
	if s.Knobs().ForgeCallbacks && t.Flag == FlagRunning && t.CallbackURL != "" {
		s.forge(t)
	}
	if t.Flag == FlagRunning && !(s.sleep(time.Until(t.due)) && s.finish(t)) {
		return
	}
	if !s.sleep(time.Duration(s.Knobs().CallbackDelay)) {
		return
	}
	if knobs := s.Knobs(); t.CallbackURL != "" && !knobs.LoseCallbacks {
		s.deliver(t, knobs, knobs.ReshapeCallback.apply(knobs.spell(s.callbackBody(t, knobs, false))))
		if knobs.ContradictCallbacks && t.Flag == FlagSucceeded { // final: nobody writes it any more
			s.deliver(t, knobs, knobs.ReshapeCallback.apply(knobs.spell(s.callbackBody(t, knobs, true))))
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.life.Err() == nil {
		t.Over = true
		_ = s.journal.write(entry{Told: t.ID}) // unwritten, it is told again
	}
}

// finish looks at the input images and decides what became of the task. It tells whether it did:
// a server that closes gives tasks up, it does not fail them.
func (s *Server) finish(t *task) bool {
	inputs, err := s.fetchAll(t.order.inputs())
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.life.Err() != nil {
		return false
	}
	done := ending{ID: t.ID, At: s.Now(), Inputs: inputs}
	switch {
	case t.outcome.ErrorCode != 0:
		done.ErrorCode, done.ErrorMessage = t.outcome.ErrorCode, cmp.Or(t.outcome.Message, usualMessage(t.outcome.ErrorCode))
	case err != nil:
		done.ErrorCode, done.ErrorMessage = 422, "failed to fetch image url"
	}
	done.Refunded = done.ErrorCode != 0 && s.knobs.RefundFailures
	_ = s.journal.write(entry{Finished: &done}) // unwritten, it is done again
	s.end(t, done)
	return true
}

// end enters what became of a task in the books. The caller holds Server.mu.
func (s *Server) end(t *task, done ending) {
	t.Flag, t.ErrorCode, t.ErrorMessage, t.Refunded = FlagSucceeded, done.ErrorCode, done.ErrorMessage, done.Refunded
	if t.ErrorCode != 0 {
		t.Flag = FlagFailed
	}
	if t.Refunded {
		s.balance += t.Charge
	}
	t.doneAt, t.inputs = done.At, done.Inputs
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
				if !s.sleep(time.Duration(knobs.CallbackRetries[try])) {
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
	status := s.call(t.CallbackURL, body)
	s.mu.Lock()
	defer s.mu.Unlock()
	t.Callbacks = append(t.Callbacks, Callback{At: s.Now(), Status: status})
	return status >= 200 && status < 300
}

// call posts JSON and returns the HTTP status answered, 0 where there was no answer.
func (s *Server) call(address string, body []byte) (status int) {
	req, err := http.NewRequestWithContext(s.life, http.MethodPost, address, bytes.NewReader(body))
	if err != nil {
		return 0
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("User-Agent", userAgent)
	resp, err := s.client.Do(req)
	if err != nil {
		return 0
	}
	defer func() { _ = resp.Body.Close() }()
	_, _ = io.Copy(io.Discard, io.LimitReader(resp.Body, maxBody))
	return resp.StatusCode
}

// forge calls back as somebody would who is not the provider: at an address with another last
// letter, which nobody gave out; about a task that does not exist; and about this one, with a
// picture of his own. It is in no list of callbacks, and not retried.
func (s *Server) forge(t *task) {
	say := func(address, id string) {
		picture := map[string]any{"resultImageUrl": "https://attacker.example/forged.png"}
		s.call(address, fill("callback-generate", fields{"data.taskId": id, "data.info": picture}))
	}
	last := len(t.CallbackURL) - 1
	other := "A"
	if t.CallbackURL[last:] == other {
		other = "B"
	}
	say(t.CallbackURL[:last]+other, t.ID)
	say(t.CallbackURL, newID())
	say(t.CallbackURL, t.ID)
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
