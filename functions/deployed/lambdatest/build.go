package lambdatest

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
)

// Build builds a main package as the functions are built that are deployed,
// but for this machine, and gives the path of the binary, which is in dir.
func Build(ctx context.Context, dir, pkg string) (path string, err error) {
	path = filepath.Join(dir, "bootstrap")
	cmd := exec.CommandContext(ctx, "go", "build", "-trimpath", "-ldflags=-s -w", "-tags=lambda.norpc,nethttpomithttp2", "-o", path, pkg)
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("lambdatest: build %s: %w\n%s", pkg, err, out)
	}
	return path, nil
}
