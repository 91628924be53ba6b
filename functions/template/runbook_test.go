package template_test

import (
	"os"
	"regexp"
	"strings"
	"testing"
)

// parts are what each section of the runbook has, in this order.
var parts = []string{"**For users:** ", "**Look:**", "**Do:** ", "**It is over when** "}

// condition matches a filter pattern's conditions: one, or several in parentheses.
var condition = regexp.MustCompile(`^(\$\.\w+ = "[^"]*"|\(\$\.\w+ = "[^"]*"\)( (\|\||&&) \(\$\.\w+ = "[^"]*"\))+)$`)

// The runbook has a section for each alarm and no other, and each begins with the
// command that the alarm's description names.
func TestRunbook(t *testing.T) {
	page, err := os.ReadFile("../../docs/RUNBOOK.md")
	if err != nil {
		t.Fatal(err)
	}
	sections := map[string]string{}
	for _, section := range strings.Split(string(page), "\n## ")[1:] {
		name, body, _ := strings.Cut(section, "\n")
		sections[name] = body
	}
	alarms := template(t).ofType("AWS::CloudWatch::Alarm")
	for id, r := range alarms {
		body, ok := sections[id]
		if !ok {
			t.Errorf("docs/RUNBOOK.md has no section for %s", id)
			continue
		}
		at := -1
		for _, part := range parts {
			i := strings.Index(body, "\n"+part)
			if i <= at {
				t.Errorf("%s: %q is missing, or not in its place", id, part)
			}
			at = i
		}
		said, _ := r.Properties["AlarmDescription"].(string)
		m := description.FindStringSubmatch(said)
		first := regexp.MustCompile("```sh\n(.*)\n").FindStringSubmatch(body)
		if m == nil || first == nil || first[1] != "bin/ops "+m[2] {
			t.Errorf("%s begins with %q, and its description says %q", id, first, said)
		}
	}
	for _, m := range regexp.MustCompile(`--filter-pattern '\{ (.*) \}'`).FindAllStringSubmatch(string(page), -1) {
		if !condition.MatchString(m[1]) {
			t.Errorf("AWS wants each part of a compound condition in parentheses: %s", m[1])
		}
	}
	for name := range sections {
		if _, ok := alarms[name]; !ok {
			t.Errorf("docs/RUNBOOK.md has a section %s, and there is no such alarm", name)
		}
	}
}
