package ops

import (
	"os"
	"regexp"
	"strings"
	"testing"
)

const runbookPage = "../../docs/RUNBOOK.md"

// toType matches a command of bin/ops in a page or in an alarm's description, up to what
// ends it there.
var toType = regexp.MustCompile("bin/ops ([a-z][^`\n#|]*?)(`|\n|#|\\||[.;:,] )")

// Every command that the runbook and the alarms tell somebody to type exists, with its
// flags and as many arguments.
func TestRunbookCommands(t *testing.T) {
	for _, name := range []string{runbookPage, "../../template.yaml"} {
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		found := toType.FindAllStringSubmatch(string(text), -1)
		for _, m := range found {
			if _, _, err := parse(wordsOf(m[1])); err != nil {
				t.Errorf("%s says bin/ops %s: %v", name, m[1], err)
			}
		}
		if len(found) < 20 {
			t.Errorf("%s has %d commands", name, len(found))
		}
	}
}

// The runbook's examples are what the commands print about the run of docs/ops.md. With
// -update this writes them into the page.
func TestRunbookExamples(t *testing.T) {
	page, err := os.ReadFile(runbookPage)
	if err != nil {
		t.Fatal(err)
	}
	e := localEnv(t)
	got := example.ReplaceAllStringFunc(string(page), func(block string) string {
		line := example.FindStringSubmatch(block)[1]
		return "```console\n$ bin/ops " + line + "\n" + runWords(t, e, wordsOf(line)...) + "```"
	})
	switch {
	case strings.Count(got, "```console") < 3:
		t.Error("there are no examples")
	case got != string(page) && *update:
		if err := os.WriteFile(runbookPage, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	case got != string(page):
		t.Errorf("the commands print something else by now. Run: go test ./local/ops -run TestRunbookExamples -update")
	}
}
