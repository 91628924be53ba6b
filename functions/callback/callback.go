// Package callback is POST /v1/callbacks/{id}/{attempt}/{token}, by which the
// provider says that a task has ended. The callback is only a wake-up: the record
// decides (docs/decisions/record-decides.md).
package callback

import (
	"io"
	"log/slog"
	"net/http"
	"strconv"

	"github.com/preset/nanobanana-functions/shared/config"
	"github.com/preset/nanobanana-functions/shared/httpapi"
	"github.com/preset/nanobanana-functions/shared/lifecycle"
	"github.com/preset/nanobanana-functions/shared/task"
)

// maxBody is the longest body that is read, in bytes: a callback repeats the
// prompt, escaped twice.
const maxBody = 1 << 20

// Function is what the endpoint needs.
type Function struct {
	Secrets *config.Secrets
	Service *lifecycle.Service
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
	handle("POST /v1/callbacks/{id}/{attempt}/{token}", httpapi.Handler(f.Log, f.callback))
}

// received is the answer to every callback with a valid token.
type received struct {
	Status string `json:"status"`
}

func (f Function) callback(r *http.Request) (httpapi.Answer, error) {
	id := r.PathValue("id")
	attempt, err := strconv.Atoi(r.PathValue("attempt"))
	secret, secretErr := f.Secrets.Current(r.Context())
	if secretErr != nil {
		return httpapi.Answer{}, &task.Error{Code: task.CodeUnavailable, Err: secretErr}
	}
	// Every fault has the same answer, before anything is read.
	genuine := secret.CallbackKeys.Verify(lifecycle.CallbackMessage(id, attempt), r.PathValue("token"))
	if !genuine || err != nil || strconv.Itoa(attempt) != r.PathValue("attempt") || !task.ValidID(id) {
		// Nothing of it is logged: whoever sent it may have chosen every part.
		f.Log.WarnContext(r.Context(), "a callback without a valid token was refused", "event", "callback_refused")
		return httpapi.Answer{}, &task.Error{Code: task.CodeNotFound}
	}
	// A body that is too large or incomplete still wakes the task.
	body, err := io.ReadAll(io.LimitReader(r.Body, maxBody+1))
	if err != nil || len(body) > maxBody {
		body = nil
	}
	if err := f.Service.Settle(r.Context(), id, attempt, body); err != nil {
		return httpapi.Answer{}, err
	}
	return httpapi.Answer{Body: received{"received"}}, nil
}
