// Command supply reports where the functions' binaries come from: what each of them
// contains, under which licences, whether the same source makes the same bytes, and
// which known vulnerabilities they have.
//
//	CGO_ENABLED=0 GOFLAGS=… supply    as `make supply` runs it, from the repository's root
//	supply -update                    writes docs/licences.md; a person then reads what changed
package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"time"
)

// The processor that template.yaml deploys to by default.
const architecture = "arm64"

// folder is where the results go; git ignores it.
const folder = "bin/supply"

func main() {
	update := flag.Bool("update", false, "write docs/licences.md and stop")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	err := run(ctx, ".", *update, os.Stdout)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "supply:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, root string, update bool, out io.Writer) error {
	list, err := readList(filepath.Join(root, page))
	if err != nil {
		return err
	}
	found, err := parts(ctx, root)
	if err != nil {
		return err
	}
	if update {
		return write(filepath.Join(root, page), found, list)
	}
	steps := []struct {
		name string
		do   func() (string, error)
	}{
		{"modules", func() (string, error) { return output(ctx, root, nil, "go", "mod", "verify") }},
		{"licences", func() (string, error) {
			return fmt.Sprintf("%d parts, each as %s lists it", len(found), page), compare(found, list)
		}},
		{"two builds", func() (string, error) { return builds(ctx, root) }},
		{"contents", func() (string, error) { return contents(ctx, root, list) }},
		{"Go vulnerabilities", func() (string, error) { return goVulnerabilities(ctx, root) }},
		{"npm vulnerabilities", func() (string, error) { return npmVulnerabilities(ctx, root) }},
	}
	for _, s := range steps {
		begin := time.Now()
		said, err := s.do()
		if err != nil {
			return fmt.Errorf("%s: %w", s.name, err)
		}
		fmt.Fprintf(out, "%s (%.0f s): %s\n", s.name, time.Since(begin).Seconds(), said)
	}
	return nil
}
