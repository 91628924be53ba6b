// Package uploads is POST /v1/uploads: it returns a link for putting a picture
// into the bucket, which can then be edited as upload:ID. It stores only how many
// uploads an owner has prepared on a day: the link's signature covers type and
// length, and the key contains the owner.
package uploads

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"time"

	"github.com/preset/nanobanana-functions/shared/auth"
	"github.com/preset/nanobanana-functions/shared/httpapi"
	"github.com/preset/nanobanana-functions/shared/media"
	"github.com/preset/nanobanana-functions/shared/task"
)

// linkTTL is how long the picture can be put.
const linkTTL = 15 * time.Minute

// maxBody is the longest body in bytes: it announces a picture but has none.
const maxBody = 4 << 10

// Function is what the endpoint needs.
type Function struct {
	Auth   *auth.Verifier
	Store  task.Store
	Links  media.Uploader
	PerDay int // uploads per owner and UTC day; 0: no limit
	Now    func() time.Time
	Log    *slog.Logger

	pauses *task.PausesMemory // of this process
}

// New returns the function's handler.
func New(f Function) http.Handler {
	mux := http.NewServeMux()
	Register(mux.Handle, f)
	return httpapi.Mux(f.Log, mux)
}

// Register adds the function's route to a mux, whose Handle method is handle.
func Register(handle func(pattern string, h http.Handler), f Function) {
	f.pauses = new(task.PausesMemory)
	handle("POST /v1/uploads", httpapi.Handler(f.Log, httpapi.ForOwner(f.Auth.Owner, f.upload)))
}

// body announces a picture. Bytes is a pointer to distinguish a missing value from 0.
type body struct {
	ContentType string `json:"contentType"`
	Bytes       *int64 `json:"bytes"`
}

// fieldHints say what to do about fields that people try to send here.
var fieldHints = map[string]string{
	"/data":     "Not here: PUT the picture's bytes to the uploadUrl of the answer.",
	"/file":     "Not here: PUT the picture's bytes to the uploadUrl of the answer.",
	"/fileName": "Not needed: a picture has no name here.",
	"/size":     "Use bytes.",
}

// Upload is the answer: where and how to put the picture.
type Upload struct {
	ID        string            `json:"id"`
	UploadURL string            `json:"uploadUrl"`
	Headers   map[string]string `json:"headers"`
	ExpiresAt time.Time         `json:"expiresAt"`
}

func (f Function) upload(r *http.Request, owner string) (httpapi.Answer, error) {
	b, err := httpapi.Decode[body](r, maxBody, fieldHints)
	if err != nil {
		return httpapi.Answer{}, err
	}
	id, key, ok := media.NewUpload(owner, b.ContentType, f.Now())
	if fields := b.faults(ok); len(fields) > 0 {
		return httpapi.Answer{}, task.Invalid(fields...)
	}
	if err := f.admit(r.Context(), owner); err != nil {
		return httpapi.Answer{}, err
	}
	expires := f.Now().Add(linkTTL).UTC().Truncate(time.Second) // never later than the link itself
	link, header, err := f.Links.PutLink(r.Context(), key, *b.Bytes, linkTTL)
	if err != nil {
		return httpapi.Answer{}, err
	}
	headers := make(map[string]string, len(header))
	for name := range header {
		headers[name] = header.Get(name)
	}
	return httpapi.Answer{Status: http.StatusCreated, Body: Upload{ID: id, UploadURL: link, Headers: headers, ExpiresAt: expires}}, nil
}

// admit counts the upload, and refuses it if that is too many, or if the owner was
// forgotten. It asks for both at once. Until the pause row has been read, nobody counts as forgotten.
func (f Function) admit(ctx context.Context, owner string) error {
	forgotten := make(chan bool, 1)
	go func() {
		p, err := f.pauses.Known(ctx, f.Store, f.Now)
		if err != nil {
			f.Log.ErrorContext(ctx, "the pause row could not be read; what was known of it stays so, and without that uploads pass", "error", err)
		}
		forgotten <- p.Forgotten.Has(owner, f.Now())
	}()
	err := f.count(ctx, owner)
	if <-forgotten {
		return task.Unwelcome()
	}
	return err
}

// count adds one to the owner's uploads of the day. Without a limit nothing is counted.
func (f Function) count(ctx context.Context, owner string) error {
	if f.PerDay == 0 {
		return nil
	}
	now := f.Now()
	err := f.Store.CountUpload(ctx, owner, task.Day(now), f.PerDay)
	switch {
	case errors.Is(err, task.ErrQuota):
		full := task.Field{Code: "uploads", Message: "You have used up your uploads for today."}
		return &task.Error{Code: task.CodeQuotaExceeded, RetryAfter: task.NextDay(now).Sub(now), Fields: []task.Field{full}}
	case err != nil:
		return &task.Error{Code: task.CodeUnavailable, Err: err}
	}
	return nil
}

// faults returns what is wrong with the announced picture.
func (b body) faults(known bool) (fields []task.Field) {
	if !known {
		fields = append(fields, task.Field{Pointer: "/contentType", Code: "not_available", Message: media.RefuseType(b.ContentType).Message})
	}
	switch {
	case b.Bytes == nil:
		fields = append(fields, task.Field{Pointer: "/bytes", Code: "required", Message: "State the size of the picture's file in bytes."})
	case *b.Bytes < 1:
		fields = append(fields, task.Field{Pointer: "/bytes", Code: "out_of_range", Message: media.RefusedEmpty.Message})
	case *b.Bytes > media.MaxUploadBytes:
		fields = append(fields, task.Field{Pointer: "/bytes", Code: "out_of_range", Message: media.RefusedLarge.Message})
	}
	return fields
}
