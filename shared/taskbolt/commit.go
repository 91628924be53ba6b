package taskbolt

import (
	"sync"

	"go.etcd.io/bbolt"
)

// committer groups writes: those that arrive during a commit share the next one,
// and so wait for the disk only once. Unlike bbolt's own Batch, it never delays a
// write that arrives alone.
type committer struct {
	update func(func(*bbolt.Tx) error) error // of the file

	mu      sync.Mutex // guards what follows
	waiting []write
	running bool // run is going to take what is waiting
}

// write is one part of a commit.
type write struct {
	do   func(*bbolt.Tx) error
	done chan error
}

// commit runs do in a transaction and returns once that is on the disk. do may
// run twice; only the last run is committed, and nothing of it if it fails.
func (c *committer) commit(do func(*bbolt.Tx) error) error {
	w := write{do, make(chan error, 1)}
	c.mu.Lock()
	c.waiting = append(c.waiting, w)
	if !c.running {
		c.running = true
		go c.run()
	}
	c.mu.Unlock()
	return <-w.done
}

// run commits until nothing is waiting. It sets running to false before it replies
// to the last group, so that a write after that reply starts a new run, in a
// goroutine of its own: in a bubble of testing/synctest, for example.
func (c *committer) run() {
	group, more := c.next()
	for more {
		reply := c.commitGroup(group)
		group, more = c.next()
		reply()
	}
}

// next takes the waiting writes. If there are none, the run has ended.
func (c *committer) next() (group []write, more bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	group, c.waiting = c.waiting, nil
	c.running = len(group) > 0
	return group, c.running
}

// commitGroup commits a group and returns a function that sends each write its result.
func (c *committer) commitGroup(group []write) (reply func()) {
	var fault error // of one of the writes, not of the disk
	err := c.update(func(tx *bbolt.Tx) error {
		for _, w := range group {
			if fault = w.do(tx); fault != nil {
				return fault
			}
		}
		return nil
	})
	results := make([]error, len(group))
	for i, w := range group {
		if results[i] = err; fault != nil { // one write must not fail the others: commit each on its own
			results[i] = c.update(w.do)
		}
	}
	return func() {
		for i, w := range group {
			w.done <- results[i]
		}
	}
}
