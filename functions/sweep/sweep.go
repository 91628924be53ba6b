// Package sweep is the schedule's function. It does the work that is due: it
// polls tasks whose callback did not come, rescues stuck ones, and tries again
// what the provider refused.
package sweep

import (
	"context"
	"log/slog"
	"time"

	"github.com/preset/nanobanana-functions/shared/lifecycle"
)

// Function is what the sweep needs.
type Function struct {
	Sweeper *lifecycle.Sweeper
	Log     *slog.Logger
}

// New returns the function. Each sweep logs one line with the age of the oldest
// unfinished task, as far as [lifecycle.Swept] knows it; template.yaml makes a
// metric of it.
func New(f Function) func(context.Context) (lifecycle.Swept, error) {
	return func(ctx context.Context) (lifecycle.Swept, error) {
		swept, err := f.Sweeper.Sweep(ctx)
		f.Log.InfoContext(ctx, "swept", "event", "swept", "oldestSeconds", f.age(swept.Oldest), "done", swept.Done, "failed", swept.Failed)
		return swept, err
	}
}

// age returns the whole seconds since created, or 0 if created is zero.
func (f Function) age(created time.Time) int {
	if created.IsZero() {
		return 0
	}
	return max(0, int(f.Sweeper.Now().Sub(created)/time.Second))
}
