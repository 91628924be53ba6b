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
// A record that is done is deleted, while others are handled: all that are done by then
// in one write. If the disk is full, Consume retries that until it succeeds. Meanwhile
// it delivers at most 2*workers records more.
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
		wake: wake, done: make(chan outcome), deleted: make(chan error), busy: map[string]bool{},
	}
	for err == nil && ctx.Err() == nil {
		if err = c.load(ctx); err == nil {
			c.deliver(ctx)
			err = c.await(ctx, ctx.Done())
		}
	}
	cancel()
	for len(c.busy) > 0 || c.deleting {
		err = errors.Join(err, c.await(ctx, nil))
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
	deleted chan error // the Store's

	busy     map[string]bool // tasks for which handle is running
	pending  []record        // read but not delivered, in order
	last     []byte          // the last sequence read
	handled  []record        // to be deleted
	deleting bool            // acknowledge is running
}

// outcome is the result of delivering a record.
type outcome struct {
	record
	again bool
}

// await waits for the next event. Then it has the records deleted that are done, unless
// others are just being deleted. It returns an error of the Store.
func (c *consumer) await(ctx context.Context, ended <-chan struct{}) (err error) {
	select {
	case <-ended:
	case <-c.wake:
	case o := <-c.done:
		c.finish(o)
	case err = <-c.deleted:
		c.deleting = false
	}
	if len(c.handled) > 0 && !c.deleting {
		records := c.handled
		c.handled, c.deleting = nil, true
		go func() { c.deleted <- c.acknowledge(ctx, records) }()
	}
	return err
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
		if len(c.busy) >= c.workers || len(c.handled) >= c.workers || c.busy[r.ID] {
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
	} else {
		c.handled = append(c.handled, o.record)
	}
}

// process calls handle for one record.
func (c *consumer) process(ctx context.Context, r record) outcome {
	r.tries++
	failed := c.try(ctx, r.Change)
	return outcome{record: r, again: failed && (r.tries < maxTries || ctx.Err() != nil)}
}

// The backoff between tries to acknowledge a record doubles up to the maximum.
const (
	firstBackoff = 100 * time.Millisecond
	maxBackoff   = 10 * time.Second
)

// acknowledge deletes records that are done. That fails while the disk is full:
// acknowledge retries until it succeeds, the file is unusable, or ctx has ended, when
// it tries once more. A record that was not deleted is delivered again.
func (c *consumer) acknowledge(ctx context.Context, done []record) error {
	for backoff := firstBackoff; ; backoff = min(2*backoff, maxBackoff) {
		// The records are done even if ctx has ended in the meantime.
		err := c.store.write(context.WithoutCancel(ctx), func(tx *bbolt.Tx) (err error) {
			for _, r := range done {
				err = errors.Join(err, tx.Bucket(bucketStream).Bucket([]byte(c.message)).Delete(r.seq))
			}
			return err
		})
		var damaged *DamageError
		if err == nil || errors.Is(err, bolterrors.ErrDatabaseNotOpen) || errors.As(err, &damaged) {
			return err
		}
		c.store.Log.ErrorContext(ctx, "stream records not acknowledged; will retry", "work", c.message, "task", done[0].ID, "records", len(done), "again", backoff.String(), "error", err)
		if ctx.Err() != nil {
			return nil
		}
		select {
		case <-ctx.Done(): // a last try
		case <-time.After(backoff):
		}
	}
}

// try calls handle. It recovers from a panic, so that one bad row does not end the process.
func (c *consumer) try(ctx context.Context, change Change) (failed bool) {
	defer func() { failed = failed || recover() != nil }()
	return c.handle(ctx, change) != nil
}
