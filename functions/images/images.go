// Package images is GET /v1/images/{id}/{token}/{file}: the lasting link of a
// picture. It redirects to a short-lived one, and reads nothing.
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

// linkLife is how long the redirect's target can be fetched: longer than
// caches keep the redirect.
const linkLife = 15 * time.Minute

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
	name := ""
	if download == 1 {
		name = fileName(id, file)
	}
	link, err := f.Links.Link(r.Context(), key, linkLife, name)
	if err != nil {
		return httpapi.Answer{}, err
	}
	return httpapi.Answer{Status: http.StatusFound, Header: http.Header{
		"Location":                    {link},
		"Cache-Control":               {"public, max-age=600"},
		"Access-Control-Allow-Origin": {"*"},
		// The gateway's CORS answers a request that names an origin otherwise: a
		// page must not draw with what it has cached for a plain <img>.
		"Vary": {"Origin"},
	}}, nil
}

// fileName is what a saved picture is called, such as
// preset-0a1b2c3d-1.png: the task's beginning and the picture's number.
func fileName(id, file string) string {
	number, _, _ := strings.Cut(file, "-")
	return "preset-" + id[:8] + "-" + number + file[strings.LastIndexByte(file, '.'):]
}
