package cputest

import (
	"syscall"
	"time"
)

// rusageThread is RUSAGE_THREAD, which package syscall does not name.
const rusageThread = 1

// cpuTime returns the processor time that this thread has used so far.
func cpuTime() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(rusageThread, &u); err != nil {
		panic("cputest: " + err.Error())
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
