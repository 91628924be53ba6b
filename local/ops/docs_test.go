package ops

import (
	"bytes"
	"context"
	"flag"
	"os"
	"regexp"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "write the outputs of the examples into docs/ops.md")

const docsPage = "../../docs/ops.md"

// example matches an example of the page: its first line is the command.
var example = regexp.MustCompile("(?s)```console\n\\$ bin/ops ([^\n]*)\n(.*?)```")

// TestExamples runs the examples of docs/ops.md in their order, on one store. With
// -update it writes what they print into the page.
func TestExamples(t *testing.T) {
	page, err := os.ReadFile(docsPage)
	if err != nil {
		t.Fatal(err)
	}
	e := localEnv(t)
	left := false
	shown := map[string]bool{}
	got := example.ReplaceAllStringFunc(string(page), func(block string) string {
		line := example.FindStringSubmatch(block)[1]
		if !left && strings.Contains(line, leaver) {
			left = true
			leave(t, e.Store, leaver)
		}
		typed, in, _ := strings.Cut(line, " <<< ") // as a shell understands it
		out := runWith(t, e, in+"\n", wordsOf(typed)...)
		words, _, err := find(wordsOf(typed))
		if err == nil {
			shown[words.Name] = true
		}
		return "```console\n$ bin/ops " + line + "\n" + out + "```"
	})
	for _, c := range commands {
		if !regexp.MustCompile(`(?m)^## (.*, )?` + regexp.QuoteMeta(c.Name) + `(,|$)`).Match(page) {
			t.Errorf("docs/ops.md has no section about %s", c.Name)
		}
		for _, right := range append(baseRights, c.Rights...) {
			if !strings.Contains(string(page), right) {
				t.Errorf("docs/ops.md does not name the right %s, which %s needs", right, c.Name)
			}
		}
	}
	for _, line := range strings.Split(got, "\n") {
		if inExample(got, line) && len([]rune(line)) > width && !strings.HasPrefix(line, "next: ") {
			t.Errorf("a line of an example is longer than %d characters: %s", width, line)
		}
	}
	if got == string(page) {
		return
	}
	if *update {
		if err := os.WriteFile(docsPage, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	a, b := strings.Split(string(page), "\n"), strings.Split(got, "\n")
	for i := range min(len(a), len(b)) {
		if a[i] != b[i] {
			t.Fatalf("docs/ops.md has in line %d\n  %s\nand the command prints\n  %s\nRun: go test ./local/ops -run TestExamples -update", i+1, a[i], b[i])
		}
	}
}

// wordsOf returns the words of a command line, as a shell does. Words in double quotes are
// one.
func wordsOf(line string) (words []string) {
	for n, part := range strings.Split(line, `"`) {
		if n%2 == 1 {
			words = append(words, part)
		} else {
			words = append(words, strings.Fields(part)...)
		}
	}
	return words
}

// inExample reports whether a line stands in an example.
func inExample(page, line string) bool {
	for _, m := range example.FindAllStringSubmatch(page, -1) {
		if strings.Contains(m[2], line+"\n") {
			return true
		}
	}
	return false
}

// runWords runs a command on e, as typed, and returns what it prints.
func runWords(t testing.TB, e *Env, words ...string) string {
	t.Helper()
	return runWith(t, e, "", words...)
}

func runWith(t testing.TB, e *Env, in string, words ...string) string {
	t.Helper()
	var out bytes.Buffer
	Main(context.WithoutCancel(t.Context()), append(words, "-data", ".local"), Options{
		Getenv: func(string) string { return "" }, In: strings.NewReader(in), Out: &out, Err: &out,
		OpenData: func(string, bool) (*Env, func() error, error) { return e, func() error { return nil }, nil },
	})
	return out.String()
}
