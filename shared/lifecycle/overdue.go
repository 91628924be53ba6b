package lifecycle

import (
	"context"
	"log/slog"

	"golang.org/x/time/rate"

	"github.com/preset/nanobanana-functions/shared/task"
)

// overdueRate is how many records a process reads per second for clients that wait.
const overdueRate = 2

// Reader reads records of overdue tasks for clients that wait, sooner than the sweep
// would.
type Reader struct {
	*Service
	Rate *rate.Limiter // limits reads
}

// NewReader returns a Reader for a process.
func NewReader(s *Service) *Reader {
	return &Reader{Service: s, Rate: rate.NewLimiter(overdueRate, overdueRate)}
}

// ReadOverdue reads the record of a task that is overdue, if this process may read one
// now; expected is how many seconds such tasks take. The caller stays until it returns:
// a process that is frozen between a claim and its read would read too late. tried
// reports whether a turn was taken; after that the caller does not come again for the
// same client's request. An error is only logged, since the sweep reads the record too.
func (r *Reader) ReadOverdue(ctx context.Context, t *task.Task, expected int) (tried bool) {
	if !t.Overdue(r.Rules, r.Now(), expected) || !timeLeft(ctx, minReadTime) || !r.Rate.AllowN(r.Now(), 1) {
		return false
	}
	ctx, cancel := detached(ctx)
	defer cancel()
	if p, _ := r.pauses(ctx); r.Now().Before(p.Reads) {
		return true
	}
	if _, err := r.readRecord(ctx, t, settleReadTimeout); err != nil {
		r.log(ctx, slog.LevelWarn, t, "a client waits, and the record was not read; the sweep will read it", "error", err)
	}
	return true
}
