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

// began runs the program until it has printed all it prints at start, or has
// ended, and returns that, its log and its error.
func began(t *testing.T, data string) (printed, logged string, err error) {
	t.Helper()
	ctx, stop := context.WithTimeout(t.Context(), time.Minute)
	defer stop()
	var out endsWith
	out.word, out.then = "claude mcp add", stop
	var log bytes.Buffer
	err = Run(ctx, Options{Addr: "127.0.0.1:0", Data: data, Getenv: func(string) string { return "" }, Log: &log}, &out)
	return out.String(), log.String(), err
}

// endsWith calls then when word is written.
type endsWith struct {
	bytes.Buffer
	word string
	then func()
}

func (e *endsWith) Write(b []byte) (int, error) {
	n, err := e.Buffer.Write(b)
	if bytes.Contains(b, []byte(e.word)) {
		e.then()
	}
	return n, err
}

// A damaged tasks.db is one sentence at start, and is not written to.
func TestDamagedTasks(t *testing.T) {
	data := t.TempDir()
	if printed, _, err := began(t, data); err != nil || !strings.HasPrefix(printed, "listening on ") {
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
		printed, _, err := began(t, data)
		if err == nil || printed != "" || !strings.Contains(err.Error(), path+" is damaged") || strings.Contains(err.Error(), "\n") {
			t.Errorf("%s: %v, printed %q", name, err, printed)
		}
		if after, err := os.ReadFile(path); err != nil || !bytes.Equal(after, content) {
			t.Errorf("%s: it was written to, or %v", name, err)
		}
	}
}

// Damage that comes while it runs ends it in order, with the same sentence.
func TestDamagedWhileServing(t *testing.T) {
	data := t.TempDir()
	var out endsWith
	out.word, out.then = "claude mcp add", func() {
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

// Pictures whose tasks are gone are reported at start, and it goes on.
func TestPicturesWithoutTasks(t *testing.T) {
	data := t.TempDir()
	if printed, logged, err := began(t, data); err != nil || strings.Contains(printed+logged, lostTasks) {
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
		printed, logged, err := began(t, data)
		if err != nil || !strings.HasPrefix(printed, "listening on ") || strings.Count(printed, lostTasks) != 1 || strings.Count(logged, lostTasks) != 1 {
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
	if printed, logged, err := began(t, data); err != nil || strings.Contains(printed+logged, lostTasks) {
		t.Errorf("with a task: %v\n%s%s", err, printed, logged)
	}
}

// What a killed process left half downloaded or half written is gone after the
// next start.
func TestHalvesAreEmptied(t *testing.T) {
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
	if _, _, err := began(t, data); err != nil {
		t.Fatal(err)
	}
	for _, name := range left {
		if _, err := os.Stat(name); !os.IsNotExist(err) {
			t.Errorf("%s: %v", name, err)
		}
	}
	r := runLocal(t, nil)
	if want := filepath.Join(r.data, downloadsFolder); r.ingester.Dir != want {
		t.Errorf("downloads go to %q, want %q", r.ingester.Dir, want)
	}
}

// A stream that breaks off is started again.
func TestStreamStartsAgain(t *testing.T) {
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
	// A work can have one consumer: while another has it the stream breaks off.
	ctx, stop := context.WithCancel(t.Context())
	other, handled := make(chan error, 1), make(chan struct{}, 1)
	go func() {
		other <- store.Consume(ctx, task.Ingest, 1, func(ctx context.Context, _ taskbolt.Change) error {
			handled <- struct{}{}
			<-ctx.Done()
			return ctx.Err() // it comes again
		})
	}()
	<-handled
	brokeOff := make(chan string, 100)
	streaming, end := context.WithCancel(t.Context())
	got, ended := make(chan string, 1), make(chan struct{})
	go func() {
		defer close(ended)
		stream(streaming, store, task.Ingest, func(_ context.Context, id string) { got <- id }, slog.New(slog.NewTextHandler(sender(brokeOff), nil)))
	}()
	if line := <-brokeOff; !strings.Contains(line, "level=ERROR") || !strings.Contains(line, "work=ingest") {
		t.Errorf("logged %s", line)
	}
	stop()
	if err := <-other; err != nil {
		t.Fatal(err)
	}
	if id := <-got; id != x.ID {
		t.Errorf("handed out %s, want %s", id, x.ID)
	}
	end()
	<-ended
}

// sender is a log that can be waited for.
type sender chan<- string

func (s sender) Write(line []byte) (int, error) {
	s <- string(line)
	return len(line), nil
}
