package taskdb

import (
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/preset/nanobanana-functions/shared/task"
)

// storeLost stores a task that ended without its pictures, and returns it with the task
// that rescues it.
func storeLost(t *testing.T, s *Store) (origin, rescued *task.Task) {
	t.Helper()
	x := draft(false)
	r := task.DefaultRules()
	late := start.Add(24 * time.Hour)
	err := errors.Join(x.Accepted(r, start, 1, "p1"))
	c, _ := x.Claim(r, late)
	if err := errors.Join(err, x.ApplyRecord(r, late, c, task.Record{State: task.RecordRunning})); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Create(t.Context(), x, 0); err != nil {
		t.Fatal(err)
	}
	c, _ = x.Clone().ClaimRescue(r, late.Add(time.Hour), "")
	return x, task.Rescue(x, c, task.Record{State: task.RecordMade, URLs: []string{"https://cdn.example/1.png"}}, late.Add(time.Hour))
}

// A rescue meets the faults of every transaction: a lost answer, after which the store
// recognizes its own write even if the origin is deleted by then; and conflicts.
func TestRescueWithFaults(t *testing.T) {
	for name, c := range map[string]struct {
		fault   func(s *Store, origin *task.Task) (*http.Response, bool)
		want    error
		tries   int
		written bool
	}{
		"a lost answer": {func(*Store, *task.Task) (*http.Response, bool) { return nil, true }, nil, 2, true},
		"a conflict on the origin": {func(*Store, *task.Task) (*http.Response, bool) {
			return canceled("None", "TransactionConflict"), false
		}, nil, 2, true},
		"a conflict on the row": {func(*Store, *task.Task) (*http.Response, bool) {
			return canceled("TransactionConflict", "ConditionalCheckFailed"), false
		}, nil, 2, true},
		"throttled": {func(*Store, *task.Task) (*http.Response, bool) {
			return canceled("None", "ThrottlingError"), false
		}, nil, 2, true},
		"the origin is gone": {func(*Store, *task.Task) (*http.Response, bool) {
			return canceled("None", "ConditionalCheckFailed"), false
		}, task.ErrNotFound, 1, false},
		"deleted before it is sent": {func(s *Store, origin *task.Task) (*http.Response, bool) {
			remove(t, s, origin)
			return nil, false
		}, task.ErrDeleted, 1, false},
	} {
		t.Run(strings.ReplaceAll(name, " ", "_"), func(t *testing.T) {
			t.Parallel()
			s, w := openFaulty(t, nil)
			origin, x := storeLost(t, s)
			w.fault = first("TransactWriteItems", func() (*http.Response, bool) { return c.fault(s, origin) })
			got, err := s.Rescue(t.Context(), x, origin)
			if !errors.Is(err, c.want) || w.counts["TransactWriteItems"] != c.tries {
				t.Errorf("%v after %d requests, want %v after %d", err, w.counts["TransactWriteItems"], c.want, c.tries)
			}
			if c.written && (got == nil || got.Writer != x.Writer) {
				t.Errorf("it returned %+v", got)
			}
			stored, err := s.Task(t.Context(), x.ID)
			if c.written != (err == nil) || err == nil && (stored.RescuedFrom != origin.ID || stored.Writer != x.Writer) {
				t.Errorf("the row: %+v, %v", stored, err)
			}
		})
	}
}

func remove(t *testing.T, s *Store, x *task.Task) {
	t.Helper()
	if _, err := task.Update(t.Context(), s, x, func(x *task.Task) error { return x.Delete(task.DefaultRules(), x.EndedAt) }); err != nil {
		t.Error(err)
	}
}
