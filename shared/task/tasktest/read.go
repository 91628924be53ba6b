package tasktest

import (
	"encoding/base64"
	"errors"
	"slices"
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

// list returns all pages of a target, and fails the test if a page is too long.
func list(t *testing.T, s task.Store, owner string, x task.Target, limit int) []string {
	t.Helper()
	var all []string
	for cursor, pages := "", 0; ; pages++ {
		ids, after, err := s.List(t.Context(), owner, x, limit, cursor)
		if err != nil || len(ids) > limit || pages > 1000 {
			t.Fatalf("page %d: %d ids, %v", pages, len(ids), err)
		}
		all = append(all, ids...)
		if after == "" {
			return all
		}
		cursor = after
	}
}

func testList(t *testing.T, h Harness) {
	var adas []string
	for n := range 5 {
		adas = append(adas, create(t, h.Store, start.Add(time.Duration(n)*time.Second)).ID)
	}
	create(t, h.Store, start, owner("bob"))
	create(t, h.Store, start, target(task.Target{Kind: "moodboard", ID: "4"}))
	create(t, h.Store, start, target(task.Target{Kind: "moodboard", ID: "42:"}))
	create(t, h.Store, start, target(task.Target{Kind: "showcase", ID: "42"}))
	create(t, h.Store, start, func(d *task.Draft) { d.Request.Target = nil })
	// Owner and target that are the same only when joined.
	create(t, h.Store, start, target(task.Target{Kind: "moodboard4", ID: "2"}))
	create(t, h.Store, start, owner("adam"), target(task.Target{Kind: "oodboard", ID: "42"}))
	slices.Reverse(adas)
	if got := list(t, h.Store, "ada", board, 100); !slices.Equal(got, adas) {
		t.Errorf("got %v, want %v", got, adas)
	}
	if got := list(t, h.Store, "eve", board, 100); len(got) != 0 {
		t.Errorf("a stranger got %v", got)
	}
}

// testListPages reads pages while tasks are created: each that existed at the beginning
// comes exactly once.
func testListPages(t *testing.T, h Harness) {
	var adas []string
	for n := range 25 {
		adas = append(adas, create(t, h.Store, start.Add(time.Duration(n/5)*time.Second)).ID) // five at each time
	}
	for _, limit := range []int{1, 7, 25, 100} {
		got := list(t, h.Store, "ada", board, limit)
		if len(got) != 25 {
			t.Errorf("limit %d: %d ids", limit, len(got))
		}
		slices.Sort(got)
		if want := slices.Sorted(slices.Values(adas)); !slices.Equal(got, want) {
			t.Errorf("limit %d: not every task exactly once", limit)
		}
	}
	ids, cursor, err := h.Store.List(t.Context(), "ada", board, 10, "")
	if err != nil || cursor == "" {
		t.Fatal(ids, cursor, err)
	}
	create(t, h.Store, start.Add(time.Hour))
	update(t, h.Store, read(t, h.Store, ids[0]), accepted)
	rest, _, err := h.Store.List(t.Context(), "ada", board, 100, cursor)
	if err != nil || len(rest) != 15 {
		t.Errorf("after a new one: %d ids, %v; want 15", len(rest), err)
	}
}

// testListCursor uses cursors that List did not return for the owner: none shows
// another owner's list.
func testListCursor(t *testing.T, h Harness) {
	for range 3 {
		create(t, h.Store, start)
		create(t, h.Store, start, owner("bob"))
	}
	_, bobs, err := h.Store.List(t.Context(), "bob", board, 1, "")
	if err != nil || bobs == "" {
		t.Fatal(bobs, err)
	}
	bobsTasks := list(t, h.Store, "bob", board, 100)
	ids, _, err := h.Store.List(t.Context(), "ada", board, 100, bobs)
	if err != nil && !errors.Is(err, task.ErrCursor) {
		t.Errorf("another owner's cursor: %v", err)
	}
	for _, id := range ids {
		if slices.Contains(bobsTasks, id) {
			t.Errorf("another owner's cursor shows that owner's task %s", id)
		}
	}
	for _, forged := range []string{"x", "!", bobs[:len(bobs)-1], bobs + "A", "../..", base64.RawURLEncoding.EncodeToString([]byte("QUOTA#bob")), "\x00"} {
		if _, _, err := h.Store.List(t.Context(), "ada", board, 10, forged); !errors.Is(err, task.ErrCursor) {
			t.Errorf("cursor %q: %v, want ErrCursor", forged, err)
		}
	}
}

// testListDeleted deletes a task: it is no longer in any list.
func testListDeleted(t *testing.T, h Harness) {
	kept, gone := create(t, h.Store, start), create(t, h.Store, start.Add(time.Second))
	x := update(t, h.Store, gone, refused)
	update(t, h.Store, x, func(x *task.Task) error { return x.Delete(task.DefaultRules(), start.Add(time.Minute)) })
	if got := list(t, h.Store, "ada", board, 10); !slices.Equal(got, []string{kept.ID}) {
		t.Errorf("got %v, want only %s", got, kept.ID)
	}
}

// testListRetargeted changes the targets of tasks: each task is only in the list of its
// current target, in the order of creation. The last task of a page may leave the list.
func testListRetargeted(t *testing.T, h Harness) {
	showcase := task.Target{Kind: "showcase", ID: "7"}
	to := func(x task.Target) func(*task.Task) error {
		return func(t *task.Task) error { return t.SetTarget(x, start.Add(time.Hour)) }
	}
	older := create(t, h.Store, start, target(showcase))
	moved := create(t, h.Store, start.Add(time.Second))
	kept := create(t, h.Store, start.Add(2*time.Second))
	newer := create(t, h.Store, start.Add(3*time.Second), target(showcase))
	none := create(t, h.Store, start.Add(4*time.Second), func(d *task.Draft) { d.Request.Target = nil })
	_, cursor, err := h.Store.List(t.Context(), "ada", board, 1, "") // it ends with kept
	if err != nil || cursor == "" {
		t.Fatal(cursor, err)
	}

	update(t, h.Store, kept, to(board)) // its own target
	update(t, h.Store, none, to(board))
	moved = update(t, h.Store, moved, to(showcase))
	same(t, "the row", read(t, h.Store, moved.ID), moved)
	for x, want := range map[task.Target][]string{board: {none.ID, kept.ID}, showcase: {newer.ID, moved.ID, older.ID}} {
		if got := list(t, h.Store, "ada", x, 1); !slices.Equal(got, want) {
			t.Errorf("%s: got %v, want %v", x, got, want)
		}
	}
	if got := list(t, h.Store, "bob", showcase, 10); len(got) != 0 {
		t.Errorf("another owner's list has %v", got)
	}

	update(t, h.Store, kept, to(showcase)) // the last of the page
	if ids, next, err := h.Store.List(t.Context(), "ada", board, 10, cursor); len(ids) != 0 || next != "" || err != nil {
		t.Errorf("after the page: %v, %q, %v; want nothing", ids, next, err)
	}
	update(t, h.Store, moved, accepted) // a later write keeps the target
	if got, want := list(t, h.Store, "ada", showcase, 10), []string{newer.ID, kept.ID, moved.ID, older.ID}; !slices.Equal(got, want) {
		t.Errorf("at the end: got %v, want %v", got, want)
	}
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
