package template_test

import (
	"os"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/preset/nanobanana-functions/shared/aws/env/envtest"
	"github.com/preset/nanobanana-functions/shared/aws/taskdb"
	"github.com/preset/nanobanana-functions/shared/task"
)

// notInStandIn are commands of the runbook that the stand-in of AWS does not know.
var notInStandIn = regexp.MustCompile(`^aws lambda get-account-settings `)

// The commands of docs/RUNBOOK.md run as they stand there, in the order of the page and in
// one shell, against a stack: those of the blocks, and those within the text.
func TestRunbookPage(t *testing.T) {
	o := newOperator(t)
	page, err := os.ReadFile("../../docs/RUNBOOK.md")
	if err != nil {
		t.Fatal(err)
	}
	deploySteps[0].after(o, o.run(deploySteps[0].input(template(t)), "make deploy ARGS=--guided"))
	id := o.unfinished("nanobanana")
	ran := 0
	for _, section := range strings.Split(string(page), "\n## ") {
		name, _, _ := strings.Cut(section, "\n")
		for _, command := range runbookCommands(section) {
			command = strings.ReplaceAll(command, "TASK", id)
			if notInStandIn.MatchString(command) {
				continue
			}
			// Exit 1 refuses, as a rescue of what is unfinished, and 3 found something.
			input := ""
			if command == "bin/ops key set" {
				input = "a-new-key\n"
			}
			said := o.run(input, "set +e\n"+command+"\nstatus=$?; case \"$status\" in 0|1|3) echo \"exit $status\";; *) exit $status;; esac")
			if !strings.HasPrefix(command, "bin/ops ") && !strings.HasSuffix(said, "exit 0\n") {
				t.Errorf("%s: %s\n%s", name, command, said)
			}
			if strings.Contains(command, "get-schedule") && !strings.Contains(command, "ON=") && !strings.Contains(said, `"ENABLED"`) {
				t.Errorf("%s: the schedule is %s", name, said)
			}
			ran++
		}
	}
	if ran < 80 {
		t.Errorf("the page has %d commands", ran)
	}
}

var inText = regexp.MustCompile("`((?:bin/ops|make deploy SET=)[^`]*)`")

// runbookCommands returns the commands of a section: of its blocks, without comments, and of
// its text. A line that is indented continues the one before it.
func runbookCommands(section string) (all []string) {
	for _, block := range shellBlock.FindAllStringSubmatch(section, -1) {
		for line := range strings.Lines(block[1]) {
			command, _, _ := strings.Cut(strings.TrimRight(line, "\n"), "  # ")
			if strings.HasPrefix(command, " ") && len(all) > 0 {
				all[len(all)-1] += "\n" + command
				continue
			}
			all = append(all, strings.TrimRight(command, " "))
		}
	}
	for _, m := range inText.FindAllStringSubmatch(section, -1) {
		all = append(all, strings.ReplaceAll(m[1], "=N", "=100"))
	}
	return all
}

// unfinished puts an unfinished task into a stack's table and returns its id.
func (o *operator) unfinished(stack string) string {
	o.t.Helper()
	store := taskdb.New(envtest.Config(o.t), o.live(stack, "Submit", "TABLE"))
	x, err := store.Create(o.t.Context(), task.New(task.Draft{Owner: "ada", Request: task.Request{Model: "nano-banana", Prompt: "a lighthouse", NumImages: 1}}, time.Now()), 0)
	if err != nil {
		o.t.Fatal(err)
	}
	return x.ID
}
