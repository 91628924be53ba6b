package docs_test

import (
	"cmp"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"testing"

	"go.yaml.in/yaml/v4"

	"github.com/preset/nanobanana-functions/shared/config"
)

// setting is a row of the table in docs/settings.md.
type setting struct{ name, local, parameter, standard string }

func settings(t *testing.T) []setting {
	t.Helper()
	var all []setting
	for line := range strings.Lines(read(t, "docs/settings.md")) {
		cells := strings.Split(line, "|")
		if len(cells) != 7 || !regexp.MustCompile("^ (`[A-Z_]+`|—) $").MatchString(cells[1]) {
			continue
		}
		for i := range cells {
			cells[i] = strings.TrimSpace(cells[i])
		}
		all = append(all, setting{strings.Trim(cells[1], "`"), cells[2], strings.Trim(cells[3], "`"), cells[4]})
	}
	return all
}

// stack is what this test reads of template.yaml.
type stack struct {
	Globals struct {
		Function resource `yaml:"Function"`
	} `yaml:"Globals"`
	Parameters map[string]struct {
		Default string `yaml:"Default"`
	} `yaml:"Parameters"`
	Resources map[string]struct {
		Properties resource `yaml:"Properties"`
	} `yaml:"Resources"`
}

type resource struct {
	Environment struct {
		Variables map[string]any `yaml:"Variables"`
	} `yaml:"Environment"`
}

// parameterOf returns for each variable of a function the parameter it refers to.
func (s stack) parameterOf() map[string]string {
	functions := []resource{s.Globals.Function}
	for _, r := range s.Resources {
		functions = append(functions, r.Properties)
	}
	found := map[string]string{}
	for _, f := range functions {
		for name, ref := range f.Environment.Variables { // !Ref X is read as X
			if _, ok := s.Parameters[fmt.Sprint(ref)]; ok {
				found[name] = fmt.Sprint(ref)
			}
		}
	}
	return found
}

// docs/settings.md has every parameter of the stack with its default, in the row
// of the variable that it sets.
func TestParametersInSettingsPage(t *testing.T) {
	var template stack
	if err := yaml.Unmarshal([]byte(read(t, "template.yaml")), &template); err != nil {
		t.Fatal(err)
	}
	parameterOf, found := template.parameterOf(), map[string]bool{}
	for _, s := range settings(t) {
		if want := cmp.Or(parameterOf[s.name], "—"); s.name != "—" && s.parameter != want {
			t.Errorf("docs/settings.md: %s is set by %s, want %s", s.name, s.parameter, want)
		}
		if s.parameter == "—" {
			continue
		}
		found[s.parameter] = true
		want := template.Parameters[s.parameter].Default
		if !strings.Contains(s.standard, "`"+want+"`") && (want != "" || !strings.Contains(s.standard, "empty")) {
			t.Errorf("docs/settings.md: %s is %s by default, in template.yaml %q", s.parameter, s.standard, want)
		}
	}
	for name := range template.Parameters {
		if !found[name] {
			t.Errorf("docs/settings.md does not have the parameter %s", name)
		}
	}
}

// docs/settings.md has every variable that config reads, and says which of them
// the local run uses.
func TestVariablesInSettingsPage(t *testing.T) {
	asked := map[string]bool{"AWS_SAM_LOCAL": true} // which is asked on Lambda only
	if _, err := config.Load(func(name string) string { asked[name] = true; return "" }, config.Local); err != nil {
		t.Fatal(err)
	}
	found := map[string]bool{"—": true}
	for _, s := range settings(t) {
		if s.name == "—" {
			continue
		}
		found[s.name] = true
		if !asked[s.name] {
			t.Errorf("docs/settings.md has %s, which config does not read", s.name)
		}
		want := "yes"
		if slices.Contains([]string{"TABLE", "BUCKET", "SECRET_ARN", "METRICS_NAMESPACE", "AWS_SAM_LOCAL"}, s.name) {
			want = "no"
		}
		if s.local != want {
			t.Errorf("docs/settings.md: %s in the local run is %q, want %q", s.name, s.local, want)
		}
	}
	for name := range asked {
		if !found[name] {
			t.Errorf("docs/settings.md does not have %s", name)
		}
	}
}
