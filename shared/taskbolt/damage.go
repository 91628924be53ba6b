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

// DamageError reports a damaged file. The Store does not write to it.
type DamageError struct {
	Path   string
	Reason string // for people; quotes nothing from the file
}

func (e *DamageError) Error() string {
	return fmt.Sprintf("%s is damaged (%s) and was not changed: restore a copy of it, or move it away to start without tasks", e.Path, e.Reason)
}

// lockTimeout is how long opening a file waits for another process.
const lockTimeout = time.Second

// inspect returns an error if the file at path cannot be opened. It does not write
// to the file. A missing or empty file can be opened.
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
		// While this is open, no other process writes to the file.
		locked, err := bbolt.Open(path, 0, &bbolt.Options{ReadOnly: true, Timeout: lockTimeout})
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

// openError makes an error of opening the file at path readable for people.
func openError(path string, err error) error {
	var pathErr *fs.PathError
	switch {
	case errors.Is(err, bolterrors.ErrTimeout):
		return fmt.Errorf("taskbolt: %s: %w", path, ErrInUse)
	case errors.As(err, &pathErr):
		return fmt.Errorf("taskbolt: open %s: %w", path, pathErr.Err)
	case errors.Is(err, bolterrors.ErrVersionMismatch):
		return fmt.Errorf("taskbolt: %s has another version of the file format, and was not changed: open it with the release that wrote it", path)
	case errors.Is(err, bolterrors.ErrInvalid), errors.Is(err, bolterrors.ErrChecksum), strings.HasPrefix(err.Error(), "file size too small"):
		return &DamageError{Path: path, Reason: err.Error()}
	}
	return fmt.Errorf("taskbolt: open %s: %w", path, err)
}

// damage stops the use of a file once bbolt has panicked because of it.
type damage struct {
	path  string
	once  sync.Once
	found chan struct{} // closed when err is set
	err   *DamageError
}

// guard calls do and returns its error. A panic in do, or a memory fault in the
// map of the file, becomes a *DamageError; every later guard returns it without
// calling do.
func (d *damage) guard(do func() error) error {
	if err := d.known(); err != nil {
		return err
	}
	return d.protect(do)
}

// known returns the damage found so far, nil if there is none.
func (d *damage) known() error {
	select {
	case <-d.found:
		return d.err
	default:
		return nil
	}
}

// protect calls do and turns a panic or a memory fault into a *DamageError.
func (d *damage) protect(do func() error) (err error) {
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

// close closes db. With a damaged file, bbolt may hold its own lock forever, so
// close waits for at most a second: the lock on the file ends with the process.
func (d *damage) close(db *bbolt.DB) error {
	if d.known() == nil {
		return db.Close()
	}
	done := make(chan error, 1)
	go func() { done <- d.protect(db.Close) }()
	select {
	case err := <-done:
		return err
	case <-time.After(time.Second):
		return nil
	}
}

// Damaged returns a channel that is closed when the file turns out to be damaged.
// Damage then returns the error.
func (s *Store) Damaged() <-chan struct{} { return s.damage.found }

// Damage returns what is wrong with the file, nil if nothing is.
func (s *Store) Damage() error { return s.damage.known() }
