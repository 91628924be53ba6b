package tasktest

import (
	"errors"
	"testing"
	"time"

	"github.com/preset/nanobanana-functions/shared/task"
)

// lostPictures stores a task that was accepted and ended at its deadline without pictures.
func lostPictures(t *testing.T, s task.Store) *task.Task {
	t.Helper()
	x := update(t, s, create(t, s, start, images(2)), accepted)
	return update(t, s, x, func(x *task.Task) error {
		late := x.Deadline.Add(time.Second)
		c, _ := x.Claim(task.DefaultRules(), late)
		return x.ApplyRecord(task.DefaultRules(), late, c, task.Record{State: task.RecordRunning})
	})
}

// rescued returns the task that takes over the pictures of origin.
func rescued(origin *task.Task) *task.Task {
	at := origin.EndedAt.Add(time.Hour)
	c, _ := origin.Clone().ClaimRescue(task.DefaultRules(), at, "")
	return task.Rescue(origin, c, task.Record{State: task.RecordMade, URLs: []string{"https://cdn.example/1.png"}}, at)
}

func testRescue(t *testing.T, h Harness) {
	origin := lostPictures(t, h.Store)
	x := rescued(origin)
	got, err := h.Store.Rescue(t.Context(), x, origin)
	if err != nil {
		t.Fatal(err)
	}
	same(t, "what Rescue returned", got, x)
	same(t, "the row", read(t, h.Store, x.ID), x)
	same(t, "the origin", read(t, h.Store, origin.ID), origin)
	used(t, h.Store, "ada", 0) // the origin's images were returned; the rescued task counts none
	for range 2 {              // the answer was lost: a lower layer repeats the write
		got, err := h.Store.Rescue(t.Context(), x, origin)
		if err != nil {
			t.Fatalf("again: %v", err)
		}
		same(t, "again", got, x)
	}
	ids, _, err := h.Store.List(t.Context(), of("ada", &board, 10, ""))
	if err != nil || len(ids) != 2 || ids[0] != x.ID {
		t.Errorf("listed: %v, %v; want the rescued task first", ids, err)
	}
	var due []string
	for id, err := range h.Store.Due(t.Context(), x.DueAt) {
		if err != nil {
			t.Fatal(err)
		}
		due = append(due, id)
	}
	if len(due) != 1 || due[0] != x.ID {
		t.Errorf("due: %v, want the rescued task", due)
	}
	x.DueAt = time.Time{}
	x.ID = task.RescueID(x.ID)
	if _, err := h.Store.Rescue(t.Context(), x, origin); !errors.Is(err, task.ErrStuck) {
		t.Errorf("never due: %v, want ErrStuck", err)
	}
}

// testRescueExists rescues a task twice: the second time there is the row as it is by then,
// even if its own owner has deleted it, or the origin.
func testRescueExists(t *testing.T, h Harness) {
	origin := lostPictures(t, h.Store)
	first, err := h.Store.Rescue(t.Context(), rescued(origin), origin)
	if err != nil {
		t.Fatal(err)
	}
	again := func(want *task.Task) {
		t.Helper()
		got, err := h.Store.Rescue(t.Context(), rescued(origin), origin)
		if !errors.Is(err, task.ErrExists) {
			t.Fatalf("got %v, want ErrExists", err)
		}
		same(t, "the stored row", got, want)
		same(t, "the row", read(t, h.Store, first.ID), want)
	}
	again(first)
	stored := update(t, h.Store, first, func(x *task.Task) error {
		return x.Stored(task.DefaultRules(), x.CreatedAt, []task.Image{{N: 1, File: "1-0123456789abcdef.png", SHA256: "0"}})
	})
	again(stored)
	remove := func(x *task.Task) error { return x.Delete(task.DefaultRules(), x.UpdatedAt) }
	gone := update(t, h.Store, stored, remove)
	again(gone)
	update(t, h.Store, origin, remove)
	again(gone)
}

// testRescueParallel lets many rescue one task at once: there is one new task.
func testRescueParallel(t *testing.T, h Harness) {
	const writers = 8
	origin := lostPictures(t, h.Store)
	drafts := make([]*task.Task, writers)
	for i := range drafts {
		drafts[i] = rescued(origin)
	}
	winner := race(t, writers, task.ErrExists, func(i int) (*task.Task, error) { return h.Store.Rescue(t.Context(), drafts[i], origin) })
	same(t, "the row", read(t, h.Store, winner.ID), winner)
}

// testRescueDeleted rescues a task that has changed, one that its owner has deleted, and one
// that never was.
func testRescueDeleted(t *testing.T, h Harness) {
	origin := lostPictures(t, h.Store)
	x := rescued(origin)
	// Somebody else has claimed a read of its record since.
	changed := update(t, h.Store, origin, func(x *task.Task) error { x.ReadAt = x.EndedAt.Add(time.Hour); return nil })
	if _, err := h.Store.Rescue(t.Context(), x, origin); !errors.Is(err, task.ErrConflict) {
		t.Errorf("of a task that has changed: %v, want ErrConflict", err)
	}
	update(t, h.Store, changed, func(x *task.Task) error { return x.Delete(task.DefaultRules(), x.EndedAt) })
	if _, err := h.Store.Rescue(t.Context(), x, origin); !errors.Is(err, task.ErrDeleted) {
		t.Errorf("of a deleted task: %v, want ErrDeleted", err)
	}
	if _, err := h.Store.Rescue(t.Context(), x, &task.Task{ID: task.NewID("nobody", "nothing"), Version: 1}); !errors.Is(err, task.ErrNotFound) {
		t.Errorf("of no task: %v, want ErrNotFound", err)
	}
	if _, err := h.Store.Task(t.Context(), x.ID); !errors.Is(err, task.ErrNotFound) {
		t.Errorf("the rescued task: %v, want ErrNotFound", err)
	}
}
