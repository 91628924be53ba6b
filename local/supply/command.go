package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// The tools, which are no part of the module: its list of dependencies would be longer
// by fifty.
const (
	sbomTool = "github.com/CycloneDX/cyclonedx-gomod/cmd/cyclonedx-gomod@v1.10.0"
	vulnTool = "golang.org/x/vuln/cmd/govulncheck@v1.9.0"
)

// output runs a command in dir and returns what it printed, without the last line
// break. Its error contains what the command said of its failure.
func output(ctx context.Context, dir string, env []string, name string, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), env...)
	said, err := cmd.Output()
	if exit, ok := errors.AsType[*exec.ExitError](err); ok {
		err = fmt.Errorf("%s: %w\n%s", filepath.Base(name), err, exit.Stderr)
	}
	return strings.TrimSuffix(string(said), "\n"), err
}

// tool installs a tool and returns its path.
func tool(ctx context.Context, root, module string) (string, error) {
	dir, err := filepath.Abs(filepath.Join(root, folder, "tools"))
	if err != nil {
		return "", err
	}
	// For this machine, whatever the functions are built for.
	if _, err := output(ctx, root, []string{"GOBIN=" + dir, "GOFLAGS=", "GOARCH=", "GOOS="}, "go", "install", module); err != nil {
		return "", err
	}
	path, _, _ := strings.Cut(module, "@")
	return filepath.Join(dir, filepath.Base(path)), nil
}

// functions returns the names of the functions.
func functions(root string) ([]string, error) {
	mains, err := filepath.Glob(filepath.Join(root, "functions", "*", "bootstrap"))
	if err != nil {
		return nil, err
	}
	var names []string
	for _, m := range mains {
		names = append(names, filepath.Base(filepath.Dir(m)))
	}
	if len(names) == 0 {
		return nil, errors.New("no function is here: run it from the repository's root")
	}
	return names, nil
}
