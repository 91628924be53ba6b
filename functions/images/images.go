// Package images is GET /v1/images/{id}/{token}/{file}, the lasting link of a
// picture. It redirects to a short-lived link without reading the table.
package images

import (
	"log/slog"
	"net/http"
	"strings"
	"time"

	"github.com/preset/nanobanana-functions/shared/config"
	"github.com/preset/nanobanana-functions/shared/httpapi"
	"github.com/preset/nanobanana-functions/shared/media"
	"github.com/preset/nanobanana-functions/shared/task"
)

// linkTTL is how long the redirect's target can be fetched: longer than
// caches keep the redirect.
const linkTTL = 15 * time.Minute

// Function is what the endpoint needs.
type Function struct {
	Secrets *config.Secrets
	Links   media.Linker
	Log     *slog.Logger
}

// New returns the function's handler.
func New(f Function) http.Handler {
	mux := http.NewServeMux()
	Register(mux.Handle, f)
	return httpapi.Mux(f.Log, mux)
}

// Register adds the function's route to a mux, whose Handle method is handle.
func Register(handle func(pattern string, h http.Handler), f Function) {
	handle("GET /v1/images/{id}/{token}/{file}", httpapi.Handler(f.Log, f.image))
}

func (f Function) image(r *http.Request) (httpapi.Answer, error) {
	id, file := r.PathValue("id"), r.PathValue("file")
	secret, err := f.Secrets.Current(r.Context())
	if err != nil {
		return httpapi.Answer{}, &task.Error{Code: task.CodeUnavailable, Err: err}
	}
	key, ok := media.KeyOfFile(id, file)
	if !secret.ImageKeys.Verify(httpapi.ImageMessage(id, file), r.PathValue("token")) || !ok || !task.ValidID(id) {
		return httpapi.Answer{}, &task.Error{Code: task.CodeNotFound}
	}
	q, err := httpapi.Query(r, "download")
	if err != nil {
		return httpapi.Answer{}, err
	}
	download, err := httpapi.QueryInt(q, "download", 0, 0, 1)
	if err != nil {
		return httpapi.Answer{}, err
	}
	var o media.LinkOptions
	if download == 1 {
		o.Download = fileName(id, file)
	}
	link, err := f.Links.Link(r.Context(), key, linkTTL, o)
	if err != nil {
		return httpapi.Answer{}, err
	}
	return httpapi.Answer{Status: http.StatusFound, Header: http.Header{
		"Location":                    {link},
		"Cache-Control":               {"public, max-age=600"},
		"Access-Control-Allow-Origin": {"*"},
		// The gateway's CORS answers differently when a request names an origin: a
		// canvas must not get the response that was cached for a plain <img>.
		"Vary": {"Origin"},
	}}, nil
}

// fileName returns the name of a saved picture, such as preset-0a1b2c3d-1.png:
// the start of the task's id and the picture's number. That of an input is
// preset-0a1b2c3d-input-1.jpg.
func fileName(id, file string) string {
	number, _, _ := strings.Cut(file, "-")
	if strings.Contains(file, "-input") {
		number = "input-" + number
	}
	return "preset-" + id[:8] + "-" + number + file[strings.LastIndexByte(file, '.'):]
}
