package task

import (
	"context"
	"sync"
	"time"
)

const (
	// PausesTTL is for how long a process uses the pauses that it has read.
	PausesTTL = 10 * time.Second
	// pausesBackoff is how long it waits after a failed read before the next.
	pausesBackoff = 5 * time.Second
	// pausesTimeout bounds a read.
	pausesTimeout = 2 * time.Second
)

// PausesMemory is what a process remembers of the pauses, so that an order does not wait
// for them. The zero value remembers nothing. It is safe for concurrent use.
type PausesMemory struct {
	mu     sync.Mutex // guards what follows; held while the row is read
	known  Pauses
	readAt time.Time
	failed bool // the last read did
}

// Known returns the pauses as the store had them at most PausesTTL ago. While they cannot
// be read, what it knew stays so: a hold ends by a release that was read, or by its own
// time. The call that tried returns the error, too.
func (m *PausesMemory) Known(ctx context.Context, s Store, now func() time.Time) (Pauses, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	ttl := PausesTTL
	if m.failed {
		ttl = pausesBackoff
	}
	if age := now().Sub(m.readAt); age >= 0 && age < ttl {
		return m.known, nil
	}
	err := m.read(ctx, s, now)
	if err != nil {
		m.readAt, m.failed = now(), true
	}
	return m.known, err
}

// Prepare reads the pauses before the first order needs them. It returns soon after ctx
// ends. What fails counts as no try.
func (m *PausesMemory) Prepare(ctx context.Context, s Store, now func() time.Time) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.read(ctx, s, now)
}

func (m *PausesMemory) read(ctx context.Context, s Store, now func() time.Time) error {
	ctx, cancel := context.WithTimeout(ctx, pausesTimeout)
	defer cancel()
	begun := now()
	p, err := s.Paused(ctx)
	if err == nil {
		m.known, m.readAt, m.failed = p, begun, false
	}
	return err
}
