package lifecycle_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/preset/nanobanana-functions/shared/lifecycle"
)

// The next start deletes the downloads of a killed process, and nothing else.
func TestDownloadTo(t *testing.T) {
	data := t.TempDir()
	dir := filepath.Join(data, "downloads")
	if err := os.MkdirAll(filepath.Join(dir, "folder"), 0o700); err != nil {
		t.Fatal(err)
	}
	beside := filepath.Join(data, "beside")
	for _, name := range []string{filepath.Join(dir, "nanobanana-1"), filepath.Join(dir, "folder", "x"), beside} {
		if err := os.WriteFile(name, []byte("half a picture"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	var g lifecycle.Ingester
	if err := g.DownloadTo(dir); err != nil || g.Dir != dir {
		t.Fatalf("%v; downloads go to %q", err, g.Dir)
	}
	if left, err := os.ReadDir(dir); err != nil || len(left) != 0 {
		t.Errorf("left: %v, %v", left, err)
	}
	if _, err := os.Stat(beside); err != nil {
		t.Error(err)
	}
	if err := g.DownloadTo(filepath.Join(beside, "downloads")); err == nil {
		t.Error("no error for a folder below a file")
	}
}
