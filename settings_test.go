package contract_test

import (
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

// part is what a resource of the template, or its Globals, sets for a function.
type part struct {
	Environment struct {
		Variables map[string]any `yaml:"Variables"`
	} `yaml:"Environment"`
}

// docs/settings.md has every setting that config reads, and says where it can be set.
func TestSettingsPage(t *testing.T) {
	var template struct {
		Globals struct {
			Function part `yaml:"Function"`
		} `yaml:"Globals"`
		Parameters map[string]struct {
			Default string `yaml:"Default"`
		} `yaml:"Parameters"`
		Resources map[string]struct {
			Properties part `yaml:"Properties"`
		} `yaml:"Resources"`
	}
	if err := yaml.Unmarshal([]byte(read(t, "template.yaml")), &template); err != nil {
		t.Fatal(err)
	}
	parameterOf := map[string]string{} // of a variable, by its !Ref
	variables := []map[string]any{template.Globals.Function.Environment.Variables}
	for _, r := range template.Resources {
		variables = append(variables, r.Properties.Environment.Variables)
	}
	for _, vs := range variables {
		for name, ref := range vs {
			if _, ok := template.Parameters[fmt.Sprint(ref)]; ok {
				parameterOf[name] = fmt.Sprint(ref)
			}
		}
	}

	rows := map[string]setting{}
	parameters := map[string]bool{}
	for _, s := range settings(t) {
		if s.name != "—" {
			rows[s.name] = s
			if want, ok := parameterOf[s.name]; ok && s.parameter != want || !ok && s.parameter != "—" {
				t.Errorf("docs/settings.md: %s is set by %s, want %q", s.name, s.parameter, want)
			}
		}
		if s.parameter != "—" {
			parameters[s.parameter] = true
			if want := template.Parameters[s.parameter].Default; !strings.Contains(s.standard, "`"+want+"`") && !(want == "" && strings.Contains(s.standard, "empty")) {
				t.Errorf("docs/settings.md: %s is %s by default, in template.yaml %q", s.parameter, s.standard, want)
			}
		}
	}
	for name := range template.Parameters {
		if !parameters[name] {
			t.Errorf("docs/settings.md does not have the parameter %s", name)
		}
	}

	asked := map[string]bool{} // what config asks the environment for
	if _, err := config.Load(func(name string) string { asked[name] = true; return "" }, config.Local); err != nil {
		t.Fatal(err)
	}
	asked["AWS_SAM_LOCAL"] = true
	for name := range asked {
		if _, ok := rows[name]; !ok {
			t.Errorf("docs/settings.md does not have %s", name)
		}
	}
	for name, s := range rows {
		if !asked[name] {
			t.Errorf("docs/settings.md has %s, which config does not read", name)
		}
		onlyLambda := slices.Contains([]string{"TABLE", "BUCKET", "SECRET_ARN", "AWS_SAM_LOCAL"}, name)
		if want := map[bool]string{true: "no", false: "yes"}[onlyLambda]; s.local != want {
			t.Errorf("docs/settings.md: %s in the local run is %q, want %q", name, s.local, want)
		}
	}
}
