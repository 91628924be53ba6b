package config

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// Rate is a number of calls per duration. The zero Rate is no limit.
type Rate struct {
	Count int
	Per   time.Duration
}

// String returns the rate as a setting writes it: 20/10s, or 0 for no limit.
func (r Rate) String() string {
	if r.Count == 0 {
		return "0"
	}
	return fmt.Sprintf("%d/%v", r.Count, r.Per)
}

// The bounds of a rate. A sweep starts every minute and does not know what the one
// before did, so it cannot keep to less than one call a minute.
const (
	maxRateCount    = 9999
	maxRatePer      = time.Hour
	maxRateInterval = time.Minute // from one call to the next
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
	if !ok || d/time.Duration(n) > maxRateInterval {
		r.fault(name, fmt.Sprintf("is not a rate: write it like 20/10s (at most %d in at most 1h, and at least one a minute), write 0 for no limit, or remove it to use %v", maxRateCount, fallback))
		return fallback
	}
	return Rate{Count: int(n), Per: d}
}
