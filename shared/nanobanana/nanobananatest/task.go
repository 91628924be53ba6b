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
	inputSide       = 192 // longest side of an input image that is kept, for drawing it into others
)

// The successFlag of a task.
const (
	FlagRunning   = 0
	FlagSucceeded = 1
	FlagFailed    = 3
)

// Task is one accepted request.
type Task struct {
	ID            string
	Endpoint      string // generate, generate-2 or generate-pro
	Prompt        string
	Params        map[string]any // the fields of the body that the endpoint knows
	CallbackURL   string
	CreatedAt     time.Time
	Flag          int    // FlagRunning, FlagSucceeded or FlagFailed
	ErrorCode     int    // of a failure
	ErrorMessage  string // of a failure
	Charge        float64
	Charged       bool // it was charged, though perhaps refunded since
	Refunded      bool
	URLs          []string    // of its pictures
	Reads         []time.Time // when its record was read, whatever the answer was
	Callbacks     []Callback  // in the order of their answers
	CallbacksDone bool        // it is done, and no callback is to come
	Downloads     int         // of its pictures, whatever the answers were
}

// Callback is one delivery; each retry is another.
type Callback struct {
	At     time.Time
	Status int // the HTTP status of the answer; 0 if there was none
}

// task is a Task and its internals. Server.mu guards the Task; its URLs are made on demand.
type task struct {
	Task
	endpoint     endpoint
	request      submitRequest
	look         look
	outcome      Outcome
	visible      time.Time     // its record is 404 until then
	due          time.Time     // when it will be done, by the machine's clock
	doneAt       time.Time     // when it was done; set with inputs before it is
	chargeAt     string        // as the knob ChargeAt said
	chargeDelay  time.Duration // as the knob ChargeDelay said
	inputs       [][]byte      // small JPEGs, since the originals may be gone when an edit is drawn
	successReads int           // how often its record was read as a success
	called       chan struct{} // closed after the first delivery, or if there is none
	early        bool
	once         sync.Once // closes called
}

// accept accepts a request, charges for it and starts its task; or refuses it.
func (s *Server) accept(name string, e endpoint, o submitRequest, params map[string]any) (*task, reply) {
	s.mu.Lock()
	charge := s.price(e, o)
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
		chargeAt: s.knobs.ChargeAt, chargeDelay: time.Duration(s.knobs.ChargeDelay),
		endpoint: e, request: o, look: s.knobs.look(e, o), outcome: s.knobs.Outcome, early: s.knobs.EarlyCallbacks,
		visible: now.Add(time.Duration(s.knobs.RecordHiddenFor)), due: time.Now().Add(delay), called: make(chan struct{}),
	}
	if err := s.journal.write(entry{Accepted: t.acceptance()}); err != nil {
		return nil, refusal(500, 500, err.Error())
	}
	s.knobs.DoubleCharge = max(0, s.knobs.DoubleCharge-1)
	if countDown(&s.knobs.Outcome.Times) {
		s.knobs.Outcome = Outcome{}
	}
	s.add(t)
	s.running.Go(func() { s.run(t) })
	return t, reply{}
}

// price returns what an order costs. The caller holds Server.mu.
func (s *Server) price(e endpoint, o submitRequest) float64 {
	price := e.resolutions[o.Resolution] * float64(o.count()) * cmp.Or(s.knobs.PriceFactor, 1)
	if s.knobs.DoubleCharge > 0 {
		price *= 2
	}
	return price
}

// charge takes a task's price from the balance, once. The caller holds Server.mu.
func (s *Server) charge(t *task) {
	if !t.Charged {
		t.Charged = true
		s.balance -= t.Charge
	}
}

// chargeLate charges a finished task when its time has come.
func (s *Server) chargeLate(t *task) {
	if !s.sleep(t.doneAt.Add(t.chargeDelay).Sub(s.Now())) {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.life.Err() == nil && !t.Charged {
		s.charge(t)
		_ = s.journal.write(entry{Charged: t.ID}) // if this is lost, it is charged after the next start
	}
}

// add registers a task, and charges for it unless that comes later. The caller holds Server.mu.
func (s *Server) add(t *task) {
	if t.chargeAt == "" || t.chargeAt == "acceptance" {
		s.charge(t)
	}
	s.tasks[t.ID] = t
	s.accepted = append(s.accepted, t)
}

// run runs a task from its acceptance, or from where the journal left it, to its last callback.
func (s *Server) run(t *task) {
	defer t.markCalled()
	if s.Knobs().ForgeCallbacks && t.Flag == FlagRunning && t.CallbackURL != "" {
		s.forge(t)
	}
	if t.Flag == FlagRunning && !(s.sleep(time.Until(t.due)) && s.finish(t)) {
		return
	}
	if t.chargeAt == "late" && !t.Charged && !t.Refunded {
		s.running.Go(func() { s.chargeLate(t) })
	}
	if !s.sleep(time.Duration(s.Knobs().CallbackDelay)) {
		return
	}
	if knobs := s.Knobs(); t.CallbackURL != "" && !knobs.LoseCallbacks {
		s.deliver(t, knobs, knobs.ReshapeCallback.apply(knobs.spellNumbers(s.callbackBody(t, knobs, false))))
		if knobs.ContradictCallbacks && t.Flag == FlagSucceeded { // final, so nothing writes it any more
			s.deliver(t, knobs, knobs.ReshapeCallback.apply(knobs.spellNumbers(s.callbackBody(t, knobs, true))))
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.life.Err() == nil {
		t.CallbacksDone = true
		_ = s.journal.write(entry{CallbacksDone: t.ID}) // if this is lost, the callbacks are repeated
	}
}

// finish fetches the input images, decides the outcome and reports whether it did: a closing server
// gives its tasks up but does not fail them.
func (s *Server) finish(t *task) bool {
	inputs, err := s.fetchAll(t.request.inputs())
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
	_ = s.journal.write(entry{Finished: &done}) // if this is lost, the task is finished again
	s.end(t, done)
	return true
}

// end records the end of a task. The caller holds Server.mu.
func (s *Server) end(t *task, done ending) {
	t.Flag, t.ErrorCode, t.ErrorMessage, t.Refunded = FlagSucceeded, done.ErrorCode, done.ErrorMessage, done.Refunded
	if t.ErrorCode != 0 {
		t.Flag = FlagFailed
	}
	switch {
	case t.Refunded && t.Charged:
		s.balance += t.Charge
	case t.chargeAt == "end" && !t.Refunded:
		s.charge(t)
	}
	t.doneAt, t.inputs = done.At, done.Inputs
}

func usualMessage(code int) string {
	if code == 400 {
		return "Your prompt has been flagged for violating content policy"
	}
	return "Image generation task failed"
}

// deliver sends a callback as often as the knobs say, with retries, and returns after the last one.
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

// post calls back once and reports whether the answer was 2xx.
func (s *Server) post(t *task, body []byte) bool {
	defer t.markCalled()
	status := s.call(t.CallbackURL, body)
	s.mu.Lock()
	defer s.mu.Unlock()
	t.Callbacks = append(t.Callbacks, Callback{At: s.Now(), Status: status})
	return status >= 200 && status < 300
}

// call posts JSON and returns the HTTP status of the answer, or 0.
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

// forge calls back as an attacker would: at an address with a wrong last letter; about a task that does
// not exist; and about this one, each with the attacker's picture. The lists of callbacks do not have
// these, and they are not retried.
func (s *Server) forge(t *task) {
	send := func(address, id string) {
		picture := map[string]any{"resultImageUrl": "https://attacker.example/forged.png"}
		s.call(address, fill("callback-generate", fields{"data.taskId": id, "data.info": picture}))
	}
	last := len(t.CallbackURL) - 1
	other := "A"
	if t.CallbackURL[last:] == other {
		other = "B"
	}
	send(t.CallbackURL[:last]+other, t.ID)
	send(t.CallbackURL, newID())
	send(t.CallbackURL, t.ID)
}

func (t *task) markCalled() { t.once.Do(func() { close(t.called) }) }

// waitForEarlyCallback delays the answer to a submit until its callback was delivered, if the callback
// comes first.
func (t *task) waitForEarlyCallback(r *http.Request) {
	if !t.early {
		return
	}
	select {
	case <-t.called:
	case <-r.Context().Done():
	}
}

// fetchAll returns the input images, scaled down, or an error if it cannot fetch one.
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
