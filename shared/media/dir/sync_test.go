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

// Put fails if it cannot sync the folder of a picture, which could be gone after a crash.
// The test runs in its own process, as another user than root, who can open every
// folder.
func TestDirBucketSyncsFolders(t *testing.T) {
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
	if err := os.Chmod(folder, 0o300); err != nil { // files can be created in it, but it cannot be opened or synced
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.Chmod(folder, 0o700) })
	sum := sha256.Sum256([]byte("x"))
	if err := bucket.Put(t.Context(), media.Key("t", 1, sum, "png"), strings.NewReader("x"), 1, "image/png", sum); !errors.Is(err, fs.ErrPermission) {
		t.Errorf("Put: %v, want fs.ErrPermission", err)
	}
}
