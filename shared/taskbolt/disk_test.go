//go:build unix

package taskbolt

import (
	"bytes"
	"context"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/preset/nanobanana-functions/shared/task"
)

const ownProcess = "TASKBOLT_ALONE"

// inOwnProcess runs the calling test in a process of its own, because fillDisk
// limits the whole process. It reports whether this is that process.
func inOwnProcess(t *testing.T) bool {
	t.Helper()
	if os.Getenv(ownProcess) != "" {
		return true
	}
	cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^"+t.Name()+"$", "-test.v")
	cmd.Env = append(os.Environ(), ownProcess+"=1")
	if out, err := cmd.CombinedOutput(); err != nil || !bytes.Contains(out, []byte("--- PASS: "+t.Name())) {
		t.Errorf("%v\n%s", err, out)
	}
	return false
}

// fillDisk makes every write of this process to a file fail, as on a full disk,
// until the returned function is called.
func fillDisk(t *testing.T) (free func()) {
	t.Helper()
	var old syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_FSIZE, &old); err != nil {
		t.Fatal(err)
	}
	full := old
	full.Cur = 1
	if err := syscall.Setrlimit(syscall.RLIMIT_FSIZE, &full); err != nil {
		t.Fatal(err)
	}
	free = sync.OnceFunc(func() {
		if err := syscall.Setrlimit(syscall.RLIMIT_FSIZE, &old); err != nil {
			t.Error(err)
		}
	})
	t.Cleanup(free)
	return free
}

// lines is a log whose lines a test can wait for.
type lines chan string

func (l lines) Write(line []byte) (int, error) {
	l <- string(bytes.Clone(line))
	return len(line), nil
}

// A full disk delays the stream but does not end it: once there is room, the
// record is acknowledged and the next ones are delivered.
func TestConsumeOnFullDisk(t *testing.T) {
	if !inOwnProcess(t) {
		return
	}
	path := filepath.Join(t.TempDir(), "tasks.db")
	s := open(t, path)
	logged := make(lines, 100)
	s.Log = slog.New(slog.NewJSONHandler(logged, nil))
	first := writeWork(t, s, "first", 1)
	seen := make(chan string, 10)
	handled := make(chan struct{})
	stop := consume(t, s, 1, func(_ context.Context, c Change) error {
		seen <- c.ID
		<-handled
		return nil
	})
	if got := <-seen; got != first.ID {
		t.Fatalf("delivered %s", got)
	}
	free := fillDisk(t)
	close(handled)
	for range 2 {
		if line := <-logged; !strings.Contains(line, `"level":"ERROR"`) || !strings.Contains(line, first.ID) {
			t.Errorf("logged %s", line)
		}
	}
	if _, err := s.Create(t.Context(), newTask("while it is full"), 0); err == nil {
		t.Error("a row was written to a full disk")
	}
	free()
	second := writeWork(t, s, "second", 1)
	if got := <-seen; got != second.ID {
		t.Errorf("delivered %s, want %s", got, second.ID)
	}
	stop()
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	// The first record is gone: a new consumer gets only later ones.
	s = open(t, path)
	third := writeWork(t, s, "third", 1)
	again := make(chan string, 10)
	stop = consume(t, s, 1, func(_ context.Context, c Change) error { again <- c.ID; return nil })
	if got := <-again; got != third.ID {
		t.Errorf("delivered %s, want %s", got, third.ID)
	}
	stop()
}

// A consumer that waits for room on the disk ends with its context, and the next
// one gets the record again.
func TestConsumeEndsOnFullDisk(t *testing.T) {
	if !inOwnProcess(t) {
		return
	}
	s := open(t, filepath.Join(t.TempDir(), "tasks.db"))
	logged := make(lines, 100)
	s.Log = slog.New(slog.NewJSONHandler(logged, nil))
	x := writeWork(t, s, "x", 1)
	free := func() {}
	stop := consume(t, s, 1, func(context.Context, Change) error { free = fillDisk(t); return nil })
	<-logged
	stop()
	free()
	again := make(chan string, 10)
	stop = consume(t, s, 1, func(_ context.Context, c Change) error { again <- c.ID; return nil })
	if got := <-again; got != x.ID {
		t.Errorf("delivered %s, want %s", got, x.ID)
	}
	stop()
	if s.Damage() != nil {
		t.Errorf("a full disk was reported as damage: %v", s.Damage())
	}
	if _, err := s.Task(t.Context(), x.ID); err != nil || x.Work != task.Ingest {
		t.Error(err)
	}
}

// If the disk is full while Open completes a file of an older release, the file stays
// as it was, and a later Open completes it.
func TestFileOfAnOlderReleaseOnAFullDisk(t *testing.T) {
	if !inOwnProcess(t) {
		return
	}
	path := olderFile(t)
	before, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	free := fillDisk(t)
	if s, err := Open(path); err == nil {
		t.Error("it was opened", s.Close())
	}
	free()
	if after, err := os.ReadFile(path); err != nil || !bytes.Equal(after, before) {
		t.Errorf("the file was changed, or %v", err)
	}
	checkOlderFile(t, open(t, path))
}
