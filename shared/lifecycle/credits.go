package lifecycle

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/preset/nanobanana-functions/shared/nanobanana"
	"github.com/preset/nanobanana-functions/shared/task"
)

const (
	balanceLife = 30 * time.Second // how long a balance is taken from memory
	balanceTime = 2 * time.Second  // how long a submit waits for it
	balanceRest = 5 * time.Second  // how long nobody asks after the provider could not say
	shutFor     = time.Minute      // how long one 402 closes the gate
)

// balance is this process's memory of the account.
type balance struct {
	mu      sync.Mutex // guards all below, and is held while the provider is asked
	credits float64
	asOf    time.Time
	stale   bool      // it is to be asked for anew, whatever its age
	err     error     // of the last time of asking,
	errAt   time.Time // and when that was
	shutTil time.Time
}

// shut closes the gate: the provider has just said that there are no credits.
func (b *balance) shut(now time.Time) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.shutTil = now.Add(shutFor)
	b.stale = true
}

// Balance is what the provider's account holds, for everybody together.
type Balance struct {
	Credits float64
	AsOf    time.Time
	Shut    bool // the provider refused for want of credits within the last minute
}

// Balance gives the account's balance, at most 30 s old. While the provider
// cannot say, it gives the last one known with the error of asking; AsOf is
// zero where there was none.
func (s *Service) Balance(ctx context.Context) (Balance, error) {
	b := &s.balance
	b.mu.Lock()
	defer b.mu.Unlock()
	now := s.Now()
	if (b.stale || now.Sub(b.asOf) >= balanceLife) && now.Sub(b.errAt) >= balanceRest {
		credits, err := s.credits(ctx)
		if b.err = err; err == nil {
			b.credits, b.asOf, b.stale, b.errAt = credits, now, false, time.Time{}
		} else {
			b.errAt = s.Now() // what waits for the lock does not ask in turn
		}
	}
	return Balance{Credits: b.credits, AsOf: b.asOf, Shut: now.Before(b.shutTil)}, b.err
}

func (s *Service) credits(ctx context.Context) (float64, error) {
	ctx, cancel := context.WithTimeout(ctx, balanceTime)
	defer cancel()
	secret, err := s.Secrets.Current(ctx)
	if err != nil {
		return 0, err
	}
	credits, err := s.Provider.Credits(ctx, string(secret.APIKey))
	var e *nanobanana.Error
	if errors.As(err, &e) && e.Reason == nanobanana.Unauthorized {
		fresh, reloadErr := s.Secrets.Reload(ctx, s.Now().Add(-keyRest))
		if reloadErr == nil && fresh.APIKey != secret.APIKey {
			return s.Provider.Credits(ctx, string(fresh.APIKey))
		}
	}
	return credits, err
}

// affordable refuses what the account certainly cannot pay. A balance that
// cannot be read lets it through: the provider itself will say.
func (s *Service) affordable(ctx context.Context, estimate float64) error {
	secret, err := s.Secrets.Current(ctx)
	switch {
	case err != nil:
		return unavailable(err)
	case secret.APIKey == "":
		return unavailable(errors.New("the secret holds no API key yet: make set-api-key STACK=name puts it in, and submits are accepted"))
	}
	b, err := s.Balance(ctx)
	if b.Shut || err == nil && b.Credits < estimate {
		return &task.Error{Code: task.CodeInsufficientCredits}
	}
	return nil
}
