package dir

import (
	"errors"
	"sync"
)

// jointSync syncs folders to disk, so that concurrent callers share the syncs of a folder.
type jointSync struct {
	do func(dir string) error

	mu   sync.Mutex             // guards what follows, and begun of each sync
	time int                    // counts the syncs that have begun
	last map[string]*folderSync // of the folders with a sync that waits or runs
}

// folderSync is one sync of a folder.
type folderSync struct {
	begun int // its time; 0: not yet
	done  chan struct{}
	err   error // set before done is closed
}

// errNotSynced is the result of a sync that panicked.
var errNotSynced = errors.New("the sync did not return")

// now returns the time for a call of sync. It is after all syncs that have begun.
func (j *jointSync) now() int {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.time
}

// sync returns the result of a sync of dir that began after since, and so covers what was
// changed before that. Callers for which the running one began too early share the next.
func (j *jointSync) sync(dir string, since int) error {
	j.mu.Lock()
	before := j.last[dir]
	if before != nil && (before.begun == 0 || before.begun > since) {
		j.mu.Unlock()
		<-before.done
		return before.err
	}
	s := &folderSync{done: make(chan struct{}), err: errNotSynced}
	j.last[dir] = s
	j.mu.Unlock()
	if before != nil {
		<-before.done
	}
	j.begin(s)
	defer j.end(s, dir)
	s.err = j.do(dir)
	return s.err
}

func (j *jointSync) begin(s *folderSync) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.time++
	s.begun = j.time
}

func (j *jointSync) end(s *folderSync, dir string) {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.last[dir] == s {
		delete(j.last, dir)
	}
	close(s.done)
}
