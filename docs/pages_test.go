// Package docs_test holds the pages against the repository: links, names of files,
// settings and dependencies.
package docs_test

import (
	"io/fs"
	"os"
	"path"
	"regexp"
	"slices"
	"strings"
	"testing"
)

const root = ".."

// tree returns the paths of all files and folders of the repository, except
// what is built or installed.
func tree(t *testing.T) []string {
	t.Helper()
	var all []string
	err := fs.WalkDir(os.DirFS(root), ".", func(p string, d fs.DirEntry, err error) error {
		hidden := strings.HasPrefix(d.Name(), ".") && p != "." && d.Name() != ".ci"
		if d.IsDir() && (hidden || slices.Contains([]string{"bin", "node_modules", "generated", "build", "shots"}, d.Name())) {
			return fs.SkipDir
		}
		all = append(all, p)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// pages returns the text of each *.md file by its path.
func pages(t *testing.T, all []string) map[string]string {
	t.Helper()
	found := map[string]string{}
	for _, p := range all {
		if path.Ext(p) == ".md" {
			found[p] = read(t, p)
		}
	}
	return found
}

func read(t *testing.T, name string) string {
	t.Helper()
	b, err := os.ReadFile(path.Join(root, name))
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

var (
	fence   = regexp.MustCompile("(?ms)^```.*?^```$")
	inline  = regexp.MustCompile("`[^`\n]+`")
	link    = regexp.MustCompile(`\]\(([^)\s]+)\)`)
	heading = regexp.MustCompile(`(?m)^#+ (.+)$`)
	notSlug = regexp.MustCompile(`[^\pL\pN _-]`)
)

// prose returns a page without its code.
func prose(page string) string {
	return inline.ReplaceAllString(fence.ReplaceAllString(page, ""), "`code`")
}

// anchors returns the names by which GitHub links to the headings of a page.
func anchors(page string) []string {
	var all []string
	for _, m := range heading.FindAllStringSubmatch(fence.ReplaceAllString(page, ""), -1) {
		slug := notSlug.ReplaceAllString(strings.ToLower(strings.ReplaceAll(m[1], "`", "")), "")
		all = append(all, strings.ReplaceAll(slug, " ", "-"))
	}
	return all
}

// Every relative link of a page leads to a file, and to a heading if it names one.
func TestLinksOfPages(t *testing.T) {
	all := tree(t)
	texts := pages(t, all)
	for page, text := range texts {
		for _, m := range link.FindAllStringSubmatch(prose(text), -1) {
			if strings.Contains(m[1], "://") {
				continue
			}
			file, anchor, _ := strings.Cut(m[1], "#")
			target := page
			if file != "" {
				target = path.Join(path.Dir(page), file)
			}
			if !slices.Contains(all, target) {
				t.Errorf("%s links to %s, which does not exist", page, m[1])
			} else if anchor != "" && !slices.Contains(anchors(texts[target]), anchor) {
				t.Errorf("%s links to %s: there is no such heading", page, m[1])
			}
		}
	}
}

// foreign are file names in pages that are not of this repository.
var foreign = []string{
	"supabase/functions/ai-images/index.ts",                   // of Preset's own project
	"task.json",                                               // written by a reader's curl
	".local/verify.jsonl",                                     // written by make verify-live
	"/.well-known/jwks.json",                                  // of an issuer
	"/local/",                                                 // a route of the local run
	"pictures/", "downloads/", "log.jsonl", "log-older.jsonl", // in its data folder
	"tasks/<id>/", // in the bucket
	"test/",       // in a pattern
	// made by a reader who compares modules
	"/tmp/newer.mod", "/tmp/newer.sum",
}

var (
	source = regexp.MustCompile(`\.(go|py|ya?ml|toml|json|jsonl|js|ts|css|html|txt|md|sql|mod|sum)$`)
	top    = regexp.MustCompile(`^(functions|shared|local|docs|events|\.ci)/.`)
	folder = regexp.MustCompile(`^\w[\w/.<>-]*/$`)
	target = regexp.MustCompile(`\bmake ([a-z-]*[a-z])\b(?:[^-]|$)`)
)

// File names in the code of a page, its diagrams included, are names of files or
// folders here, whole or from a folder on: "task/life.go". <name>, NAME, * and …
// stand for anything. The targets of make are those of the Makefile.
func TestFileNamesInPages(t *testing.T) {
	all := tree(t)
	makefile := read(t, "Makefile")
	for page, text := range pages(t, all) {
		for _, code := range append(fence.FindAllString(text, -1), inline.FindAllString(fence.ReplaceAllString(text, ""), -1)...) {
			for _, word := range strings.FieldsFunc(code, func(r rune) bool { return strings.ContainsRune(" \t\n`\"'(),;:=|[]", r) }) {
				word = strings.TrimRight(strings.TrimPrefix(word, "./"), ".")
				if slices.Contains(foreign, word) || !source.MatchString(word) && !top.MatchString(word) && !folder.MatchString(word) {
					continue
				}
				if !named(all, strings.Trim(word, "/")) {
					t.Errorf("%s names %s, which does not exist", page, word)
				}
			}
			for _, m := range target.FindAllStringSubmatch(code, -1) {
				if !strings.Contains(makefile, "\n"+m[1]+":") {
					t.Errorf("%s names make %s, which does not exist", page, m[1])
				}
			}
		}
	}
}

var pageName = regexp.MustCompile(`\bdocs/[\w./-]+\.md\b`)

// The pages that comments and messages in other files name exist.
func TestPagesNamedInCode(t *testing.T) {
	all := tree(t)
	for _, p := range all {
		if !source.MatchString(p) && p != "Makefile" || path.Ext(p) == ".md" || strings.HasPrefix(path.Base(p), "package") {
			continue
		}
		for _, page := range pageName.FindAllString(read(t, p), -1) {
			if !slices.Contains(all, page) {
				t.Errorf("%s names %s, which does not exist", p, page)
			}
		}
	}
}

var anything = regexp.MustCompile(`<[a-z]+>|\b[A-Z]{2,}\b|\*|…`)

// named reports whether a path is name, or ends with it after a slash.
func named(all []string, name string) bool {
	if slices.Contains(all, name) {
		return true // a name in capitals, such as README.md, stands for itself
	}
	parts := anything.Split(name, -1)
	for i := range parts {
		parts[i] = regexp.QuoteMeta(parts[i])
	}
	matches := regexp.MustCompile(`(^|/)` + strings.Join(parts, `[^/]*`) + `$`)
	return slices.ContainsFunc(all, matches.MatchString)
}

// docs/dependencies.md has a reason for each module that go.mod asks for itself.
func TestDependenciesPage(t *testing.T) {
	page := read(t, "docs/dependencies.md")
	for line := range strings.Lines(read(t, "go.mod")) {
		module, version, _ := strings.Cut(strings.TrimSpace(line), " ")
		const sdk = "github.com/aws/aws-sdk-go-v2/service/"
		if !strings.HasPrefix(version, "v") || strings.Contains(line, "// indirect") {
			continue
		}
		if !strings.Contains(page, strings.TrimPrefix(strings.TrimPrefix(module, sdk), "github.com/aws/")) {
			t.Errorf("docs/dependencies.md has no reason for %s", module)
		}
	}
}
