// Package submit is POST /v1/tasks: it stores a request for pictures as a task
// and submits that task to the provider once.
package submit

import (
	"log/slog"
	"net/http"

	"github.com/preset/nanobanana-functions/shared/auth"
	"github.com/preset/nanobanana-functions/shared/httpapi"
	"github.com/preset/nanobanana-functions/shared/lifecycle"
	"github.com/preset/nanobanana-functions/shared/task"
)

// maxBody is the longest body in bytes.
const maxBody = 256 << 10

// Function is what the endpoint needs.
type Function struct {
	Auth      *auth.Verifier
	Submitter *lifecycle.Submitter
	View      httpapi.View
	Log       *slog.Logger
}

// New returns the function's handler.
func New(f Function) http.Handler {
	mux := http.NewServeMux()
	Register(mux.Handle, f)
	return httpapi.Mux(f.Log, mux)
}

// Register adds the function's route to a mux, whose Handle method is handle.
func Register(handle func(pattern string, h http.Handler), f Function) {
	handle("POST /v1/tasks", httpapi.Handler(f.Log, httpapi.ForOwner(f.Auth.Owner, f.submit)))
}

// body is the request's. Pointers distinguish a missing value from a zero one.
type body struct {
	Prompt      string            `json:"prompt"`
	ImageURLs   []string          `json:"imageUrls"`
	NumImages   *int              `json:"numImages"`
	Model       string            `json:"model"`
	AspectRatio string            `json:"aspectRatio"`
	Resolution  string            `json:"resolution"`
	Watermark   string            `json:"watermark"`
	Target      *task.Target      `json:"target"`
	Metadata    map[string]string `json:"metadata"`
	KeepInputs  *bool             `json:"keepInputs"`
}

// fieldHints say what to do about fields of the provider's own API.
var fieldHints = map[string]string{
	"/type":        "Not needed: imageUrls makes it an edit.",
	"/callBackUrl": "Not needed: the service sets it.",
	"/image_size":  "Use aspectRatio.",
}

func (f Function) submit(r *http.Request, owner string) (httpapi.Answer, error) {
	key, err := httpapi.IdempotencyKey(r)
	if err != nil {
		return httpapi.Answer{}, err
	}
	b, err := httpapi.Decode[body](r, maxBody, fieldHints)
	if err != nil {
		return httpapi.Answer{}, err
	}
	t, replayed, err := f.Submitter.Submit(r.Context(), lifecycle.Order{
		Owner: owner, IdempotencyKey: key, Request: b.request(), PublicURL: "https://" + r.Host,
	})
	if err != nil {
		return httpapi.Answer{}, err
	}
	shown, err := f.View.Task(r.Context(), t)
	if err != nil {
		return httpapi.Answer{}, err
	}
	header := http.Header{"Location": {"/v1/tasks/" + t.ID}}
	if replayed {
		header.Set("Idempotency-Replayed", "true")
	}
	if after := httpapi.RetryAfter(t); after != "" {
		header.Set("Retry-After", after)
	}
	return httpapi.Answer{Status: http.StatusAccepted, Header: header, Body: shown}, nil
}

func (b body) request() task.Request {
	r := task.Request{
		Prompt: b.Prompt, ImageURLs: b.ImageURLs, NumImages: 1, Model: b.Model,
		AspectRatio: b.AspectRatio, Resolution: b.Resolution, Watermark: b.Watermark,
		Target: b.Target, Metadata: b.Metadata, DropInputs: b.KeepInputs != nil && !*b.KeepInputs,
	}
	if b.NumImages != nil {
		r.NumImages = *b.NumImages
	}
	return r
}
