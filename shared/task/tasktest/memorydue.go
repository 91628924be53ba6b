package tasktest

import (
	"cmp"
	"context"
	"iter"
	"slices"
	"strings"
	"time"

	"github.com/preset/nanobanana-functions/shared/task"
)

func (s *Memory) Due(ctx context.Context, now time.Time) iter.Seq2[string, error] {
	return func(yield func(string, error) bool) {
		unlock, err := s.lock(ctx)
		if err != nil {
			yield("", err)
			return
		}
		var due []string
		for id, r := range s.rows {
			if at := r.stored.Due(); !at.IsZero() && !at.After(now) {
				due = append(due, sortKey(id, at))
			}
		}
		unlock()
		for _, key := range slices.Sorted(slices.Values(due)) {
			if !yield(key[16:], nil) {
				return
			}
		}
	}
}

func (s *Memory) DuePage(ctx context.Context, after task.DueEntry, limit int) ([]task.DueEntry, error) {
	unlock, err := s.lock(ctx)
	if err != nil {
		return nil, err
	}
	defer unlock()
	order := func(a, b task.DueEntry) int { return cmp.Or(a.At.Compare(b.At), strings.Compare(a.ID, b.ID)) }
	var page []task.DueEntry
	for id, r := range s.rows {
		e := task.DueEntry{At: r.stored.Due(), ID: id}
		if !e.At.IsZero() && order(e, after) > 0 {
			page = append(page, e)
		}
	}
	slices.SortFunc(page, order)
	return page[:min(limit, len(page))], nil
}
