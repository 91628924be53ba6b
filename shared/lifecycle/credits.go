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
	checkTime   = 2 * time.Second  // of one look at what the last check found, or write of it
	checkLife   = 20 * time.Minute // how long that is shown: checks are 15 minutes apart
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

	checked  task.Balance // what the last check found, and stands in the store,
	lookedAt time.Time    // when it was looked for
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
	return s.ask(ctx, balanceLife)
}

// Known gives the account's balance for people to look at: from memory, at most
// 30 s old, or as the last check found it. Only where no check has come for 20
// minutes it asks the provider, as Balance does.
func (s *Service) Known(ctx context.Context) (Balance, error) {
	b := &s.balance
	b.mu.Lock()
	defer b.mu.Unlock()
	now := s.Now()
	if now.Sub(b.asOf) < balanceLife {
		return b.known(now), nil
	}
	s.look(ctx)
	if b.checked.AsOf.After(b.asOf) {
		// With its age: the gate, which shares this memory, takes only what is young.
		b.credits, b.asOf = b.checked.Credits, b.checked.AsOf
	}
	if now.Sub(b.checked.AsOf) >= checkLife {
		return s.ask(ctx, balanceLife)
	}
	return b.known(now), nil
}

// look reads what the last check found, once in 30 s. The caller holds the lock.
func (s *Service) look(ctx context.Context) {
	b := &s.balance
	now := s.Now()
	if now.Sub(b.lookedAt) < balanceLife {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, checkTime)
	defer cancel()
	checked, err := s.Store.Balance(ctx)
	if err != nil {
		s.Log.WarnContext(ctx, "what the last check of the credits found cannot be read", "error", err)
		return
	}
	b.checked, b.lookedAt = checked, now
}

// Check asks the provider for the balance, and gives what is to be kept of it, with
// the news since people were told last, which is still to be told. While the last
// check's balance cannot be read, there is no news, and the error says so beside a
// balance that holds. Credits are low below lowBelow and empty below cheapest.
func (s *Service) Check(ctx context.Context, lowBelow, cheapest float64) (task.Balance, task.News, error) {
	b := &s.balance
	b.mu.Lock()
	asked, err := s.ask(ctx, 0)
	b.mu.Unlock()
	if err != nil {
		return task.Balance{}, "", err
	}
	ctx, cancel := context.WithTimeout(ctx, checkTime)
	defer cancel()
	was, err := s.Store.Balance(ctx)
	is, news := was.Next(asked.Credits, asked.AsOf, lowBelow, cheapest)
	if err != nil {
		news = ""
	}
	return is, news, err
}

// Keep keeps what a check gave. It comes last, since it keeps whether its news
// was told ([task.Balance.Told]): news that was not is found again by the next.
func (s *Service) Keep(ctx context.Context, checked task.Balance) error {
	ctx, cancel := context.WithTimeout(ctx, checkTime)
	defer cancel()
	return s.Store.SetBalance(ctx, checked)
}

// known gives what is in memory. The caller holds the lock.
func (b *balance) known(now time.Time) Balance {
	return Balance{Credits: b.credits, AsOf: b.asOf, Shut: now.Before(b.shutTil)}
}

// ask asks the provider unless what is in memory is younger than life. The
// caller holds the lock.
func (s *Service) ask(ctx context.Context, life time.Duration) (Balance, error) {
	b := &s.balance
	now := s.Now()
	if (b.stale || now.Sub(b.asOf) >= life) && now.Sub(b.errAt) >= balanceRest {
		credits, err := s.credits(ctx)
		if b.err = err; err == nil {
			b.credits, b.asOf, b.stale, b.errAt = credits, now, false, time.Time{}
		} else {
			b.errAt = s.Now() // what waits for the lock does not ask in turn
		}
	}
	return b.known(now), b.err
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
