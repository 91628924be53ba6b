package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// build makes a function's binary with the flags that the environment has, which
// the Makefile sets as for a deployment.
func build(ctx context.Context, root, name, to string, env ...string) error {
	env = append(env, "GOOS=linux", "GOARCH="+architecture)
	_, err := output(ctx, root, env, "go", "build", "-o", to, "./functions/"+name+"/bootstrap")
	return err
}

// builds makes each function twice, here and in a copy of the source in another
// folder with an empty cache, and returns one hash for each.
func builds(ctx context.Context, root string) (string, error) {
	if !strings.Contains(os.Getenv("GOFLAGS"), "-trimpath") {
		return "", errors.New("the flags of the deployed binaries are not set: run make supply")
	}
	names, err := functions(root)
	if err != nil {
		return "", err
	}
	temp, err := os.MkdirTemp("", "supply")
	if err != nil {
		return "", err
	}
	defer func() { _ = os.RemoveAll(temp) }()
	if err := export(ctx, root, filepath.Join(temp, "source")); err != nil {
		return "", err
	}
	said := "the same bytes in another folder with an empty cache; SHA-256 for " + architecture
	for _, name := range names {
		first, err := filepath.Abs(filepath.Join(root, folder, name))
		if err != nil {
			return "", err
		}
		second := filepath.Join(temp, name)
		if err := build(ctx, root, name, first); err != nil {
			return "", err
		}
		if err := build(ctx, filepath.Join(temp, "source"), name, second, "GOCACHE="+filepath.Join(temp, "cache")); err != nil {
			return "", err
		}
		a, b := hash(first), hash(second)
		if a != b || a == "" {
			return "", fmt.Errorf("two builds of %s differ: %s and %s", name, a, b)
		}
		said += fmt.Sprintf("\n  %-10s %s", name, a)
	}
	return said, nil
}

// export copies the files that git knows, as they are now.
func export(ctx context.Context, root, to string) error {
	said, err := output(ctx, root, nil, "git", "ls-files", "-z")
	if err != nil {
		return err
	}
	for name := range strings.SplitSeq(strings.TrimRight(said, "\x00"), "\x00") {
		content, err := os.ReadFile(filepath.Join(root, name))
		if errors.Is(err, os.ErrNotExist) {
			continue // deleted, and not committed yet
		}
		path := filepath.Join(to, name)
		if err := errors.Join(err, os.MkdirAll(filepath.Dir(path), 0o755), os.WriteFile(path, content, 0o644)); err != nil {
			return err
		}
	}
	return nil
}

// hash returns the SHA-256 of a file, or "" if it cannot be read.
func hash(path string) string {
	content, err := os.ReadFile(path)
	if err != nil {
		return ""
	}
	sum := sha256.Sum256(content)
	return hex.EncodeToString(sum[:])
}

// contents writes the bill of materials of each binary that builds has made, from
// what the binary itself says, with the licences of the page.
func contents(ctx context.Context, root string, list []part) (string, error) {
	names, err := functions(root)
	if err != nil {
		return "", err
	}
	tool, err := tool(ctx, root, sbomTool)
	if err != nil {
		return "", err
	}
	for _, name := range names {
		binary := filepath.Join(root, folder, name)
		bill, err := output(ctx, root, []string{"GOOS=linux", "GOARCH=" + architecture, "GOFLAGS="}, tool, "bin", "-json", "-std", "-noserial", "-notimestamp", binary)
		if err != nil {
			return "", err
		}
		complete, err := describe([]byte(bill), name, hash(binary), list)
		if err != nil {
			return "", fmt.Errorf("the bill of %s: %w", name, err)
		}
		if err := os.WriteFile(binary+".cdx.json", complete, 0o644); err != nil {
			return "", err
		}
	}
	return fmt.Sprintf("%d bills of materials (CycloneDX) in %s", len(names), folder), nil
}

// describe adds to a bill of materials which binary it is about, and each part's licence.
func describe(bill []byte, name, hash string, list []part) ([]byte, error) {
	var b map[string]any
	if err := json.Unmarshal(bill, &b); err != nil {
		return nil, err
	}
	about, _ := b["metadata"].(map[string]any)
	component, _ := about["component"].(map[string]any)
	parts, _ := b["components"].([]any)
	if component == nil || len(parts) == 0 {
		return nil, errors.New("it has no components")
	}
	component["description"] = "the function " + name
	component["hashes"] = []any{map[string]any{"alg": "SHA-256", "content": hash}}
	for _, c := range parts {
		p, _ := c.(map[string]any)
		at := slices.IndexFunc(list, func(l part) bool { return l.name == p["name"] && l.used == byFunctions })
		if at < 0 {
			return nil, fmt.Errorf("%s does not list %v", page, p["name"])
		}
		p["licenses"] = []any{map[string]any{"expression": list[at].licence}}
	}
	var out bytes.Buffer
	enc := json.NewEncoder(&out)
	enc.SetIndent("", "  ")
	enc.SetEscapeHTML(false)
	err := enc.Encode(b)
	return out.Bytes(), err
}
