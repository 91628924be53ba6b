// Package cputest measures the processor time that code takes, for tests of how
// it grows. The wall clock would also count what other programs do on a busy
// machine.
package cputest

import (
	"runtime"
	"testing"
	"time"
)

// Within runs f and fails the test if f took more than limit of processor time.
// Work that f starts in other goroutines is not counted.
func Within(t testing.TB, limit time.Duration, what string, f func()) {
	t.Helper()
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	start := cpuTime()
	f()
	if took := cpuTime() - start; took > limit {
		t.Errorf("%s took %v of processor time, more than %v", what, took, limit)
	}
}
