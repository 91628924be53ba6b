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
	// smallMemory is the most memory, in MB, of a function whose requests leave little
	// garbage. Ingest has more and decodes pictures.
	smallMemory = 512
)

// suitSmall suits Go's runtime to a small function. Variables of Go's own that are set are
// left alone: GOGC and GOMEMLIMIT, and GOMAXPROCS.
//
// It collects garbage less often, since its memory is paid for in any case. From three
// quarters of that on it collects as often as it must; the rest is for what Go does not count.
//
// It runs one goroutine at a time: it has less than a third of a CPU, and Go, which sees
// two, would spend a tenth of a cold start on keeping both busy.
func suitSmall() {
	memory, err := strconv.Atoi(os.Getenv("AWS_LAMBDA_FUNCTION_MEMORY_SIZE"))
	if err != nil || memory <= 0 || memory > smallMemory {
		return
	}
	if os.Getenv("GOGC") == "" && os.Getenv("GOMEMLIMIT") == "" {
		debug.SetGCPercent(gcPercent)
		debug.SetMemoryLimit(int64(memory) << 20 / 4 * 3)
	}
	if os.Getenv("GOMAXPROCS") == "" {
		runtime.GOMAXPROCS(1)
	}
}
