package mediatest

import (
	"os"
	"path/filepath"
	"runtime"
	"testing"
)

// TempFile returns an empty file for a picture, which is deleted after the test.
func TempFile(t testing.TB) *os.File {
	t.Helper()
	file, err := os.Create(filepath.Join(t.TempDir(), "picture"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = file.Close() })
	return file
}

// Allocated returns how many bytes do allocates in all, also those that are collected
// meanwhile: no less than it holds at any time.
func Allocated(do func()) uint64 {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	do()
	runtime.ReadMemStats(&after)
	return after.TotalAlloc - before.TotalAlloc
}
