package taskbolt

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/fnv"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.etcd.io/bbolt"

	"github.com/preset/nanobanana-functions/shared/task"
)

// validFile returns a file with every feature of the format: branch pages, rows
// longer than a page, small and large buckets, free pages.
func validFile(t *testing.T) []byte {
	t.Helper()
	path := filepath.Join(t.TempDir(), "tasks.db")
	s := open(t, path)
	s.db.NoSync = true
	for n := range 60 {
		x := newTask(fmt.Sprint(n))
		x.Quota = &task.Quota{Images: 1, Day: "2026-03-14"}
		if n%30 == 0 {
			x.Request.Prompt = strings.Repeat("long ", 3000)
		}
		if _, err := s.Create(t.Context(), x, 0); err != nil {
			t.Fatal(err)
		}
	}
	for n := range 12 {
		writeWork(t, s, fmt.Sprint("working ", n), 3)
	}
	if err := errors.Join(s.Pause(t.Context(), task.Reads, start), s.Close()); err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// tryFile opens a file of these bytes and, if that succeeds, reads and writes it.
// If Open refuses the file, it must not have changed it.
func tryFile(t *testing.T, name string, content []byte) error {
	t.Helper()
	path := filepath.Join(t.TempDir(), "tasks.db")
	if err := os.WriteFile(path, content, 0o600); err != nil {
		t.Fatal(err)
	}
	s, err := Open(path)
	if err != nil {
		if after, readErr := os.ReadFile(path); readErr != nil || !bytes.Equal(after, content) {
			t.Errorf("%s: the file was changed, or %v", name, readErr)
		}
		var damaged *DamageError
		if errors.As(err, &damaged) && (damaged.Path != path || strings.Contains(err.Error(), "\n")) {
			t.Errorf("%s: the error is %v", name, err)
		}
		return err
	}
	s.db.NoSync = true
	defer func() { _ = s.Close() }()
	return use(t, s)
}

// use calls every kind of read and write.
func use(t *testing.T, s *Store) error {
	ctx := t.Context()
	var errs []error
	for id, err := range s.Due(ctx, start.Add(time.Hour)) {
		if err == nil {
			_, err = s.Task(ctx, id)
		}
		errs = append(errs, err)
	}
	for _, target := range []*task.Target{{Kind: "moodboard", ID: "1"}, nil} {
		_, _, err := s.List(ctx, task.Query{Owner: "ada", Target: target, Limit: 1000})
		errs = append(errs, err)
	}
	_, err := s.UsedImages(ctx, "ada", "2026-03-14")
	errs = append(errs, err)
	_, err = s.Paused(ctx)
	errs = append(errs, err)
	_, err = s.Create(ctx, newTask("another"), 0)
	errs = append(errs, err)
	return errors.Join(errs...)
}

func TestDamagedFile(t *testing.T) {
	valid := validFile(t)
	pageSize := os.Getpagesize()
	if err := tryFile(t, "the valid file", valid); err != nil {
		t.Fatal(err)
	}
	damaged := func(name string, content []byte, refused bool) {
		t.Helper()
		err := tryFile(t, name, content)
		var damage *DamageError
		if err != nil && !errors.As(err, &damage) || refused && err == nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	damaged("zeros", make([]byte, len(valid)), true)
	damaged("a byte", []byte{0}, true)
	damaged("text", bytes.Repeat([]byte("not a store\n"), 5000), true)
	pages := int(metaOf(t, valid, pageSize).pages)
	for cut := 1; cut < pages; cut++ {
		damaged(fmt.Sprint("cut after page ", cut), valid[:cut*pageSize], true)
		damaged(fmt.Sprint("cut in page ", cut), valid[:cut*pageSize+pageSize/3], true)
	}
	tree := checker{file: bytes.NewReader(valid), pageSize: pageSize, used: make([]bool, pages)}
	if err := tree.tree(metaOf(t, valid, pageSize).root, nil, 0, nil, nil); err != nil {
		t.Fatal(err)
	}
	for page := range pages {
		for name, fill := range map[string]func([]byte){
			"zeros":        func(b []byte) { clear(b) },
			"garbage":      func(b []byte) { copy(b, garbage(page, len(b))) },
			"half garbage": func(b []byte) { copy(b[len(b)/2:], garbage(page, len(b)/2)) },
		} {
			content := bytes.Clone(valid)
			fill(content[page*pageSize : (page+1)*pageSize])
			damaged(fmt.Sprint("page ", page, " is ", name), content, tree.used[page] && (name == "zeros" || name == "garbage"))
		}
	}
}

func garbage(seed, n int) []byte {
	r := rand.New(rand.NewPCG(uint64(seed), 1))
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(r.Uint32())
	}
	return b
}

func metaOf(t *testing.T, content []byte, pageSize int) meta {
	t.Helper()
	m, err := lastMeta(bytes.NewReader(content), pageSize)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// A few wrong bytes are found at the start or when they are reached, or they do no
// harm. The process never crashes.
func TestDamagedBytes(t *testing.T) {
	valid := validFile(t)
	used := int(metaOf(t, valid, os.Getpagesize()).pages) * os.Getpagesize()
	for seed := range 60 {
		r := rand.New(rand.NewPCG(uint64(seed), 2))
		content := bytes.Clone(valid)
		for range 1 + r.IntN(3) {
			at := r.IntN(used)
			if r.IntN(2) == 0 { // in the header and the first elements
				at = at/os.Getpagesize()*os.Getpagesize() + r.IntN(64)
			}
			content[at] ^= byte(1 + r.IntN(255))
		}
		_ = tryFile(t, fmt.Sprint("seed ", seed), content)
	}
}

// The error names the reason if a file cannot be opened but is not damaged.
func TestOpenRefused(t *testing.T) {
	valid := validFile(t)
	for n := range 2 { // of an unknown version, with a correct checksum
		b := valid[n*os.Getpagesize()+headerSize:]
		binary.NativeEndian.PutUint32(b[4:], version+1)
		sum := fnv.New64a()
		sum.Write(b[:56])
		binary.NativeEndian.PutUint64(b[56:], sum.Sum64())
	}
	if err := tryFile(t, "another version", valid); err == nil || !strings.Contains(err.Error(), "another version") {
		t.Errorf("another version: %v", err)
	}
	dir := t.TempDir()
	if _, err := Open(dir); err == nil || !strings.Contains(err.Error(), "is not a file") {
		t.Errorf("a folder: %v", err)
	}
	file := filepath.Join(dir, "file")
	if err := os.WriteFile(file, []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	_, err := Open(filepath.Join(file, "tasks.db"))
	var damage *DamageError
	if err == nil || errors.As(err, &damage) || !strings.Contains(err.Error(), "not a directory") {
		t.Errorf("below a file: %v", err)
	}
	empty := filepath.Join(dir, "empty.db")
	if err := os.WriteFile(empty, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	open(t, empty)
}

// Damage while the file is open ends its use: no panic escapes, and nothing more
// is written.
func TestDamagedWhileOpen(t *testing.T) {
	for name, corrupt := range map[string]func(*os.File, int64) error{
		"overwritten": func(f *os.File, size int64) error {
			_, err := f.WriteAt(bytes.Repeat([]byte{0xee}, int(size)-2*os.Getpagesize()), int64(2*os.Getpagesize()))
			return err
		},
		"cut off": func(f *os.File, _ int64) error { return f.Truncate(int64(2 * os.Getpagesize())) },
	} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "tasks.db")
			if err := os.WriteFile(path, validFile(t), 0o600); err != nil {
				t.Fatal(err)
			}
			s := open(t, path)
			if s.Damage() != nil {
				t.Fatal(s.Damage())
			}
			f, err := os.OpenFile(path, os.O_RDWR, 0)
			if err != nil {
				t.Fatal(err)
			}
			defer f.Close()
			info, err := f.Stat()
			if err != nil {
				t.Fatal(err)
			}
			if err := corrupt(f, info.Size()); err != nil {
				t.Fatal(err)
			}
			var damage *DamageError
			if _, err := s.Create(t.Context(), newTask("new"), 0); !errors.As(err, &damage) {
				t.Errorf("a write: %v", err)
			}
			<-s.Damaged()
			before, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := s.Task(t.Context(), "x"); !errors.As(err, &damage) || s.Damage() == nil {
				t.Errorf("a read: %v", err)
			}
			if err := s.Consume(t.Context(), task.Message(task.Ingest), 1, nil); !errors.As(err, &damage) {
				t.Errorf("consume: %v", err)
			}
			_ = s.Close()
			if after, err := os.ReadFile(path); err != nil || !bytes.Equal(after, before) {
				t.Errorf("the file was changed, or %v", err)
			}
		})
	}
}

// Open finds a value that the code could not read later.
func TestDamagedValues(t *testing.T) {
	for _, c := range []struct {
		bucket     []byte
		key, value string
	}{
		{bucketTasks, "a", `{"id":`}, {bucketUsed, "a", "four"}, {bucketTimings, "a#1", "four"},
		{bucketPause, "until", "four"}, {bucketPause, "postsUntil", ""}, {bucketHolds, "holds", `{"by":`}, {bucketBalance, "last", `{"credits":`},
		{bucketList, strings.Repeat("a", prefixLength+stampLength), ""}, {bucketOwned, strings.Repeat("a", prefixLength+stampLength), ""}, {bucketDue, strings.Repeat("a", stampLength), ""},
	} {
		path := filepath.Join(t.TempDir(), "tasks.db")
		s := open(t, path)
		err := s.db.Update(func(tx *bbolt.Tx) error { return tx.Bucket(c.bucket).Put([]byte(c.key), []byte(c.value)) })
		if err := errors.Join(err, s.Close()); err != nil {
			t.Fatal(err)
		}
		var damaged *DamageError
		if again, err := Open(path); !errors.As(err, &damaged) {
			t.Errorf("%s of %s is %q: %v", c.key, c.bucket, c.value, err)
			_ = again.Close()
		}
	}
}
