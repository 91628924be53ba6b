package taskbolt

import (
	"context"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.etcd.io/bbolt"

	"github.com/preset/nanobanana-functions/shared/task"
	"github.com/preset/nanobanana-functions/shared/task/tasktest"
)

func open(t testing.TB, path string) *Store {
	t.Helper()
	s, err := Open(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s
}

func TestStore(t *testing.T) {
	tasktest.TestStore(t, func(t *testing.T) tasktest.Harness {
		s := open(t, filepath.Join(t.TempDir(), "tasks.db"))
		return tasktest.Harness{Store: s, SetAttribute: s.setAttribute, Attribute: s.attribute}
	})
}

// setAttribute writes an attribute into the row as a newer release would.
func (s *Store) setAttribute(_ context.Context, id, name string, value any) error {
	return s.db.Update(func(tx *bbolt.Tx) error {
		row, err := attributes(tx, id)
		if err != nil {
			return err
		}
		if row[name] = value; value == nil {
			delete(row, name)
		}
		b, err := json.Marshal(row)
		if err != nil {
			return err
		}
		return tx.Bucket(bucketTasks).Put([]byte(id), b)
	})
}

func (s *Store) attribute(_ context.Context, id, name string) (value any, ok bool, err error) {
	err = s.db.View(func(tx *bbolt.Tx) error {
		row, err := attributes(tx, id)
		value, ok = row[name]
		return err
	})
	return value, ok, err
}

func attributes(tx *bbolt.Tx, id string) (row map[string]any, err error) {
	return row, json.Unmarshal(tx.Bucket(bucketTasks).Get([]byte(id)), &row)
}

func TestOneProcessAtATime(t *testing.T) {
	path := filepath.Join(t.TempDir(), "tasks.db")
	s := open(t, path)
	if second, err := Open(path); err == nil {
		_ = second.Close()
		t.Error("it was opened twice")
	} else if !strings.Contains(err.Error(), path) || !strings.Contains(err.Error(), "stop it first") {
		t.Errorf("got %v, want an error that names the next step", err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	open(t, path)
}

func TestClosedStoreReturnsErrors(t *testing.T) {
	s := open(t, filepath.Join(t.TempDir(), "tasks.db"))
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Task(t.Context(), "x"); err == nil {
		t.Error("Task succeeded")
	}
	if err := s.Consume(t.Context(), task.Message(task.Ingest), 1, nil); err == nil {
		t.Error("Consume succeeded")
	}
	for _, err := range s.Due(t.Context(), start) {
		if err == nil {
			t.Error("Due succeeded")
		}
	}
}

// TestLists compares lists with the truth. LISTS=full, as in make proof, writes 10,000
// tasks.
func TestLists(t *testing.T) {
	s := open(t, filepath.Join(t.TempDir(), "tasks.db"))
	s.db.NoSync = true
	tasks := 300
	if os.Getenv("LISTS") == "full" {
		tasks = 10_000
	}
	tasktest.TestLists(t, s, tasks, 1, 1)
}

// A file is opened again whatever became of its holds.
func TestHoldsAreOpenedAgain(t *testing.T) {
	path := filepath.Join(t.TempDir(), "tasks.db")
	at := time.Date(2026, 3, 14, 12, 0, 0, 0, time.UTC)
	for n, do := range []func(*Store) error{
		func(s *Store) error { return s.Release(t.Context(), task.HeldByOperator, at) },
		func(s *Store) error {
			return s.Hold(t.Context(), task.HeldByOperator, task.Hold{Reason: "r", Since: at})
		},
		func(s *Store) error { return s.Release(t.Context(), task.HeldByOperator, at) }, // no time was held
		func(s *Store) error { return s.Hold(t.Context(), task.HeldByBudget, task.Hold{Reason: "r", Since: at}) },
	} {
		s := open(t, path)
		if err := errors.Join(do(s), s.Close()); err != nil {
			t.Fatalf("step %d: %v", n, err)
		}
	}
	s := open(t, path)
	if p, err := s.Paused(t.Context()); err != nil || p.By[task.HeldByBudget].Reason != "r" || len(p.By) != 1 || len(p.Past) != 0 {
		t.Errorf("%+v, %v", p, err)
	}
}
