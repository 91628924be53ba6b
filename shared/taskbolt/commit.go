package taskbolt

import (
	"sync"

	"go.etcd.io/bbolt"
)

// committer lets writes that come while a commit is on its way to the disk
// share the next one, and with it the one wait for the disk. A write that
// comes alone waits for nobody: bbolt's own Batch would make it.
type committer struct {
	update func(func(*bbolt.Tx) error) error // of the file

	mu      sync.Mutex // guards what follows
	waiting []write
	running bool // run takes what is waiting
}

// write is a part of a commit.
type write struct {
	do   func(*bbolt.Tx) error
	done chan error
}

// commit runs do in a transaction, and returns once that is on the disk. do
// may be run twice; only the last run counts, and nothing of it if it fails.
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

// run commits until nothing is waiting.
func (c *committer) run() {
	for {
		c.mu.Lock()
		group := c.waiting
		c.waiting, c.running = nil, len(group) > 0
		c.mu.Unlock()
		if len(group) == 0 {
			return
		}
		c.together(group)
	}
}

func (c *committer) together(group []write) {
	var fault error // of one of the group, not of the disk
	err := c.update(func(tx *bbolt.Tx) error {
		for _, w := range group {
			if fault = w.do(tx); fault != nil {
				return fault
			}
		}
		return nil
	})
	for _, w := range group {
		if fault != nil { // the others are not to suffer from it: each on its own
			err = c.update(w.do)
		}
		w.done <- err
	}
}
