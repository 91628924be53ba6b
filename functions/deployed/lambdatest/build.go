package lambdatest

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
)

// Build builds a main package into dir and returns the binary's path. It builds as
// for deployment, except for this machine's architecture.
func Build(ctx context.Context, dir, pkg string) (path string, err error) {
	path = filepath.Join(dir, "bootstrap")
	cmd := exec.CommandContext(ctx, "go", "build", "-trimpath", "-ldflags=-s -w", "-tags=lambda.norpc,nethttpomithttp2", "-o", path, pkg)
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("lambdatest: build %s: %w\n%s", pkg, err, out)
	}
	return path, nil
}
