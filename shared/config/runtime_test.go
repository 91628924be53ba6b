package config

import (
	"math"
	"runtime"
	"runtime/debug"
	"testing"
)

func TestSuitMemory(t *testing.T) {
	defer debug.SetGCPercent(debug.SetGCPercent(100))
	defer debug.SetMemoryLimit(debug.SetMemoryLimit(math.MaxInt64))
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(2))
	for name, test := range map[string]struct {
		memory, variable string // the variable of Go's own that is set
		wantPercent      int
		wantLimit        int64
		wantProcs        int
	}{
		"256 MB":              {"256", "", 400, 192 << 20, 1},
		"512 MB":              {"512", "", 400, 384 << 20, 1},
		"ingest's 1024 MB":    {"1024", "", 400, 768 << 20, 2},
		"GOGC is set":         {"256", "GOGC", 100, math.MaxInt64, 1},
		"GOMEMLIMIT is set":   {"256", "GOMEMLIMIT", 100, math.MaxInt64, 1},
		"GOMAXPROCS is set":   {"256", "GOMAXPROCS", 400, 192 << 20, 2},
		"the memory is unset": {"", "", 100, math.MaxInt64, 2},
		"it is no number":     {"much", "", 100, math.MaxInt64, 2},
		"it is negative":      {"-1", "", 100, math.MaxInt64, 2},
	} {
		t.Run(name, func(t *testing.T) {
			t.Setenv("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", test.memory)
			for _, v := range []string{"GOGC", "GOMEMLIMIT", "GOMAXPROCS"} {
				t.Setenv(v, "")
			}
			if test.variable != "" {
				t.Setenv(test.variable, "100")
			}
			suitMemory()
			percent, limit, procs := debug.SetGCPercent(100), debug.SetMemoryLimit(math.MaxInt64), runtime.GOMAXPROCS(2)
			if percent != test.wantPercent || limit != test.wantLimit || procs != test.wantProcs {
				t.Errorf("percent %d, limit %d, %d at once; want %d, %d, %d", percent, limit, procs, test.wantPercent, test.wantLimit, test.wantProcs)
			}
		})
	}
}
