package task

import (
	"encoding/json"
	"errors"
	"maps"
	"reflect"
	"strings"
	"sync"
	"time"
)

// row has Task's fields without its methods.
type row Task

// stored is a row as stores keep it. Their index of due tasks reads dueAt.
type stored struct {
	*row
	DueAt     time.Time `json:"dueAt,omitzero"`     // Task.Due
	WorkDueAt time.Time `json:"workDueAt,omitzero"` // the Turn's own, while a notice is pending

	// NoticePending is how older releases noted a notice that waited for the erase.
	NoticePending bool `json:"noticePending,omitempty"`
}

// workNotify is how older releases noted a notice.
const workNotify = Work(Notify)

// task returns the Task of the row, whatever release wrote it.
func (s *stored) task() Task {
	t := (*Task)(s.row)
	t.DueAt = s.DueAt
	switch {
	case t.Notice != "":
		t.DueAt = s.WorkDueAt
	case t.Schema != schemaPlain: // a newer release's
	case t.Work == workNotify:
		t.pend(t.Turn)
		t.Work, t.Turn = "", Turn{}
	case s.NoticePending:
		t.pend(Turn{Tries: 1, DueAt: t.DueAt, Deadline: latest(t.DueAt, t.DeletedAt.Add(noticeWindow))})
	}
	return *t
}

// attributes returns the names of the row attributes that this code knows.
var attributes = sync.OnceValue(func() map[string]bool {
	names := map[string]bool{}
	var walk func(t reflect.Type)
	walk = func(t reflect.Type) {
		for f := range t.Fields() {
			if f.Anonymous && f.Type.Kind() == reflect.Pointer {
				f.Type = f.Type.Elem()
			}
			if f.Anonymous {
				walk(f.Type)
				continue
			}
			if name, _, _ := strings.Cut(f.Tag.Get("json"), ","); f.IsExported() {
				names[name] = true
			}
		}
	}
	walk(reflect.TypeFor[stored]())
	return names
})

// MarshalJSON writes the row, with Extra, as one JSON object.
func (t *Task) MarshalJSON() ([]byte, error) {
	s := stored{row: (*row)(t), DueAt: t.Due()}
	if t.Notice != "" {
		s.WorkDueAt = t.DueAt
	}
	b, err := json.Marshal(s)
	if err != nil || len(t.Extra) == 0 {
		return b, err
	}
	extra, err := json.Marshal(t.Extra)
	if err != nil {
		return nil, err
	}
	return append(append(b[:len(b)-1], ','), extra[1:]...), nil
}

// UnmarshalJSON reads a row. It keeps unknown attributes in Extra.
func (t *Task) UnmarshalJSON(b []byte) error {
	var all map[string]json.RawMessage
	if err := json.Unmarshal(b, &all); err != nil {
		return err
	}
	if all == nil {
		return errors.New("task: a row must be a JSON object")
	}
	extra, known := maps.Clone(all), attributes()
	maps.DeleteFunc(extra, func(name string, _ json.RawMessage) bool { return known[name] })
	if len(extra) > 0 {
		// Package json ignores case: it would read "Owner" as "owner".
		maps.DeleteFunc(all, func(name string, _ json.RawMessage) bool { return !known[name] })
		var err error
		if b, err = json.Marshal(all); err != nil {
			return err
		}
	}
	s := stored{row: new(row)}
	if err := json.Unmarshal(b, &s); err != nil {
		return err
	}
	*t = s.task()
	if len(extra) > 0 {
		t.Extra = extra
	}
	return nil
}
