package task

import (
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"testing"
)

const architecture = "../../docs/ARCHITECTURE.md"

// The arrows of the state diagram are those of the table of lawful changes.
// When they differ, the failure prints the diagram to paste.
func TestDiagram(t *testing.T) {
	page, err := os.ReadFile(architecture)
	if err != nil {
		t.Fatal(err)
	}
	drawn, want := arrowsIn(diagramIn(string(page))), lawfulArrows()
	for _, arrow := range slices.Sorted(maps.Keys(want)) {
		if !drawn[arrow] {
			t.Errorf("the diagram lacks %s", arrow)
		}
	}
	for _, arrow := range slices.Sorted(maps.Keys(drawn)) {
		if want[arrow] == nil {
			t.Errorf("the diagram has %s, which the table does not allow", arrow)
		}
	}
	if t.Failed() {
		t.Logf("the diagram in %s should be:\n```mermaid\n%s```", architecture, diagram(want))
	}
}

// diagramIn returns the lines of the state diagram in page, or nil.
func diagramIn(page string) []string {
	for _, block := range strings.Split(page, "```mermaid\n")[1:] {
		body, _, _ := strings.Cut(block, "```")
		if lines := strings.Split(body, "\n"); strings.TrimSpace(lines[0]) == "stateDiagram-v2" {
			return lines
		}
	}
	return nil
}

// arrowsIn returns the arrows in lines of a state diagram, without their labels.
func arrowsIn(lines []string) map[string]bool {
	arrows := map[string]bool{}
	for _, line := range lines {
		from, rest, ok := strings.Cut(line, "-->")
		if ok {
			to, _, _ := strings.Cut(rest, ":")
			arrows[arrow(strings.TrimSpace(from), strings.TrimSpace(to))] = true
		}
	}
	return arrows
}

// lawfulArrows returns the arrows that the table allows, each with its label:
// the events that may take it.
func lawfulArrows() map[string][]string {
	arrows := map[string][]string{arrow("[*]", Submitting): {}, arrow("[*]", Storing): {"rescue"}}
	for _, c := range lawful {
		for _, to := range c.to {
			arrows[arrow(c.from, to)] = append(arrows[arrow(c.from, to)], labels[c.by])
		}
	}
	for s := range statuses {
		if (&Task{Status: s}).Done() {
			arrows[arrow(s, "[*]")] = []string{}
		}
	}
	return arrows
}

// labels are the short names of events in the diagram.
var labels = map[event]string{
	byAnswer: "answer", bySilence: "silence", byNoPost: "no POST", byRecord: "record", byHint: "callback",
	byDeadline: "deadline", bySweep: "sweep", byPolicy: "policy", byIngest: "ingest", byDelete: "DELETE",
}

func arrow[A, B ~string](from A, to B) string { return fmt.Sprintf("%s --> %s", from, to) }

// diagram draws arrows, in the order of a task's life.
func diagram(arrows map[string][]string) string {
	order := []string{"[*]", "submitting", "unconfirmed", "waiting", "generating", "storing", "succeeded", "failed"}
	rank := func(arrow string) int {
		from, to, _ := strings.Cut(arrow, " --> ")
		return slices.Index(order, from)*len(order) + (slices.Index(order, to)+len(order)-1)%len(order)
	}
	b := strings.Builder{}
	b.WriteString("stateDiagram-v2\n")
	for _, a := range slices.SortedFunc(maps.Keys(arrows), func(a, b string) int { return rank(a) - rank(b) }) {
		label := ""
		if by := arrows[a]; len(by) > 0 {
			label = ": " + strings.Join(slices.Sorted(slices.Values(by)), ", ")
		}
		fmt.Fprintf(&b, "    %s%s\n", a, label)
	}
	return b.String()
}

func TestDiagramIn(t *testing.T) {
	page := "# A\n```mermaid\nflowchart\n a --> b\n```\n```mermaid\nstateDiagram-v2\n  [*] --> a\n  a --> b: why, and: how\n  b --> [*]\n```\n"
	want := map[string]bool{"[*] --> a": true, "a --> b": true, "b --> [*]": true}
	if got := arrowsIn(diagramIn(page)); !maps.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
	if got := diagramIn("no diagram"); got != nil {
		t.Errorf("got %q from a page without one", got)
	}
	events := map[event]bool{}
	for _, c := range lawful {
		events[c.by] = true
	}
	if len(labels) != len(events) {
		t.Errorf("%d events have labels, of %d", len(labels), len(events))
	}
}
