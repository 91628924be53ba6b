package config

import (
	"math"
	"runtime/debug"
	"testing"
)

func TestCollectLess(t *testing.T) {
	defer debug.SetGCPercent(debug.SetGCPercent(100))
	defer debug.SetMemoryLimit(debug.SetMemoryLimit(math.MaxInt64))
	for name, test := range map[string]struct {
		memory, gogc, limit string
		wantPercent         int
		wantLimit           int64
	}{
		"256 MB":              {"256", "", "", 400, 192 << 20},
		"512 MB":              {"512", "", "", 400, 384 << 20},
		"ingest's 1024 MB":    {"1024", "", "", 100, math.MaxInt64},
		"GOGC is set":         {"256", "100", "", 100, math.MaxInt64},
		"GOMEMLIMIT is set":   {"256", "", "100MiB", 100, math.MaxInt64},
		"the memory is unset": {"", "", "", 100, math.MaxInt64},
		"it is no number":     {"much", "", "", 100, math.MaxInt64},
		"it is negative":      {"-1", "", "", 100, math.MaxInt64},
	} {
		t.Run(name, func(t *testing.T) {
			t.Setenv("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", test.memory)
			t.Setenv("GOGC", test.gogc)
			t.Setenv("GOMEMLIMIT", test.limit)
			collectLess()
			percent, limit := debug.SetGCPercent(100), debug.SetMemoryLimit(math.MaxInt64)
			if percent != test.wantPercent || limit != test.wantLimit {
				t.Errorf("percent %d, limit %d; want %d, %d", percent, limit, test.wantPercent, test.wantLimit)
			}
		})
	}
}
