package task

import (
	"strconv"
	"strings"
	"time"
)

// Balance is what a scheduled check found of the provider's account, which all
// share: one small row, so that a look at the credits costs the provider nothing.
type Balance struct {
	Credits float64
	AsOf    time.Time // kept to the millisecond
	Level   Level     // what people have been told last
	Since   time.Time // AsOf of the check that they were told by, to the millisecond; zero: never
	Unsure  bool      // news was sent since, and nobody said that it came
}

// Level says how things stand with the credits. It is a stored word.
type Level string

const (
	// LevelFine: nobody need do anything. Too few credits end it.
	LevelFine Level = "fine"
	// LevelLow: it is time to top up. Enough credits end it, or none.
	LevelLow Level = "low"
	// LevelEmpty: not one picture can be paid. Enough credits end it; a few do not.
	LevelEmpty Level = "empty"
)

// News is what people want to be told of the credits.
type News string

// The news there is. They are published words.
const (
	NewsCreditsLow      News = "credits.low"
	NewsCreditsEmpty    News = "credits.empty"
	NewsCreditsRestored News = "credits.restored"
)

// Next gives the balance that follows was, the last one known or a zero one,
// and the news in it, empty for none. Credits are low below lowBelow and empty
// below cheapest. What has been told stands until credits are no longer low: a
// picture's price that is given back and spent again is not news each time.
// While it is unsure what people know, however things stand is news. The news is
// still to be told: then [Balance.Delivered] or [Balance.Undelivered] gives what to keep.
func (was Balance) Next(credits float64, asOf time.Time, lowBelow, cheapest float64) (is Balance, news News) {
	is = Balance{Credits: credits, AsOf: asOf, Level: was.Level, Since: was.Since, Unsure: was.Unsure}
	level := LevelFine
	switch {
	case credits < cheapest, credits < lowBelow && was.Level == LevelEmpty:
		level = LevelEmpty
	case credits < lowBelow:
		level = LevelLow
	}
	switch {
	case level == was.Level && !was.Unsure:
	case level == LevelLow:
		news = NewsCreditsLow
	case level == LevelEmpty:
		news = NewsCreditsEmpty
	case was.Level == LevelLow, was.Level == LevelEmpty, was.Unsure:
		news = NewsCreditsRestored
	default: // fine, as everybody thinks
		is.Level, is.Since = LevelFine, asOf
	}
	return is, news
}

// Delivered gives the balance after its news has been told.
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

// Undelivered gives the balance after its news could not be told for sure: whoever
// was told may have taken it, and the answer was lost.
func (b Balance) Undelivered() Balance {
	b.Unsure = true
	return b
}

// NewsID is the one name of the news that is still to be told of the balance,
// such as credits-low-1773489600000. It is made of the news and of when people
// were told something last, which stands in the row until this is told: so
// checks that overlap give it alike, and so does each check that tries again.
// After it is told, that time is another, and no later news has its name.
func (b Balance) NewsID(news News) string {
	since := int64(0) // nobody was told anything yet
	if !b.Since.IsZero() {
		since = b.Since.UnixMilli()
	}
	return strings.ReplaceAll(string(news), ".", "-") + "-" + strconv.FormatInt(since, 10)
}
