package credits_test

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-lambda-go/events"

	"github.com/preset/nanobanana-functions/functions/credits"
	"github.com/preset/nanobanana-functions/shared/lifecycle/lifecycletest"
	"github.com/preset/nanobanana-functions/shared/nanobanana/nanobananatest"
	"github.com/preset/nanobanana-functions/shared/task"
)

// The scheduled check logs the balance, as a warning if it is low.
func TestCheck(t *testing.T) {
	for name, test := range map[string]struct {
		balance   float64
		low       bool
		level, is string
		news      task.News
	}{
		"enough":  {100, false, "INFO", `"msg":"credits checked",`, ""},
		"low":     {99.5, true, "WARN", `"msg":"credits are low",`, task.NewsCreditsLow},
		"nothing": {0, true, "WARN", `"msg":"credits are low",`, task.NewsCreditsEmpty},
	} {
		t.Run(name, func(t *testing.T) {
			h := newHarness(t)
			h.Sim.SetBalance(test.balance)
			h.Logged.Take()
			got, err := credits.OnLambda(h.function)(t.Context(), json.RawMessage(`{"check":"credits"}`))
			if err != nil || got != (credits.Checked{Balance: test.balance, Low: test.low, News: test.news}) {
				t.Errorf("got %+v, %v", got, err)
			}
			line := h.Logged.TakeUncommon()
			if !strings.Contains(line, test.is) || !strings.Contains(line, `"level":"`+test.level+`"`) || strings.Count(line, "\n") != 1 ||
				strings.Contains(line, `"news":"`+string(test.news)+`"`) != (test.news != "") {
				t.Errorf("logged %s", line)
			}
		})
	}
}

// Each of several checks stores its balance, news is sent once, and a check too
// soon after a failed one stores nothing.
func TestChecks(t *testing.T) {
	h := newHarness(t)
	var since time.Time // the last news, which is only logged without a NOTIFY_URL
	for _, step := range []struct {
		balance float64
		level   task.Level
		news    task.News
	}{
		{1000, task.LevelFine, ""}, {50, task.LevelLow, task.NewsCreditsLow}, {49, task.LevelLow, ""},
		{3, task.LevelEmpty, task.NewsCreditsEmpty}, {20, task.LevelEmpty, ""}, {500, task.LevelFine, task.NewsCreditsRestored},
	} {
		h.Clock.Add(time.Second) // the cache is younger than 30 s, but a check does not use it
		h.Sim.SetBalance(step.balance)
		got, err := h.function.Check(t.Context())
		if err != nil || got.News != step.news || got.Balance != step.balance {
			t.Errorf("at %v: %+v, %v; want news %q", step.balance, got, err, step.news)
		}
		if step.news != "" || since.IsZero() {
			since = h.Now()
		}
		if kept, err := h.Store.Balance(t.Context()); err != nil || kept.Credits != step.balance || !kept.AsOf.Equal(h.Now()) || kept.Level != step.level || !kept.Since.Equal(since) {
			t.Errorf("at %v: kept %+v, %v", step.balance, kept, err)
		}
	}
}

// If the store fails, the line that the alarm matches is logged anyway. News
// that was not stored is news again.
func TestCheckStoreFails(t *testing.T) {
	for call, news := range map[string]task.News{"balance": "", "setBalance": task.NewsCreditsLow} {
		t.Run(call, func(t *testing.T) {
			h := newHarness(t)
			h.Sim.SetBalance(50)
			h.Rows.Fail(lifecycletest.On(call, lifecycletest.ErrStore), nil)
			if got, err := h.function.Check(t.Context()); !errors.Is(err, lifecycletest.ErrStore) || got != (credits.Checked{Balance: 50, Low: true, News: news}) {
				t.Errorf("got %+v, %v", got, err)
			}
			if line := h.Logged.Take(); !strings.Contains(line, `"msg":"credits are low"`) || !strings.Contains(line, `"msg":"balance not stored`) {
				t.Errorf("logged %s", line)
			}
			h.Rows.Fail(nil, nil)
			h.Clock.Add(time.Second)
			if got, err := h.function.Check(t.Context()); err != nil || got.News != task.NewsCreditsLow {
				t.Errorf("the next: %+v, %v", got, err)
			}
		})
	}
}

// A balance that cannot be read fails the run, because the schedule's errors
// are counted.
func TestCheckFails(t *testing.T) {
	h := newHarness(t, func(k *nanobananatest.Knobs) { k.Credit = nanobananatest.Fault{Kind: nanobananatest.FaultHTML} })
	if got, err := h.function.Check(t.Context()); err == nil {
		t.Errorf("got %+v", got)
	}
	if line := h.Logged.Take(); !strings.Contains(line, "credits check failed") {
		t.Errorf("logged %s", line)
	}
	if kept, err := h.Store.Balance(t.Context()); !kept.AsOf.IsZero() || err != nil {
		t.Errorf("kept %+v, %v", kept, err)
	}
}

// The gateway's events go to the same function.
func TestOnLambdaServes(t *testing.T) {
	h := newHarness(t)
	event := `{"version":"2.0","rawPath":"/v1/models","requestContext":{"domainName":"api.example.com","requestId":"r","http":{"method":"GET","path":"/v1/models"}}}`
	got, err := credits.OnLambda(h.function)(t.Context(), json.RawMessage(event))
	answer, ok := got.(events.APIGatewayV2HTTPResponse)
	if err != nil || !ok || answer.StatusCode != 200 || !strings.Contains(answer.Body, "nano-banana-pro") {
		t.Errorf("got %+v, %v", got, err)
	}
	if got, err := credits.OnLambda(h.function)(t.Context(), json.RawMessage(`[]`)); err == nil {
		t.Errorf("no event at all: %+v", got)
	}
}
