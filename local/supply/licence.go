package main

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
)

// page lists each part with its licence, as a person has read it.
const page = "docs/licences.md"

// allowed are the licences that a part may have.
var allowed = []string{"0BSD", "Apache-2.0", "BSD-2-Clause", "BSD-3-Clause", "ISC", "MIT"}

// inBuildOnly are licences of tools that make the package of npm; none of their code
// is in it.
var inBuildOnly = []string{"Python-2.0"}

const (
	byFunctions = "functions"
	byPackage   = "the build of @preset/images"
)

// A part is a module that the functions link, or a package that the build of
// @preset/images installs.
type part struct {
	name    string
	used    string // byFunctions or byPackage
	licence string // an SPDX expression; of a module "" until a person has read it
	text    string // of a module: the first digits of the licence's SHA-256
}

// parts returns what the functions link, and what builds @preset/images.
func parts(ctx context.Context, root string) ([]part, error) {
	modules, err := linkedModules(ctx, root)
	if err != nil {
		return nil, err
	}
	packages, err := npmPackages(filepath.Join(root, "frontend", "client", "package-lock.json"))
	return slices.Concat(modules, packages), err
}

func linkedModules(ctx context.Context, root string) ([]part, error) {
	// As they are deployed: what another system links is not in them.
	said, err := output(ctx, root, []string{"GOOS=linux", "GOARCH=" + architecture, "CGO_ENABLED=0"}, "go", "list", "-tags=lambda.norpc,nethttpomithttp2", "-deps", "-json=Module,Standard", "./functions/...")
	if err != nil {
		return nil, err
	}
	goroot, err := output(ctx, root, nil, "go", "env", "GOROOT")
	if err != nil {
		return nil, err
	}
	dirs := map[string]string{"std": goroot}
	for dec := json.NewDecoder(strings.NewReader(said)); ; {
		var p struct {
			Module *struct {
				Path, Dir string
				Main      bool
			}
		}
		if err := dec.Decode(&p); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			return nil, err
		}
		if p.Module != nil && !p.Module.Main {
			dirs[p.Module.Path] = p.Module.Dir
		}
	}
	var found []part
	for _, path := range slices.Sorted(maps.Keys(dirs)) {
		text, err := licenceText(dirs[path])
		if err != nil {
			return nil, fmt.Errorf("%s: %w", path, err)
		}
		found = append(found, part{name: path, used: byFunctions, text: text})
	}
	return found, nil
}

// licenceText returns the first digits of the SHA-256 of a module's licence, which
// for some modules stands in a folder above.
func licenceText(dir string) (string, error) {
	for up := dir; ; up = filepath.Dir(up) {
		for _, name := range []string{"LICENSE", "LICENSE.txt", "LICENSE.md", "LICENCE", "COPYING"} {
			text, err := os.ReadFile(filepath.Join(up, name))
			if err == nil {
				sum := sha256.Sum256(text)
				return hex.EncodeToString(sum[:6]), nil
			}
		}
		if up == filepath.Dir(up) {
			return "", errors.New("it has no licence file")
		}
	}
}

func npmPackages(lock string) ([]part, error) {
	content, err := os.ReadFile(lock)
	if err != nil {
		return nil, err
	}
	var l struct {
		Packages map[string]struct{ License string }
	}
	if err := json.Unmarshal(content, &l); err != nil {
		return nil, fmt.Errorf("%s: %w", lock, err)
	}
	var found []part
	for path, p := range l.Packages {
		if path == "" { // the package itself
			continue
		}
		name := path[strings.LastIndex(path, "node_modules/")+len("node_modules/"):]
		found = append(found, part{name: name, used: byPackage, licence: p.License})
	}
	slices.SortFunc(found, func(a, b part) int { return cmp.Compare(a.name, b.name) })
	return slices.Compact(found), nil // two versions of a package are one part
}

// lawful reports whether an SPDX expression of names, AND and OR leaves a way to use
// the part under allowed licences alone.
func lawful(expression, used string) bool {
	for all := range strings.SplitSeq(expression, " AND ") {
		if !slices.ContainsFunc(strings.Split(strings.Trim(all, "()"), " OR "), func(one string) bool {
			return slices.Contains(allowed, one) || used == byPackage && slices.Contains(inBuildOnly, one)
		}) {
			return false
		}
	}
	return true
}

var row = regexp.MustCompile("(?m)^\\| `([^`]+)` \\| ([^|]*) \\| (?:`([0-9a-f]+)`)? ?\\| ([^|]+) \\|$")

// readList returns the parts that the page lists.
func readList(path string) ([]part, error) {
	content, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	var list []part
	for _, m := range row.FindAllStringSubmatch(string(content), -1) {
		list = append(list, part{name: m[1], licence: m[2], text: m[3], used: m[4]})
	}
	return list, nil
}

// compare returns an error that names each part that the page does not list as it
// is, or whose licence is not allowed.
func compare(found, list []part) error {
	var faults []error
	fault := func(format string, args ...any) { faults = append(faults, fmt.Errorf(format, args...)) }
	for _, p := range found {
		at := slices.IndexFunc(list, func(l part) bool { return l.name == p.name && l.used == p.used })
		switch {
		case at < 0:
			fault("%s is new", p.name)
		case list[at].text != p.text:
			fault("the licence of %s has another text", p.name)
		case p.used == byPackage && list[at].licence != p.licence:
			fault("%s has the licence %s, not %s", p.name, p.licence, list[at].licence)
		case !lawful(list[at].licence, p.used):
			fault("%s has the licence %q, which is not allowed", p.name, list[at].licence)
		}
	}
	for _, l := range list {
		if !slices.ContainsFunc(found, func(p part) bool { return p.name == l.name && p.used == l.used }) {
			fault("%s is no longer used", l.name)
		}
	}
	if faults == nil {
		return nil
	}
	return fmt.Errorf("%w\nRead the licences of these parts, run `go run ./local/supply -update` and fill in the names in %s", errors.Join(faults...), page)
}

var table = regexp.MustCompile(`(?m)(^\|.*\|\n)+`)

// write puts the parts into the page's table. A licence that was read before stays;
// the name of one with a new text is for a person to fill in.
func write(path string, found, list []part) error {
	content, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	rows := "| part | licence | its text | used by |\n|---|---|---|---|\n"
	for _, p := range found {
		if at := slices.IndexFunc(list, func(l part) bool { return l.name == p.name && l.used == p.used && l.text == p.text }); at >= 0 && p.licence == "" {
			p.licence = list[at].licence
		}
		text := ""
		if p.text != "" {
			text = "`" + p.text + "` "
		}
		rows += fmt.Sprintf("| `%s` | %s | %s| %s |\n", p.name, cmp.Or(p.licence, "?"), text, p.used)
	}
	return os.WriteFile(path, table.ReplaceAllLiteral(content, []byte(rows)), 0o644)
}
