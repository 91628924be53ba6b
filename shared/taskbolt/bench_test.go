package taskbolt

import (
	"fmt"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"github.com/preset/nanobanana-functions/shared/task"
)

func benchStore(b *testing.B) *Store {
	b.Helper()
	s, err := Open(filepath.Join(b.TempDir(), "tasks.db"))
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = s.Close() })
	return s
}

func draft(owner string) *task.Task {
	return task.New(task.Draft{
		Owner: owner, CountQuota: true, PublicURL: "https://api.example",
		Request: task.Request{
			Prompt: "a lighthouse in the evening, oil on canvas", NumImages: 1, Model: task.DefaultModel,
			Target: &task.Target{Kind: "moodboard", ID: "42"},
		},
	}, time.Now())
}

func BenchmarkWrite(b *testing.B) {
	for _, writers := range []int{1, 8, 32} {
		b.Run(fmt.Sprint(writers, " writers"), func(b *testing.B) {
			s := benchStore(b)
			var owner atomic.Int64
			b.SetParallelism((writers + 1) / 2) // times GOMAXPROCS
			b.RunParallel(func(pb *testing.PB) {
				name := fmt.Sprint("owner", owner.Add(1))
				for pb.Next() {
					if _, err := s.Create(b.Context(), draft(name), 0); err != nil {
						b.Fatal(err)
					}
				}
			})
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "writes/s")
		})
	}
}
