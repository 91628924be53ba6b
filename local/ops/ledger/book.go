package ledger

import (
	"cmp"
	"math"
	"slices"
	"time"
)

// running is a sum that grows with time.
type running struct {
	at  []time.Time
	sum []float64 // until at[i], included
}

// until returns the sum of what came until then.
func (r running) until(at time.Time) float64 {
	n, _ := slices.BinarySearchFunc(r.at, at, func(a, b time.Time) int {
		if a.After(b) {
			return 1
		}
		return -1 // finds the first after at
	})
	if n == 0 {
		return 0
	}
	return r.sum[n-1]
}

// book has the running sums of all attempts' bounds.
type book struct {
	spans                          []span
	mostBegun, mostSettled         running // what may have been charged; what can no longer be
	leastBegun, leastSettled       running
	returnedBegun, returnedSettled running
}

func newBook(attempts []*Attempt) *book {
	b := &book{}
	for _, a := range attempts {
		if s, charged := of(a); charged {
			b.spans = append(b.spans, s)
		}
	}
	sum := func(when func(span) time.Time, always bool, amount func(span) float64) running {
		type step struct {
			at     time.Time
			amount float64
		}
		var steps []step
		for _, s := range b.spans {
			if at := when(s); (always || !at.IsZero()) && amount(s) != 0 {
				steps = append(steps, step{at, amount(s)})
			}
		}
		slices.SortFunc(steps, func(a, b step) int { return a.at.Compare(b.at) })
		var r running
		total := 0.0
		for _, s := range steps {
			total += s.amount
			r.at, r.sum = append(r.at, s.at), append(r.sum, total)
		}
		return r
	}
	from, to := func(s span) time.Time { return s.from }, func(s span) time.Time { return s.to }
	most, least := func(s span) float64 { return s.most }, func(s span) float64 { return s.least }
	b.mostBegun, b.mostSettled = sum(from, true, most), sum(to, false, most)
	b.leastBegun, b.leastSettled = sum(from, true, least), sum(to, false, least)
	returned := func(s span) float64 {
		if s.returned.IsZero() {
			return 0
		}
		return s.most
	}
	b.returnedBegun = sum(func(s span) time.Time { return s.returned }, false, returned)
	b.returnedSettled = sum(to, false, returned)
	return b
}

// bounds returns what the attempts must and can have cost between two times.
func (b *book) bounds(from, to time.Time) (least, most float64) {
	for _, s := range b.spans {
		if s.from.After(to) || !s.to.IsZero() && !s.to.After(from) {
			continue
		}
		most += s.most
		if s.from.After(from) && !s.to.IsZero() && !s.to.After(to) {
			least += s.least
		}
	}
	return least, most
}

// suspects returns the tasks that may have been charged in the window of f, the last
// ones first, and one whose price is what is too much.
func (b *book) suspects(f Finding) (tasks []string, more int, twice string) {
	var found []span
	for _, s := range b.spans {
		if !s.from.After(f.To) && (s.to.IsZero() || s.to.After(f.From)) {
			found = append(found, s)
		}
	}
	slices.SortFunc(found, func(a, b span) int {
		return cmp.Or(b.from.Compare(a.from), cmp.Compare(a.attempt.Task, b.attempt.Task))
	})
	for _, s := range found {
		id := s.attempt.Task
		if f.Kind == More && twice == "" && math.Abs(s.most-f.Credits) < cents {
			twice = id
		}
		switch {
		case slices.Contains(tasks, id):
		case len(tasks) < maxTasks:
			tasks = append(tasks, id)
		default:
			more++
		}
	}
	return tasks, more, twice
}
