// Package cputest measures what code costs, for tests of how that grows. The
// wall clock cannot tell: on a busy machine it counts other programs' work too.
package cputest

import (
	"runtime"
	"testing"
	"time"
)

// Within runs f and fails the test if f took more than limit of the processor's
// time. What f has other goroutines do is not counted.
func Within(t testing.TB, limit time.Duration, what string, f func()) {
	t.Helper()
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	begun := spent()
	f()
	if took := spent() - begun; took > limit {
		t.Errorf("%s took %v of the processor's time, more than %v", what, took, limit)
	}
}
