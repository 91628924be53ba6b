package lifecycle

import (
	"context"
	"errors"
	"log/slog"
	"math"
	"sync"
	"time"

	"github.com/preset/nanobanana-functions/shared/config"
	"github.com/preset/nanobanana-functions/shared/nanobanana"
	"github.com/preset/nanobanana-functions/shared/task"
)

const (
	balanceTTL     = 30 * time.Second // of a balance in memory
	balanceGrace   = 5 * time.Second  // a sufficient balance is used for so much longer, while a submit renews it
	balanceTimeout = 2 * time.Second  // of one request to the provider
	balanceBackoff = 5 * time.Second  // after a failed request, before the next
	checkTimeout   = 2 * time.Second  // of one read or write of the row that a check keeps
	checkTTL       = 7 * time.Minute  // of what a check found: checks are 5 minutes apart
	gateTTL        = time.Minute      // for so long one 402 closes the gate
)

// Account knows the balance of the provider's account, and holds the gate that refuses
// orders which the account cannot pay. Its fields are set before use; its methods may be
// called from many goroutines.
type Account struct {
	Store    task.Store
	Provider *nanobanana.Client
	Secrets  *config.Secrets
	Now      func() time.Time
	Log      *slog.Logger

	memory memory
	pauses task.PausesMemory
}

// Balance is what the provider's account holds, for all users together.
type Balance struct {
	Credits float64
	AsOf    time.Time
	Shut    bool // the provider refused a POST for lack of credits within the last minute
}

// Covers reports whether the balance pays for an order of so many credits.
func (b Balance) Covers(credits float64) bool { return !b.Shut && b.Credits >= credits }

// memory is what this process remembers of the account.
type memory struct {
	once   sync.Once     // makes asking
	asking chan struct{} // holds the goroutine that asks the provider

	mu        sync.Mutex // guards what follows; never held during a request
	credits   float64
	asOf      time.Time
	answered  time.Time // when the provider last answered this process; asOf may be a later check's
	stale     bool      // ask again, whatever the age
	err       error     // of the last request
	askedAt   time.Time // when the last request ended
	shutUntil time.Time
	shutLeast float64 // the least balance seen since the gate was shut

	checkMu   sync.Mutex   // held while what follows is read from the store
	checked   task.Balance // what the last check found
	checkedAt time.Time    // when that was read
}

// shut closes the gate: the provider has just refused a POST for lack of credits.
func (m *memory) shut(now time.Time) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.shutUntil, m.stale = now.Add(gateTTL), true
	if m.shutLeast = m.credits; m.asOf.IsZero() {
		m.shutLeast = math.Inf(1)
	}
}

// learn remembers the outcome of a request. While the gate is shut, a balance that
// has grown opens it: somebody topped up. A balance that is merely enough does not,
// since the provider refused in spite of it.
func (m *memory) learn(credits float64, err error, begun, now time.Time) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.askedAt = now
	if m.err = err; err != nil {
		return
	}
	if credits > m.shutLeast {
		m.shutUntil = time.Time{}
	}
	m.shutLeast = min(m.shutLeast, credits)
	m.credits, m.asOf, m.answered, m.stale = credits, begun, begun, false
}

// known returns what is in memory. The caller holds mu.
func (m *memory) known(now time.Time) Balance {
	return Balance{Credits: m.credits, AsOf: m.asOf, Shut: now.Before(m.shutUntil)}
}

// old reports whether the balance must be asked for again. The caller holds mu.
func (m *memory) old(now time.Time) bool {
	return m.stale || now.Sub(m.asOf) >= balanceTTL
}

// inGrace reports whether a balance that is old may still serve an order that it
// covers. The caller holds mu.
func (m *memory) inGrace(now time.Time) bool {
	return !m.stale && now.Sub(m.answered) < balanceTTL+balanceGrace
}

// ask asks the provider if due, which is called with mu held, reports that it must.
// Concurrent callers share one request. While the provider cannot answer, ask returns
// the last known balance with the error of the request; AsOf is zero if there is none.
func (a *Account) ask(ctx context.Context, due func(now time.Time) bool) (Balance, error) {
	m := &a.memory
	recall := func() (known Balance, err error, enough bool) {
		m.mu.Lock()
		defer m.mu.Unlock()
		now := a.Now()
		backingOff := m.err != nil && now.Sub(m.askedAt) < balanceBackoff
		return m.known(now), m.err, backingOff || !due(now)
	}
	if known, err, enough := recall(); enough {
		return known, err
	}
	m.once.Do(func() { m.asking = make(chan struct{}, 1) })
	select {
	case m.asking <- struct{}{}:
		defer func() { <-m.asking }()
	case <-ctx.Done():
		known, _, _ := recall()
		return known, ctx.Err()
	}
	if known, err, enough := recall(); enough {
		return known, err // another goroutine has asked meanwhile
	}
	begun := a.Now()
	credits, err := a.credits(ctx)
	m.learn(credits, err, begun, a.Now())
	known, err, _ := recall()
	return known, err
}

// Balance returns the balance, at most 30 s old, or what ask returns while the
// provider cannot answer.
func (a *Account) Balance(ctx context.Context) (Balance, error) {
	return a.ask(ctx, a.memory.old)
}

// Prepare reads the secret and asks for the balance before the first order needs them. It
// returns soon after ctx ends. What fails counts as no try: the first order asks at once.
// Call it before all other methods.
func (a *Account) Prepare(ctx context.Context) error {
	if err := a.Secrets.Prepare(ctx); err != nil {
		return err
	}
	secret, err := a.Secrets.Current(ctx) // from memory
	if err != nil {
		return err
	}
	begun := a.Now()
	// Not by a.credits: after a refused key it reads the secret again, which does not end with ctx.
	credits, err := a.Provider.Credits(ctx, string(secret.APIKey))
	if err == nil {
		a.memory.learn(credits, nil, begun, a.Now())
	}
	return err
}

// forOrder returns the balance that decides whether an order is affordable. One that
// covers the estimate may be up to 35 s old: renew replaces it after the order.
func (a *Account) forOrder(ctx context.Context, estimate float64) (Balance, error) {
	m := &a.memory
	return a.ask(ctx, func(now time.Time) bool {
		return m.old(now) && !(m.inGrace(now) && m.known(now).Covers(estimate))
	})
}

// renew starts asking for a balance that is in its grace, so that in a busy process
// no order waits for it. The caller goes on, and later calls wait, which returns
// when the request has ended.
func (a *Account) renew(ctx context.Context) (wait func()) {
	m := &a.memory
	m.mu.Lock()
	defer m.mu.Unlock()
	if now := a.Now(); !m.old(now) || !m.inGrace(now) {
		return func() {}
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		_, _ = a.Balance(ctx) // memory keeps the error
	}()
	return func() { <-done }
}

// Known returns the balance for people to look at: at most 30 s old from memory, or
// as the last check found it. It asks the provider only if no check has come for
// 7 minutes, or, once in 30 s, if the known balance does not cover least, the price
// of the cheapest order: so a top-up shows soon.
func (a *Account) Known(ctx context.Context, least float64) (Balance, error) {
	m := &a.memory
	checked := a.lastCheck(ctx)
	return a.ask(ctx, func(now time.Time) bool {
		unchecked := now.Sub(checked.AsOf) >= checkTTL && m.old(now)
		poor := !m.known(now).Covers(least) && now.Sub(m.askedAt) >= balanceTTL
		return unchecked || poor
	})
}

// lastCheck returns what the last check found, read at most once in 30 s, and puts
// it into memory with its age, so that the gate takes it only while it is young.
func (a *Account) lastCheck(ctx context.Context) task.Balance {
	m := &a.memory
	m.checkMu.Lock()
	defer m.checkMu.Unlock()
	if now := a.Now(); now.Sub(m.checkedAt) >= balanceTTL && !m.young(now) {
		ctx, cancel := context.WithTimeout(ctx, checkTimeout)
		defer cancel()
		checked, err := a.Store.Balance(ctx)
		if err != nil {
			a.Log.WarnContext(ctx, "the last check of the credits could not be read", "error", err)
			return m.checked
		}
		m.checked, m.checkedAt = checked, now
		m.adopt(checked)
	}
	return m.checked
}

// young reports whether the memory is as good as what a check could have found.
func (m *memory) young(now time.Time) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return now.Sub(m.asOf) < balanceTTL
}

// adopt remembers what a check found, unless the memory is newer.
func (m *memory) adopt(checked task.Balance) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if checked.AsOf.After(m.asOf) {
		m.credits, m.asOf = checked.Credits, checked.AsOf
	}
}

// Check asks the provider for the balance. It returns what to keep of it ([Account.Keep])
// and the news since people were last told. While the kept balance cannot be read,
// there is no news, and the error comes with a valid balance. Credits are low below
// lowBelow and empty below cheapest.
func (a *Account) Check(ctx context.Context, lowBelow, cheapest float64) (task.Balance, task.News, error) {
	balance, err := a.ask(ctx, func(time.Time) bool { return true })
	if err != nil {
		return task.Balance{}, "", err
	}
	ctx, cancel := context.WithTimeout(ctx, checkTimeout)
	defer cancel()
	was, err := a.Store.Balance(ctx)
	is, news := was.Next(balance.Credits, balance.AsOf, lowBelow, cheapest)
	if err != nil {
		news = ""
	}
	return is, news, err
}

// Keep stores what Check returned. Call it after the news was sent, since it keeps
// whether that succeeded ([task.Balance.Delivered]): the next check finds unsent news again.
func (a *Account) Keep(ctx context.Context, checked task.Balance) error {
	ctx, cancel := context.WithTimeout(ctx, checkTimeout)
	defer cancel()
	return a.Store.SetBalance(ctx, checked)
}

// reasonBudget is what users are told while the budget is spent.
const reasonBudget = "the daily budget is spent"

// EnforceBudget holds all POSTs until the day is over if its budget is spent, as a check has
// seen it, and else ends such a hold. It compares what is with what should be, so it may be
// called again, or late. changed reports that it did something.
func (a *Account) EnforceBudget(ctx context.Context, checked task.Balance, budget int) (changed bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, checkTimeout)
	defer cancel()
	p, err := a.Store.Paused(ctx)
	if err != nil {
		return false, err
	}
	now, until := a.Now(), task.NextDay(checked.AsOf)
	hold, held := p.By[task.HeldByBudget]
	switch spent := checked.Spend.Reached(budget); {
	case held && hold.Since.After(checked.AsOf): // by a later check
		return false, nil
	case spent && now.Before(until) && !(held && hold.Until.Equal(until)):
		return true, a.Store.Hold(ctx, task.HeldByBudget, task.Hold{Reason: reasonBudget, Since: now, Until: until})
	case !spent && held:
		return now.Before(hold.Until), a.Store.Release(ctx, task.HeldByBudget, now)
	}
	return false, nil
}

// credits asks the provider, and once more if another key has replaced a refused one.
func (a *Account) credits(ctx context.Context) (float64, error) {
	ctx, cancel := context.WithTimeout(ctx, balanceTimeout)
	defer cancel()
	secret, err := a.Secrets.Current(ctx)
	if err != nil {
		return 0, err
	}
	credits, err := a.Provider.Credits(ctx, string(secret.APIKey))
	if e, ok := errors.AsType[*nanobanana.Error](err); ok && e.Reason == nanobanana.Unauthorized {
		fresh, reloadErr := a.Secrets.Reload(ctx, a.Now().Add(-keyTTL))
		if reloadErr == nil && fresh.APIKey != secret.APIKey {
			return a.Provider.Credits(ctx, string(fresh.APIKey))
		}
	}
	return credits, err
}
