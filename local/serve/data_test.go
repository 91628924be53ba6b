package serve

import (
	"bytes"
	"context"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/preset/nanobanana-functions/shared/task"
	"github.com/preset/nanobanana-functions/shared/taskbolt"
)

// runUntilReady runs the server until its banner is complete or it has failed, and
// returns what it printed, its log and its error.
func runUntilReady(t *testing.T, data string) (printed, logged string, err error) {
	t.Helper()
	ctx, stop := context.WithTimeout(t.Context(), time.Minute)
	defer stop()
	var out triggerWriter
	out.word, out.do = "claude mcp add", stop
	var log bytes.Buffer
	err = Run(ctx, Options{Addr: "127.0.0.1:0", Data: data, Getenv: func(string) string { return "" }, Log: &log}, &out)
	return out.String(), log.String(), err
}

// triggerWriter calls do when word is written.
type triggerWriter struct {
	bytes.Buffer
	word string
	do   func()
}

func (e *triggerWriter) Write(b []byte) (int, error) {
	n, err := e.Buffer.Write(b)
	if bytes.Contains(b, []byte(e.word)) {
		e.do()
	}
	return n, err
}

// A damaged tasks.db makes the start fail with one sentence, and is not written to.
func TestDamagedTasks(t *testing.T) {
	data := t.TempDir()
	if printed, _, err := runUntilReady(t, data); err != nil || !strings.HasPrefix(printed, "listening on ") {
		t.Fatalf("%v\n%s", err, printed)
	}
	path := filepath.Join(data, tasksFile)
	sound, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for name, content := range map[string][]byte{
		"zeros": make([]byte, len(sound)), "cut off": sound[:len(sound)/2], "text": []byte("not tasks"),
	} {
		if err := os.WriteFile(path, content, 0o600); err != nil {
			t.Fatal(err)
		}
		printed, _, err := runUntilReady(t, data)
		if err == nil || printed != "" || !strings.Contains(err.Error(), path+" is damaged") || strings.Contains(err.Error(), "\n") {
			t.Errorf("%s: %v, printed %q", name, err, printed)
		}
		if after, err := os.ReadFile(path); err != nil || !bytes.Equal(after, content) {
			t.Errorf("%s: the file has changed, or %v", name, err)
		}
	}
}

// Damage while the server runs stops it cleanly, with the same sentence.
func TestDamagedWhileServing(t *testing.T) {
	data := t.TempDir()
	var out triggerWriter
	out.word, out.do = "claude mcp add", func() {
		file, err := os.OpenFile(filepath.Join(data, tasksFile), os.O_WRONLY, 0)
		if err != nil {
			t.Error(err)
			return
		}
		defer file.Close()
		if _, err := file.WriteAt(bytes.Repeat([]byte{0xee}, 64<<10), int64(2*os.Getpagesize())); err != nil {
			t.Error(err)
		}
	}
	ctx, stop := context.WithTimeout(t.Context(), time.Minute)
	defer stop()
	env := map[string]string{"SWEEP_EVERY": "10ms"}
	err := Run(ctx, Options{Addr: "127.0.0.1:0", Data: data, Getenv: func(name string) string { return env[name] }, Log: io.Discard}, &out)
	if ctx.Err() != nil || err == nil || !strings.Contains(err.Error(), tasksFile+" is damaged") || strings.Contains(err.Error(), "\n") {
		t.Errorf("it ended with %v, %v", err, ctx.Err())
	}
}

// Pictures whose tasks are lost are reported at start, and the server runs.
func TestPicturesWithoutTasks(t *testing.T) {
	data := t.TempDir()
	if printed, logged, err := runUntilReady(t, data); err != nil || strings.Contains(printed+logged, orphansText) {
		t.Errorf("an empty folder: %v\n%s%s", err, printed, logged)
	}
	folder := filepath.Join(data, picturesFolder, "tasks", "abc")
	if err := os.MkdirAll(folder, 0o700); err != nil {
		t.Fatal(err)
	}
	for name, spoil := range map[string]func(string) error{
		"no task": func(string) error { return nil },
		"missing": os.Remove,
		"empty":   func(path string) error { return os.Truncate(path, 0) },
	} {
		if err := spoil(filepath.Join(data, tasksFile)); err != nil {
			t.Fatal(err)
		}
		printed, logged, err := runUntilReady(t, data)
		if err != nil || !strings.HasPrefix(printed, "listening on ") || strings.Count(printed, orphansText) != 1 || strings.Count(logged, orphansText) != 1 {
			t.Errorf("%s: %v\n%s%s", name, err, printed, logged)
		}
	}
	store, err := taskbolt.Open(filepath.Join(data, tasksFile))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := store.Create(t.Context(), task.New(task.Draft{Owner: "ada", Request: task.Request{Prompt: "x", NumImages: 1}}, time.Now()), 0); err != nil {
		t.Fatal(err)
	}
	if err := store.Close(); err != nil {
		t.Fatal(err)
	}
	if printed, logged, err := runUntilReady(t, data); err != nil || strings.Contains(printed+logged, orphansText) {
		t.Errorf("with a task: %v\n%s%s", err, printed, logged)
	}
}

// Files that a killed process downloaded or wrote only in part are deleted at the
// next start.
func TestPartialFilesAreDeleted(t *testing.T) {
	data := t.TempDir()
	left := []string{filepath.Join(data, downloadsFolder, "nanobanana-1"), filepath.Join(data, picturesFolder, ".halves", "X")}
	for _, name := range left {
		if err := os.MkdirAll(filepath.Dir(name), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(name, []byte("half"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if _, _, err := runUntilReady(t, data); err != nil {
		t.Fatal(err)
	}
	for _, name := range left {
		if _, err := os.Stat(name); !os.IsNotExist(err) {
			t.Errorf("%s: %v", name, err)
		}
	}
	r := startHarness(t, nil)
	if want := filepath.Join(r.data, downloadsFolder); r.ingester.Dir != want {
		t.Errorf("downloads go to %q, want %q", r.ingester.Dir, want)
	}
}

// A stream that stops is restarted.
func TestStreamRestarts(t *testing.T) {
	store, err := taskbolt.Open(filepath.Join(t.TempDir(), tasksFile))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = store.Close() })
	x := task.New(task.Draft{Owner: "ada", Request: task.Request{Prompt: "x", NumImages: 1}}, time.Now())
	if x, err = store.Create(t.Context(), x, 0); err == nil {
		_, err = task.Update(t.Context(), store, x, func(x *task.Task) error { x.Work = task.Ingest; return nil })
	}
	if err != nil {
		t.Fatal(err)
	}
	// Only one consumer of a work is allowed: while there is another, the stream stops.
	ctx, stop := context.WithCancel(t.Context())
	other, handled := make(chan error, 1), make(chan struct{}, 1)
	go func() {
		other <- store.Consume(ctx, task.Message(task.Ingest), 1, func(ctx context.Context, _ taskbolt.Change) error {
			handled <- struct{}{}
			<-ctx.Done()
			return ctx.Err() // deliver it again
		})
	}()
	<-handled
	stopped := make(chan string, 100)
	streaming, end := context.WithCancel(t.Context())
	got, ended := make(chan string, 1), make(chan struct{})
	go func() {
		defer close(ended)
		stream(streaming, store, task.Message(task.Ingest), func(_ context.Context, id string) { got <- id }, slog.New(slog.NewTextHandler(lineWriter(stopped), nil)))
	}()
	if line := <-stopped; !strings.Contains(line, "level=ERROR") || !strings.Contains(line, "work=ingest") {
		t.Errorf("logged %s", line)
	}
	stop()
	if err := <-other; err != nil {
		t.Fatal(err)
	}
	if id := <-got; id != x.ID {
		t.Errorf("the stream delivered %s, want %s", id, x.ID)
	}
	end()
	<-ended
}

// lineWriter sends each line of a log, so that a test can wait for it.
type lineWriter chan<- string

func (s lineWriter) Write(line []byte) (int, error) {
	s <- string(line)
	return len(line), nil
}
