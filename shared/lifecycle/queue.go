package lifecycle

import (
	"slices"
	"sync"
	"time"
)

// queue holds ids of tasks, sorted by time. It holds no rows: they may be large, and
// change meanwhile.
type queue struct {
	mu     sync.Mutex // guards what follows
	change *sync.Cond
	all    []queued
	closed bool
}

type queued struct {
	id string
	at time.Time
}

func newQueue() *queue {
	q := &queue{}
	q.change = sync.NewCond(&q.mu)
	return q
}

// add inserts an id after those of the same time and earlier.
func (q *queue) add(id string, at time.Time) {
	q.mu.Lock()
	defer q.mu.Unlock()
	i, _ := slices.BinarySearchFunc(q.all, at, func(x queued, at time.Time) int {
		if x.at.After(at) {
			return 1
		}
		return -1
	})
	q.all = slices.Insert(q.all, i, queued{id, at})
	q.change.Signal()
}

// close marks the queue as complete: waits end once it is empty.
func (q *queue) close() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.closed = true
	q.change.Broadcast()
}

// wait waits for an id, and returns false if the queue is empty and closed.
func (q *queue) wait() bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	for len(q.all) == 0 && !q.closed {
		q.change.Wait()
	}
	return len(q.all) > 0
}

// length returns how many ids there are.
func (q *queue) length() int {
	q.mu.Lock()
	defer q.mu.Unlock()
	return len(q.all)
}

// take removes and returns the first id; ok is false if the queue is empty.
func (q *queue) take() (id string, ok bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if len(q.all) == 0 {
		return "", false
	}
	id = q.all[0].id
	q.all = q.all[1:]
	return id, true
}
