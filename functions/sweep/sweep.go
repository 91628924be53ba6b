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

// New returns the function. Each sweep logs one line with what [lifecycle.Swept] knows,
// of which package metric makes metrics.
func New(f Function) func(context.Context) (lifecycle.Swept, error) {
	return func(ctx context.Context) (lifecycle.Swept, error) {
		swept, err := f.Sweeper.Sweep(ctx)
		args := []any{"event", "swept", "oldestSeconds", f.age(swept.Oldest), "done", swept.Done, "failed", swept.Failed, "waiting", swept.Waiting}
		if !swept.HeldSince.IsZero() {
			args = append(args, "heldSeconds", f.age(swept.HeldSince))
		}
		if f.Sweeper.Rules.Notify {
			args = append(args, "notices", swept.Notices)
		}
		f.Log.InfoContext(ctx, "swept", args...)
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
