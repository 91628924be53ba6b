package taskdb

import (
	"errors"
	"net/http"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb"

	"github.com/preset/nanobanana-functions/shared/task"
)

// After a lost answer the SDK repeats the request, which is refused, because the holds are
// those that it wrote. Then nothing is left to change.
func TestHoldAnswerLost(t *testing.T) {
	s, w := openFaulty(t, func(op string, n int) (*http.Response, bool) { return nil, op == "UpdateItem" && n == 1 })
	hold := task.Hold{Reason: "r", Since: start}
	if err := s.Hold(t.Context(), task.HeldByOperator, hold); err != nil || w.counts["UpdateItem"] != 2 || w.counts["GetItem"] != 2 {
		t.Errorf("%v after %v", err, w.counts)
	}
	p, err := s.Paused(t.Context())
	if err != nil || p.By[task.HeldByOperator] != hold || len(p.Past) != 0 {
		t.Errorf("%+v, %v", p, err)
	}
}

// A hold and a release cost two requests each; what changes nothing costs one.
func TestHoldRequests(t *testing.T) {
	s, w := openFaulty(t, nil)
	for n, step := range []struct {
		do          func() error
		reads, puts int
	}{
		{func() error { return s.Release(t.Context(), task.HeldByOperator, start) }, 1, 0},
		{func() error {
			return s.Hold(t.Context(), task.HeldByOperator, task.Hold{Reason: "r", Since: start})
		}, 2, 1},
		{func() error { return s.Release(t.Context(), task.HeldByOperator, start.Add(time.Hour)) }, 3, 2},
	} {
		if err := step.do(); err != nil || w.counts["GetItem"] != step.reads || w.counts["UpdateItem"] != step.puts {
			t.Errorf("step %d: %v after %v", n, err, w.counts)
		}
	}
}

// Who always comes second gives up, and says that the store is busy.
func TestHoldIsOvertaken(t *testing.T) {
	s, w := openFaulty(t, func(op string, _ int) (*http.Response, bool) {
		if op != "UpdateItem" {
			return nil, false
		}
		return refuse(400, "ConditionalCheckFailedException", ""), false
	})
	if err := s.Hold(t.Context(), task.HeldByBudget, task.Hold{Since: start}); !errors.Is(err, task.ErrBusy) || w.counts["UpdateItem"] != holdsTries {
		t.Errorf("%v after %v", err, w.counts)
	}
}

// Holds that nobody can read are an error, not none, and stay as they are.
func TestUnreadableHolds(t *testing.T) {
	s, _ := openFaulty(t, nil)
	broken := key(pauseID)
	broken[attrHolds] = text(`{"by":`)
	if _, err := s.client.PutItem(t.Context(), &dynamodb.PutItemInput{TableName: s.table, Item: broken}); err != nil {
		t.Fatal(err)
	}
	if p, err := s.Paused(t.Context()); err == nil {
		t.Errorf("%+v", p)
	}
	if err := s.Release(t.Context(), task.HeldByOperator, start); err == nil {
		t.Error("no error")
	}
	if row, err := s.read(t.Context(), pauseID); err != nil || textOf(row, attrHolds) != `{"by":` {
		t.Errorf("%v, %v", row, err)
	}
}
