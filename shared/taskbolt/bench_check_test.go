package taskbolt

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/preset/nanobanana-functions/shared/task"
)

// BenchmarkOpen shows what checking a file with 100,000 finished tasks and long
// prompts costs at start.
func BenchmarkOpen(b *testing.B) {
	path := filepath.Join(b.TempDir(), "tasks.db")
	s := open(b, path)
	s.db.NoSync = true
	jobs := make(chan int)
	done := make(chan error)
	for range 64 {
		go func() {
			var err error
			for n := range jobs {
				t := newTask(fmt.Sprint(n))
				t.Request.Prompt = strings.Repeat("a long description of a picture, ", 30)
				t.Images = []task.Image{{N: 1, File: "1-0123456789abcdef.png", Thumbnail: "1-0123456789abcdef-512.jpg", SHA256: strings.Repeat("0", 64)}}
				if _, e := s.Create(b.Context(), t, 0); e != nil {
					err = e
				}
			}
			done <- err
		}()
	}
	for n := range 100_000 {
		jobs <- n
	}
	close(jobs)
	for range 64 {
		if err := <-done; err != nil {
			b.Fatal(err)
		}
	}
	if err := s.Close(); err != nil {
		b.Fatal(err)
	}
	info, err := os.Stat(path)
	if err != nil {
		b.Fatal(err)
	}
	b.ReportMetric(float64(info.Size())/(1<<20), "MiB")
	for b.Loop() {
		s, err := Open(path)
		if err != nil {
			b.Fatal(err)
		}
		if err := s.Close(); err != nil {
			b.Fatal(err)
		}
	}
}
