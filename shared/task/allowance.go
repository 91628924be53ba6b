package task

import (
	"context"
	"time"
)

// Allowance is how many images an owner may order on a UTC day.
type Allowance struct {
	Limit    int // 0: as many as they like
	Used     int // counted if there is a limit
	ResetsAt time.Time
}

// ReadAllowance returns what an owner may order today, of limit images.
func ReadAllowance(ctx context.Context, s Store, owner string, limit int, now time.Time) (a Allowance, err error) {
	a = Allowance{Limit: limit, ResetsAt: NextDay(now)}
	if limit > 0 {
		a.Used, err = s.UsedImages(ctx, owner, Day(now))
	}
	return a, err
}

// Left returns how many images are left, if there is a limit.
func (a Allowance) Left() int { return max(a.Limit-a.Used, 0) }

// Allows reports whether Store.Create, at this moment, would not refuse a task of so
// many images with ErrQuota.
func (a Allowance) Allows(images int) bool { return a.Limit == 0 || a.Used+images <= a.Limit }
