// Package sweep is the schedule's function: it does what is due. It polls the
// tasks whose callback did not come, rescues the ones that are stuck, and
// tries again what was refused.
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

// Event is what the function is called with. The schedule's tells it nothing.
type Event struct {
	// Redrive are tasks whose notices were given up, and are to be taken up
	// again. With these nothing else is done.
	Redrive []string `json:"redrive"`
}

// New returns the function. Each sweep logs one line, of which the template makes
// a metric: the age of the oldest unfinished task, as far as [lifecycle.Swept]
// knows it.
func New(f Function) func(context.Context, Event) (lifecycle.Swept, error) {
	return func(ctx context.Context, e Event) (lifecycle.Swept, error) {
		if len(e.Redrive) > 0 {
			return f.Sweeper.Redrive(ctx, e.Redrive), nil
		}
		swept, err := f.Sweeper.Sweep(ctx)
		f.Log.InfoContext(ctx, "swept", "event", "swept", "oldestSeconds", f.age(swept.Oldest), "done", swept.Done, "failed", swept.Failed)
		return swept, err
	}
}

// age returns the whole seconds since created; 0 if that is zero.
func (f Function) age(created time.Time) int {
	if created.IsZero() {
		return 0
	}
	return max(0, int(f.Sweeper.Now().Sub(created)/time.Second))
}
