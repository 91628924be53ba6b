package taskbolt

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"go.etcd.io/bbolt"

	"github.com/preset/nanobanana-functions/shared/task"
)

var start = time.Date(2026, 3, 14, 12, 0, 0, 0, time.UTC)

func newTask(key string) *task.Task {
	return task.New(task.Draft{Owner: "ada", IdempotencyKey: key, Request: task.Request{Prompt: "x", NumImages: 1, Target: &task.Target{Kind: "moodboard", ID: "1"}}}, start)
}

// writeWork writes a task and then work for the stream, times over.
func writeWork(t testing.TB, s *Store, key string, times int) *task.Task {
	t.Helper()
	x, err := s.Create(t.Context(), newTask(key), 0)
	for range times {
		if err == nil {
			x, err = task.Update(t.Context(), s, x, func(x *task.Task) error { x.Work, x.Tries = task.Ingest, x.Tries+1; return nil })
		}
	}
	if err != nil {
		t.Fatal(err)
	}
	return x
}

// consume runs a consumer until stop is called.
func consume(t *testing.T, s *Store, workers int, handle func(context.Context, Change) error) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error)
	go func() { done <- s.Consume(ctx, task.Message(task.Ingest), workers, handle) }()
	return func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("consume: %v", err)
		}
	}
}

// Each record is delivered once, whether it was written before Consume or during
// it. Records of one task are delivered in order and never two at once.
func TestConsume(t *testing.T) {
	s := open(t, filepath.Join(t.TempDir(), "tasks.db"))
	const tasks, each, workers = 20, 5, 4
	for n := range tasks / 2 {
		writeWork(t, s, fmt.Sprint(n), each)
	}
	var mu sync.Mutex
	delivered, busy := map[string]int{}, map[string]bool{}
	var running, most atomic.Int32
	all, met := make(chan struct{}), make(chan struct{})
	total := 0
	meet := sync.OnceFunc(func() { close(met) })
	stop := consume(t, s, workers, func(_ context.Context, c Change) error {
		now := running.Add(1)
		defer running.Add(-1)
		mu.Lock()
		if most.Store(max(most.Load(), now)); now == workers {
			meet()
		}
		if busy[c.ID] || c.Message != task.Message(task.Ingest) {
			t.Errorf("%+v is delivered while another record of its task is", c)
		}
		busy[c.ID] = true
		mu.Unlock()
		<-met // until each worker has a task
		mu.Lock()
		defer mu.Unlock()
		busy[c.ID] = false
		delivered[c.ID]++
		if total++; total == tasks*each {
			close(all)
		}
		return nil
	})
	for n := tasks / 2; n < tasks; n++ {
		writeWork(t, s, fmt.Sprint(n), each)
	}
	<-all
	stop()
	for id, n := range delivered {
		if n != each {
			t.Errorf("%s was delivered %d times, want %d", id, n, each)
		}
	}
	if len(delivered) != tasks || most.Load() != workers {
		t.Errorf("%d tasks, %d at once", len(delivered), most.Load())
	}
	stop = consume(t, s, 1, func(_ context.Context, c Change) error { t.Errorf("%+v is delivered again", c); return nil })
	marker := writeWork(t, s, "after", 0)
	if _, err := s.Task(t.Context(), marker.ID); err != nil {
		t.Fatal(err)
	}
	stop()
}

// A record that fails is delivered twice, then the others follow.
func TestConsumeFailure(t *testing.T) {
	for name, fail := range map[string]func() error{
		"error": func() error { return errors.New("fails") },
		"panic": func() error { panic("fails") },
	} {
		t.Run(name, func(t *testing.T) {
			s := open(t, filepath.Join(t.TempDir(), "tasks.db"))
			bad, good := writeWork(t, s, "bad", 1), writeWork(t, s, "good", 1)
			seen := make(chan string, 10)
			stop := consume(t, s, 1, func(_ context.Context, c Change) error {
				seen <- c.ID
				if c.ID == bad.ID {
					return fail()
				}
				return nil
			})
			got := []string{<-seen, <-seen, <-seen}
			last := writeWork(t, s, "last", 1)
			got = append(got, <-seen)
			stop()
			if want := []string{bad.ID, bad.ID, good.ID, last.ID}; !slices.Equal(got, want) {
				t.Errorf("delivered %v, want %v", got, want)
			}
		})
	}
}

// A record that is being handled when the consumer ends is delivered again.
func TestConsumeAgain(t *testing.T) {
	path := filepath.Join(t.TempDir(), "tasks.db")
	s := open(t, path)
	x := writeWork(t, s, "x", 1)
	begun := make(chan struct{})
	stop := consume(t, s, 1, func(ctx context.Context, _ Change) error {
		close(begun)
		<-ctx.Done()
		return ctx.Err()
	})
	<-begun
	stop()
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s = open(t, path)
	again := make(chan string, 1)
	stop = consume(t, s, 1, func(_ context.Context, c Change) error { again <- c.ID; return nil })
	if got := <-again; got != x.ID {
		t.Errorf("got %s, want %s", got, x.ID)
	}
	stop()
}

// Records are handled while others wait to be deleted, up to twice as many as workers. All
// that are done by then are deleted in one write.
func TestConsumeDeletesTogether(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := open(t, filepath.Join(t.TempDir(), "tasks.db"))
		const tasks, workers = 40, 4
		for n := range tasks {
			writeWork(t, s, fmt.Sprint(n), 1)
		}
		write, update := make(chan bool), s.commits.update
		s.commits.update = func(do func(*bbolt.Tx) error) error {
			<-write
			return update(do)
		}
		var handled atomic.Int32
		stop := consume(t, s, workers, func(context.Context, Change) error { handled.Add(1); return nil })
		synctest.Wait()
		if n := handled.Load(); n <= workers || n > 2*workers {
			t.Errorf("%d records are handled before one is deleted, want %d to %d", n, workers+1, 2*workers)
		}
		writes := 0
		for waits := true; waits; synctest.Wait() {
			select {
			case write <- true:
				writes++
			default:
				waits = false
			}
		}
		if n := handled.Load(); n != tasks || writes > 1+tasks/workers {
			t.Errorf("%d writes delete %d of %d records", writes, n, tasks)
		}
		stop()
		s.commits.update = update
		stop = consume(t, s, 1, func(_ context.Context, c Change) error { t.Errorf("%+v is delivered again", c); return nil })
		synctest.Wait()
		stop()
	})
}

const childPath = "TASKBOLT_CHILD"

// TestMain turns the test's binary into the program that TestKill kills.
func TestMain(m *testing.M) {
	if path := os.Getenv(childPath); path != "" {
		child(path)
	}
	os.Exit(m.Run())
}

// child writes tasks until it is killed, and prints the id of each written one.
func child(path string) {
	s, err := Open(path)
	if err != nil {
		panic(err)
	}
	var mu sync.Mutex
	for w := range 8 {
		go func() {
			for n := 0; ; n++ {
				x, err := s.Create(context.Background(), newTask(fmt.Sprint(w, "/", n)), 0)
				if err == nil {
					x, err = task.Update(context.Background(), s, x, func(x *task.Task) error { x.Work = task.Ingest; return nil })
				}
				if err != nil {
					panic(err)
				}
				mu.Lock()
				fmt.Println(x.ID)
				mu.Unlock()
			}
		}()
	}
	select {}
}

// After a kill at any moment, every write that had returned is in the file, with
// its index entries and its stream record.
func TestKill(t *testing.T) {
	path := filepath.Join(t.TempDir(), "tasks.db")
	written := map[string]bool{}
	for range 3 {
		cmd := exec.Command(os.Args[0])
		cmd.Env = append(os.Environ(), childPath+"="+path)
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		lines := bufio.NewReader(out)
		for n := range 200 {
			line, err := lines.ReadString('\n')
			if err != nil {
				t.Fatal(n, err)
			}
			written[strings.TrimSpace(line)] = true
		}
		if err := cmd.Process.Kill(); err != nil {
			t.Fatal(err)
		}
		rest, _ := io.ReadAll(lines) // what it wrote before it died; the last line may be cut off
		for line := range strings.Lines(string(rest)) {
			if strings.HasSuffix(line, "\n") {
				written[strings.TrimSpace(line)] = true
			}
		}
		_ = cmd.Wait()
		// The next child needs a new file: it uses the same keys and ends on the
		// first conflict.
		if err := os.Rename(path, path+fmt.Sprint(len(written))); err != nil {
			t.Fatal(err)
		}
		checkFile(t, path+fmt.Sprint(len(written)), written)
		clear(written)
	}
}

func checkFile(t *testing.T, path string, written map[string]bool) {
	t.Helper()
	s := open(t, path)
	defer func() { _ = s.Close() }()
	rows, listed := map[string]bool{}, map[string]bool{}
	for id, err := range s.Due(t.Context(), start.Add(time.Hour)) {
		if err != nil {
			t.Fatal(err)
		}
		rows[id] = true
	}
	for _, target := range []*task.Target{{Kind: "moodboard", ID: "1"}, nil} {
		ids, _, err := s.List(t.Context(), task.Query{Owner: "ada", Target: target, Limit: 1 << 20})
		if err != nil || len(ids) != len(rows) {
			t.Errorf("%d rows are due and %d listed, %v", len(rows), len(ids), err)
		}
		for _, id := range ids {
			listed[id] = true
		}
	}
	streamed := make(chan string, len(rows)+1)
	stop := consume(t, s, 4, func(_ context.Context, c Change) error { streamed <- c.ID; return nil })
	delivered := map[string]bool{}
	for id := range written {
		for !delivered[id] {
			delivered[<-streamed] = true
		}
		if x, err := s.Task(t.Context(), id); err != nil || x.Version != 2 || !rows[id] || !listed[id] {
			t.Errorf("%s: %+v, %v; due %v, listed %v", id, x, err, rows[id], listed[id])
		}
	}
	stop()
	if len(rows) != len(listed) {
		t.Errorf("%d rows are due, and the lists have %d", len(rows), len(listed))
	}
}
