package mediatest

import (
	"os"
	"path/filepath"
	"runtime"
	"testing"
)

// TempFile gives an empty file for a picture, which goes with the test.
func TempFile(t testing.TB) *os.File {
	t.Helper()
	file, err := os.Create(filepath.Join(t.TempDir(), "picture"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = file.Close() })
	return file
}

// Allocated is how many bytes do allocates, collected since or not: no less than
// it holds at any time.
func Allocated(do func()) uint64 {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	do()
	runtime.ReadMemStats(&after)
	return after.TotalAlloc - before.TotalAlloc
}
