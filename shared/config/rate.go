package config

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// Rate is a number of calls in a time. The zero Rate is no limit.
type Rate struct {
	Count int
	Per   time.Duration
}

// String returns the rate as it is written in a setting: 20/10s, or 0 for no limit.
func (r Rate) String() string {
	if r.Count == 0 {
		return "0"
	}
	return fmt.Sprintf("%d/%v", r.Count, r.Per)
}

// The bounds of a rate. A sweep begins each minute and knows nothing of the one
// before: it could not hold to less than one call a minute.
const (
	maxRateCount  = 9999
	maxRatePer    = time.Hour
	slowestRate   = time.Minute // from one call to the next
	rateIsWritten = "write it like 20/10s, at most 9999 in at most 1h and at least one a minute, or 0 for no limit"
)

// rate reads COUNT/DURATION, or 0 for no limit.
func (r *reader) rate(name string, fallback Rate) Rate {
	v := r.value(name)
	switch v {
	case "":
		return fallback
	case "0":
		return Rate{}
	}
	count, per, _ := strings.Cut(v, "/")
	n, countErr := strconv.ParseUint(count, 10, 16)
	d, perErr := time.ParseDuration(per)
	ok := countErr == nil && perErr == nil && n > 0 && n <= maxRateCount && d > 0 && d <= maxRatePer
	if !ok || d/time.Duration(n) > slowestRate {
		r.fault(name, fmt.Sprintf("is not a rate: %s; left out it is %v", rateIsWritten, fallback))
		return fallback
	}
	return Rate{Count: int(n), Per: d}
}
