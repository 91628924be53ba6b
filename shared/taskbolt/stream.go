package taskbolt

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"go.etcd.io/bbolt"
	bolterrors "go.etcd.io/bbolt/errors"

	"github.com/preset/nanobanana-functions/shared/task"
)

// Change is a stream record: a row was written that has work.
type Change struct {
	ID   string
	Work task.Work
}

const (
	ahead = 256 // how many records a consumer has in hand at most
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
// handle returns nil, or has failed twice; a panic is a failure. One that was
// handed out, and is not done with, when ctx ends, or the process, is handed
// out again by the next Consume.
//
// A record that is done with but cannot be deleted, since the disk is full, is
// tried again until it can be.
//
// Consume returns nil when ctx has ended, or the Store's error; its handlers
// have returned by then. A work can have one consumer at a time.
func (s *Store) Consume(ctx context.Context, work task.Work, workers int, handle func(context.Context, Change) error) error {
	woken, err := s.subscribe(work)
	if err != nil {
		return err
	}
	defer s.unsubscribe(work)
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	c := consumer{
		store: s, work: work, workers: max(workers, 1), handle: handle,
		woken: woken, done: make(chan outcome), busy: map[string]bool{},
	}
	err = c.run(ctx)
	cancel()
	for len(c.busy) > 0 {
		c.take(<-c.done)
	}
	return err
}

// subscribe returns the channel that is written to when there is work.
func (s *Store) subscribe(work task.Work) (<-chan struct{}, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.woken[work] != nil {
		return nil, fmt.Errorf("taskbolt: %s has a consumer already", work)
	}
	woken := make(chan struct{}, 1)
	s.woken[work] = woken
	return woken, nil
}

func (s *Store) unsubscribe(work task.Work) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.woken, work)
}

// wake tells the consumer of a work, if there is one, to look for records.
func (s *Store) wake(work task.Work) {
	s.mu.Lock()
	defer s.mu.Unlock()
	signal(s.woken[work])
}

func signal(woken chan<- struct{}) {
	select {
	case woken <- struct{}{}:
	default: // it has been told, or is nobody
	}
}

// consumer is the state of one Consume, whose goroutine alone changes it.
type consumer struct {
	store   *Store
	work    task.Work
	workers int
	handle  func(context.Context, Change) error
	woken   <-chan struct{}
	done    chan outcome

	busy    map[string]bool // tasks whose record is handed out
	pending []record        // read, to be handed out, in order
	last    []byte          // read last
}

// outcome is what became of handing out a record.
type outcome struct {
	record
	again bool
	err   error // of the Store
}

func (c *consumer) run(ctx context.Context) error {
	for ctx.Err() == nil {
		if err := c.load(ctx); err != nil {
			return err
		}
		c.start(ctx)
		select {
		case <-ctx.Done():
		case <-c.woken:
		case o := <-c.done:
			if c.take(o); o.err != nil {
				return o.err
			}
		}
	}
	return nil
}

// load reads what has been written since.
func (c *consumer) load(ctx context.Context) error {
	if len(c.pending) >= ahead {
		return nil
	}
	err := c.store.read(ctx, func(tx *bbolt.Tx) error {
		b := tx.Bucket(bucketStream).Bucket([]byte(c.work))
		if b == nil {
			return nil
		}
		cursor := b.Cursor()
		seq, id := cursor.Seek(c.last)
		if bytes.Equal(seq, c.last) {
			seq, id = cursor.Next()
		}
		for ; seq != nil && len(c.pending) < ahead; seq, id = cursor.Next() {
			c.last = bytes.Clone(seq)
			c.pending = append(c.pending, record{Change: Change{ID: string(id), Work: c.work}, seq: c.last})
		}
		return nil
	})
	if ctx.Err() != nil {
		return nil
	}
	return err
}

// start hands out what it may.
func (c *consumer) start(ctx context.Context) {
	c.pending = slices.DeleteFunc(c.pending, func(r record) bool {
		if len(c.busy) >= c.workers || c.busy[r.ID] {
			return false
		}
		c.busy[r.ID] = true
		go func() { c.done <- c.hand(ctx, r) }()
		return true
	})
}

// take takes a record back.
func (c *consumer) take(o outcome) {
	delete(c.busy, o.ID)
	if o.again {
		c.pending = slices.Insert(c.pending, 0, o.record) // before those of its task that came later
	}
}

// hand hands out one record, and acknowledges it unless it is to come again.
func (c *consumer) hand(ctx context.Context, r record) outcome {
	r.tries++
	failed := c.try(ctx, r.Change)
	if failed && (r.tries < tries || ctx.Err() != nil) {
		return outcome{record: r, again: true}
	}
	return outcome{record: r, err: c.acknowledge(ctx, r)}
}

// The pauses between tries to acknowledge a record double up to the longest.
const (
	firstPause   = 100 * time.Millisecond
	longestPause = 10 * time.Second
)

// acknowledge deletes a record that is done with. While the disk is full that
// fails: it tries again until it succeeds, ctx ends, or the file cannot be used
// any more. A record that is still there then is handed out again.
func (c *consumer) acknowledge(ctx context.Context, r record) error {
	for pause := firstPause; ; pause = min(2*pause, longestPause) {
		// What is done is done, though ctx may have ended meanwhile.
		err := c.store.write(context.WithoutCancel(ctx), func(tx *bbolt.Tx) error {
			return tx.Bucket(bucketStream).Bucket([]byte(c.work)).Delete(r.seq)
		})
		var damaged *DamageError
		if err == nil || errors.Is(err, bolterrors.ErrDatabaseNotOpen) || errors.As(err, &damaged) {
			return err
		}
		c.store.Log.ErrorContext(ctx, "a stream record could not be acknowledged", "work", c.work, "task", r.ID, "again", pause.String(), "error", err)
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(pause):
		}
	}
}

// try calls handle. One bad row must not end the process.
func (c *consumer) try(ctx context.Context, change Change) (failed bool) {
	defer func() { failed = failed || recover() != nil }()
	return c.handle(ctx, change) != nil
}
