package task_test

import (
	"testing"
	"time"

	"github.com/preset/nanobanana-functions/shared/task"
)

// The spend is the sum of the falls. Rises are top-ups. It begins anew at 00:00 UTC: a
// fall across midnight counts on the day of the check that saw it.
func TestSpend(t *testing.T) {
	at := func(day, hour, minute int) time.Time { return time.Date(2026, 3, day, hour, minute, 0, 0, time.UTC) }
	var b task.Balance
	for n, step := range []struct {
		at          time.Time
		credits     float64
		today, hour float64
	}{
		{at(14, 12, 0), 1000, 0, 0}, // the first check knows no earlier balance
		{at(14, 12, 5), 999.9, 0.1, 0.1},
		{at(14, 12, 10), 999.7, 0.3, 0.3}, // and not 0.30000000000000004
		{at(14, 12, 15), 5000, 0.3, 0.3},  // a top-up
		{at(14, 12, 20), 4990, 10.3, 10.3},
		{at(14, 13, 5), 4990, 10.3, 10.2}, // the first fall is an hour old
		{at(14, 13, 19), 4990, 10.3, 10},
		{at(14, 13, 20), 4990, 10.3, 0},
		{at(14, 18, 0), 4980, 20.3, 10}, // checks that were missed
		{at(14, 23, 59), 4970, 30.3, 10},
		{at(15, 0, 4), 4960, 10, 20}, // the day is new, the hour is not
		{at(15, 0, 9), 4960, 10, 20},
		{at(17, 0, 0), 4950, 10, 10}, // whole days without a check
	} {
		b, _ = b.Next(step.credits, step.at, 0, 0)
		if b.Spend.Today != step.today || b.Spend.Hour() != step.hour || b.Spend.Day != task.Day(step.at) {
			t.Errorf("check %d: %+v (%v in the hour), want %v and %v", n, b.Spend, b.Spend.Hour(), step.today, step.hour)
		}
	}
}

// The falls of an hour are bounded, however many checks there are; none is lost.
func TestSpendIsBounded(t *testing.T) {
	b := task.Balance{Credits: 1e6, AsOf: time.Date(2026, 3, 14, 12, 0, 0, 0, time.UTC)}
	for n := range 1000 {
		b, _ = b.Next(b.Credits-1, b.AsOf.Add(time.Second), 0, 0)
		if b.Spend.Hour() != float64(n+1) || len(b.Spend.Falls) > 24 {
			t.Fatalf("after %d checks: %+v", n+1, b.Spend)
		}
	}
}
