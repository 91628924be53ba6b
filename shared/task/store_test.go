package task

import (
	"context"
	"errors"
	"testing"
)

// oneRow is a Store of one row with the methods that Update needs.
type oneRow struct {
	Store
	row  *Task
	puts []*Task
	// before is called before each write; its error is the transport's.
	before func() error
}

func (s *oneRow) Put(_ context.Context, t *Task) (*Task, error) {
	s.puts = append(s.puts, t)
	if s.before != nil {
		if err := s.before(); err != nil {
			return nil, err
		}
	}
	if s.row.Version != t.Version-1 {
		return s.row.Clone(), ErrConflict
	}
	s.row = t.Clone()
	return t, nil
}

func TestUpdateWritesAChange(t *testing.T) {
	h := in(t, Submitting)
	s := &oneRow{row: h.Task.Clone()}
	got, err := Update(t.Context(), s, h.Task, func(x *Task) error { return x.Accepted(h.r, h.now, 1, "p1") })
	if err != nil {
		t.Fatal(err)
	}
	equal(t, "row", got, s.row)
	equal(t, "status", got.Status, Generating)
	equal(t, "version", got.Version, 2)
	equal(t, "status of the row in hand", h.Status, Submitting)
	if got.Writer == h.Writer || got.Writer == "" {
		t.Errorf("writer %q after %q, want a fresh one", got.Writer, h.Writer)
	}
}

func TestUpdateWritesNothingIfNothingChanges(t *testing.T) {
	none := func(*Task) error { return nil }
	for _, s := range allStatuses {
		h := in(t, s)
		h.Refund = 0
		store := &oneRow{row: h.Task.Clone()}
		got, err := Update(t.Context(), store, h.Task, none)
		if err != nil || got != h.Task || len(store.puts) != 0 {
			t.Errorf("%q: %d writes, error %v", s, len(store.puts), err)
		}
	}
	t.Run("after a write with a refund", func(t *testing.T) {
		h := in(t, Submitting)
		store := &oneRow{row: h.Task.Clone()}
		failed, err := Update(t.Context(), store, h.Task, func(x *Task) error {
			return x.Refused(h.r, h.now, 1, Refusal{Code: CodeProviderRejected})
		})
		if err != nil {
			t.Fatal(err)
		}
		equal(t, "refund with the write", store.puts[0].Refund, 1)
		if _, err := Update(t.Context(), store, failed, none); err != nil {
			t.Fatal(err)
		}
		equal(t, "writes", len(store.puts), 1)
	})
}

func TestUpdateAppliesTheChangeToTheStoredRow(t *testing.T) {
	h := in(t, Submitting)
	store := &oneRow{row: h.Task.Clone()}
	store.row.Version, store.row.Writer = 5, "somebody else"
	store.row.Metadata = map[string]string{"theirs": "kept"}
	got, err := Update(t.Context(), store, h.Task, func(x *Task) error { return x.Unanswered(h.r, h.now, 1) })
	if err != nil {
		t.Fatal(err)
	}
	equal(t, "status", got.Status, Unconfirmed)
	equal(t, "version", got.Version, 6)
	equal(t, "their change", got.Metadata["theirs"], "kept")
	equal(t, "writes", len(store.puts), 2)
	if store.puts[0].Writer == store.puts[1].Writer {
		t.Error("two logical writes have the same writer")
	}
}

func TestUpdateFails(t *testing.T) {
	h := in(t, Submitting)
	change := func(x *Task) error { return x.Unanswered(h.r, h.now, 1) }
	boom := errors.New("boom")

	t.Run("with the change's error, and nothing is written", func(t *testing.T) {
		store := &oneRow{row: h.Task.Clone()}
		got, err := Update(t.Context(), store, h.Task, func(x *Task) error { x.Owner = "eve"; return boom })
		if !errors.Is(err, boom) || got != h.Task || h.Owner != "owner" || len(store.puts) != 0 {
			t.Errorf("row %v, %d writes, error %v", got, len(store.puts), err)
		}
	})
	t.Run("with the transport's error, after one try", func(t *testing.T) {
		store := &oneRow{row: h.Task.Clone(), before: func() error { return boom }}
		got, err := Update(t.Context(), store, h.Task, change)
		if !errors.Is(err, boom) || got != h.Task || len(store.puts) != 1 {
			t.Errorf("row %v, %d writes, error %v", got, len(store.puts), err)
		}
	})
	t.Run("with ErrBusy if another writer is always faster", func(t *testing.T) {
		store := &oneRow{row: h.Task.Clone()}
		store.before = func() error { store.row.Version++; return nil }
		_, err := Update(t.Context(), store, h.Task, change)
		if !errors.Is(err, ErrBusy) || len(store.puts) != updateTries {
			t.Errorf("%d writes, error %v", len(store.puts), err)
		}
	})
	t.Run("with ErrForeign for a row of newer code", func(t *testing.T) {
		newer := h.Task.Clone()
		newer.Version, newer.Status = 7, "dreaming"
		for name, inHand := range map[string]*Task{"in hand": newer, "in the store": h.Task} {
			store := &oneRow{row: newer}
			got, err := Update(t.Context(), store, inHand, change)
			if !errors.Is(err, ErrForeign) || got.Status != "dreaming" || store.row != newer {
				t.Errorf("%s: row %v, error %v", name, got, err)
			}
		}
	})
}
