package taskdb

import (
	"errors"
	"net/http"
	"testing"
	"time"

	"github.com/preset/nanobanana-functions/shared/task"
)

// An answer that is lost on its way is asked for again by the SDK, and finds
// the balance kept; so does a check that another has overtaken.
func TestBalanceAnswerLost(t *testing.T) {
	s, w := openFaulty(t, func(op string, n int) (*http.Response, bool) { return nil, op == "PutItem" && n == 1 })
	b := task.Balance{Credits: 12.5, AsOf: start, Level: task.LevelLow}
	if err := s.SetBalance(t.Context(), b); err != nil || w.counts["PutItem"] != 2 {
		t.Errorf("%v after %d requests", err, w.counts["PutItem"])
	}
	if got, err := s.Balance(t.Context()); got != b || err != nil {
		t.Errorf("%+v, %v", got, err)
	}
	if err := s.SetBalance(t.Context(), task.Balance{AsOf: start.Add(-time.Minute)}); err != nil || w.counts["PutItem"] != 3 {
		t.Errorf("overtaken: %v after %d requests", err, w.counts["PutItem"])
	}
}

// A balance that is throttled away is an error, and not none.
func TestBalanceAway(t *testing.T) {
	s, _ := openFaulty(t, func(string, int) (*http.Response, bool) {
		return refuse(400, "ThrottlingException", ""), false
	})
	if err := s.SetBalance(t.Context(), task.Balance{AsOf: start}); !errors.Is(err, task.ErrBusy) {
		t.Errorf("kept: %v", err)
	}
	if got, err := s.Balance(t.Context()); !errors.Is(err, task.ErrBusy) {
		t.Errorf("%+v, %v", got, err)
	}
}
