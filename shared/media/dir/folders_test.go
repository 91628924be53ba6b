package dir

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
)

// syncs is a Bucket that records which of its folders are synced, and syncs them.
type syncs struct {
	*Bucket
	t      *testing.T
	folder string
	mu     sync.Mutex // guards got
	got    []string
	before func(dir string) error // nil: nothing happens before a sync
	after  func(dir string)       // nil: nothing happens after a sync
}

func recordSyncs(t *testing.T, folder string) *syncs {
	t.Helper()
	b, err := Open(folder, nil, []byte("a key of more than 24 bytes"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = b.Close() })
	s := &syncs{Bucket: b, t: t, folder: folder}
	toDisk := b.folders.syncDir
	b.folders.syncDir = func(dir string) error {
		s.mu.Lock()
		s.got = append(s.got, dir)
		s.mu.Unlock()
		if s.before != nil {
			if err := s.before(dir); err != nil {
				return err
			}
		}
		err := toDisk(dir)
		if s.after != nil {
			s.after(dir)
		}
		return err
	}
	return s
}

func (s *syncs) put(key string) error {
	return s.Put(s.t.Context(), key, strings.NewReader("x"), 1, "image/png", sha256.Sum256([]byte("x")))
}

// stores checks that an object is stored and that these folders are synced for it.
func (s *syncs) stores(key, want string) {
	s.t.Helper()
	s.got = nil
	if err := s.put(key); err != nil {
		s.t.Error(err)
	}
	s.synced(key, want)
}

func (s *syncs) synced(what, want string) {
	s.t.Helper()
	if got := strings.Join(s.got, " "); got != want {
		s.t.Errorf("%s: %q are synced, want %q", what, got, want)
	}
}

// Put syncs the folder of the object, and the parent of each folder that this process does
// not know to be durable.
func TestPutSyncsFolders(t *testing.T) {
	s := recordSyncs(t, t.TempDir())
	s.stores("tasks/t/1.png", "tasks . tasks/t")
	s.stores("tasks/t/2.png", "tasks/t")
	s.stores("tasks/t/1.png", "tasks/t")
	s.stores("tasks/u/1.png", "tasks tasks/u")
	s.stores("tasks/x.png", "tasks")
	s.stores("uploads/o/1.png", "uploads . uploads/o")

	again := recordSyncs(t, s.folder) // what another process made may not be on the disk
	again.stores("tasks/t/3.png", "tasks . tasks/t")
}

// A folder whose sync failed is synced by the next Put.
func TestPutSyncsFoldersAfterAFailure(t *testing.T) {
	s := recordSyncs(t, t.TempDir())
	broken := errors.New("broken")
	fails := func(dir string) {
		t.Helper()
		s.before = func(d string) error {
			if d == dir {
				return broken
			}
			return nil
		}
		if err := s.put("tasks/t/1.png"); !errors.Is(err, broken) {
			t.Errorf("Put: %v, want the error of the sync of %s", err, dir)
		}
		s.before = nil
	}
	fails("tasks")
	fails(".")
	s.stores("tasks/t/2.png", ". tasks/t")
	fails("tasks/t")
	s.stores("tasks/t/2.png", "tasks/t")
}

// A folder that was removed and is made again is synced again, whoever removed it.
func TestPutSyncsFoldersMadeAgain(t *testing.T) {
	s := recordSyncs(t, t.TempDir())
	s.stores("tasks/t/1.png", "tasks . tasks/t")
	s.stores("tasks/u/1.png", "tasks tasks/u")
	erase := func(prefix, want string) {
		t.Helper()
		s.got = nil
		if err := s.Erase(t.Context(), prefix); err != nil {
			t.Error(err)
		}
		s.synced("Erase", want)
	}
	erase("tasks/t/", "tasks")
	s.stores("tasks/t/1.png", "tasks tasks/t")
	s.stores("tasks/u/2.png", "tasks/u")
	erase("tasks/", ".")
	s.stores("tasks/t/1.png", "tasks . tasks/t")
	s.stores("tasks/u/1.png", "tasks tasks/u")
	if err := os.RemoveAll(filepath.Join(s.folder, "tasks")); err != nil {
		t.Fatal(err)
	}
	s.stores("tasks/t/1.png", "tasks . tasks/t")
	s.stores("tasks/u/1.png", "tasks tasks/u")
}

// A Put does not trust folders that a concurrent Put has made but not yet synced, nor a
// sync of them that began before its own changes.
func TestConcurrentPutsSyncFolders(t *testing.T) {
	for _, first := range []string{"tasks/t", "tasks", "."} {
		s := recordSyncs(t, t.TempDir())
		synctest.Test(t, func(t *testing.T) {
			second := make(chan error, 1)
			s.before = func(dir string) error {
				if dir != first {
					return nil
				}
				s.before, s.got = nil, nil
				go func() { second <- s.put("tasks/t/2.png") }()
				synctest.Wait()
				if len(second) > 0 {
					t.Errorf("a Put has returned before the sync of %q that another one waits for", dir)
				}
				return nil
			}
			if err := errors.Join(s.put("tasks/t/1.png"), <-second); err != nil {
				t.Error(err)
			}
			synctest.Wait()
			if !slices.Contains(s.got, first) {
				t.Errorf("only %q are synced after the sync of %q had begun", s.got, first)
			}
		})
		s.stores("tasks/t/3.png", "tasks/t")
	}
}

// Erase waits for a Put that is syncing a folder. Otherwise the Put would call the folder
// durable after Erase has removed it, and one that is made again would not be synced.
func TestEraseWaitsForPut(t *testing.T) {
	s := recordSyncs(t, t.TempDir())
	erased := make(chan error, 1)
	s.after = func(dir string) {
		if dir != "tasks" {
			return
		}
		s.after = nil
		changing := &s.folders.changing
		if changing.TryLock() {
			changing.Unlock()
			t.Fatal("a Put lets Erase remove its folder")
		}
		go func() { erased <- s.Erase(t.Context(), "tasks/t/") }()
		for changing.TryRLock() { // not while Erase waits
			changing.RUnlock()
			if len(erased) > 0 {
				t.Fatal("Erase has removed the folder of a Put")
			}
			runtime.Gosched()
		}
	}
	if err := s.put("tasks/t/1.png"); err != nil {
		t.Error(err)
	}
	if err := <-erased; err != nil {
		t.Error(err)
	}
	s.stores("tasks/t/1.png", "tasks tasks/t")
}

// Puts that come while a folder is synced share its next sync. Two files of a new folder
// share the sync of that, too.
func TestConcurrentPutsShareSyncs(t *testing.T) {
	s := recordSyncs(t, t.TempDir())
	s.stores("tasks/t/1.png", "tasks . tasks/t")
	s.got = nil
	synctest.Test(t, func(t *testing.T) {
		all := make(chan error, 3)
		come := sync.OnceFunc(func() {
			go func() { all <- s.put("tasks/v/1.png") }()
			go func() { all <- s.put("tasks/v/2.png") }()
			synctest.Wait() // until both wait for a sync
		})
		s.before = func(dir string) error {
			if dir == "tasks/v" {
				synctest.Wait() // until the other one waits, too
			}
			come()
			return nil
		}
		all <- s.put("tasks/u/1.png")
		if err := errors.Join(<-all, <-all, <-all); err != nil {
			t.Error(err)
		}
	})
	slices.Sort(s.got)
	s.synced("three Puts", "tasks tasks tasks/u tasks/v")
}

// What is remembered about folders does not grow with the number of tasks.
func TestFoldersForget(t *testing.T) {
	f := newFolders(nil)
	for n := range 3 * maxDurable {
		f.remember(fmt.Sprint("tasks/", n))
	}
	if n := len(f.durable); n == 0 || n > maxDurable {
		t.Errorf("%d folders are remembered, want at most %d", n, maxDurable)
	}
}
