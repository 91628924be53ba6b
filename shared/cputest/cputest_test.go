package cputest_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/preset/nanobanana-functions/shared/cputest"
)

// judge is a test that keeps what it is blamed for.
type judge struct {
	testing.TB
	blamed []string
}

func (j *judge) Helper() {}

func (j *judge) Errorf(format string, args ...any) {
	j.blamed = append(j.blamed, fmt.Sprintf(format, args...))
}

// Work counts. Waiting does not, however long it takes.
func TestWithin(t *testing.T) {
	var j judge
	sum := 0
	cputest.Within(&j, time.Nanosecond, "counting", func() {
		for n := range 5_000_000 {
			sum += n ^ sum
		}
	})
	if len(j.blamed) != 1 {
		t.Errorf("blamed for counting to %d: %v", sum, j.blamed)
	}
	j.blamed = nil
	cputest.Within(&j, 50*time.Millisecond, "waiting", func() { time.Sleep(100 * time.Millisecond) })
	if len(j.blamed) != 0 {
		t.Errorf("blamed for waiting: %v", j.blamed)
	}
}
