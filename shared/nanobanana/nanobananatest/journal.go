package nanobananatest

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"time"
)

// entry is one line of the journal: something happened that must outlive the process.
type entry struct {
	Accepted *acceptance `json:"accepted,omitempty"`
	Finished *ending     `json:"finished,omitempty"`
	Told     string      `json:"told,omitempty"`    // the task whose callback was taken
	Balance  *float64    `json:"balance,omitempty"` // as set
}

type acceptance struct {
	ID          string         `json:"id"`
	Endpoint    string         `json:"endpoint"`
	Params      map[string]any `json:"params"`
	CreatedAt   time.Time      `json:"createdAt"`
	Charge      float64        `json:"charge"`
	URLs        []string       `json:"urls"`
	Outcome     Outcome        `json:"outcome"`
	DoneAt      time.Time      `json:"doneAt"`
	VisibleFrom time.Time      `json:"visibleFrom"`
}

type ending struct {
	ID           string   `json:"id"`
	Flag         int      `json:"flag"`
	ErrorCode    int      `json:"errorCode,omitempty"`
	ErrorMessage string   `json:"errorMessage,omitempty"`
	Refunded     bool     `json:"refunded,omitempty"`
	Inputs       [][]byte `json:"inputs,omitempty"` // small PNGs: what an edit is drawn from may be gone later
}

// Open is New with a journal in the file at path, so that a provider outlives the process it runs
// in, killed or not: its tasks, its ledger, its pictures. Tasks that were running go on, and
// callbacks that were not taken are sent again. Knobs are not kept.
func Open(path string, adjust ...func(*Knobs)) (*Server, error) {
	s := New(adjust...)
	kept, err := s.replay(path)
	if err != nil {
		return nil, fmt.Errorf("nanobananatest: %s: %w", path, err)
	}
	s.journal, err = os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err == nil { // a line that was torn when the process died is written over
		err = s.journal.Truncate(kept)
	}
	if err == nil {
		_, err = s.journal.Seek(kept, 0)
	}
	if err != nil {
		return nil, fmt.Errorf("nanobananatest: %w", err)
	}
	for _, t := range s.order {
		if t.Flag == FlagRunning || !t.toldOnce {
			s.running.Go(func() { s.live(t, Duration(time.Until(t.doneAt))) })
		}
	}
	return s, nil
}

// replay does again what the journal tells, and returns how much of it is whole lines.
func (s *Server) replay(path string) (kept int64, err error) {
	journal, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return 0, nil
	}
	for err == nil {
		line, rest, whole := bytes.Cut(journal[kept:], []byte("\n"))
		if !whole {
			break
		}
		var e entry
		if err = json.Unmarshal(line, &e); err == nil {
			err = s.apply(e)
		}
		kept = int64(len(journal) - len(rest))
	}
	return kept, err
}

func (s *Server) apply(e entry) error {
	if e.Balance != nil {
		s.balance = *e.Balance
	}
	if a := e.Accepted; a != nil {
		known, err := json.Marshal(a.Params)
		if err != nil {
			return err
		}
		t := &task{
			Task: Task{
				ID: a.ID, Endpoint: a.Endpoint, Params: a.Params, CreatedAt: a.CreatedAt, Charge: a.Charge, URLs: a.URLs,
			},
			endpoint: endpoints[a.Endpoint], outcome: a.Outcome, doneAt: a.DoneAt, visible: a.VisibleFrom,
			called: make(chan struct{}),
		}
		if err := json.Unmarshal(known, &t.order); err != nil {
			return err
		}
		t.Prompt, t.CallbackURL = t.order.Prompt, t.order.CallbackURL
		s.balance -= a.Charge
		s.tasks[t.ID], s.order = t, append(s.order, t)
	}
	if f := e.Finished; f != nil {
		t, ok := s.tasks[f.ID]
		if !ok {
			return fmt.Errorf("the end of a task that never began: %s", f.ID)
		}
		t.Flag, t.ErrorCode, t.ErrorMessage, t.Refunded, t.inputs = f.Flag, f.ErrorCode, f.ErrorMessage, f.Refunded, f.Inputs
		if f.Refunded {
			s.balance += t.Charge
		}
	}
	if t, ok := s.tasks[e.Told]; ok {
		t.toldOnce = true
	}
	return nil
}

// write appends to the journal, if there is one. The caller holds Server.mu.
func (s *Server) write(e entry) error {
	if s.journal == nil {
		return nil
	}
	line, err := json.Marshal(e)
	if err != nil {
		return err
	}
	_, err = s.journal.Write(append(line, '\n')) // in one write, which outlives kill -9
	return err
}

func (t *task) acceptance() *acceptance {
	return &acceptance{
		ID: t.ID, Endpoint: t.Endpoint, Params: t.Params, CreatedAt: t.CreatedAt, Charge: t.Charge, URLs: t.URLs,
		Outcome: t.outcome, DoneAt: t.doneAt, VisibleFrom: t.visible,
	}
}

func (t *task) ending() *ending {
	return &ending{ID: t.ID, Flag: t.Flag, ErrorCode: t.ErrorCode, ErrorMessage: t.ErrorMessage, Refunded: t.Refunded, Inputs: t.inputs}
}
