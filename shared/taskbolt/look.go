package taskbolt

import (
	"errors"
	"os"

	"go.etcd.io/bbolt"
)

// Look opens the file at path to read it, at once: it does not check the whole file, as
// Open does. Writes fail. It can be open in several processes, but in none that has it
// from Open; otherwise the error is ErrInUse. A missing file is fs.ErrNotExist. A file of
// an older release, which lacks a bucket, is ErrIncomplete, as is the empty one of a run
// that was killed as it made it: Open completes both.
func Look(path string) (*Store, error) {
	switch file, err := os.Stat(path); {
	case err != nil:
		return nil, err
	case file.Size() == 0:
		return nil, ErrIncomplete
	}
	s := newStore(path)
	err := s.damage.guard(func() (err error) {
		if s.db, err = bbolt.Open(path, 0, &bbolt.Options{ReadOnly: true, Timeout: lockTimeout}); err != nil {
			return openError(path, err)
		}
		return s.db.View(func(tx *bbolt.Tx) error {
			for _, name := range buckets {
				if tx.Bucket(name) == nil {
					return ErrIncomplete
				}
			}
			return nil
		})
	})
	if err != nil && s.db != nil {
		err = errors.Join(err, s.Close())
	}
	if err != nil {
		return nil, err
	}
	return s, nil
}

// Errors of Look and Open.
var (
	// ErrInUse means that another process has the file open.
	ErrInUse = errors.New("another process has it open: stop it first")
	// ErrIncomplete means that an older release wrote the file, or nothing was written yet.
	ErrIncomplete = errors.New("taskbolt: an older release wrote the file, or it is empty")
)
