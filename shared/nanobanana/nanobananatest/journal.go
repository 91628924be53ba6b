package nanobananatest

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"time"
)

// journal keeps a server's state in a file: one JSON object a line, never rewritten. The zero journal
// keeps nothing. Server.mu guards it.
type journal struct {
	file *os.File
	err  error // of the first failed write; there are no writes after it, since its line may be torn
}

// entry is one line: an event that must outlive the process.
type entry struct {
	Accepted      *acceptance `json:"accepted,omitempty"`
	Finished      *ending     `json:"finished,omitempty"`
	CallbacksDone string      `json:"told,omitempty"`    // the id of a task with no more callbacks to come
	Charged       string      `json:"charged,omitempty"` // the id of a task that was charged after its end
	Balance       *float64    `json:"balance,omitempty"` // as set
}

type acceptance struct {
	ID        string         `json:"id"`
	Endpoint  string         `json:"endpoint"`
	Params    map[string]any `json:"params"`
	CreatedAt time.Time      `json:"createdAt"`
	Due       time.Time      `json:"due"`
	Visible   time.Time      `json:"visible"`
	Charge    float64        `json:"charge"`
	Outcome   Outcome        `json:"outcome"`
	Look      look           `json:"look"`

	ChargeAt    string        `json:"chargeAt,omitempty"`
	ChargeDelay time.Duration `json:"chargeDelay,omitempty"`
}

// ending is the end of a task: a failure if it has a code.
type ending struct {
	ID           string    `json:"id"`
	At           time.Time `json:"at"`
	ErrorCode    int       `json:"errorCode,omitempty"`
	ErrorMessage string    `json:"errorMessage,omitempty"`
	Refunded     bool      `json:"refunded,omitempty"`
	Inputs       [][]byte  `json:"inputs,omitempty"`
}

// Open is like New, with a journal in the file at path. A provider opened again, even after a kill,
// has its tasks and its balance, and serves the same pictures. Knobs, API keys, counters and the
// lists of reads, callbacks and downloads start from zero. Only one process at a time may have the
// file open.
//
// The caller sets URL and calls Resume.
func Open(path string, adjust ...func(*Knobs)) (*Server, error) {
	s := New(adjust...)
	file, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|os.O_APPEND, 0o600)
	if err != nil {
		return nil, fmt.Errorf("nanobananatest: %w", err)
	}
	kept, err := s.replay(file)
	if err == nil {
		err = file.Truncate(kept) // drops a line that was torn when the process died
	}
	if err != nil {
		return nil, fmt.Errorf("nanobananatest: %s: %w", path, errors.Join(err, file.Close()))
	}
	s.journal.file = file
	return s, nil
}

// Resume continues the tasks that the journal left unfinished: they are done at their time, or at once
// if it has passed, and the remaining callbacks are sent. The first request does the same, but there
// may be none before the callbacks are due.
func (s *Server) Resume() {
	s.resume.Do(func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		for _, t := range s.accepted {
			uncharged := t.chargeAt == "late" && !t.Charged && !t.Refunded
			if t.CallbacksDone && uncharged && !s.closed {
				s.running.Go(func() { s.chargeLate(t) })
			}
			if !t.CallbacksDone && !s.closed {
				s.running.Go(func() { s.run(t) })
			}
		}
	})
}

// replay applies the journal's entries and returns the length of its complete lines.
func (s *Server) replay(file io.Reader) (kept int64, err error) {
	all, err := io.ReadAll(file)
	if err != nil {
		return 0, err
	}
	for n := 1; ; n++ {
		line, _, whole := bytes.Cut(all[kept:], []byte("\n"))
		if !whole {
			return kept, nil
		}
		var e entry
		if err := json.Unmarshal(line, &e); err != nil {
			return 0, fmt.Errorf("line %d: %w", n, err)
		}
		if err := s.apply(e); err != nil {
			return 0, fmt.Errorf("line %d: %w", n, err)
		}
		kept += int64(len(line)) + 1
	}
}

func (s *Server) apply(e entry) error {
	if e.Accepted != nil {
		t, err := e.Accepted.task()
		if err != nil {
			return err
		}
		s.add(t)
	}
	if e.Finished != nil {
		t, known := s.tasks[e.Finished.ID]
		if !known {
			return fmt.Errorf("task %q ends but never began", e.Finished.ID)
		}
		s.end(t, *e.Finished)
	}
	if t, known := s.tasks[e.CallbacksDone]; known {
		t.CallbacksDone = true
	}
	if t, known := s.tasks[e.Charged]; known {
		s.charge(t)
	}
	if e.Balance != nil {
		s.balance = *e.Balance
	}
	return nil
}

func (t *task) acceptance() *acceptance {
	return &acceptance{
		ID: t.ID, Endpoint: t.Endpoint, Params: t.Params, CreatedAt: t.CreatedAt, Due: t.due, Visible: t.visible,
		Charge: t.Charge, Outcome: t.outcome, Look: t.look,
		ChargeAt: t.chargeAt, ChargeDelay: t.chargeDelay,
	}
}

func (a *acceptance) task() (*task, error) {
	e, known := endpoints[a.Endpoint]
	if !known {
		return nil, fmt.Errorf("unknown endpoint %q", a.Endpoint)
	}
	o, err := parseRequest(a.Params)
	if err != nil {
		return nil, err
	}
	return &task{
		Task: Task{
			ID: a.ID, Endpoint: a.Endpoint, Prompt: o.Prompt, Params: a.Params, CallbackURL: o.CallbackURL,
			CreatedAt: a.CreatedAt, Charge: a.Charge,
		},
		chargeAt: a.ChargeAt, chargeDelay: a.ChargeDelay,
		endpoint: e, request: o, look: a.Look, outcome: a.Outcome, visible: a.Visible, due: a.Due, called: make(chan struct{}),
	}, nil
}

// write appends a line with one system call: what the kernel has accepted survives kill -9.
func (j *journal) write(e entry) error {
	if j.file == nil || j.err != nil {
		return j.err
	}
	line, err := json.Marshal(e)
	if err == nil {
		_, err = j.file.Write(append(line, '\n'))
	}
	if err != nil {
		j.err = fmt.Errorf("nanobananatest: write journal: %w", err)
	}
	return j.err
}

func (j *journal) close() {
	if j.file != nil {
		_ = j.file.Close() // every line is written already
		j.file = nil
	}
}
