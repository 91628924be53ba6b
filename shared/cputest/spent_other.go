//go:build !linux

package cputest

import "time"

var begun = time.Now()

// spent returns the time that has passed: there is no clock of one thread here.
func spent() time.Duration { return time.Since(begun) }
