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

const aloneName = "TASKBOLT_ALONE"

// alone runs the test that calls it in a process of its own, since the limit of
// fillDisk is the whole process's. It reports whether this is that process.
func alone(t *testing.T) bool {
	t.Helper()
	if os.Getenv(aloneName) != "" {
		return true
	}
	cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^"+t.Name()+"$", "-test.v")
	cmd.Env = append(os.Environ(), aloneName+"=1")
	if out, err := cmd.CombinedOutput(); err != nil || !bytes.Contains(out, []byte("--- PASS: "+t.Name())) {
		t.Errorf("%v\n%s", err, out)
	}
	return false
}

// fillDisk makes every write of this process to a file fail, as on a full disk,
// until the returned function is called.
func fillDisk(t *testing.T) (empty func()) {
	t.Helper()
	var was syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_FSIZE, &was); err != nil {
		t.Fatal(err)
	}
	full := was
	full.Cur = 1
	if err := syscall.Setrlimit(syscall.RLIMIT_FSIZE, &full); err != nil {
		t.Fatal(err)
	}
	empty = sync.OnceFunc(func() {
		if err := syscall.Setrlimit(syscall.RLIMIT_FSIZE, &was); err != nil {
			t.Error(err)
		}
	})
	t.Cleanup(empty)
	return empty
}

// lines is a log that can be waited for.
type lines chan string

func (l lines) Write(line []byte) (int, error) {
	l <- string(bytes.Clone(line))
	return len(line), nil
}

// A full disk holds the stream up, and does not end it: once there is room the
// record is acknowledged, once, and the next ones come.
func TestConsumeOnFullDisk(t *testing.T) {
	if !alone(t) {
		return
	}
	path := filepath.Join(t.TempDir(), "tasks.db")
	s := open(t, path)
	logged := make(lines, 100)
	s.Log = slog.New(slog.NewJSONHandler(logged, nil))
	first := working(t, s, "first", 1)
	seen := make(chan string, 10)
	handled := make(chan struct{})
	stop := consume(t, s, 1, func(_ context.Context, c Change) error {
		seen <- c.ID
		<-handled
		return nil
	})
	if got := <-seen; got != first.ID {
		t.Fatalf("handed out %s", got)
	}
	empty := fillDisk(t)
	close(handled)
	for range 2 {
		if line := <-logged; !strings.Contains(line, `"level":"ERROR"`) || !strings.Contains(line, first.ID) {
			t.Errorf("logged %s", line)
		}
	}
	if _, err := s.Create(t.Context(), newTask("while it is full"), 0); err == nil {
		t.Error("a row was written to a full disk")
	}
	empty()
	second := working(t, s, "second", 1)
	if got := <-seen; got != second.ID {
		t.Errorf("handed out %s, want %s", got, second.ID)
	}
	stop()
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	// Nothing is left of the first: who consumes now gets only what comes.
	s = open(t, path)
	third := working(t, s, "third", 1)
	again := make(chan string, 10)
	stop = consume(t, s, 1, func(_ context.Context, c Change) error { again <- c.ID; return nil })
	if got := <-again; got != third.ID {
		t.Errorf("handed out %s, want %s", got, third.ID)
	}
	stop()
}

// A consumer that waits for room on the disk ends with its context, and the
// record comes again.
func TestConsumeEndsOnFullDisk(t *testing.T) {
	if !alone(t) {
		return
	}
	s := open(t, filepath.Join(t.TempDir(), "tasks.db"))
	logged := make(lines, 100)
	s.Log = slog.New(slog.NewJSONHandler(logged, nil))
	x := working(t, s, "x", 1)
	empty := func() {}
	stop := consume(t, s, 1, func(context.Context, Change) error { empty = fillDisk(t); return nil })
	<-logged
	stop()
	empty()
	again := make(chan string, 10)
	stop = consume(t, s, 1, func(_ context.Context, c Change) error { again <- c.ID; return nil })
	if got := <-again; got != x.ID {
		t.Errorf("handed out %s, want %s", got, x.ID)
	}
	stop()
	if s.Damage() != nil {
		t.Errorf("a full disk is taken for %v", s.Damage())
	}
	if _, err := s.Task(t.Context(), x.ID); err != nil || x.Work != task.Ingest {
		t.Error(err)
	}
}
