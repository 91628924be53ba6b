package main

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/preset/nanobanana-functions/local/ops"
	"github.com/preset/nanobanana-functions/local/serve"
	"github.com/preset/nanobanana-functions/shared/task"
	"github.com/preset/nanobanana-functions/shared/taskbolt"
)

// tasks is how many tasks the store of BenchmarkCommands has.
const tasks = 100_000

// BenchmarkCommands measures commands on the folder of a stopped local run with 100,000
// tasks, of which a tenth is unfinished, and 20 MB of log lines, of which an eighth are of ends:
// from the start of the command to its end.
func BenchmarkCommands(b *testing.B) {
	data := b.TempDir()
	id := fill(b, data)
	for _, words := range []string{"stuck", "inspect " + id, "inspect -logs " + id, "ends -since 30d", "redrive", "pause -reason x", "resume", "reconcile", "key list", "token list"} {
		b.Run(strings.ReplaceAll(words, id, "TASK"), func(b *testing.B) {
			for b.Loop() {
				if out, exit := run(b, append(strings.Fields(words), "-data", data)...); exit != ops.Fine {
					b.Fatal(out)
				}
			}
		})
	}
}

func run(t testing.TB, words ...string) (string, ops.Exit) {
	t.Helper()
	var out bytes.Buffer
	getenv := func(string) string { return "" }
	exit := ops.Main(t.Context(), words, ops.Options{
		Getenv: getenv, In: strings.NewReader(""), Out: &out, Err: &out,
		OpenData: func(folder string, write bool) (*ops.Env, func() error, error) {
			return serve.OpenStopped(folder, getenv, &out, write)
		},
	})
	return out.String(), exit
}

// fill makes the folder, and returns the id of an unfinished task.
func fill(b *testing.B, data string) (id string) {
	b.Helper()
	store, err := taskbolt.Open(filepath.Join(data, "tasks.db"))
	if err != nil {
		b.Fatal(err)
	}
	now := time.Now()
	numbers := make(chan int)
	var wait sync.WaitGroup
	for range 256 {
		wait.Go(func() {
			for n := range numbers {
				x := task.New(task.Draft{
					Owner: fmt.Sprint("owner ", n%500), IdempotencyKey: fmt.Sprint(n),
					Request: task.Request{Prompt: strings.Repeat("a long description of a picture, ", 20), Model: task.DefaultModel, NumImages: 1},
				}, now.Add(-time.Duration(n)*time.Second))
				if n%10 != 0 {
					if err := x.Refused(task.DefaultRules(), now, 1, task.Refusal{Code: task.CodeInsufficientCredits}); err != nil {
						b.Error(err)
					}
				}
				if _, err := store.Create(b.Context(), x, 0); err != nil {
					b.Error(err)
				}
			}
		})
	}
	for n := range tasks {
		numbers <- n
	}
	close(numbers)
	wait.Wait()
	if err := store.Close(); err != nil {
		b.Fatal(err)
	}
	id = task.NewID("owner 0", "0")
	for _, name := range []string{"log-older.jsonl", "log.jsonl"} {
		var text bytes.Buffer
		for n := 0; text.Len() < 10<<20; n++ {
			event := "transition"
			if n%8 == 0 {
				event = "task_ended"
			}
			fmt.Fprintf(&text, `{"time":%q,"level":"INFO","msg":"what happened","event":%q,"bad":false,"task":%q,"status":"succeeded","code":"","model":"nano-banana","seconds":14.5,"attempts":1}`+"\n",
				now.Add(-time.Hour).Format(time.RFC3339Nano), event, task.NewID("owner", fmt.Sprint(n/8)))
		}
		if err := os.WriteFile(filepath.Join(data, name), text.Bytes(), 0o600); err != nil {
			b.Fatal(err)
		}
	}
	return id
}
