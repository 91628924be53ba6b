package credits_test

import (
	"context"
	"encoding/json"
	"errors"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/preset/nanobanana-functions/functions/credits"
	"github.com/preset/nanobanana-functions/shared/httpapi"
	"github.com/preset/nanobanana-functions/shared/lifecycle/lifecycletest"
	"github.com/preset/nanobanana-functions/shared/nanobanana/nanobananatest"
	"github.com/preset/nanobanana-functions/shared/task"
)

// Balance and quota decide what can be made. The cheapest picture costs 4.
func TestCanGenerate(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		balance float64
		limit   int
		used    []int // of ada's orders of the day
		low     bool
		reason  task.Code
	}{
		"plenty":                          {balance: 1000},
		"just not low":                    {balance: 100},
		"just low":                        {balance: 99.5, low: true},
		"enough for one":                  {balance: 4, low: true},
		"not enough for one":              {balance: 3.9, low: true, reason: task.CodeInsufficientCredits},
		"nothing":                         {balance: 0, low: true, reason: task.CodeInsufficientCredits},
		"less than nothing":               {balance: -12, low: true, reason: task.CodeInsufficientCredits},
		"no quota":                        {balance: 1000, used: []int{4, 4}},
		"some of the quota":               {balance: 1000, limit: 3, used: []int{2}},
		"the whole quota":                 {balance: 1000, limit: 3, used: []int{2, 1}, reason: task.CodeQuotaExceeded},
		"the whole quota, and no credits": {balance: 0, limit: 1, used: []int{1}, low: true, reason: task.CodeInsufficientCredits},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := newHarness(t)
			h.setQuota(test.limit)
			h.Submitted(t, "bob", 1) // does not count for ada
			used := 0
			for _, n := range test.used {
				h.Submitted(t, "ada", n)
				used += n
			}
			if test.limit == 0 {
				used = 0 // not counted
			}
			h.Sim.SetBalance(test.balance)
			h.Clock.Add(30 * time.Second) // the balance that submit cached is too old
			got := h.credits()
			want := credits.Credits{
				Balance: test.balance, Low: test.low, LowBelow: 100, AsOf: h.Now(), CanGenerate: test.reason == "", Reason: test.reason,
				Quota:  httpapi.Quota{Limit: test.limit, Used: used, ResetsAt: time.Date(2026, 3, 15, 0, 0, 0, 0, time.UTC)},
				Prices: h.Settings.Prices,
			}
			if !reflect.DeepEqual(got, want) {
				t.Errorf("\n got %+v\nwant %+v", got, want)
			}
		})
	}
}

// While all orders are held, that is the reason, whatever else speaks against one.
func TestCreditsPaused(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	h.Sim.SetBalance(0)
	h.Pause(t)
	if c := h.credits(); c.CanGenerate || c.Reason != task.CodePaused || c.Balance != 0 {
		t.Errorf("%+v", c)
	}
	if err := h.Store.Release(t.Context(), task.HeldByOperator, h.Now()); err != nil {
		t.Fatal(err)
	}
	h.Clock.Add(10 * time.Second)
	if c := h.credits(); c.Reason != task.CodeInsufficientCredits {
		t.Errorf("%+v", c)
	}
}

// A quota counts one UTC day: it resets at midnight, and failed tasks are
// returned to it.
func TestQuota(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	h.setQuota(3)
	h.Submitted(t, "ada", 2)
	h.Sim.SetKnobs(func(k *nanobananatest.Knobs) {
		k.Submit = nanobananatest.Fault{Kind: nanobananatest.FaultStatus, Code: 422, Times: 1}
	})
	if x := h.Submitted(t, "ada", 1); x.Status != task.Failed {
		t.Fatalf("it is %s", x.Status)
	}
	if q := h.credits().Quota; q.Used != 2 || q.Limit != 3 {
		t.Errorf("%+v", q)
	}
	for _, test := range []struct {
		at     string
		used   int
		resets string
	}{
		{"2026-03-14T23:59:59.999Z", 2, "2026-03-15T00:00:00Z"},
		{"2026-03-15T00:00:00Z", 0, "2026-03-16T00:00:00Z"},
		{"2026-03-16T01:00:00Z", 0, "2026-03-17T00:00:00Z"},
	} {
		at, err := time.Parse(time.RFC3339, test.at)
		if err != nil {
			t.Fatal(err)
		}
		h.Clock.Add(at.Sub(h.Now()))
		if q := h.credits().Quota; q.Used != test.used || q.ResetsAt.Format(time.RFC3339) != test.resets {
			t.Errorf("at %s: %+v", test.at, q)
		}
	}
}

// However often it is asked for, the balance is read at most once in 30 s.
func TestBalanceFromMemory(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	read := h.Now()
	done := make(chan struct{})
	for range 20 {
		go func() { h.credits(); done <- struct{}{} }()
	}
	for range 20 {
		<-done
	}
	h.Sim.SetBalance(7)
	h.Clock.Add(29*time.Second + 999*time.Millisecond)
	if c := h.credits(); c.Balance != 1000 || !c.AsOf.Equal(read) || h.Sim.CreditReads() != 1 {
		t.Errorf("%+v after %d reads", c, h.Sim.CreditReads())
	}
	h.Clock.Add(time.Millisecond)
	if c := h.credits(); c.Balance != 7 || !c.AsOf.Equal(h.Now()) || h.Sim.CreditReads() != 2 {
		t.Errorf("%+v after %d reads", c, h.Sim.CreditReads())
	}
}

// If the provider fails, the last known balance is shown with its age, or 503
// if there is none. The provider is not asked again for 5 s.
func TestProviderDown(t *testing.T) {
	t.Parallel()
	down := func(k *nanobananatest.Knobs) {
		k.Credit = nanobananatest.Fault{Kind: nanobananatest.FaultStatus, Code: 500}
	}
	up := func(k *nanobananatest.Knobs) { k.Credit = nanobananatest.Fault{} }
	h := newHarness(t, down)
	for range 3 {
		h.get("/v1/credits", h.bearer).Problem(t, 503, task.CodeUnavailable)
	}
	if n := h.Sim.CreditReads(); n != 1 {
		t.Errorf("%d reads, want 1", n)
	}
	h.Sim.SetKnobs(up)
	h.Clock.Add(5 * time.Second)
	known := h.credits()
	if known.Balance != 1000 || !known.AsOf.Equal(h.Now()) {
		t.Errorf("%+v", known)
	}
	h.Sim.SetKnobs(down)
	h.Sim.SetBalance(7)
	h.Clock.Add(time.Hour)
	if c := h.credits(); c.Balance != 1000 || !c.AsOf.Equal(known.AsOf) || !c.CanGenerate {
		t.Errorf("%+v", c)
	}
	h.Sim.SetKnobs(up)
	h.Clock.Add(5 * time.Second)
	if c := h.credits(); c.Balance != 7 || !c.AsOf.Equal(h.Now()) {
		t.Errorf("%+v", c)
	}
}

// If a client disconnects while the balance is read, the next one still gets
// it.
func TestClientDisconnects(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	h.credits()
	h.Clock.Add(30 * time.Second)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	h.handler.ServeHTTP(httptest.NewRecorder(), h.request("/v1/credits", h.bearer).WithContext(ctx))
	if c := h.credits(); !c.AsOf.Equal(h.Now()) {
		t.Errorf("the balance is of %v, it is %v", c.AsOf, h.Now())
	}
}

// For a minute after the provider refused a task for lack of credits nothing
// can be made, whatever the balance is.
func TestAfter402(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	h.Sim.SetKnobs(func(k *nanobananatest.Knobs) {
		k.Submit = nanobananatest.Fault{Kind: nanobananatest.FaultStatus, Code: 402, Times: 1}
	})
	if x := h.Submitted(t, "ada", 1); x.Failure != task.CodeInsufficientCredits {
		t.Fatalf("it failed with %q", x.Failure)
	}
	if c := h.credits(); c.CanGenerate || c.Reason != task.CodeInsufficientCredits || c.Balance != 1000 {
		t.Errorf("at once: %+v", c)
	}
	h.Clock.Add(time.Minute - time.Millisecond)
	if c := h.credits(); c.CanGenerate {
		t.Errorf("within the minute: %+v", c)
	}
	h.Clock.Add(time.Millisecond)
	if c := h.credits(); !c.CanGenerate || c.Reason != "" {
		t.Errorf("after it: %+v", c)
	}
}

func TestStoreFails(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	h.Rows.Fail(lifecycletest.On("used", lifecycletest.ErrStore), nil)
	h.credits() // without a quota it is not read
	h.setQuota(3)
	if body := h.get("/v1/credits", h.bearer).Problem(t, 503, task.CodeUnavailable); strings.Contains(body, lifecycletest.ErrStore.Error()) {
		t.Errorf("%s", body)
	}
}

// A caller without access causes no request to the provider and sees nothing.
func TestCreditsRefused(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	with := func(claim string, value any) string { return "Bearer " + h.identity.TokenWith(claim, value) }
	for name, test := range map[string]struct {
		path, authorization string
		status              int
		code                task.Code
	}{
		"no token":        {"/v1/credits", "", 401, task.CodeUnauthorized},
		"not a token":     {"/v1/credits", "Bearer x", 401, task.CodeUnauthorized},
		"expired":         {"/v1/credits", with("exp", h.Now().Add(-time.Hour).Unix()), 401, task.CodeUnauthorized},
		"anon":            {"/v1/credits", with("role", "anon"), 403, task.CodeForbidden},
		"a parameter":     {"/v1/credits?owner=bob", h.bearer, 400, task.CodeInvalidRequest},
		"no token either": {"/v1/credits?owner=bob", "", 401, task.CodeUnauthorized},
	} {
		t.Run(name, func(t *testing.T) {
			if body := h.get(test.path, test.authorization).Problem(t, test.status, test.code); strings.Contains(body, "1000") {
				t.Errorf("%s", body)
			}
		})
	}
	if n := h.Sim.CreditReads() + h.Rows.Total(); n != 0 {
		t.Errorf("%d reads", n)
	}
	h.Secret.Set(nanobananatest.DefaultKey+"x", nil) // the provider's 401 must not be passed on
	h.get("/v1/credits", h.bearer).Problem(t, 503, task.CodeUnavailable)
	logged := h.Logged.Take()
	if n := strings.Count(logged, "\n"); n != 8 { // one is about the call of the provider
		t.Errorf("%d log lines: %s", n, logged)
	}
	for _, secret := range []string{strings.TrimPrefix(h.bearer, "Bearer "), nanobananatest.DefaultKey, "bob"} {
		if strings.Contains(logged, secret) {
			t.Errorf("the log has %s: %s", secret, logged)
		}
	}
}

// The contract is public and served unchanged.
func TestContract(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	h.Mux.Handle("/openapi.yaml", h.handler)
	want, err := os.ReadFile("../../openapi.yaml")
	if err != nil {
		t.Fatal(err)
	}
	got := h.get("/openapi.yaml", "")
	if got.Status != http.StatusOK || got.Body != string(want) || got.Header.Get("Content-Type") != "application/yaml" {
		t.Errorf("%d %v %.100s", got.Status, got.Header, got.Body)
	}
}

// Health is public, and needs neither store nor provider.
func TestHealth(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	h.Rows.Fail(func(string, *task.Task) error { return errors.New("away") }, nil)
	h.Sim.Close()
	if got := h.get("/v1/health", ""); got.Status != http.StatusOK || got.Body != `{"status":"ok"}` {
		t.Errorf("%d %s", got.Status, got.Body)
	}
}

// The models are public: those of package task, with prices.
func TestModels(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	answer := h.get("/v1/models", "")
	var got []credits.Model
	answer.JSON(t, http.StatusOK, &got)
	prices := map[string]map[string]float64{
		"nano-banana":     {"default": 4},
		"nano-banana-2":   {"1K": 8, "2K": 12, "4K": 18},
		"nano-banana-pro": {"1K": 18, "2K": 18, "4K": 24},
	}
	models := task.Models()
	if len(got) != len(models) || len(got) != len(prices) || got[0].ID != task.DefaultModel {
		t.Fatalf("%d models, the first %s", len(got), got[0].ID)
	}
	for i, m := range models {
		want := credits.Model{
			ID: m.ID, Title: m.Title, AspectRatios: m.AspectRatios, Resolutions: m.Resolutions,
			MaxImages: m.MaxImages, MaxInputs: m.MaxInputs, MaxPrompt: m.MaxPrompt, Credits: prices[m.ID], TypicalSeconds: m.TypicalSeconds,
		}
		if !reflect.DeepEqual(got[i], want) {
			t.Errorf("\n got %+v\nwant %+v", got[i], want)
		}
	}
	var example []credits.Model
	if err := json.Unmarshal(h.contract.Example(t, "models"), &example); err != nil || !reflect.DeepEqual(got, example) {
		t.Errorf("the answer is not the contract's example: %+v, %v", example, err)
	}
	if cached := answer.Header.Get("Cache-Control"); cached != "public, max-age=300" {
		t.Errorf("Cache-Control: %s", cached)
	}
	if h.Rows.Total()+h.Sim.CreditReads() != 0 {
		t.Error("it asked the store or the provider")
	}
}

// PRICES corrects the price of a model here and in the estimate, and with it
// the balance below which nothing can be made.
func TestPrices(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	h.Prices = maps.Clone(h.Prices)
	h.function.Prices = h.Prices
	for name := range h.Prices {
		h.Prices[name] = 50
	}
	h.Prices["nano-banana-2/4K"] = 0.5
	if body := h.get("/v1/models", "").Body; !strings.Contains(body, `{"1K":50,"2K":50,"4K":0.5}`) || !strings.Contains(body, `{"default":50}`) {
		t.Errorf("%s", body)
	}
	if got := h.Submitted(t, "ada", 2).Estimate; got != 100 {
		t.Errorf("the estimate is %v", got)
	}
	for balance, can := range map[float64]bool{0.5: true, 0.4: false} {
		h.Sim.SetBalance(balance)
		h.Clock.Add(30 * time.Second)
		if c := h.credits(); c.CanGenerate != can || c.Prices["nano-banana-2/4K"] != 0.5 {
			t.Errorf("%+v", c)
		}
	}
}
