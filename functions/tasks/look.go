package tasks

import (
	"context"
	"time"

	"github.com/preset/nanobanana-functions/shared/task"
)

// How often a waiting client's tasks are looked at. A look is one read of the store.
const (
	lookOften  = 250 * time.Millisecond // while news is near
	lookSeldom = time.Second

	newsFor = 30 * time.Second // how long news stays near, at least

	// readTime is what is left at least of a wait that has a record read: 5 s for the
	// read, and time for its writes. So the wait ends on time.
	readTime = 7 * time.Second
)

// lookEvery returns the time from one look at a running task to the next. Since is
// how long the task has had its status, expected how long such tasks take.
//
// News is near once the pictures are made. It is also near around the expected end of
// a generation: from half the expected time for as long as that time, or for newsFor
// if that is longer. Looks a second apart would often miss a short Storing.
func lookEvery(s task.Status, since, expected time.Duration) time.Duration {
	switch {
	case s == task.Storing && since < newsFor, // it is negative where the writer's clock is ahead
		s == task.Generating && since >= expected/2 && since < expected/2+max(newsFor, expected):
		return lookOften
	}
	return lookSeldom
}

// lookEvery returns the time to the next look at all tasks of s together: the one
// whose news is nearest decides.
func (s snapshot) lookEvery(now time.Time) time.Duration {
	every := lookSeldom
	for i, t := range s.rows {
		if p := s.page.Tasks[i].Progress; p != nil { // it runs
			every = min(every, lookEvery(t.Status, now.Sub(t.Since), time.Duration(p.ExpectedSeconds)*time.Second))
		}
	}
	return every
}

// rest waits until s, which was read at looked, is due for another look, but not
// beyond end. It reports false if end has passed or ctx is over.
func (f Function) rest(ctx context.Context, s snapshot, looked, end time.Time) bool {
	if !time.Now().Before(end) {
		return false
	}
	next := looked.Add(s.lookEvery(f.Now()))
	if next.After(end) {
		next = end
	}
	timer := time.NewTimer(time.Until(next))
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-timer.C:
		return ctx.Err() == nil
	}
}

// readOverdue has the record of the first overdue task of s read, if so much is left of
// the wait until end. It reports whether that was tried, which one wait does once.
func (f Function) readOverdue(ctx context.Context, s snapshot, end time.Time) bool {
	if time.Until(end) < readTime {
		return false
	}
	for i, t := range s.rows {
		p := s.page.Tasks[i].Progress
		if p != nil && f.Reader.ReadOverdue(ctx, t, p.ExpectedSeconds) { // with p, it runs
			return true
		}
	}
	return false
}
