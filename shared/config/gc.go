package config

import (
	"os"
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

// collectLess makes a small function collect garbage less often: its memory is paid for
// in any case. From three quarters of that on it collects as often as it must; the rest is
// for what Go does not count. GOGC and GOMEMLIMIT, if set, are left alone.
func collectLess() {
	memory, err := strconv.Atoi(os.Getenv("AWS_LAMBDA_FUNCTION_MEMORY_SIZE"))
	if err != nil || memory <= 0 || memory > smallMemory || os.Getenv("GOGC") != "" || os.Getenv("GOMEMLIMIT") != "" {
		return
	}
	debug.SetGCPercent(gcPercent)
	debug.SetMemoryLimit(int64(memory) << 20 / 4 * 3)
}
