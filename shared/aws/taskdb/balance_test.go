package taskdb

import (
	"errors"
	"net/http"
	"reflect"
	"testing"
	"time"

	"github.com/preset/nanobanana-functions/shared/task"
)

// After a lost answer the SDK repeats the request and finds the balance written. An
// older check finds a newer balance. Neither is an error.
func TestBalanceAnswerLost(t *testing.T) {
	s, w := openFaulty(t, func(op string, n int) (*http.Response, bool) { return nil, op == "PutItem" && n == 1 })
	b := task.Balance{Credits: 12.5, AsOf: start, Level: task.LevelLow}
	if err := s.SetBalance(t.Context(), b); err != nil || w.counts["PutItem"] != 2 {
		t.Errorf("%v after %d requests", err, w.counts["PutItem"])
	}
	if got, err := s.Balance(t.Context()); !reflect.DeepEqual(got, b) || err != nil {
		t.Errorf("%+v, %v", got, err)
	}
	if err := s.SetBalance(t.Context(), task.Balance{AsOf: start.Add(-time.Minute)}); err != nil || w.counts["PutItem"] != 3 {
		t.Errorf("older: %v after %d requests", err, w.counts["PutItem"])
	}
}

// Throttling is an error, not a zero balance.
func TestBalanceThrottled(t *testing.T) {
	s, _ := openFaulty(t, func(string, int) (*http.Response, bool) {
		return refuse(400, "ThrottlingException", ""), false
	})
	if err := s.SetBalance(t.Context(), task.Balance{AsOf: start}); !errors.Is(err, task.ErrBusy) {
		t.Errorf("written: %v", err)
	}
	if got, err := s.Balance(t.Context()); !errors.Is(err, task.ErrBusy) {
		t.Errorf("%+v, %v", got, err)
	}
}
