package template_test

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/preset/nanobanana-functions/functions/callback"
	"github.com/preset/nanobanana-functions/functions/credits"
	"github.com/preset/nanobanana-functions/functions/sweep"
	"github.com/preset/nanobanana-functions/shared/lifecycle/lifecycletest"
	"github.com/preset/nanobanana-functions/shared/nanobanana/nanobananatest"
	"github.com/preset/nanobanana-functions/shared/task"
)

// times returns what is logged when the same happens n times.
func times(n int, lines func(*testing.T) string) func(*testing.T) string {
	return func(t *testing.T) (all string) {
		for range n {
			all += lines(t)
		}
		return all
	}
}

func fixedLine(line string) func(*testing.T) string { return func(*testing.T) string { return line } }

// checkLine returns what a check of this balance logs.
func checkLine(balance float64) func(*testing.T) string {
	return func(t *testing.T) string {
		w := lifecycletest.New(t)
		w.Sim.SetBalance(balance)
		if _, err := (credits.Function{Account: w.Account, Prices: w.Prices, LowBelow: 100, Log: w.Log}).Check(t.Context()); err != nil {
			t.Error(err)
		}
		return w.Logged.Take()
	}
}

func failedCheckLine(t *testing.T) string {
	w := lifecycletest.New(t)
	w.Sim.Close()
	if _, err := (credits.Function{Account: w.Account, Prices: w.Prices, LowBelow: 100, Log: w.Log}).Check(t.Context()); err == nil {
		t.Error("there is a balance")
	}
	return w.Logged.Take()
}

// sweepLine returns what a sweep logs that finds a task of two hours.
func sweepLine(t *testing.T) string {
	w := lifecycletest.New(t)
	w.Submitted(t, "ada", 1)
	w.Generated(t, 0)
	w.Clock.Add(2 * time.Hour)
	w.Logged.Take()
	if _, err := sweep.New(sweep.Function{Sweeper: w.Sweeper, Log: w.Log})(t.Context()); err != nil {
		t.Error(err)
	}
	lines := w.Logged.Take()
	if !strings.Contains(lines, `"oldestSeconds":7200,`) {
		t.Errorf("the age is missing: %s", lines)
	}
	return lines
}

func successLines(t *testing.T) string {
	w := lifecycletest.New(t)
	w.Logged.Take()
	w.Succeeded(t, "ada")
	return w.Logged.Take()
}

func failWith(code int) func(*nanobananatest.Knobs) {
	return func(k *nanobananatest.Knobs) { k.Outcome = nanobananatest.Outcome{ErrorCode: code} }
}

func loseAnswer(k *nanobananatest.Knobs) {
	k.Submit = nanobananatest.Fault{Kind: nanobananatest.FaultReset}
}

// failureLines returns what is logged about a task that ends with this code.
func failureLines(code task.Code, knobs func(*nanobananatest.Knobs)) func(*testing.T) string {
	return func(t *testing.T) string {
		w := lifecycletest.New(t, knobs)
		w.Rules.MaxGenerations = 1
		x := w.Submitted(t, "ada", 1)
		if x.Status == task.Generating {
			w.Generated(t, 0)
		}
		w.Clock.Add(3 * time.Hour)
		if _, err := w.Sweep(t.Context()); err != nil {
			t.Error(err)
		}
		if x, err := w.Rows.Task(t.Context(), x.ID); err != nil || x.Failure != code {
			t.Errorf("it ended as %+v, %v; want %s", x, err, code)
		}
		return w.Logged.Take()
	}
}

// unansweredLines returns what an order logs whose answer is lost.
func unansweredLines(t *testing.T) string {
	w := lifecycletest.New(t, loseAnswer)
	if x := w.Submitted(t, "ada", 1); x.Status != task.Unconfirmed {
		t.Errorf("it is %s", x.Status)
	}
	return w.Logged.Take()
}

// refusedLines returns what an order logs while the provider wants none.
func refusedLines(t *testing.T) string {
	w := lifecycletest.New(t, func(k *nanobananatest.Knobs) {
		k.Submit = nanobananatest.Fault{Kind: nanobananatest.FaultStatus, Code: 429}
		k.Credit = k.Submit
	})
	w.Settings.LowCredits = 0
	x := w.Submitted(t, "ada", 1)
	if x.Status != task.Waiting {
		t.Errorf("it is %s", x.Status)
	}
	var lines string
	for line := range strings.Lines(w.Logged.Take()) {
		if !strings.Contains(line, `"call":"credits"`) { // it may be asked at any time
			lines += line
		}
	}
	return lines
}

// contradictionLine returns what is logged when a callback brings the picture of a task
// that was given up.
func contradictionLine(t *testing.T) string {
	w := lifecycletest.New(t, loseAnswer)
	x := w.Submitted(t, "ada", 1)
	w.Clock.Add(3 * time.Hour)
	_, err := w.Sweep(t.Context())
	w.Logged.Take()
	settleErr := w.Settle(t.Context(), x.ID, 1, []byte(`{"code":200,"data":{"taskId":"late","info":{"resultImageUrl":"https://tempfile.aiquickdraw.com/a.png"}}}`))
	if err := errors.Join(err, settleErr); err != nil {
		t.Error(err)
	}
	return w.Logged.Take()
}

// forgedLine returns what a callback logs whose token is wrong.
func forgedLine(t *testing.T) string {
	w := lifecycletest.New(t)
	handler := callback.New(callback.Function{Secrets: w.Poster.Secrets, Service: w.Poster.Service, Log: w.Poster.Log})
	answer := httptest.NewRecorder()
	handler.ServeHTTP(answer, httptest.NewRequest(http.MethodPost, "/v1/callbacks/"+task.NewID("ada", "k")+"/1/forged", strings.NewReader("{}")))
	if answer.Code != http.StatusNotFound {
		t.Errorf("status %d", answer.Code)
	}
	return w.Logged.Take()
}

// heldLine returns what a sweep logs when orders have been on hold for this long.
func heldLine(d time.Duration) func(*testing.T) string {
	return func(t *testing.T) string {
		w := lifecycletest.New(t)
		err := w.Rows.Hold(t.Context(), task.HeldByOperator, task.Hold{Reason: "a test", Since: w.Clock.Now()})
		w.Clock.Add(d)
		if _, sweepErr := sweep.New(sweep.Function{Sweeper: w.Sweeper, Log: w.Poster.Log})(t.Context()); errors.Join(err, sweepErr) != nil {
			t.Error(err, sweepErr)
		}
		return w.Logged.Take()
	}
}

// budgetLine returns what a check logs when so many credits of a budget were spent since
// the check before.
func budgetLine(budget int, spent float64) func(*testing.T) string {
	return func(t *testing.T) string {
		w := lifecycletest.New(t)
		f := credits.Function{Account: w.Account, Prices: w.Prices, Budget: budget, Log: w.Poster.Log}
		w.Sim.SetBalance(1000)
		_, before := f.Check(t.Context())
		w.Logged.Take()
		w.Clock.Add(5 * time.Minute)
		w.Sim.SetBalance(1000 - spent)
		if _, err := f.Check(t.Context()); errors.Join(before, err) != nil {
			t.Error(before, err)
		}
		return w.Logged.Take()
	}
}

// noticeLines returns what this many sweeps log, a minute and then an hour apart, about a
// notice that Preset does not accept.
func noticeLines(sweeps int) func(*testing.T) string {
	return func(t *testing.T) string {
		w := lifecycletest.New(t)
		w.Poster.Rules.Notify, w.Ingester.Rules.Notify = true, true
		w.Succeeded(t, "ada")
		w.Logged.Take()
		w.Clock.Add(time.Minute)
		for range sweeps {
			if _, err := sweep.New(sweep.Function{Sweeper: w.Sweeper, Log: w.Poster.Log})(t.Context()); err != nil {
				t.Error(err)
			}
			w.Clock.Add(time.Hour)
		}
		return w.Logged.Take()
	}
}
