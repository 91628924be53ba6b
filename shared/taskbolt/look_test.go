package taskbolt

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"go.etcd.io/bbolt"

	"github.com/preset/nanobanana-functions/shared/task"
)

// Look reads what it is asked for, and nothing else: it opens a file of which Open, which
// reads all of it, finds the damage.
func TestLook(t *testing.T) {
	content := validFile(t)
	path := filepath.Join(t.TempDir(), "tasks.db")
	write := func(b []byte) {
		t.Helper()
		if err := os.WriteFile(path, b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := Look(path); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a missing file: %v", err)
	}
	if _, err := os.Stat(path); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("Look has made the file: %v", err)
	}
	write(content)
	s, err := Look(path)
	if err != nil {
		t.Fatal(err)
	}
	page, err := s.DuePage(t.Context(), task.DueEntry{}, 100)
	if err != nil || len(page) == 0 {
		t.Fatalf("%d entries: %v", len(page), err)
	}
	x, err := s.Task(t.Context(), page[0].ID)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.Put(t.Context(), x); err == nil {
		t.Error("it has written")
	}
	other, err := Look(path)
	if err != nil {
		t.Errorf("a second Look: %v", err)
	} else if err := other.Close(); err != nil {
		t.Error(err)
	}
	if _, err := Open(path); !errors.Is(err, ErrInUse) {
		t.Errorf("Open while it is open: %v", err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if after, err := os.ReadFile(path); err != nil || !bytes.Equal(after, content) {
		t.Errorf("the file has changed: %v", err)
	}

	whole := open(t, path)
	if _, err := Look(path); !errors.Is(err, ErrInUse) {
		t.Errorf("Look while Open has it: %v", err)
	}
	if err := whole.Close(); err != nil {
		t.Fatal(err)
	}

	// One row is spoilt: Open refuses the file, Look shows the others.
	spoilt := bytes.Clone(content)
	at := bytes.Index(spoilt, []byte(`"id":"`+page[1].ID))
	if at < 0 {
		t.Fatal("the row is not there")
	}
	copy(spoilt[at:], `"id":7`)
	write(spoilt)
	if _, err := Open(path); err == nil {
		t.Fatal("Open does not find the damage")
	}
	if s, err = Look(path); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Task(t.Context(), page[0].ID); err != nil {
		t.Errorf("a sound row: %v", err)
	}
	if _, err := s.Task(t.Context(), page[1].ID); err == nil {
		t.Error("the spoilt row is read")
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}

	write(nil)
	if _, err := Look(path); !errors.Is(err, ErrIncomplete) {
		t.Errorf("the empty file of a run that was killed at once: %v", err)
	}
	write(content)
	db, err := bbolt.Open(path, 0o600, nil)
	if err != nil {
		t.Fatal(err)
	}
	err = db.Update(func(tx *bbolt.Tx) error { return tx.DeleteBucket(bucketOwned) })
	if err := errors.Join(err, db.Close()); err != nil {
		t.Fatal(err)
	}
	if _, err := Look(path); !errors.Is(err, ErrIncomplete) {
		t.Errorf("a file of an older release: %v", err)
	}
	if err := open(t, path).Close(); err != nil {
		t.Fatal(err)
	}
	if s, err = Look(path); err != nil {
		t.Fatalf("after Open has completed it: %v", err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
}
