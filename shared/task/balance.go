package task

import (
	"strconv"
	"strings"
	"time"
)

// Balance is the state of the provider account, which all owners share, as the last
// scheduled check found it. It is one small row, so that reading the credits needs
// no call to the provider.
type Balance struct {
	Credits float64
	AsOf    time.Time // in milliseconds
	Level   Level     // of the last news that was delivered
	Since   time.Time // AsOf of the check that sent it, in milliseconds; zero: none yet
	Unsure  bool      // later news was sent, but may not have arrived
	Spend   Spend
}

// Level is how far the credits reach. It is a stored word.
type Level string

const (
	// LevelFine: there are enough credits. Too few end it.
	LevelFine Level = "fine"
	// LevelLow: the operator should top up. Enough credits end it, or none.
	LevelLow Level = "low"
	// LevelEmpty: the credits do not pay for any picture. Enough credits end it; a
	// few do not.
	LevelEmpty Level = "empty"
)

// News is a change of the credits that people are notified of. It is a published word.
type News string

// The kinds of News.
const (
	NewsCreditsLow      News = "credits.low"
	NewsCreditsEmpty    News = "credits.empty"
	NewsCreditsRestored News = "credits.restored"
)

// Next returns the balance that follows b, which is the last known one or zero, and
// the news in it, empty for none. Credits are low below lowBelow and empty below
// cheapest. A level lasts until credits are no longer low: a price that is returned
// and spent again is not news each time. While it is unsure whether the last news
// arrived, every level is news. After the caller has sent the news,
// [Balance.Delivered] or [Balance.Undelivered] returns the balance to keep.
func (b Balance) Next(credits float64, asOf time.Time, lowBelow, cheapest float64) (next Balance, news News) {
	next = Balance{Credits: credits, AsOf: asOf, Level: b.Level, Since: b.Since, Unsure: b.Unsure}
	fall := 0.0
	if !b.AsOf.IsZero() {
		fall = b.Credits - credits
	}
	next.Spend = b.Spend.then(asOf, fall)
	level := LevelFine
	switch {
	case credits < cheapest, credits < lowBelow && b.Level == LevelEmpty:
		level = LevelEmpty
	case credits < lowBelow:
		level = LevelLow
	}
	switch {
	case level == b.Level && !b.Unsure:
	case level == LevelLow:
		news = NewsCreditsLow
	case level == LevelEmpty:
		news = NewsCreditsEmpty
	case b.Level == LevelLow, b.Level == LevelEmpty, b.Unsure:
		news = NewsCreditsRestored
	default: // the first check, and all is fine
		next.Level, next.Since = LevelFine, asOf
	}
	return next, news
}

// Delivered returns the balance after its news was delivered.
func (b Balance) Delivered(news News) Balance {
	b.Since, b.Unsure = b.AsOf, false
	switch news {
	case NewsCreditsLow:
		b.Level = LevelLow
	case NewsCreditsEmpty:
		b.Level = LevelEmpty
	case NewsCreditsRestored:
		b.Level = LevelFine
	}
	return b
}

// Undelivered returns the balance after its news may not have been delivered: it
// may have arrived although its answer was lost.
func (b Balance) Undelivered() Balance {
	b.Unsure = true
	return b
}

// NewsID returns the id of news that is not delivered yet, such as
// credits-low-1773489600000. It is made of the news and of Since, the time of the
// last delivered news. Since stays until this news is delivered, so checks that
// overlap or try again return the same id; later news has another Since.
func (b Balance) NewsID(news News) string {
	since := int64(0) // nothing was delivered yet
	if !b.Since.IsZero() {
		since = b.Since.UnixMilli()
	}
	return strings.ReplaceAll(string(news), ".", "-") + "-" + strconv.FormatInt(since, 10)
}
