package dir

import (
	"errors"
	"io/fs"
	"os"
	"path"
	"sync"
)

// folders are the folders of objects below root. A folder is durable, which means that it
// survives a loss of power, once its parent was synced to disk after it was made. Its
// parent is not synced for its sake again.
type folders struct {
	root    *os.Root
	syncDir func(dir string) error // to disk
	joint   jointSync              // by syncDir

	changing sync.RWMutex // add holds it for reading, remove for writing

	mu      sync.Mutex      // guards durable
	durable map[string]bool // right for folders that exist
}

// maxDurable is how many durable folders are remembered. The pictures of a task come soon
// after one another, so it is no loss to forget the folders of earlier tasks.
const maxDurable = 1000

func newFolders(root *os.Root) *folders {
	f := &folders{root: root, durable: map[string]bool{}}
	f.joint = jointSync{do: func(dir string) error { return f.syncDir(dir) }, last: map[string]*folderSync{}}
	f.syncDir = func(dir string) error {
		d, err := root.Open(dir)
		if err != nil {
			return err
		}
		return errors.Join(d.Sync(), d.Close())
	}
	return f
}

// add makes dir and its parents, and calls publish to put a file into dir. It returns
// once they all survive a loss of power. A folder that it finds may have been made by a
// concurrent add that has not synced it yet, so that only durable counts. Concurrent calls
// share syncs, but each waits for syncs that begin after its own changes.
func (f *folders) add(dir string, publish func() error) error {
	f.changing.RLock() // or else remove could come between a sync and remember
	defer f.changing.RUnlock()
	f.forgetMissing(dir)
	if err := f.root.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	if err := publish(); err != nil {
		return err
	}
	published := f.joint.now()
	for d := dir; d != "."; d = path.Dir(d) {
		if f.isDurable(d) {
			continue // but not its parents, if their sync failed or is still running
		}
		if err := f.joint.sync(path.Dir(d), published); err != nil {
			return err
		}
		f.remember(d)
	}
	return f.joint.sync(dir, published) // last, so that two new files of a new folder share it
}

// remove deletes dir with all that is in it. It syncs that to disk, so that the objects
// stay deleted after a crash.
func (f *folders) remove(dir string) error {
	f.changing.Lock()
	defer f.changing.Unlock()
	err := f.root.RemoveAll(dir)
	if err == nil {
		err = f.syncDir(path.Dir(dir))
	}
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

// forgetMissing forgets dir and its parents as far as they do not exist, whoever removed
// them. That comes before they are made, so nobody finds a new folder and trusts what
// was known about the old one.
func (f *folders) forgetMissing(dir string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for ; dir != "."; dir = path.Dir(dir) {
		if _, err := f.root.Lstat(dir); err == nil {
			return
		}
		delete(f.durable, dir)
	}
}

func (f *folders) isDurable(dir string) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.durable[dir]
}

func (f *folders) remember(dir string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if len(f.durable) >= maxDurable {
		clear(f.durable)
	}
	f.durable[dir] = true
}
