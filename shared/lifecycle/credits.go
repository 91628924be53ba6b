package lifecycle

import (
	"context"
	"errors"
	"math"
	"sync"
	"time"

	"github.com/preset/nanobanana-functions/shared/nanobanana"
	"github.com/preset/nanobanana-functions/shared/task"
)

const (
	balanceLife = 30 * time.Second // how long a balance is taken from memory
	balanceMore = 5 * time.Second  // for how much longer one that was asked for here is, if it is enough: a submit asks anew meanwhile
	balanceTime = 2 * time.Second  // how long a submit waits for it
	balanceRest = 5 * time.Second  // how long nobody asks after the provider could not say
	checkTime   = 2 * time.Second  // of one look at what the last check found, or write of it
	checkLife   = 7 * time.Minute  // how long that is shown: checks are 5 minutes apart
	shutFor     = time.Minute      // how long one 402 closes the gate
)

// balance is this process's memory of the account.
type balance struct {
	once   sync.Once     // makes asking
	asking chan struct{} // holds the one who asks the provider

	mu      sync.Mutex // guards what follows; nobody waits while he holds it
	credits float64
	asOf    time.Time
	toldAt  time.Time // when the provider last told this process; a check may have been told since
	stale   bool      // it is to be asked for anew, whatever its age
	err     error     // of the last time of asking,
	askedAt time.Time // and when that was
	shutTil time.Time
	shutAt  float64 // the least balance known since the gate was shut

	looking  sync.Mutex   // held while what follows is read from the store
	checked  task.Balance // what the last check found,
	lookedAt time.Time    // and when it was looked for
}

// Balance is what the provider's account holds, for everybody together.
type Balance struct {
	Credits float64
	AsOf    time.Time
	Shut    bool // the provider refused for want of credits within the last minute
}

// Covers reports whether an order of so many credits can be paid, as far as is known.
func (b Balance) Covers(credits float64) bool { return !b.Shut && b.Credits >= credits }

// shut closes the gate: the provider has just said that there are no credits.
func (b *balance) shut(now time.Time) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.shutTil, b.stale = now.Add(shutFor), true
	if b.shutAt = b.credits; b.asOf.IsZero() {
		b.shutAt = math.Inf(1)
	}
}

// learn keeps what the provider has just said. While the gate is shut, a balance
// that has grown opens it: somebody topped up. One that is merely enough does not,
// since the provider refused in spite of it.
func (b *balance) learn(credits float64, err error, begun, now time.Time) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.askedAt = now
	if b.err = err; err != nil {
		return
	}
	if credits > b.shutAt {
		b.shutTil = time.Time{}
	}
	b.shutAt = min(b.shutAt, credits)
	b.credits, b.asOf, b.toldAt, b.stale = credits, begun, begun, false
}

// known returns what is in memory. The caller holds mu.
func (b *balance) known(now time.Time) Balance {
	return Balance{Credits: b.credits, AsOf: b.asOf, Shut: now.Before(b.shutTil)}
}

// old reports whether what is in memory is older than life. The caller holds mu.
func (b *balance) old(now time.Time, life time.Duration) bool {
	return b.stale || now.Sub(b.asOf) >= life
}

// spare reports whether what is in memory is too old by so little that an order need
// not wait for another. The caller holds mu.
func (b *balance) spare(now time.Time) bool {
	return !b.stale && now.Sub(b.toldAt) < balanceLife+balanceMore
}

// ask asks the provider if that is due: for which it looks at the memory, holding mu.
// Who finds somebody asking waits for his answer. While the provider cannot say, ask
// returns the last balance known with the error of asking; AsOf is zero where there
// was none.
func (s *Service) ask(ctx context.Context, due func(now time.Time) bool) (Balance, error) {
	b := &s.balance
	recall := func() (known Balance, err error, enough bool) {
		b.mu.Lock()
		defer b.mu.Unlock()
		now := s.Now()
		resting := b.err != nil && now.Sub(b.askedAt) < balanceRest
		return b.known(now), b.err, resting || !due(now)
	}
	if known, err, enough := recall(); enough {
		return known, err
	}
	b.once.Do(func() { b.asking = make(chan struct{}, 1) })
	select {
	case b.asking <- struct{}{}:
		defer func() { <-b.asking }()
	case <-ctx.Done():
		known, _, _ := recall()
		return known, ctx.Err()
	}
	if known, err, enough := recall(); enough {
		return known, err // the one before has asked
	}
	begun := s.Now()
	credits, err := s.credits(ctx)
	b.learn(credits, err, begun, s.Now())
	known, err, _ := recall()
	return known, err
}

// Balance returns the account's balance, at most 30 s old, or as ask does where the
// provider cannot say.
func (s *Service) Balance(ctx context.Context) (Balance, error) {
	return s.ask(ctx, func(now time.Time) bool { return s.balance.old(now, balanceLife) })
}

// renew asks for a balance that has just become too old, while the caller goes on;
// wait waits for the answer. So in a busy process no order is late because of that.
func (s *Service) renew(ctx context.Context) (wait func()) {
	b := &s.balance
	b.mu.Lock()
	defer b.mu.Unlock()
	if now := s.Now(); !b.old(now, balanceLife) || !b.spare(now) {
		return func() {}
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		_, _ = s.Balance(ctx) // its error is kept for those who need the balance
	}()
	return func() { <-done }
}

// Known returns the account's balance for people to look at: from memory, at most
// 30 s old, or as the last check found it. It asks the provider, as Balance does,
// where no check has come for 7 minutes, and once in 30 s where what is known does
// not cover the least that an order costs: a top-up is to show soon.
func (s *Service) Known(ctx context.Context, least float64) (Balance, error) {
	b := &s.balance
	checked := s.look(ctx)
	return s.ask(ctx, func(now time.Time) bool {
		unchecked := now.Sub(checked.AsOf) >= checkLife && b.old(now, balanceLife)
		poor := !b.known(now).Covers(least) && now.Sub(b.askedAt) >= balanceLife
		return unchecked || poor
	})
}

// look returns what the last check found, read once in 30 s, and remembers it if it
// is news. With its age: the gate, which shares this memory, takes only what is young.
func (s *Service) look(ctx context.Context) task.Balance {
	b := &s.balance
	b.looking.Lock()
	defer b.looking.Unlock()
	if now := s.Now(); now.Sub(b.lookedAt) >= balanceLife && !b.young(now) {
		ctx, cancel := context.WithTimeout(ctx, checkTime)
		defer cancel()
		checked, err := s.Store.Balance(ctx)
		if err != nil {
			s.Log.WarnContext(ctx, "what the last check of the credits found cannot be read", "error", err)
			return b.checked
		}
		b.checked, b.lookedAt = checked, now
		b.adopt(checked)
	}
	return b.checked
}

// young reports whether the memory is as good as what a check could have found.
func (b *balance) young(now time.Time) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return now.Sub(b.asOf) < balanceLife
}

// adopt remembers what a check found, unless what is remembered is newer.
func (b *balance) adopt(checked task.Balance) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if checked.AsOf.After(b.asOf) {
		b.credits, b.asOf = checked.Credits, checked.AsOf
	}
}

// Check asks the provider for the balance, and gives what is to be kept of it, with
// the news since people were told last, which is still to be told. While the last
// check's balance cannot be read, there is no news, and the error says so beside a
// balance that holds. Credits are low below lowBelow and empty below cheapest.
func (s *Service) Check(ctx context.Context, lowBelow, cheapest float64) (task.Balance, task.News, error) {
	asked, err := s.ask(ctx, func(time.Time) bool { return true })
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
// was told ([task.Balance.Delivered]): news that was not is found again by the next.
func (s *Service) Keep(ctx context.Context, checked task.Balance) error {
	ctx, cancel := context.WithTimeout(ctx, checkTime)
	defer cancel()
	return s.Store.SetBalance(ctx, checked)
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
	b, err := s.ask(ctx, func(now time.Time) bool {
		enough := s.balance.spare(now) && s.balance.known(now).Covers(estimate) // Submit renews it
		return s.balance.old(now, balanceLife) && !enough
	})
	if b.Shut || err == nil && !b.Covers(estimate) {
		return &task.Error{Code: task.CodeInsufficientCredits}
	}
	return nil
}
