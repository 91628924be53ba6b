package tasktest

import (
	"fmt"
	"reflect"
	"sync"
	"testing"
	"time"

	"github.com/preset/nanobanana-functions/shared/task"
)

// holds reads the holds.
func holds(t *testing.T, h Harness) task.Holds {
	t.Helper()
	p, err := h.Store.Paused(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return p.Holds
}

// testHold keeps and releases holds of both holders. They are independent of each other
// and of the pauses, and each change can be made again.
func testHold(t *testing.T, h Harness) {
	ctx, minute := t.Context(), time.Minute
	at := func(n int) time.Time { return start.Add(time.Duration(n) * minute) }
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	want := task.Holds{}
	for n, step := range []struct {
		do     func() error
		change func()
	}{
		{func() error { return h.Store.Release(ctx, task.HeldByOperator, at(1)) }, func() {}},
		{func() error {
			return h.Store.Hold(ctx, task.HeldByOperator, task.Hold{Reason: "a <b>new</b> key 🗝", Since: at(2)})
		}, func() { want.Put(task.HeldByOperator, task.Hold{Reason: "a <b>new</b> key 🗝", Since: at(2)}) }},
		{func() error { return h.Store.Pause(ctx, task.Posts, at(3)) }, func() {}},
		{func() error {
			return h.Store.Hold(ctx, task.HeldByBudget, task.Hold{Reason: "spent", Since: at(3), Until: at(30)})
		}, func() { want.Put(task.HeldByBudget, task.Hold{Reason: "spent", Since: at(3), Until: at(30)}) }},
		{func() error { return h.Store.Release(ctx, task.HeldByOperator, at(5)) }, func() { want.Drop(task.HeldByOperator, at(5)) }},
		{func() error { return h.Store.Release(ctx, task.HeldByBudget, at(6)) }, func() { want.Drop(task.HeldByBudget, at(6)) }},
	} {
		step.change()
		for range 2 {
			must(step.do())
			if got := holds(t, h); !sameHolds(got, want) {
				t.Errorf("after step %d: %+v, want %+v", n, got, want)
			}
		}
	}
	must(h.Store.Pause(ctx, task.Reads, at(7)))
	p, err := h.Store.Paused(ctx)
	if err != nil || !p.Posts.Equal(at(3)) || !p.Reads.Equal(at(7)) || len(p.Past) != 1 {
		t.Errorf("at last: %+v, %v", p, err)
	}
	for id, err := range h.Store.Due(ctx, start.Add(1000*time.Hour)) {
		t.Errorf("a hold is due as a task: %q, %v", id, err)
	}
}

// sameHolds compares holds; no holders and an empty map are the same.
func sameHolds(a, b task.Holds) bool {
	return len(a.By) == len(b.By) && (len(a.By) == 0 || reflect.DeepEqual(a.By, b.By)) && len(a.Past) == len(b.Past) && (len(a.Past) == 0 || reflect.DeepEqual(a.Past, b.Past))
}

// testHoldParallel changes the holds of both holders at once, and pauses calls: no write
// is lost.
func testHoldParallel(t *testing.T, h Harness) {
	var wg sync.WaitGroup
	for n := range 4 {
		begun := start.Add(time.Duration(n) * 2 * time.Hour)
		for _, by := range []task.Holder{task.HeldByOperator, task.HeldByBudget} {
			wg.Go(func() {
				if err := h.Store.Hold(t.Context(), by, task.Hold{Reason: fmt.Sprint(by, n), Since: begun}); err != nil {
					t.Error(err)
				}
			})
		}
		wg.Go(func() {
			if err := h.Store.Pause(t.Context(), task.Posts, begun); err != nil {
				t.Error(err)
			}
		})
		wg.Wait()
		got := holds(t, h)
		if len(got.By) != 2 || got.By[task.HeldByOperator].Reason != fmt.Sprint(task.HeldByOperator, n) || got.By[task.HeldByBudget].Reason != fmt.Sprint(task.HeldByBudget, n) {
			t.Errorf("holds: %+v", got)
		}
		for _, by := range []task.Holder{task.HeldByOperator, task.HeldByBudget} {
			wg.Go(func() {
				if err := h.Store.Release(t.Context(), by, begun.Add(time.Hour)); err != nil {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		if p, err := h.Store.Paused(t.Context()); err != nil || len(p.By) != 0 || len(p.Past) != n+1 || !p.Posts.Equal(begun) {
			t.Errorf("after the release: %+v, %v", p, err)
		}
	}
}
