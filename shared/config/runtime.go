package config

import (
	"os"
	"runtime"
	"runtime/debug"
	"strconv"
)

const (
	// gcPercent lets a start and its first request pass without a collection. With Go's
	// own 100 there are three.
	gcPercent = 400
	// smallMemory is the most memory, in MB, of a function that has no work for two CPUs.
	smallMemory = 512
)

// suitMemory suits Go's runtime to the function's memory, and to the CPU that comes with
// it. Variables of Go's own that are set are left alone: GOGC and GOMEMLIMIT, and
// GOMAXPROCS.
//
// It collects garbage less often, since the memory is paid for in any case. From three
// quarters of that on it collects as often as it must; the rest is for what Go does not count.
//
// A small function runs one goroutine at a time: it has less than a third of a CPU, and
// Go, which sees two, would spend a tenth of a cold start on keeping both busy.
func suitMemory() {
	memory, err := strconv.Atoi(os.Getenv("AWS_LAMBDA_FUNCTION_MEMORY_SIZE"))
	if err != nil || memory <= 0 {
		return
	}
	if os.Getenv("GOGC") == "" && os.Getenv("GOMEMLIMIT") == "" {
		debug.SetGCPercent(gcPercent)
		debug.SetMemoryLimit(int64(memory) << 20 / 4 * 3)
	}
	if memory <= smallMemory && os.Getenv("GOMAXPROCS") == "" {
		runtime.GOMAXPROCS(1)
	}
}
