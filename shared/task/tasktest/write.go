package tasktest

import (
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/preset/nanobanana-functions/shared/task"
)

func testCreate(t *testing.T, h Harness) {
	x := task.New(draft(), start)
	if _, err := h.Store.Task(t.Context(), x.ID); !errors.Is(err, task.ErrNotFound) {
		t.Errorf("before: %v, want ErrNotFound", err)
	}
	got, err := h.Store.Create(t.Context(), x, 0)
	if err != nil {
		t.Fatal(err)
	}
	same(t, "what Create returned", got, x)
	same(t, "the row", read(t, h.Store, x.ID), x)
}

// testCreateExists creates a row that exists: Create returns the stored row, and checks
// that before the quota.
func testCreateExists(t *testing.T, h Harness) {
	first := create(t, h.Store, start, key("k"), images(3))
	moved := update(t, h.Store, first, accepted)
	second := task.New(draft(key("k"), images(3)), start.Add(time.Minute))
	got, err := h.Store.Create(t.Context(), second, 3)
	if !errors.Is(err, task.ErrExists) {
		t.Fatalf("got %v, want ErrExists", err)
	}
	same(t, "the stored row", got, moved)
	same(t, "the row", read(t, h.Store, first.ID), moved)
	used(t, h.Store, "ada", 3)
}

// testStuck writes rows that no sweep would ever find.
func testStuck(t *testing.T, h Harness) {
	x := task.New(draft(), start)
	x.DueAt = time.Time{}
	if _, err := h.Store.Create(t.Context(), x, 0); !errors.Is(err, task.ErrStuck) {
		t.Errorf("create: %v, want ErrStuck", err)
	}
	if _, err := h.Store.Task(t.Context(), x.ID); !errors.Is(err, task.ErrNotFound) {
		t.Errorf("it was stored: %v", err)
	}
	stored := create(t, h.Store, start)
	for name, spoil := range map[string]func(*task.Task){
		"unfinished":           func(x *task.Task) { x.DueAt = time.Time{} },
		"past its deadline":    func(x *task.Task) { x.DueAt = x.Deadline.Add(time.Second) },
		"final, with work":     func(x *task.Task) { x.Status, x.Work, x.DueAt = task.Failed, task.Erase, time.Time{} },
		"final, with a notice": func(x *task.Task) { x.Status, x.Notice, x.DueAt = task.Failed, task.Pending, time.Time{} },
		"final, but due":       func(x *task.Task) { x.Status = task.Failed },
	} {
		bad := next(stored, "w", func(x *task.Task) error { spoil(x); return nil })
		if _, err := h.Store.Put(t.Context(), bad); !errors.Is(err, task.ErrStuck) {
			t.Errorf("%s: %v, want ErrStuck", name, err)
		}
	}
	same(t, "the row", read(t, h.Store, stored.ID), stored)
}

// testLostAnswer repeats writes whose answers were lost, as a lower layer does: the Store
// recognises them, and they count once.
func testLostAnswer(t *testing.T, h Harness) {
	create(t, h.Store, start, images(4)) // so that a second refund would show
	x := task.New(draft(images(2)), start)
	for range 3 {
		got, err := h.Store.Create(t.Context(), x, 6)
		if err != nil {
			t.Fatalf("create: %v", err)
		}
		same(t, "created", got, x)
	}
	used(t, h.Store, "ada", 6)
	failed := next(x, "one writer", refused)
	for range 3 {
		if _, err := h.Store.Put(t.Context(), failed); err != nil {
			t.Fatalf("put: %v", err)
		}
	}
	used(t, h.Store, "ada", 4)
	if got := read(t, h.Store, x.ID); got.Version != 2 || got.Writer != "one writer" {
		t.Errorf("version %d by %s", got.Version, got.Writer)
	}
	// After another writer's write, ours is a conflict.
	theirs := next(failed, "another", func(x *task.Task) error { return x.Delete(task.DefaultRules(), start) })
	if _, err := h.Store.Put(t.Context(), theirs); err != nil {
		t.Fatal(err)
	}
	if _, err := h.Store.Put(t.Context(), failed); !errors.Is(err, task.ErrConflict) {
		t.Errorf("our put after another writer's: %v, want ErrConflict", err)
	}
	if _, err := h.Store.Create(t.Context(), x, 6); !errors.Is(err, task.ErrExists) {
		t.Errorf("our create after another writer's put: %v, want ErrExists", err)
	}
	used(t, h.Store, "ada", 4)
}

// testTwoWriters lets many write one row at once: one wins, the others get the stored
// row.
func testTwoWriters(t *testing.T, h Harness) {
	const writers = 16
	drafts := make([]*task.Task, writers)
	for i := range drafts {
		drafts[i] = task.New(draft(key("k"), images(1)), start)
	}
	winner := race(t, writers, task.ErrExists, func(i int) (*task.Task, error) { return h.Store.Create(t.Context(), drafts[i], 0) })
	used(t, h.Store, "ada", 1)
	stored := read(t, h.Store, winner.ID)
	same(t, "the row", stored, winner)

	puts := make([]*task.Task, writers)
	for i := range puts {
		puts[i] = next(stored, fmt.Sprint("writer ", i), refused)
	}
	winner = race(t, writers, task.ErrConflict, func(i int) (*task.Task, error) { return h.Store.Put(t.Context(), puts[i]) })
	same(t, "the row", read(t, h.Store, winner.ID), winner)
	used(t, h.Store, "ada", 0)
}

// race runs n writers at once and returns the row of the winner.
func race(t *testing.T, n int, loss error, write func(int) (*task.Task, error)) *task.Task {
	t.Helper()
	rows, errs := make([]*task.Task, n), make([]error, n)
	var wg sync.WaitGroup
	for i := range n {
		wg.Go(func() { rows[i], errs[i] = write(i) })
	}
	wg.Wait()
	var winner *task.Task
	for i, err := range errs {
		switch {
		case err == nil && winner != nil:
			t.Fatal("two writers won")
		case err == nil:
			winner = rows[i]
		case !errors.Is(err, loss):
			t.Fatalf("a loser got %v, want %v", err, loss)
		}
	}
	if winner == nil {
		t.Fatal("no writer won")
	}
	for i, err := range errs {
		if err != nil {
			same(t, "the row a loser got", rows[i], winner)
		}
	}
	return winner
}

func testPut(t *testing.T, h Harness) {
	x := create(t, h.Store, start)
	if _, err := h.Store.Put(t.Context(), next(task.New(draft(), start), "w", accepted)); !errors.Is(err, task.ErrNotFound) {
		t.Errorf("a missing row: %v, want ErrNotFound", err)
	}
	second := next(x, "w2", accepted)
	if _, err := h.Store.Put(t.Context(), second); err != nil {
		t.Fatal(err)
	}
	same(t, "the row", read(t, h.Store, x.ID), second)
	for name, stale := range map[string]*task.Task{
		"of the version before": next(x, "w3", refused),
		"of a later version":    next(next(second, "w4", refused), "w5", func(*task.Task) error { return nil }),
	} {
		stored, err := h.Store.Put(t.Context(), stale)
		if !errors.Is(err, task.ErrConflict) {
			t.Fatalf("%s: %v, want ErrConflict", name, err)
		}
		same(t, name+": the stored row", stored, second)
	}
	same(t, "the row", read(t, h.Store, x.ID), second)
}

func testUpdate(t *testing.T, h Harness) {
	x := create(t, h.Store, start)
	got := update(t, h.Store, x, func(*task.Task) error { return nil })
	if got.Version != 1 || read(t, h.Store, x.ID).Version != 1 {
		t.Error("a change that changes nothing was written")
	}
	moved := update(t, h.Store, x, accepted)
	same(t, "the row", read(t, h.Store, x.ID), moved)
	if moved.Status != task.Generating || moved.Version != 2 || moved.Writer == x.Writer {
		t.Errorf("moved: %+v", moved)
	}
	fault := errors.New("fault")
	if _, err := task.Update(t.Context(), h.Store, moved, func(x *task.Task) error { x.Prompt = "changed"; return fault }); !errors.Is(err, fault) {
		t.Errorf("got %v, want the change's own error", err)
	}
	same(t, "the row", read(t, h.Store, x.ID), moved)
}

// testUpdateConflict lets many writers raise one number: none is lost, because each
// change is applied to the stored row.
func testUpdateConflict(t *testing.T, h Harness) {
	x := create(t, h.Store, start)
	const writers = 8
	var wg sync.WaitGroup
	for range writers {
		wg.Go(func() {
			if _, err := task.Update(t.Context(), h.Store, x, func(x *task.Task) error { x.Refusals++; return nil }); err != nil {
				t.Errorf("update: %v", err)
			}
		})
	}
	wg.Wait()
	if got := read(t, h.Store, x.ID); got.Refusals != writers || got.Version != writers+1 {
		t.Errorf("%d of %d changes, version %d", got.Refusals, writers, got.Version)
	}
}

// testUpdateForeign updates rows of newer code: they can be read but not written.
func testUpdateForeign(t *testing.T, h Harness) {
	for name, value := range map[string]any{"status": "dreaming", "schema": float64(task.Schema + 1)} {
		x := create(t, h.Store, start)
		if err := h.SetAttribute(t.Context(), x.ID, name, value); err != nil {
			t.Fatal(err)
		}
		foreign := read(t, h.Store, x.ID)
		if _, err := task.Update(t.Context(), h.Store, foreign, accepted); !errors.Is(err, task.ErrForeign) {
			t.Errorf("%s: %v, want ErrForeign", name, err)
		}
		// The copy in hand is older than the row: Update learns that from the conflict.
		stale := x.Clone()
		stale.Version = 0
		if _, err := task.Update(t.Context(), h.Store, stale, accepted); !errors.Is(err, task.ErrForeign) {
			t.Errorf("%s, found by a conflict: %v, want ErrForeign", name, err)
		}
		same(t, name+": the row", read(t, h.Store, x.ID), foreign)
	}
}

// testUnknownAttributes puts rows with attributes of newer code: the attributes stay.
func testUnknownAttributes(t *testing.T, h Harness) {
	x := create(t, h.Store, start)
	unknown := map[string]any{
		"text": "kept", "number": 12.5, "truth": true,
		"nested": map[string]any{"list": []any{"a", 1.0, map[string]any{"deep": "é"}}},
	}
	for name, value := range unknown {
		if err := h.SetAttribute(t.Context(), x.ID, name, value); err != nil {
			t.Fatal(err)
		}
	}
	for range 2 {
		x = update(t, h.Store, read(t, h.Store, x.ID), func(x *task.Task) error { x.Refusals++; return nil })
	}
	for name, want := range unknown {
		got, ok, err := h.Attribute(t.Context(), x.ID, name)
		if err != nil || !ok || fmt.Sprint(got) != fmt.Sprint(want) {
			t.Errorf("%s became %v, %v, %v; want %v", name, got, ok, err, want)
		}
	}
}

// An owner's uploads of a day are counted up to the limit, however many come at once.
func testCountUpload(t *testing.T, h Harness) {
	const limit, parallel = 3, 10
	day := task.Day(start)
	var counted, full atomic.Int32
	var all sync.WaitGroup
	for range parallel {
		all.Go(func() {
			switch err := h.Store.CountUpload(t.Context(), "ada", day, limit); {
			case err == nil:
				counted.Add(1)
			case errors.Is(err, task.ErrQuota):
				full.Add(1)
			default:
				t.Errorf("count: %v", err)
			}
		})
	}
	all.Wait()
	if counted.Load() != limit || full.Load() != parallel-limit {
		t.Errorf("%d uploads counted, %d refused, with a limit of %d", counted.Load(), full.Load(), limit)
	}
	for _, other := range []struct {
		owner, day string
		limit      int
	}{{"bob", day, limit}, {"ada", task.Day(start.AddDate(0, 0, 1)), limit}, {"ada", day, limit + 1}, {"ada", day, 0}} {
		if err := h.Store.CountUpload(t.Context(), other.owner, other.day, other.limit); err != nil {
			t.Errorf("%+v: %v", other, err)
		}
	}
	used(t, h.Store, "ada", 0) // images are counted apart
}
