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

// Change is a stream record: the write of a row asks for something.
type Change struct {
	ID      string
	Message task.Message
}

const (
	maxPending = 256 // records that a consumer holds at most
	maxTries   = 2   // times a record is delivered; after that the sweep finds the task by its due time
)

// record is a Change that is being delivered.
type record struct {
	Change
	seq   []byte
	tries int
}

// appendRecords writes a record for each message of a row.
func appendRecords(tx *bbolt.Tx, t *task.Task) error {
	for _, m := range t.Messages() {
		b, err := tx.Bucket(bucketStream).CreateBucketIfNotExists([]byte(m))
		if err != nil {
			return err
		}
		seq, err := b.NextSequence()
		if err != nil {
			return err
		}
		if err := b.Put(encodeInt(int64(seq)), []byte(t.ID)); err != nil {
			return err
		}
	}
	return nil
}

// Consume calls handle for each record of a message, oldest first. Up to workers
// calls run at once, but never two for one task. A record is done when handle has
// returned nil or has failed twice; a panic counts as a failure. If ctx or the
// process ends before a record is done, the next Consume delivers it again.
//
// A record that is done is deleted. If the disk is full, Consume retries that
// until it succeeds.
//
// Consume returns nil when ctx has ended, or the Store's error, after all calls
// of handle have returned. A message can have only one consumer at a time.
func (s *Store) Consume(ctx context.Context, message task.Message, workers int, handle func(context.Context, Change) error) error {
	wake, err := s.subscribe(message)
	if err != nil {
		return err
	}
	defer s.unsubscribe(message)
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	c := consumer{
		store: s, message: message, workers: max(workers, 1), handle: handle,
		wake: wake, done: make(chan outcome), busy: map[string]bool{},
	}
	err = c.run(ctx)
	cancel()
	for len(c.busy) > 0 {
		c.finish(<-c.done)
	}
	return err
}

// subscribe registers the consumer of a message. The channel it returns is written to
// when there may be new records.
func (s *Store) subscribe(message task.Message) (<-chan struct{}, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.wakes[message] != nil {
		return nil, fmt.Errorf("taskbolt: %s already has a consumer", message)
	}
	wake := make(chan struct{}, 1)
	s.wakes[message] = wake
	return wake, nil
}

func (s *Store) unsubscribe(message task.Message) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.wakes, message)
}

// wake makes the consumer of a message, if there is one, look for records.
func (s *Store) wake(message task.Message) {
	s.mu.Lock()
	defer s.mu.Unlock()
	signal(s.wakes[message])
}

func signal(wake chan<- struct{}) {
	select {
	case wake <- struct{}{}:
	default: // already signalled, or no consumer
	}
}

// consumer is the state of one Consume. Only the goroutine of Consume changes it.
type consumer struct {
	store   *Store
	message task.Message
	workers int
	handle  func(context.Context, Change) error
	wake    <-chan struct{}
	done    chan outcome

	busy    map[string]bool // tasks for which handle is running
	pending []record        // read but not delivered, in order
	last    []byte          // the last sequence read
}

// outcome is the result of delivering a record.
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
		c.deliver(ctx)
		select {
		case <-ctx.Done():
		case <-c.wake:
		case o := <-c.done:
			if c.finish(o); o.err != nil {
				return o.err
			}
		}
	}
	return nil
}

// load reads the records written since the last load.
func (c *consumer) load(ctx context.Context) error {
	if len(c.pending) >= maxPending {
		return nil
	}
	err := c.store.read(ctx, func(tx *bbolt.Tx) error {
		b := tx.Bucket(bucketStream).Bucket([]byte(c.message))
		if b == nil {
			return nil
		}
		cursor := b.Cursor()
		seq, id := cursor.Seek(c.last)
		if bytes.Equal(seq, c.last) {
			seq, id = cursor.Next()
		}
		for ; seq != nil && len(c.pending) < maxPending; seq, id = cursor.Next() {
			c.last = bytes.Clone(seq)
			c.pending = append(c.pending, record{Change: Change{ID: string(id), Message: c.message}, seq: c.last})
		}
		return nil
	})
	if ctx.Err() != nil {
		return nil
	}
	return err
}

// deliver starts handle for pending records while workers are free.
func (c *consumer) deliver(ctx context.Context) {
	c.pending = slices.DeleteFunc(c.pending, func(r record) bool {
		if len(c.busy) >= c.workers || c.busy[r.ID] {
			return false
		}
		c.busy[r.ID] = true
		go func() { c.done <- c.process(ctx, r) }()
		return true
	})
}

// finish ends the delivery of a record.
func (c *consumer) finish(o outcome) {
	delete(c.busy, o.ID)
	if o.again {
		c.pending = slices.Insert(c.pending, 0, o.record) // before later records of its task
	}
}

// process calls handle for one record, and acknowledges the record unless it must
// be delivered again.
func (c *consumer) process(ctx context.Context, r record) outcome {
	r.tries++
	failed := c.try(ctx, r.Change)
	if failed && (r.tries < maxTries || ctx.Err() != nil) {
		return outcome{record: r, again: true}
	}
	return outcome{record: r, err: c.acknowledge(ctx, r)}
}

// The backoff between tries to acknowledge a record doubles up to the maximum.
const (
	firstBackoff = 100 * time.Millisecond
	maxBackoff   = 10 * time.Second
)

// acknowledge deletes a record that is done. That fails while the disk is full:
// acknowledge retries until it succeeds, ctx ends, or the file is unusable. A
// record that was not deleted is delivered again.
func (c *consumer) acknowledge(ctx context.Context, r record) error {
	for backoff := firstBackoff; ; backoff = min(2*backoff, maxBackoff) {
		// The record is done even if ctx has ended in the meantime.
		err := c.store.write(context.WithoutCancel(ctx), func(tx *bbolt.Tx) error {
			return tx.Bucket(bucketStream).Bucket([]byte(c.message)).Delete(r.seq)
		})
		var damaged *DamageError
		if err == nil || errors.Is(err, bolterrors.ErrDatabaseNotOpen) || errors.As(err, &damaged) {
			return err
		}
		c.store.Log.ErrorContext(ctx, "stream record not acknowledged; will retry", "work", c.message, "task", r.ID, "again", backoff.String(), "error", err)
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(backoff):
		}
	}
}

// try calls handle. It recovers from a panic, so that one bad row does not end the process.
func (c *consumer) try(ctx context.Context, change Change) (failed bool) {
	defer func() { failed = failed || recover() != nil }()
	return c.handle(ctx, change) != nil
}
