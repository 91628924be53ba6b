package ops

import (
	"os"
	"strings"
	"testing"
)

const runbookPage = "../../docs/RUNBOOK.md"

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
