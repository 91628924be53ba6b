//go:build unix

package dir_test

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"

	"github.com/preset/nanobanana-functions/shared/media"
)

const aloneName = "MEDIA_ALONE"

// A picture whose name cannot be made safe on disk is not said to be stored:
// after a crash its folder could be gone. The test is a process of its own,
// since root, as whom it may run, can open every folder.
func TestDirBucketNamesAreSafe(t *testing.T) {
	if os.Getenv(aloneName) == "" {
		cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^"+t.Name()+"$", "-test.v")
		cmd.Env = append(os.Environ(), aloneName+"=1")
		if out, err := cmd.CombinedOutput(); err != nil || !bytes.Contains(out, []byte("--- PASS: "+t.Name())) {
			t.Errorf("%v\n%s", err, out)
		}
		return
	}
	const nobody = 65534
	if os.Getuid() == 0 {
		if err := syscall.Setuid(nobody); err != nil {
			t.Fatal(err)
		}
	}
	folder := t.TempDir()
	bucket := serveDir(t, folder)
	if err := os.Chmod(folder, 0o300); err != nil { // files can be made in it; it cannot be opened, nor synced
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.Chmod(folder, 0o700) })
	sum := sha256.Sum256([]byte("x"))
	if err := bucket.Put(t.Context(), media.Key("t", 1, sum, "png"), strings.NewReader("x"), 1, "image/png", sum); !errors.Is(err, fs.ErrPermission) {
		t.Errorf("Put: %v, want that it may not", err)
	}
}
