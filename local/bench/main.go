// Command bench measures whole requests of the functions' binaries, as Lambda runs
// them: each in a process of its own, with stand-ins of all that it calls, over TLS, and
// with the CPU that its memory buys. It prints a table with a goal for each row. `make
// bench` runs it in the repository's root; docs/performance.md has what it found.
//
// Arguments are files to build with instead of go.mod (go build's -modfile): then it
// prints only what the functions cost with each, against go.mod.
package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"

	"github.com/preset/nanobanana-functions/functions/deployed/lambdatest"
)

func main() {
	n := flag.Int("n", 30, "processes for each row")
	freeze := flag.Duration("freeze", 7*time.Second, "how long a process that was started ahead of its first event is frozen")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, os.Stdout, *n, *freeze, flag.Args())
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, out io.Writer, n int, freeze time.Duration, modfiles []string) error {
	dir, err := os.MkdirTemp("", "nanobanana-bench-*")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(dir) }()
	b := &bench{samples: map[string][]*sample{}}
	if len(modfiles) > 0 {
		return compare(ctx, out, dir, n, modfiles)
	}
	if b.binaries, err = build(ctx, dir); err != nil {
		return err
	}
	b.binaries["node"], b.noNode = buildNode(ctx)
	defer func() { b.quotas.close() }()
	if b.looks, err = lastSecond(ctx); err != nil {
		return err
	}
	secure, err := newWorld(dir, true)
	if err != nil {
		return err
	}
	defer secure.close()
	plain, err := newWorld(dir, false)
	if err != nil {
		return err
	}
	defer plain.close()
	if err := b.prepare(ctx, secure, plain, freeze); err != nil {
		return err
	}
	if err := b.measure(ctx, n); err != nil {
		return err
	}
	b.print(out, n)
	return nil
}

// functions are all that the template has, those first that people wait for.
var functions = []string{"submit", "tasks", "mcp", "images", "credits", "uploads", "callback", "ingest", "notify", "sweep"}

// build builds hello and the functions, as for deployment, with more flags of go build.
func build(ctx context.Context, dir string, flags ...string) (map[string]string, error) {
	const module = "github.com/preset/nanobanana-functions/"
	paths := map[string]string{}
	for _, name := range append([]string{"hello"}, functions...) {
		pkg := module + "functions/" + name + "/bootstrap"
		if name == "hello" {
			pkg = module + "local/bench/hello"
		}
		path, err := lambdatest.Build(ctx, filepath.Join(dir, name), pkg, flags...)
		if err != nil {
			return nil, err
		}
		paths[name] = path
	}
	return paths, nil
}

// buildNode builds the function for Node and returns its path.
func buildNode(ctx context.Context) (string, error) {
	const dir = "local/bench/node"
	for _, args := range [][]string{{"ci", "--no-audit", "--no-fund", "--no-update-notifier", "--ignore-scripts", "--loglevel=error"}, {"run", "--silent", "build"}} {
		cmd := exec.CommandContext(ctx, "npm", args...)
		cmd.Dir = dir
		if out, err := cmd.CombinedOutput(); err != nil {
			return "", fmt.Errorf("npm %s: %w\n%s", args[0], err, out)
		}
	}
	path, err := filepath.Abs(filepath.Join(dir, "build", "put.mjs"))
	if err != nil {
		return "", err
	}
	return path, os.Chmod(path, 0o755) // it begins with #!
}
