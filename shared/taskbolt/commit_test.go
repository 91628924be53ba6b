package taskbolt

import (
	"fmt"
	"path/filepath"
	"testing"
	"testing/synctest"
)

// Whoever has the answer to a write that came alone finds the committer at rest.
// Were it still at work, the next write would be answered by a goroutine of the
// last one's, which a bubble of testing/synctest does not bear.
func TestCommitterRestsBeforeItAnswers(t *testing.T) {
	s := open(t, filepath.Join(t.TempDir(), "tasks.db"))
	for n := range 200 {
		if _, err := s.Create(t.Context(), newTask(fmt.Sprint(n)), 0); err != nil {
			t.Fatal(err)
		}
		s.commits.mu.Lock()
		running := s.commits.running
		s.commits.mu.Unlock()
		if running {
			t.Fatalf("it still runs after write %d", n)
		}
	}
	synctest.Test(t, func(t *testing.T) {
		if _, err := s.Create(t.Context(), newTask("in a bubble"), 0); err != nil {
			t.Error(err)
		}
	})
	if _, err := s.Create(t.Context(), newTask("after it"), 0); err != nil {
		t.Error(err)
	}
}
