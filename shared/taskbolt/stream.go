package taskbolt

import (
	"context"
	"fmt"
	"runtime/debug"
	"slices"

	"go.etcd.io/bbolt"

	"github.com/preset/nanobanana-functions/shared/task"
)

// Change is a stream record: a row was written that has work.
type Change struct {
	ID   string
	Work task.Work
}

const (
	ahead = 256 // how many records a consumer reads at once
	tries = 2   // how often a record is handed out; after that the index of due tasks brings it back
)

// record is a Change on its way.
type record struct {
	Change
	seq   []byte
	tries int
}

func appendRecord(tx *bbolt.Tx, t *task.Task) error {
	b, err := tx.Bucket(bucketStream).CreateBucketIfNotExists([]byte(t.Work))
	if err != nil {
		return err
	}
	seq, err := b.NextSequence()
	if err != nil {
		return err
	}
	return b.Put(big(int64(seq)), []byte(t.ID))
}

// Consume hands each record of a work to handle, the oldest first, to as many
// as workers at once, but never two of one task. A record is done with when
// handle returns nil, or has failed twice; one that was handed out when ctx
// ends, or the process, is handed out again. Consume returns nil when ctx has
// ended and so have its handlers. There is one consumer of a work at a time.
func (s *Store) Consume(ctx context.Context, work task.Work, workers int, handle func(context.Context, Change) error) error {
	c := consumer{store: s, work: work, handle: handle, woken: s.consumer(work), done: make(chan outcome), busy: map[string]bool{}}
	err := c.run(ctx, workers)
	for len(c.busy) > 0 {
		c.finished(<-c.done)
	}
	return err
}

// consumer returns the channel that is written to when there is work.
func (s *Store) consumer(work task.Work) chan struct{} {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.woken[work] == nil {
		s.woken[work] = make(chan struct{}, 1)
	}
	return s.woken[work]
}

// wake tells the consumer of a work that there is a record for it.
func (s *Store) wake(work task.Work) {
	select {
	case s.consumer(work) <- struct{}{}:
	default: // it has been told
	}
}

// outcome is what became of handing out a record.
type outcome struct {
	record
	again bool
	err   error // of the store
}

// consumer is the state of one Consume.
type consumer struct {
	store   *Store
	work    task.Work
	handle  func(context.Context, Change) error
	woken   chan struct{}
	done    chan outcome
	busy    map[string]bool // tasks whose record is handed out
	pending []record
	read    []byte // the last record read
}

func (c *consumer) run(ctx context.Context, workers int) error {
	for ctx.Err() == nil {
		if len(c.pending) < ahead {
			if err := c.load(ctx); err != nil {
				return err
			}
		}
		c.start(ctx, workers)
		select {
		case <-ctx.Done():
		case <-c.woken:
		case o := <-c.done:
			if c.finished(o); o.err != nil {
				return o.err
			}
		}
	}
	return nil
}

// load reads what has been written since.
func (c *consumer) load(ctx context.Context) error {
	err := c.store.read(ctx, func(tx *bbolt.Tx) error {
		b := tx.Bucket(bucketStream).Bucket([]byte(c.work))
		if b == nil {
			return nil
		}
		cursor := b.Cursor()
		key, id := cursor.Seek(c.read)
		if key != nil && slices.Equal(key, c.read) {
			key, id = cursor.Next()
		}
		for ; key != nil && len(c.pending) < ahead; key, id = cursor.Next() {
			c.read = slices.Clone(key)
			c.pending = append(c.pending, record{Change: Change{ID: string(id), Work: c.work}, seq: c.read})
		}
		return nil
	})
	if ctx.Err() != nil {
		return nil
	}
	return err
}

// start hands out what it may.
func (c *consumer) start(ctx context.Context, workers int) {
	var kept []record
	for i, r := range c.pending {
		if len(c.busy) >= workers {
			kept = append(kept, c.pending[i:]...)
			break
		}
		if c.busy[r.ID] {
			kept = append(kept, r)
			continue
		}
		c.busy[r.ID] = true
		go func() { c.done <- c.hand(ctx, r) }()
	}
	c.pending = kept
}

// hand hands out one record, and acknowledges it unless it is to come again.
func (c *consumer) hand(ctx context.Context, r record) outcome {
	r.tries++
	if err := guarded(ctx, r.Change, c.handle); err != nil && (r.tries < tries || ctx.Err() != nil) {
		return outcome{record: r, again: true}
	}
	err := c.store.db.Batch(func(tx *bbolt.Tx) error {
		return tx.Bucket(bucketStream).Bucket([]byte(c.work)).Delete(r.seq)
	})
	return outcome{record: r, err: err}
}

// guarded makes a panic of handle a failed try.
func guarded(ctx context.Context, c Change, handle func(context.Context, Change) error) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("taskbolt: the consumer panicked: %v\n%s", p, debug.Stack())
		}
	}()
	return handle(ctx, c)
}

func (c *consumer) finished(o outcome) {
	delete(c.busy, o.ID)
	if o.again {
		c.pending = slices.Insert(c.pending, 0, o.record)
	}
}
