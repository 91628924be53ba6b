package ops

import (
	"strconv"
	"strings"
	"time"
)

// parseSince returns the time that -since names: a time ago, such as 24h or 7d, a day, or
// a time as in RFC 3339.
func parseSince(text string, now time.Time) (time.Time, error) {
	if days, ok := strings.CutSuffix(text, "d"); ok {
		if n, err := strconv.Atoi(days); err == nil && n > 0 && n <= 3650 {
			return now.Add(-time.Duration(n) * 24 * time.Hour), nil
		}
	}
	if d, err := time.ParseDuration(text); err == nil && d > 0 {
		return now.Add(-d), nil
	}
	for _, layout := range []string{time.DateOnly, time.RFC3339} {
		if at, err := time.Parse(layout, text); err == nil {
			return at.UTC(), nil
		}
	}
	return time.Time{}, Usagef("-since %s is no time: write 24h, 7d, a day such as 2026-03-14 (UTC), or 2026-03-14T03:00:00Z", text)
}
