package prooftest

import (
	"context"
	"errors"
	"iter"
	"time"

	"github.com/preset/nanobanana-functions/shared/task"
)

// gate is the store as one process reaches it: each call waits for its turn,
// and each write is held against the invariants as it happens. Calls of the
// store that no invariant needs apart are answered at once.
type gate struct {
	task.Store // real
	p          *process
}

func (g gate) Create(ctx context.Context, t *task.Task, limit int) (*task.Task, error) {
	return g.write(ctx, "create", t, func(s task.Store) (*task.Task, error) { return s.Create(context.Background(), t, limit) })
}

func (g gate) Put(ctx context.Context, t *task.Task) (*task.Task, error) {
	return g.write(ctx, "put", t, func(s task.Store) (*task.Task, error) { return s.Put(context.Background(), t) })
}

func (g gate) write(ctx context.Context, op string, t *task.Task, do func(task.Store) (*task.Task, error)) (stands *task.Task, err error) {
	w, a := g.p.world, g.p.actor
	wrote := false
	var given *task.Task
	fault := w.call(ctx, a, op, t.ID, true, func() error {
		old := w.book.row(t.ID)
		row, err := do(w.mutant.disk(g.Store))
		given = row
		fresh := w.read(t.ID)
		if fresh != nil && (old == nil || old.Version != fresh.Version || old.Writer != fresh.Writer) {
			w.book.rows[t.ID] = fresh
			wrote = true
			w.note("    %s writes %s %s, version %d, due %v", a.kind, short(t.ID), state(fresh), fresh.Version, sinceDue(fresh))
			w.checkWrite(a, old, fresh)
		}
		// Refused, though what stands is what this very call has written.
		if wrote && errors.Is(err, task.ErrExists) || wrote && errors.Is(err, task.ErrConflict) {
			if fresh.Writer == t.Writer && fresh.Version == t.Version {
				w.violate("P6", "%s of %s does not recognise its own write", op, short(t.ID))
			}
		}
		w.count("overtaken", errors.Is(err, task.ErrConflict))
		w.count("replay", errors.Is(err, task.ErrExists))
		w.count("over quota", errors.Is(err, task.ErrQuota))
		w.count("own write seen again", err == nil && old != nil && old.Writer == t.Writer)
		a.wrote[t.ID] = a.wrote[t.ID] || wrote
		return err
	})
	w.mu.Lock()
	defer w.mu.Unlock()
	a.put(t, wrote, fault)
	if errors.Is(fault, task.ErrExists) || errors.Is(fault, task.ErrConflict) || fault == nil {
		return given, fault
	}
	return nil, fault
}

func (g gate) Task(ctx context.Context, id string) (t *task.Task, err error) {
	var read *task.Task
	err = g.p.world.call(ctx, g.p.actor, "task", id, false, func() (err error) {
		read, err = g.p.world.mutant.disk(g.Store).Task(context.Background(), id)
		g.p.actor.found = g.p.world.book.row(id)
		return err
	})
	if err != nil {
		return nil, err
	}
	return read, nil
}

func (g gate) Tasks(ctx context.Context, ids []string) ([]*task.Task, error) {
	var read []*task.Task
	err := g.p.world.call(ctx, g.p.actor, "tasks", ids[0], false, func() (err error) {
		read, err = g.p.world.mutant.disk(g.Store).Tasks(context.Background(), ids)
		return err
	})
	if err != nil {
		return nil, err
	}
	return read, nil
}

func (g gate) Due(ctx context.Context, now time.Time) iter.Seq2[string, error] {
	return func(yield func(string, error) bool) {
		var ids []string
		err := g.p.world.call(ctx, g.p.actor, "due", "", false, func() error {
			ids = nil
			for id, err := range g.Store.Due(context.Background(), now) {
				if err != nil {
					return err
				}
				ids = append(ids, id)
			}
			return nil
		})
		if err != nil {
			yield("", err)
			return
		}
		for _, id := range ids {
			if !yield(id, nil) {
				return
			}
		}
	}
}

// atOnce does what needs no turn of its own.
func (g gate) atOnce(do func() error) error {
	g.p.world.mu.Lock()
	defer g.p.world.mu.Unlock()
	if g.p.world.weather.storeAway || g.p.world.over || !g.p.actor.lives() {
		return errLost
	}
	return do()
}

func (g gate) Pause(ctx context.Context, kind task.Calls, until time.Time) error {
	return g.atOnce(func() error { return g.Store.Pause(ctx, kind, until) })
}

func (g gate) Paused(ctx context.Context) (p task.Pauses, err error) {
	err = g.atOnce(func() (err error) { p, err = g.Store.Paused(ctx); return err })
	return p, err
}

func (g gate) SetTiming(ctx context.Context, x task.Timing) error {
	return g.atOnce(func() error { return g.Store.SetTiming(ctx, x) })
}

// read gives the row as it is, nil if there is none.
func (w *world) read(id string) *task.Task {
	t, err := w.rows.Task(context.Background(), id)
	if err != nil {
		return nil
	}
	return t
}

// state is a row in a few words.
func state(t *task.Task) string {
	s := string(t.Status)
	for _, word := range []string{string(t.Failure), string(t.Work)} {
		if word != "" {
			s += " " + word
		}
	}
	if t.Deleted() {
		s += " deleted"
	}
	return s
}

func sinceDue(t *task.Task) any {
	if t.DueAt.IsZero() {
		return "never"
	}
	return time.Until(t.DueAt).Round(time.Second)
}
