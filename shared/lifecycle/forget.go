package lifecycle

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/preset/nanobanana-functions/shared/task"
)

// Forgetter erases everything of an owner, and keeps new orders away. Each of its steps
// may be interrupted, and all be done again. Its fields are set before use.
type Forgetter struct {
	Store task.Store
	Rules task.Rules
	Now   func() time.Time
	Sleep func(context.Context, time.Duration) error
	Log   *slog.Logger
}

const (
	// LateOrder is for how long after Store.Forget an order of the owner may still make
	// a row: while its process uses the pauses that it has read, a submit lasts, and the
	// index of the owner's tasks takes to show the row.
	LateOrder = task.PausesTTL + submitTimeout + 5*time.Second
	// submitTimeout is the Timeout of submit and of mcp, in template.yaml.
	submitTimeout = 28 * time.Second

	renewAfter = 24 * time.Hour

	forgetPage    = 100 // tasks; a page is two requests to the store
	forgetWorkers = 8
	forgetPasses  = 5 // over all tasks of the owner, until one finds nothing to do
)

// Owned is what an owner has.
type Owned struct {
	Ended    int `json:"ended"`    // tasks that are finished
	Waiting  int `json:"waiting"`  // for another attempt
	Running  int `json:"running"`  // of these pictures are being made, or may be
	Pictures int `json:"pictures"` // in the bucket
	Inputs   int `json:"inputs"`   // copies of uploads in the bucket
	// EndBy is when the last running task ends at the latest, if it makes no step more.
	EndBy time.Time `json:"endBy,omitzero"`
}

func (o *Owned) add(t *task.Task) {
	switch {
	case t.Deleted():
		return
	case t.Done():
		o.Ended++
	case t.Status == task.Waiting:
		o.Waiting++
	default:
		o.Running++
		if t.Deadline.After(o.EndBy) {
			o.EndBy = t.Deadline
		}
	}
	o.Pictures += max(len(t.Images), len(t.Salvaged))
	o.Inputs += len(t.Inputs)
}

// Tasks returns how many tasks there are.
func (o Owned) Tasks() int { return o.Ended + o.Waiting + o.Running }

// Owned counts what an owner has that is not deleted.
func (f *Forgetter) Owned(ctx context.Context, owner string) (o Owned, err error) {
	err = f.pages(ctx, owner, func(page []*task.Task) error {
		for _, t := range page {
			o.add(t)
		}
		return nil
	})
	return o, err
}

// pages reads the rows of an owner's tasks, page by page.
func (f *Forgetter) pages(ctx context.Context, owner string, do func([]*task.Task) error) error {
	for q := (task.Query{Owner: owner, Limit: forgetPage}); ; {
		ids, next, err := f.Store.List(ctx, q)
		if err != nil {
			return err
		}
		if len(ids) > 0 {
			page, err := f.Store.Tasks(ctx, ids)
			if err == nil {
				err = do(page)
			}
			if err != nil {
				return err
			}
		}
		if q.Cursor = next; next == "" {
			return nil
		}
	}
}

// Refuse refuses the owner's orders. It returns from when on none is accepted any more by
// a process that has not heard of it. Done again it returns the same time; after a day it
// lets the owner's hash be kept for the whole time anew.
func (f *Forgetter) Refuse(ctx context.Context, owner string) (from time.Time, err error) {
	p, err := f.Store.Paused(ctx)
	if err != nil {
		return time.Time{}, err
	}
	now := f.Now()
	since, ok := p.Forgotten.Since(owner, now)
	switch {
	case !ok:
		return now.Add(LateOrder), f.Store.Forget(ctx, owner, now)
	case now.Sub(since) > renewAfter:
		return since, f.Store.Forget(ctx, owner, now)
	}
	return since.Add(LateOrder), nil
}

// Erased is what Erase has done.
type Erased struct {
	Deleted  int `json:"deleted"`  // tasks that had ended
	Canceled int `json:"canceled"` // tasks that waited
	Marked   int `json:"marked"`   // running tasks, whose end deletes them
	Emptied  int `json:"emptied"`  // rows of deleted tasks that had kept the owner

	// Foreign are tasks that a newer release wrote. They are left alone.
	Foreign []string `json:"foreign,omitempty"`
	// Failed are tasks whose row could not be written.
	Failed []string `json:"failed,omitempty"`
	Err    error    `json:"-"` // why the last of them failed
}

// Changes returns how many rows were changed.
func (e Erased) Changes() int { return e.Deleted + e.Canceled + e.Marked + e.Emptied }

// Erase waits until orders are refused, as Refuse has returned, and deletes all tasks of
// the owner: at once, or at their end. It goes through them until there is nothing more
// to do. One task's error does not stop the others. progress, if set, is called after
// each page.
func (f *Forgetter) Erase(ctx context.Context, owner string, refused time.Time, progress func(Erased)) (e Erased, err error) {
	if wait := refused.Sub(f.Now()); wait > 0 {
		if err := f.Sleep(ctx, wait); err != nil {
			return e, err
		}
	}
	for range forgetPasses {
		before := e.Changes()
		e.Foreign, e.Failed = nil, nil
		err := f.pages(ctx, owner, func(page []*task.Task) error {
			f.erasePage(ctx, page, &e)
			if progress != nil {
				progress(e)
			}
			return ctx.Err()
		})
		if err != nil || e.Changes() == before {
			return e, err
		}
	}
	return e, errors.New("the owner's tasks keep changing")
}

// EraseRows forgets tasks of the owner by their ids, which no index has: an older release
// emptied their rows and left the owner on them. Other owners' tasks are left alone.
func (f *Forgetter) EraseRows(ctx context.Context, owner string, ids []string, e *Erased) error {
	if len(ids) == 0 {
		return nil
	}
	rows, err := f.Store.Tasks(ctx, ids)
	if err != nil {
		return err
	}
	rows = slices.DeleteFunc(rows, func(t *task.Task) bool { return t.Owner != owner })
	f.erasePage(ctx, rows, e)
	return nil
}

// erasePage forgets the tasks of a page, some at once.
func (f *Forgetter) erasePage(ctx context.Context, page []*task.Task, e *Erased) {
	var mu sync.Mutex // guards e
	var all sync.WaitGroup
	room := make(chan struct{}, forgetWorkers)
	for _, t := range page {
		room <- struct{}{}
		all.Go(func() {
			defer func() { <-room }()
			id, before := t.ID, t
			after, err := Update(ctx, f.Log, f.Store, t, func(x *task.Task) error {
				before = x.Clone()
				return x.Forget(f.Rules, f.Now())
			})
			mu.Lock()
			defer mu.Unlock()
			e.note(id, before, after, err)
		})
	}
	all.Wait()
}

// note counts what became of a task.
func (e *Erased) note(id string, before, after *task.Task, err error) {
	switch {
	case errors.Is(err, task.ErrForeign):
		e.Foreign = append(e.Foreign, id)
	case err != nil && !errors.Is(err, task.ErrNotFound):
		e.Failed, e.Err = append(e.Failed, id), err
	case err != nil || before.Version == after.Version:
	case !after.Deleted():
		e.Marked++
	case before.Deleted():
		e.Emptied++
	case before.Status == task.Waiting:
		e.Canceled++
	default:
		e.Deleted++
	}
}
