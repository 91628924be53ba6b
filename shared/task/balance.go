package task

import "time"

// Balance is what a scheduled check found of the provider's account, which all
// share: one small row, so that a look at the credits costs the provider nothing.
type Balance struct {
	Credits float64
	AsOf    time.Time // kept to the millisecond
	Level   Level     // what people have been told last
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
func (was Balance) Next(credits float64, asOf time.Time, lowBelow, cheapest float64) (is Balance, news News) {
	is = Balance{Credits: credits, AsOf: asOf, Level: LevelFine}
	switch {
	case credits < cheapest, credits < lowBelow && was.Level == LevelEmpty:
		is.Level = LevelEmpty
	case credits < lowBelow:
		is.Level = LevelLow
	}
	switch {
	case is.Level == was.Level:
	case is.Level == LevelLow:
		news = NewsCreditsLow
	case is.Level == LevelEmpty:
		news = NewsCreditsEmpty
	case was.Level == LevelLow || was.Level == LevelEmpty:
		news = NewsCreditsRestored
	}
	return is, news
}
