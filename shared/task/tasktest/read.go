package tasktest

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/preset/nanobanana-functions/shared/task"
)

func testQuota(t *testing.T, h Harness) {
	used(t, h.Store, "ada", 0)
	create(t, h.Store, start) // does not count
	used(t, h.Store, "ada", 0)
	for _, step := range []struct {
		images, limit int
		want          error
		used          int
	}{{2, 3, nil, 2}, {2, 3, task.ErrQuota, 2}, {1, 3, nil, 3}, {1, 3, task.ErrQuota, 3}, {4, 0, nil, 7}, {1, 8, nil, 8}} {
		x := task.New(draft(images(step.images)), start)
		allowance, err := task.ReadAllowance(t.Context(), h.Store, "ada", step.limit, start)
		if err != nil || allowance.Allows(step.images) != (step.want == nil) || allowance.ResetsAt != task.NextDay(start) {
			t.Errorf("%d images, limit %d: %+v, %v", step.images, step.limit, allowance, err)
		}
		if _, err := h.Store.Create(t.Context(), x, step.limit); !errors.Is(err, step.want) {
			t.Errorf("%d images, limit %d: %v, want %v", step.images, step.limit, err, step.want)
		}
		used(t, h.Store, "ada", step.used)
		_, err = h.Store.Task(t.Context(), x.ID)
		if refused := errors.Is(err, task.ErrNotFound); refused != (step.want != nil) {
			t.Errorf("%d images, limit %d: the row: %v", step.images, step.limit, err)
		}
	}
	used(t, h.Store, "bob", 0)
	tomorrow := task.New(draft(images(1)), start.Add(24*time.Hour))
	if _, err := h.Store.Create(t.Context(), tomorrow, 1); err != nil {
		t.Errorf("another day: %v", err)
	}
}

func testQuotaParallel(t *testing.T, h Harness) {
	var mu sync.Mutex
	accepted := 0
	var wg sync.WaitGroup
	for range 50 {
		wg.Go(func() {
			_, err := h.Store.Create(t.Context(), task.New(draft(images(1)), start), 3)
			mu.Lock()
			defer mu.Unlock()
			if err == nil {
				accepted++
			} else if !errors.Is(err, task.ErrQuota) {
				t.Errorf("got %v, want ErrQuota", err)
			}
		})
	}
	wg.Wait()
	if accepted != 3 {
		t.Errorf("%d tasks within a quota of 3", accepted)
	}
	used(t, h.Store, "ada", 3)
}

// testRefund returns images to the quota with the put that fails the task, once.
func testRefund(t *testing.T, h Harness) {
	x, other := create(t, h.Store, start, images(3)), create(t, h.Store, start, images(2))
	used(t, h.Store, "ada", 5)
	failed := update(t, h.Store, x, refused)
	used(t, h.Store, "ada", 2)
	update(t, h.Store, failed, func(x *task.Task) error { return x.Delete(task.DefaultRules(), start.Add(time.Minute)) })
	used(t, h.Store, "ada", 2)
	// A refused put returns nothing.
	stale := next(other, "w", refused)
	update(t, h.Store, other, accepted)
	if _, err := h.Store.Put(t.Context(), stale); !errors.Is(err, task.ErrConflict) {
		t.Fatalf("got %v, want ErrConflict", err)
	}
	used(t, h.Store, "ada", 2)
}

// due returns the ids of due tasks.
func due(t *testing.T, s task.Store, now time.Time) []string {
	t.Helper()
	var ids []string
	for id, err := range s.Due(t.Context(), now) {
		if err != nil {
			t.Fatal(err)
		}
		ids = append(ids, id)
	}
	return ids
}

func testDue(t *testing.T, h Harness) {
	var ids []string
	for n := range 5 {
		ids = append(ids, create(t, h.Store, start.Add(time.Duration(4-n)*time.Second)).ID)
	}
	slices.Reverse(ids) // the one that has waited longest first
	first := read(t, h.Store, ids[0])
	if got := due(t, h.Store, first.DueAt.Add(-time.Millisecond)); len(got) != 0 {
		t.Errorf("before the first: %v", got)
	}
	if got := due(t, h.Store, first.DueAt); !slices.Equal(got, ids[:1]) {
		t.Errorf("at the first: %v, want %v", got, ids[:1])
	}
	if got := due(t, h.Store, start.Add(time.Hour)); !slices.Equal(got, ids) {
		t.Errorf("later: %v, want %v", got, ids)
	}
	// The index follows the row; a task that ended is not in it.
	update(t, h.Store, first, accepted)
	update(t, h.Store, read(t, h.Store, ids[1]), refused)
	want := append(slices.Clone(ids[2:]), ids[0])
	slices.SortFunc(want, func(a, b string) int { return read(t, h.Store, a).DueAt.Compare(read(t, h.Store, b).DueAt) })
	if got := due(t, h.Store, start.Add(time.Hour)); !slices.Equal(got, want) {
		t.Errorf("after the changes: %v, want %v", got, want)
	}
}

// testDueOfBoth has a deleted task with an erase and a notice, which are done in either
// order: the task is due at the earlier time, and until both are done.
func testDueOfBoth(t *testing.T, h Harness) {
	rules := task.DefaultRules()
	rules.Notify = true
	both := func(n int) *task.Task {
		x := create(t, h.Store, start, key(fmt.Sprint("both ", n)))
		update(t, h.Store, x, func(x *task.Task) error {
			return x.Refused(rules, start, 1, task.Refusal{Code: task.CodeProviderRejected})
		})
		return update(t, h.Store, read(t, h.Store, x.ID), func(x *task.Task) error { return x.Delete(rules, start) })
	}
	erased := func(x *task.Task) error { x.Erased(start.Add(time.Hour)); return nil }
	told := func(x *task.Task) error { x.Notified(start, x.NoticeVersion()); return nil }
	for n, order := range [][]func(*task.Task) error{{erased, told}, {told, erased}} {
		x := both(n)
		if !x.NoticeTurn.DueAt.Before(x.DueAt) || !x.Due().Equal(x.NoticeTurn.DueAt) {
			t.Fatalf("the notice is due %v, the erase %v, the task %v", x.NoticeTurn.DueAt, x.DueAt, x.Due())
		}
		for step := range 3 {
			same(t, "the row", read(t, h.Store, x.ID), x)
			left := step < 2
			if got := due(t, h.Store, x.Due()); left && !slices.Contains(got, x.ID) {
				t.Errorf("order %d, %d done: not due at %v", n, step, x.Due())
			}
			if got := due(t, h.Store, x.Due().Add(-time.Millisecond)); slices.Contains(got, x.ID) {
				t.Errorf("order %d, %d done: due before %v", n, step, x.Due())
			}
			if got := due(t, h.Store, start.Add(1000*time.Hour)); slices.Contains(got, x.ID) != left {
				t.Errorf("order %d, %d done: in the index: %v", n, step, !left)
			}
			if left {
				x = update(t, h.Store, x, order[step])
			}
		}
	}
}

func testDuePages(t *testing.T, h Harness) {
	const total = 300
	for n := range total {
		create(t, h.Store, start.Add(time.Duration(n/3)*time.Millisecond), func(d *task.Draft) { d.Request.Target = nil })
	}
	got := due(t, h.Store, start.Add(time.Hour))
	if slices.Sort(got); len(slices.Compact(got)) != total {
		t.Errorf("%d of %d tasks", len(got), total)
	}
	for _, err := range h.Store.Due(t.Context(), start.Add(time.Hour)) {
		if err != nil {
			t.Fatal(err)
		}
		break // the caller may stop early
	}
}

// testDuePage reads the whole index by pages, of tasks that are due at one time and at
// several; finished tasks are not in it.
func testDuePage(t *testing.T, h Harness) {
	var want []task.DueEntry
	for n := range 7 {
		x := create(t, h.Store, start.Add(time.Duration(n/3)*time.Hour), func(d *task.Draft) { d.Request.Target = nil })
		want = append(want, task.DueEntry{At: x.Due(), ID: x.ID})
	}
	order := func(a, b task.DueEntry) int { return cmp.Or(a.At.Compare(b.At), strings.Compare(a.ID, b.ID)) }
	moved := update(t, h.Store, read(t, h.Store, want[6].ID), accepted) // now due before the others
	want[6].At = moved.Due()
	slices.SortFunc(want, order)
	update(t, h.Store, create(t, h.Store, start), refused)

	var got []task.DueEntry
	var after task.DueEntry
	for range 4 {
		page, err := h.Store.DuePage(t.Context(), after, 3)
		if err != nil || len(page) > 3 {
			t.Fatalf("%d entries of 3: %v", len(page), err)
		}
		if got = append(got, page...); len(page) < 3 {
			break
		}
		after = page[2]
	}
	if !slices.EqualFunc(got, want, func(a, b task.DueEntry) bool { return a.ID == b.ID && a.At.Equal(b.At) }) {
		t.Errorf("got %v, want %v", got, want)
	}
}

// testDueWhileWriting writes each row that comes, and makes some due again at once: the
// range ends and misses none.
func testDueWhileWriting(t *testing.T, h Harness) {
	const total = 150
	for n := range total {
		create(t, h.Store, start.Add(time.Duration(n)*time.Millisecond))
	}
	seen := map[string]int{}
	for id, err := range h.Store.Due(t.Context(), start.Add(time.Hour)) {
		if err != nil {
			t.Fatal(err)
		}
		if seen[id]++; len(seen) > total || seen[id] > 2 {
			t.Fatalf("the range does not end: %s came %d times", id, seen[id])
		}
		update(t, h.Store, read(t, h.Store, id), func(x *task.Task) error {
			x.Refusals++
			if len(seen)%2 == 0 {
				x.DueAt = x.DueAt.Add(-time.Second) // still due
			}
			return nil
		})
	}
	if len(seen) != total {
		t.Errorf("%d of %d tasks came", len(seen), total)
	}
}
