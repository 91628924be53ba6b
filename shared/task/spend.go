package task

import (
	"math"
	"time"
)

// Spend is how many credits were spent, by everybody together, as the falls of the
// balance from check to check show it. A rise is a top-up, and spends nothing. What was
// spent and topped up between the same two checks is not seen.
type Spend struct {
	Day   string  `json:"day"`             // UTC, of the last check
	Today float64 `json:"today,omitempty"` // credits; a fall counts on the day of the check that saw it
	Falls []Fall  `json:"falls,omitempty"` // of the last hour, in order
}

// Fall is by how much the balance fell until a check.
type Fall struct {
	At      time.Time `json:"at"`
	Credits float64   `json:"credits"`
}

// maxFalls bounds the falls of an hour, in which the schedule makes 12 checks. Of more,
// the two oldest are joined.
const maxFalls = 24

// then returns the spend after a check at asOf that saw the balance fall; a negative fall
// is a rise.
func (s Spend) then(asOf time.Time, fall float64) Spend {
	next := Spend{Day: Day(asOf), Today: s.Today}
	if next.Day != s.Day {
		next.Today = 0
	}
	for _, f := range s.Falls {
		if asOf.Sub(f.At) < time.Hour {
			next.Falls = append(next.Falls, f)
		}
	}
	if fall = thousandths(fall); fall <= 0 {
		return next
	}
	next.Today = thousandths(next.Today + fall)
	next.Falls = append(next.Falls, Fall{asOf, fall})
	if len(next.Falls) > maxFalls {
		next.Falls[1].Credits = thousandths(next.Falls[0].Credits + next.Falls[1].Credits)
		next.Falls = next.Falls[1:]
	}
	return next
}

// Hour returns the credits of the last hour.
func (s Spend) Hour() (credits float64) {
	for _, f := range s.Falls {
		credits += f.Credits
	}
	return thousandths(credits)
}

// Reached reports whether the day's spend has reached a budget. Without a budget, which is
// 0, it never does.
func (s Spend) Reached(budget int) bool { return budget > 0 && s.Today >= float64(budget) }

// thousandths rounds credits to what prices are given in, so that sums stay exact.
func thousandths(credits float64) float64 { return math.Round(credits*1000) / 1000 }
