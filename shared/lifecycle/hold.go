package lifecycle

import (
	"context"
	"sync"
	"time"

	"github.com/preset/nanobanana-functions/shared/task"
)

const (
	pausesTTL     = 10 * time.Second // of the pauses in memory
	pausesBackoff = 5 * time.Second  // after a failed read, before the next
)

// pausesMemory is what this process remembers of the pause row.
type pausesMemory struct {
	mu     sync.Mutex // guards what follows; held while the row is read
	known  task.Pauses
	readAt time.Time
	failed bool // the last read did
}

// Pauses returns what all processes must keep from doing, as the store had it at most
// 10 s ago. If it cannot be read, nothing is held: the order passes, as it does with an unknown balance.
func (a *Account) Pauses(ctx context.Context) task.Pauses {
	m := &a.pauses
	m.mu.Lock()
	defer m.mu.Unlock()
	ttl := pausesTTL
	if m.failed {
		ttl = pausesBackoff
	}
	if age := a.Now().Sub(m.readAt); age >= 0 && age < ttl {
		return m.known
	}
	if err := a.readPauses(ctx); err != nil {
		a.Log.ErrorContext(ctx, "the pause row could not be read; orders pass, also if they are held", "error", err)
		m.known, m.readAt, m.failed = task.Pauses{}, a.Now(), true
	}
	return m.known
}

// readPauses puts the pauses into memory. The caller holds mu.
func (a *Account) readPauses(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, checkTimeout)
	defer cancel()
	begun := a.Now()
	p, err := a.Store.Paused(ctx)
	if err == nil {
		a.pauses.known, a.pauses.readAt, a.pauses.failed = p, begun, false
	}
	return err
}

// PreparePauses reads the pauses before the first order needs them, and so opens the
// connection to the store. It returns soon after ctx ends. What fails counts as no try.
// Call it before all other methods.
func (a *Account) PreparePauses(ctx context.Context) error {
	a.pauses.mu.Lock()
	defer a.pauses.mu.Unlock()
	return a.readPauses(ctx)
}
