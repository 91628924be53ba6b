package taskbolt

import (
	"compress/gzip"
	"encoding/json"
	"io"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"go.etcd.io/bbolt"

	"github.com/preset/nanobanana-functions/shared/task"
)

// olderFile writes a copy of the file in testdata, which a release without the index
// of all tasks has written, and returns its path. It holds ada's tasks 0 to 7, two in
// each second, the even one first; 0, 3 and 6 are for moodboard 42, 5 was moved to
// showcase 7, 3 and 4 are deleted. Task 8 is bob's. Never change the file.
func olderFile(t *testing.T) (path string) {
	t.Helper()
	f, err := os.Open("testdata/tasks-2026-11-29.db.gz")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	z, err := gzip.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	content, err := io.ReadAll(z)
	path = filepath.Join(t.TempDir(), "tasks.db")
	if err == nil {
		err = os.WriteFile(path, content, 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
	return path
}

// checkListed fails the test unless these, by their idempotency keys, are the owner's
// tasks, those of each second in either order.
func checkListed(t *testing.T, s *Store, owner string, target *task.Target, want ...[]string) {
	t.Helper()
	got, next, err := s.List(t.Context(), task.Query{Owner: owner, Target: target, Limit: 100})
	if err != nil || next != "" {
		t.Fatal(next, err)
	}
	var ids []string
	at := 0
	for _, second := range want {
		var same []string
		for _, key := range second {
			same = append(same, task.NewID(owner, key))
		}
		slices.Sort(same)
		ids = append(ids, same...)
		if at += len(same); at <= len(got) {
			slices.Sort(got[at-len(same) : at])
		}
	}
	if !slices.Equal(got, ids) {
		t.Errorf("%s's tasks for %v are %v, want %v", owner, target, got, want)
	}
}

func checkOlderFile(t *testing.T, s *Store) {
	t.Helper()
	checkListed(t, s, "ada", nil, []string{"6", "7"}, []string{"5"}, []string{"2"}, []string{"0", "1"})
	checkListed(t, s, "ada", &task.Target{Kind: "moodboard", ID: "42"}, []string{"6"}, []string{"0"})
	checkListed(t, s, "ada", &task.Target{Kind: "showcase", ID: "7"}, []string{"5"})
	checkListed(t, s, "bob", nil, []string{"8"})
}

func TestFileOfAnOlderRelease(t *testing.T) {
	path := olderFile(t)
	s := open(t, path)
	checkOlderFile(t, s)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	before, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	s = open(t, path)
	checkOlderFile(t, s)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if after, err := os.ReadFile(path); err != nil || !slices.Equal(before, after) {
		t.Errorf("the second start writes again, or %v", err)
	}
}

// An older release that writes the file again neither keeps nor reads the index of all
// tasks. The next start completes it.
func TestFileOlderReleaseWroteAgain(t *testing.T) {
	path := olderFile(t)
	s := open(t, path)
	made := newTask("9")
	made.Target = nil
	deleted, err := s.Task(t.Context(), task.NewID("ada", "2"))
	if err != nil {
		t.Fatal(err)
	}
	deleted.DeletedAt = start.Add(time.Hour)
	err = s.db.Update(func(tx *bbolt.Tx) error {
		for _, x := range []*task.Task{made, deleted} {
			row, err := json.Marshal(x)
			if err == nil {
				err = tx.Bucket(bucketTasks).Put([]byte(x.ID), row)
			}
			if err != nil {
				return err
			}
		}
		return tx.Bucket(bucketTasks).Put([]byte("unreadable"), []byte(`{"owner":1}`))
	})
	if err == nil {
		err = s.Close()
	}
	if err != nil {
		t.Fatal(err)
	}
	for range 2 {
		s = open(t, path)
		checkListed(t, s, "ada", nil, []string{"6", "7"}, []string{"5"}, []string{"0", "1", "9"})
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
}
