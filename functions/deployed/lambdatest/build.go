package lambdatest

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
)

// Build builds a main package into dir and returns the binary's path. It builds as
// for deployment, except for this machine's architecture and for more flags of go build.
func Build(ctx context.Context, dir, pkg string, flags ...string) (path string, err error) {
	return BuildIn(ctx, "", dir, pkg, flags...)
}

// BuildIn is Build for a package of the module in the folder module.
func BuildIn(ctx context.Context, module, dir, pkg string, flags ...string) (path string, err error) {
	path = filepath.Join(dir, "bootstrap")
	args := slices.Concat([]string{"build", "-trimpath", "-ldflags=-s -w", "-tags=lambda.norpc,nethttpomithttp2", "-o", path}, flags, []string{pkg})
	cmd := exec.CommandContext(ctx, "go", args...)
	cmd.Dir, cmd.Env = module, append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("lambdatest: build %s: %w\n%s", pkg, err, out)
	}
	return path, nil
}
