// Package sweep is the schedule's function: it does what is due. It polls the
// tasks whose callback did not come, rescues the ones that are stuck, and
// tries again what was refused.
package sweep

import (
	"context"
	"log/slog"

	"github.com/preset/nanobanana-functions/shared/lifecycle"
)

// Function is what the sweep needs.
type Function struct {
	Service *lifecycle.Service
	Log     *slog.Logger
}

// New gives the function. The schedule's payload tells it nothing.
func New(f Function) func(context.Context) (lifecycle.Swept, error) {
	return func(ctx context.Context) (lifecycle.Swept, error) {
		swept, err := f.Service.Sweep(ctx)
		if swept.Done > 0 || err != nil {
			f.Log.InfoContext(ctx, "swept", "done", swept.Done, "failed", swept.Failed)
		}
		return swept, err
	}
}
