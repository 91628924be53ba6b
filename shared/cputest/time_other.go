//go:build !linux

package cputest

import "time"

var start = time.Now()

// cpuTime returns the time that has passed: this system has no clock per thread.
func cpuTime() time.Duration { return time.Since(start) }
