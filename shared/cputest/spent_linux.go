package cputest

import (
	"syscall"
	"time"
)

// rusageThread is RUSAGE_THREAD, which package syscall does not name.
const rusageThread = 1

// spent returns the processor time of this thread so far.
func spent() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(rusageThread, &u); err != nil {
		panic("cputest: " + err.Error())
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
