package lifecycle

import (
	"context"

	"github.com/preset/nanobanana-functions/shared/task"
)

// Pauses returns what all processes must keep from doing, as the store had it at most
// 10 s ago. While it cannot be read, what this process knew stays so; one that knows nothing
// lets orders pass, as with an unknown balance.
func (a *Account) Pauses(ctx context.Context) task.Pauses {
	p, err := a.pauses.Known(ctx, a.Store, a.Now)
	if err != nil {
		a.Log.ErrorContext(ctx, "the pause row could not be read; what was known of it stays so, and without that orders pass", "error", err)
	}
	return p
}

// PreparePauses reads the pauses before the first order needs them, and so opens the
// connection to the store. It returns soon after ctx ends. What fails counts as no try.
// Call it before all other methods.
func (a *Account) PreparePauses(ctx context.Context) error {
	return a.pauses.Prepare(ctx, a.Store, a.Now)
}
