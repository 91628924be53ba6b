// Package credits is GET /v1/credits, GET /v1/models, GET /openapi.yaml and GET
// /v1/health. A scheduled check stores the balance, and notifies Preset when the
// credits are low, empty or restored.
package credits

import (
	"context"
	"log/slog"
	"net/http"
	"time"

	contract "github.com/preset/nanobanana-functions"
	"github.com/preset/nanobanana-functions/shared/auth"
	"github.com/preset/nanobanana-functions/shared/config"
	"github.com/preset/nanobanana-functions/shared/httpapi"
	"github.com/preset/nanobanana-functions/shared/lifecycle"
	"github.com/preset/nanobanana-functions/shared/task"
	"github.com/preset/nanobanana-functions/shared/webhook"
)

// Function is what the endpoints need.
type Function struct {
	Auth     *auth.Verifier
	Account  *lifecycle.Account
	Prices   config.Prices
	Quota    int            // images per owner and UTC day; 0: no quota
	LowBelow int            // credits
	Budget   int            // credits of all owners and UTC day; 0: no limit
	Sender   webhook.Sender // sends the news of a check; without a URL the news is only logged
	Log      *slog.Logger
}

// New returns the function's handler.
func New(f Function) http.Handler {
	mux := http.NewServeMux()
	Register(mux.Handle, f)
	return httpapi.Mux(f.Log, mux)
}

// Register adds the function's routes to a mux, whose Handle method is handle.
func Register(handle func(pattern string, h http.Handler), f Function) {
	handle("GET /v1/credits", httpapi.Handler(f.Log, httpapi.ForOwner(f.Auth.Owner, f.credits)))
	handle("GET /v1/models", httpapi.Handler(f.Log, f.models))
	handle("GET /openapi.yaml", httpapi.Handler(f.Log, f.contract))
	handle("GET /v1/health", httpapi.Handler(f.Log, f.health))
}

// Credits is what is left to spend.
type Credits struct {
	Balance     float64       `json:"balance"` // of the provider's account, shared by all callers
	Low         bool          `json:"low"`
	LowBelow    int           `json:"lowBelow"`
	AsOf        time.Time     `json:"asOf"`
	CanGenerate bool          `json:"canGenerate"`
	Reason      task.Code     `json:"reason,omitempty"` // why not
	Quota       httpapi.Quota `json:"quota"`
	Prices      config.Prices `json:"prices"` // credits for one image
}

func (f Function) credits(r *http.Request, owner string) (httpapi.Answer, error) {
	ctx := r.Context()
	if _, err := httpapi.Query(r); err != nil {
		return httpapi.Answer{}, err
	}
	// The balance is shared by all callers, so a canceled request must not stop its read.
	shared := context.WithoutCancel(ctx)
	pauses := make(chan task.Pauses, 1)
	go func() { pauses <- f.Account.Pauses(shared) }()
	balance, err := f.Account.Known(shared, f.cheapest())
	if err != nil && balance.AsOf.IsZero() {
		return httpapi.Answer{}, &task.Error{Code: task.CodeUnavailable, Err: err}
	}
	allowance, err := task.ReadAllowance(ctx, f.Account.Store, owner, f.Quota, f.Account.Now())
	if err != nil {
		return httpapi.Answer{}, &task.Error{Code: task.CodeUnavailable, Err: err}
	}
	c := Credits{
		Balance: balance.Credits, AsOf: balance.AsOf.UTC(),
		Low: balance.Credits < float64(f.LowBelow), LowBelow: f.LowBelow,
		Quota: httpapi.Quota(allowance), Prices: f.Prices,
	}
	_, _, held := (<-pauses).InForce(f.Account.Now())
	switch {
	case held:
		c.Reason = task.CodePaused
	case !balance.Covers(f.cheapest()):
		c.Reason = task.CodeInsufficientCredits
	case !allowance.Allows(1):
		c.Reason = task.CodeQuotaExceeded
	}
	c.CanGenerate = c.Reason == ""
	return httpapi.Answer{Body: c}, nil
}

// cheapest returns the price of the cheapest picture.
func (f Function) cheapest() float64 { return f.Prices.Cheapest() }

// Model is one model as clients see it.
type Model struct {
	ID             string             `json:"id"`
	Title          string             `json:"title"`
	AspectRatios   []string           `json:"aspectRatios"`
	Resolutions    []string           `json:"resolutions,omitempty"`
	MaxImages      int                `json:"maxImages"`
	MaxInputs      int                `json:"maxInputs"`
	MaxPrompt      int                `json:"maxPrompt"`
	Credits        map[string]float64 `json:"credits"` // for one image, by resolution, or noResolution
	TypicalSeconds int                `json:"typicalSeconds"`
}

// noResolution is the key of Model.Credits for a model without resolutions. It is not
// empty, since many generators of clients cannot name an empty key.
const noResolution = "default"

func (f Function) models(r *http.Request) (httpapi.Answer, error) {
	models := []Model{}
	for _, m := range task.Models() {
		shown := Model{
			ID: m.ID, Title: m.Title, AspectRatios: m.AspectRatios, Resolutions: m.Resolutions,
			MaxImages: m.MaxImages, MaxInputs: m.MaxInputs, MaxPrompt: m.MaxPrompt,
			Credits: map[string]float64{}, TypicalSeconds: m.TypicalSeconds,
		}
		for _, resolution := range m.Resolutions {
			shown.Credits[resolution] = f.Prices.Credits(m.ID, resolution, 1)
		}
		if len(m.Resolutions) == 0 {
			shown.Credits[noResolution] = f.Prices.Credits(m.ID, "", 1)
		}
		models = append(models, shown)
	}
	return httpapi.Answer{Body: models, Header: http.Header{"Cache-Control": {"public, max-age=300"}}}, nil
}

func (f Function) contract(*http.Request) (httpapi.Answer, error) {
	header := http.Header{"Cache-Control": {"public, max-age=300"}, "Content-Type": {"application/yaml"}}
	return httpapi.Answer{Body: contract.YAML, Header: header}, nil
}

// health reads nothing: an answer shows that a function can be reached and starts.
func (f Function) health(*http.Request) (httpapi.Answer, error) {
	return httpapi.Answer{Body: map[string]string{"status": "ok"}}, nil
}
