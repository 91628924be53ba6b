package prooftest

import (
	"context"
	"errors"
	"iter"
	"time"

	"github.com/preset/nanobanana-functions/shared/task"
)

// processStore is the store as one process reaches it: calls wait for the scheduler, and
// each write is checked as it happens. Calls that no invariant depends on are answered
// at once.
type processStore struct {
	task.Store // real
	p          *process
}

func (s processStore) Create(ctx context.Context, t *task.Task, limit int) (*task.Task, error) {
	return s.write(ctx, "create", t, func(s task.Store) (*task.Task, error) { return s.Create(context.Background(), t, limit) })
}

func (s processStore) Rescue(ctx context.Context, t, origin *task.Task) (*task.Task, error) {
	return s.write(ctx, "rescue", t, func(s task.Store) (*task.Task, error) { return s.Rescue(context.Background(), t, origin) })
}

func (s processStore) Put(ctx context.Context, t *task.Task) (*task.Task, error) {
	return s.write(ctx, "put", t, func(s task.Store) (*task.Task, error) { return s.Put(context.Background(), t) })
}

func (s processStore) write(ctx context.Context, op string, t *task.Task, do func(task.Store) (*task.Task, error)) (stands *task.Task, err error) {
	sim, a := s.p.sim, s.p.actor
	wrote := false
	var given *task.Task
	fault := sim.call(ctx, a, op, t.ID, true, func() error {
		old := sim.ledger.row(t.ID)
		row, err := do(sim.mutant.wrapStore(s.Store))
		given = row
		if row != nil && row.ID != t.ID { // a mutant's
			t, old = row, sim.ledger.row(row.ID)
		}
		fresh := sim.read(t.ID)
		if fresh != nil && (old == nil || old.Version != fresh.Version || old.Writer != fresh.Writer) {
			sim.ledger.rows[t.ID] = fresh
			wrote = true
			sim.note("    %s writes %s %s, version %d, due %v", a.kind, short(t.ID), state(fresh), fresh.Version, sinceDue(fresh))
			sim.checkWrite(a, old, fresh)
		}
		// Refused, though this very call wrote the present row.
		if wrote && errors.Is(err, task.ErrExists) || wrote && errors.Is(err, task.ErrConflict) {
			if fresh.Writer == t.Writer && fresh.Version == t.Version {
				sim.violate("P6", "%s of %s does not recognize its own write", op, short(t.ID))
			}
		}
		sim.count("overtaken", errors.Is(err, task.ErrConflict))
		sim.count("replay", errors.Is(err, task.ErrExists))
		sim.count("over quota", errors.Is(err, task.ErrQuota))
		sim.count("own write seen again", err == nil && old != nil && old.Writer == t.Writer)
		a.wrote[t.ID] = a.wrote[t.ID] || wrote
		return err
	})
	sim.mu.Lock()
	defer sim.mu.Unlock()
	a.put(t, wrote, fault)
	if errors.Is(fault, task.ErrExists) || errors.Is(fault, task.ErrConflict) || fault == nil {
		return given, fault
	}
	return nil, fault
}

func (s processStore) Task(ctx context.Context, id string) (t *task.Task, err error) {
	var read *task.Task
	err = s.p.sim.call(ctx, s.p.actor, "task", id, false, func() (err error) {
		read, err = s.p.sim.mutant.wrapStore(s.Store).Task(context.Background(), id)
		s.p.actor.found = s.p.sim.ledger.row(id)
		return err
	})
	if err != nil {
		return nil, err
	}
	return read, nil
}

func (s processStore) Tasks(ctx context.Context, ids []string) ([]*task.Task, error) {
	var read []*task.Task
	err := s.p.sim.call(ctx, s.p.actor, "tasks", ids[0], false, func() (err error) {
		read, err = s.p.sim.mutant.wrapStore(s.Store).Tasks(context.Background(), ids)
		return err
	})
	if err != nil {
		return nil, err
	}
	return read, nil
}

func (s processStore) Due(ctx context.Context, now time.Time) iter.Seq2[string, error] {
	return func(yield func(string, error) bool) {
		var ids []string
		err := s.p.sim.call(ctx, s.p.actor, "due", "", false, func() error {
			ids = nil
			for id, err := range s.Store.Due(context.Background(), now) {
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

// atOnce makes a call that does not wait for the scheduler.
func (s processStore) atOnce(do func() error) error {
	s.p.sim.mu.Lock()
	defer s.p.sim.mu.Unlock()
	if s.p.sim.conditions.storeDown || s.p.sim.over || !s.p.actor.lives() {
		return errLost
	}
	return do()
}

func (s processStore) Pause(ctx context.Context, kind task.Calls, until time.Time) error {
	return s.atOnce(func() error { return s.Store.Pause(ctx, kind, until) })
}

func (s processStore) Paused(ctx context.Context) (p task.Pauses, err error) {
	err = s.atOnce(func() (err error) { p, err = s.p.sim.mutant.wrapStore(s.Store).Paused(ctx); return err })
	s.p.sim.mu.Lock()
	defer s.p.sim.mu.Unlock()
	s.p.blind = err != nil
	return s.p.sim.mutant.wrapPauses(s.p.kind, p), err
}

// Forget is two writes on DynamoDB, of which the first does nothing that counts.
func (s processStore) Forget(ctx context.Context, owner string, now time.Time) error {
	return s.p.sim.call(ctx, s.p.actor, "refuse", owner, true, func() error {
		err := s.Store.Forget(context.Background(), owner, now)
		if err == nil && s.p.sim.ledger.refused[owner].IsZero() {
			s.p.sim.ledger.refused[owner] = time.Now()
			s.p.sim.note("    the orders of %s are refused", owner)
		}
		return err
	})
}

func (s processStore) List(ctx context.Context, q task.Query) (ids []string, next string, err error) {
	err = s.p.sim.call(ctx, s.p.actor, "tasks", q.Owner, false, func() (err error) {
		ids, next, err = s.Store.List(context.Background(), q)
		return err
	})
	return ids, next, err
}

func (s processStore) SetTiming(ctx context.Context, x task.Timing) error {
	return s.atOnce(func() error { return s.Store.SetTiming(ctx, x) })
}

// read returns the present row, or nil.
func (sim *simulation) read(id string) *task.Task {
	t, err := sim.rows.Task(context.Background(), id)
	if err != nil {
		return nil
	}
	return t
}

// state describes a row in a few words.
func state(t *task.Task) string {
	s := string(t.Status)
	for _, word := range []string{string(t.Failure), string(t.Work), string(t.Notice)} {
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
	if t.Due().IsZero() {
		return "never"
	}
	return time.Until(t.Due()).Round(time.Second)
}
