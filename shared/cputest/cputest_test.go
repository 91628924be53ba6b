package cputest_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/preset/nanobanana-functions/shared/cputest"
)

// recorder is a test that records its errors.
type recorder struct {
	testing.TB
	errors []string
}

func (r *recorder) Helper() {}

func (r *recorder) Errorf(format string, args ...any) {
	r.errors = append(r.errors, fmt.Sprintf(format, args...))
}

// Work counts; waiting does not, however long it takes.
func TestWithin(t *testing.T) {
	var r recorder
	sum := 0
	cputest.Within(&r, time.Nanosecond, "counting", func() {
		for n := range 5_000_000 {
			sum += n ^ sum
		}
	})
	if len(r.errors) != 1 {
		t.Errorf("errors after counting to %d: %v", sum, r.errors)
	}
	r.errors = nil
	cputest.Within(&r, 50*time.Millisecond, "waiting", func() { time.Sleep(100 * time.Millisecond) })
	if len(r.errors) != 0 {
		t.Errorf("errors after waiting: %v", r.errors)
	}
}
