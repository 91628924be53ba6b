package config

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"time"

	"github.com/preset/nanobanana-functions/shared/auth/token"
)

// SecretTTL is for how long a process uses the secret that it has read.
const SecretTTL = 5 * time.Minute

const (
	secretBackoff = 5 * time.Second // from a failed read to the next
	secretTimeout = 5 * time.Second // of one read
)

// Secrets reads the secret on first use, and again every few minutes so that keys
// can be replaced. It is safe for concurrent use; callers share a read.
type Secrets struct {
	read func(context.Context) ([]byte, error)
	now  func() time.Time
	log  *slog.Logger

	lock    chan struct{} // holds one value while it is locked; guards what follows. A channel, so that waiting ends with ctx
	secret  Secret
	readAt  time.Time // when the read of secret started; zero before the first
	triedAt time.Time // when the last read ended, failed or not
	lastErr error     // of the last read
}

// Format prints token.Redacted: fmt prints unexported fields without calling the
// methods of token.Hidden.
func (Secrets) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, token.Redacted) }

// NewSecrets returns a Secrets that gets the JSON value from read. A read has 5 s and
// does not end with its caller's context, except that of Prepare. now is the wall clock (outbound.WallClock).
func NewSecrets(read func(context.Context) ([]byte, error), now func() time.Time, log *slog.Logger) *Secrets {
	return &Secrets{read: read, now: now, log: log, lock: make(chan struct{}, 1)}
}

// Prepare reads the secret before anybody needs it, and returns soon after ctx ends. A
// read that fails counts as no try: the next caller reads at once.
func (s *Secrets) Prepare(ctx context.Context) error {
	if err := s.acquire(ctx); err != nil {
		return err
	}
	defer s.release()
	now := s.now()
	secret, err := s.load(ctx)
	if err == nil {
		s.secret, s.readAt = secret, now
	}
	return err
}

// Current returns the secret, at most 5 minutes old. If a newer one cannot be read or
// is faulty, it returns the last good one; it fails only if there never was one.
func (s *Secrets) Current(ctx context.Context) (Secret, error) {
	if err := s.acquire(ctx); err != nil {
		return Secret{}, err
	}
	defer s.release()
	if err := s.refresh(ctx, s.now().Add(-SecretTTL)); err != nil && s.readAt.IsZero() {
		return Secret{}, err
	}
	return s.secret, nil
}

// Reload returns the secret as of since or later, for use after a key was refused.
// Callers with the same since share a read. It fails if the secret could not be
// read, now or within the last 5 s.
func (s *Secrets) Reload(ctx context.Context, since time.Time) (Secret, error) {
	if err := s.acquire(ctx); err != nil {
		return Secret{}, err
	}
	defer s.release()
	if err := s.refresh(ctx, since); err != nil {
		return Secret{}, err
	}
	return s.secret, nil
}

// refresh reads the secret and returns the error. It does not read if the secret was
// read after since, or if the last read failed within secretBackoff.
func (s *Secrets) refresh(ctx context.Context, since time.Time) error {
	now := s.now()
	switch {
	case s.readAt.After(since):
		return nil
	case s.lastErr != nil && now.Sub(s.triedAt) < secretBackoff:
		return s.lastErr
	}
	// Other callers need this read too: it must not end with its caller's request.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), secretTimeout)
	defer cancel()
	secret, err := s.load(ctx)
	// The backoff counts from the end of the read. From its start, a read that hangs
	// would be followed by the next at once, and every caller would wait.
	s.triedAt, s.lastErr = s.now(), err
	if err == nil {
		s.secret, s.readAt = secret, now
	} else if !s.readAt.IsZero() {
		s.log.ErrorContext(ctx, "secret not refreshed; the last one stays in use", "error", err)
	}
	return err
}

func (s *Secrets) load(ctx context.Context) (Secret, error) {
	value, err := s.read(ctx)
	if err != nil {
		return Secret{}, fmt.Errorf("reading the secret: %w", err)
	}
	return ParseSecret(value)
}

func (s *Secrets) acquire(ctx context.Context) error {
	select {
	case s.lock <- struct{}{}:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("waiting for the secret: %w", context.Cause(ctx))
	}
}

func (s *Secrets) release() { <-s.lock }
