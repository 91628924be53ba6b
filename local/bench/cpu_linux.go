package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"syscall"
	"time"
	"unsafe"
)

// cpuTime returns the CPU time that a process has used so far.
func cpuTime(p *os.Process) (time.Duration, error) {
	const sched = 2 // to the nanosecond; as clock_getcpuclockid(3) makes it
	var t syscall.Timespec
	if _, _, errno := syscall.Syscall(syscall.SYS_CLOCK_GETTIME, uintptr(^p.Pid<<3|sched), uintptr(unsafe.Pointer(&t)), 0); errno != 0 {
		return 0, fmt.Errorf("the CPU time of process %d: %w", p.Pid, errno)
	}
	return time.Duration(t.Nano()), nil
}

// A quota is a control group whose processes have the CPU of a Lambda's memory.
type quota string // its folder

const period = 20 * time.Millisecond // of Lambda's scheduler, as others have measured it

// newQuota makes a quota, in control groups of version 1 or 2. It needs root.
func newQuota(mb int) (quota, error) {
	const root = "/sys/fs/cgroup"
	name := fmt.Sprintf("nanobanana-bench.%d.%d", os.Getpid(), mb)
	us, periodUS := period.Microseconds()*int64(mb)/fullCPU, period.Microseconds()
	set := map[string]string{"cpu.max": fmt.Sprint(us, periodUS)}
	dir := filepath.Join(root, name)
	if _, err := os.Stat(filepath.Join(root, "cgroup.controllers")); err != nil {
		set = map[string]string{"cpu.cfs_period_us": strconv.FormatInt(periodUS, 10), "cpu.cfs_quota_us": strconv.FormatInt(us, 10)}
		dir = filepath.Join(root, "cpu", name)
	}
	if err := os.Mkdir(dir, 0o755); err != nil {
		return "", err
	}
	for file, text := range set {
		if err := os.WriteFile(filepath.Join(dir, file), []byte(text), 0); err != nil {
			_ = os.Remove(dir)
			return "", err
		}
	}
	return quota(dir), nil
}

// limit puts a process into the group.
func (q quota) limit(p *os.Process) error {
	return os.WriteFile(filepath.Join(string(q), "cgroup.procs"), []byte(strconv.Itoa(p.Pid)), 0)
}

// close removes the group, whose processes have ended.
func (q quota) close() { _ = os.Remove(string(q)) }
