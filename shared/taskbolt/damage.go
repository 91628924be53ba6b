package taskbolt

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"runtime/debug"
	"strings"
	"sync"
	"time"

	"go.etcd.io/bbolt"
	bolterrors "go.etcd.io/bbolt/errors"
)

// DamageError reports a file that is not sound. Nothing is written to it.
type DamageError struct {
	Path   string
	Reason string // for people; nothing of what the file holds
}

func (e *DamageError) Error() string {
	return fmt.Sprintf("%s is damaged (%s) and was left as it is: put a copy of it in its place, or move it away to begin without tasks", e.Path, e.Reason)
}

// lockTime is how long opening a file waits for another process.
const lockTime = time.Second

// inspect returns why the file at path cannot be opened, without writing to
// it. A file that does not exist yet, or is empty, can be opened.
func inspect(path string) error {
	info, err := os.Stat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		return openError(path, err)
	case !info.Mode().IsRegular():
		return fmt.Errorf("taskbolt: %s is not a file", path)
	case info.Size() == 0:
		return nil
	}
	d := damage{path: path, found: make(chan struct{})}
	return d.guard(func() error {
		// As long as this is open nobody writes to the file.
		locked, err := bbolt.Open(path, 0, &bbolt.Options{ReadOnly: true, Timeout: lockTime})
		if err != nil {
			return openError(path, err)
		}
		return errors.Join(inspectOpen(path, locked.Info().PageSize), locked.Close())
	})
}

func inspectOpen(path string, pageSize int) error {
	file, err := os.Open(path)
	if err != nil {
		return openError(path, err)
	}
	defer file.Close()
	info, err := file.Stat()
	if err != nil {
		return openError(path, err)
	}
	if err := check(file, info.Size(), pageSize); err != nil {
		return &DamageError{Path: path, Reason: err.Error()}
	}
	return nil
}

// openError is what opening the file at path has ended with, for people.
func openError(path string, err error) error {
	var ofSystem *fs.PathError
	switch {
	case errors.Is(err, bolterrors.ErrTimeout):
		return fmt.Errorf("taskbolt: another process has %s open: stop it first", path)
	case errors.As(err, &ofSystem):
		return fmt.Errorf("taskbolt: open %s: %w", path, ofSystem.Err)
	case errors.Is(err, bolterrors.ErrVersionMismatch):
		return fmt.Errorf("taskbolt: %s is of another version of its file format: it was left as it is", path)
	case errors.Is(err, bolterrors.ErrInvalid), errors.Is(err, bolterrors.ErrChecksum), strings.HasPrefix(err.Error(), "file size too small"):
		return &DamageError{Path: path, Reason: err.Error()}
	}
	return fmt.Errorf("taskbolt: open %s: %w", path, err)
}

// damage ends the use of a file once bbolt has panicked over it.
type damage struct {
	path  string
	once  sync.Once
	found chan struct{} // closed when err is set
	err   *DamageError
}

// guard returns do's error. A panic in do, or a fault in the map of the file,
// is a *DamageError; from then on do is not called any more.
func (d *damage) guard(do func() error) (err error) {
	select {
	case <-d.found:
		return d.err
	default:
	}
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	defer func() {
		if p := recover(); p != nil {
			d.once.Do(func() {
				reason, _, _ := strings.Cut(fmt.Sprint(p), "\n")
				d.err = &DamageError{Path: d.path, Reason: reason}
				close(d.found)
			})
			err = d.err
		}
	}()
	return do()
}

// close closes db. Of a damaged file bbolt may hold its own lock for ever, so
// that is not waited for: the lock on the file ends with the process.
func (d *damage) close(db *bbolt.DB) error {
	select {
	case <-d.found:
	default:
		return db.Close()
	}
	done := make(chan error, 1)
	go func() { done <- d.guardClose(db) }()
	select {
	case err := <-done:
		return err
	case <-time.After(time.Second):
		return nil
	}
}

func (d *damage) guardClose(db *bbolt.DB) (err error) {
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	defer func() {
		if p := recover(); p != nil {
			err = d.err
		}
	}()
	return db.Close()
}

// Damaged returns a channel that is closed when the file turns out to be
// damaged; Damage returns the error then.
func (s *Store) Damaged() <-chan struct{} { return s.damage.found }

// Damage returns what is wrong with the file, or nil.
func (s *Store) Damage() error {
	select {
	case <-s.damage.found:
		return s.damage.err
	default:
		return nil
	}
}
