package taskbolt

import (
	"fmt"
	"path/filepath"
	"testing"
	"testing/synctest"
)

// When a lone write returns, the committer has stopped. Otherwise the goroutine of
// the last write would answer the next one, which testing/synctest does not allow
// across bubbles.
func TestCommitterStopsBeforeItReplies(t *testing.T) {
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
