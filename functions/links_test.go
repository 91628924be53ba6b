// Package functions_test holds what the functions link: arrows between our
// packages point downward only, and nothing is linked that costs a cold start
// and serves another function.
package functions_test

import (
	"encoding/json"
	"errors"
	"io"
	"os/exec"
	"slices"
	"strings"
	"testing"
)

const module = "github.com/preset/nanobanana-functions/"

// layers are our packages from the bottom up: each imports from layers below
// its own alone. "*test" packages may be imported by tests and local.
var layers = [][]string{
	{"shared/task", "shared/nanobanana", "shared/media", "shared/moderation", "shared/config"},
	{"shared/taskbolt", "shared/taskdb", "shared/s3bucket", "shared/auth", "shared/httpapi", "shared/lifecycle"},
	{"functions/submit", "functions/tasks", "functions/credits", "functions/callback", "functions/images", "functions/sweep", "functions/ingest"},
	{"functions/submit/bootstrap", "functions/tasks/bootstrap", "functions/credits/bootstrap", "functions/callback/bootstrap",
		"functions/images/bootstrap", "functions/sweep/bootstrap", "functions/ingest/bootstrap", "local"},
}

// linked are the modules of others that a function links, beside Lambda's own.
var linked = map[string][]string{
	"submit":   {"go-jose", "json", "x/image", "x/time"},
	"tasks":    {"go-jose", "json"},
	"credits":  {"go-jose", "json", "x/image", "x/time"},
	"callback": {"json", "x/image", "x/time"},
	"images":   {"json", "x/image"},
	"sweep":    {"json", "x/image", "x/time"},
	"ingest":   {"json", "x/image", "x/time"},
}

var shortNames = map[string]string{
	"github.com/aws/aws-lambda-go":           "",
	"github.com/go-jose/go-jose/v4":          "go-jose",
	"github.com/go-json-experiment/json":     "json",
	"golang.org/x/image":                     "x/image",
	"golang.org/x/time":                      "x/time",
	"github.com/preset/nanobanana-functions": "",
}

type pkg struct {
	ImportPath string
	Imports    []string
	Deps       []string
	Module     *struct{ Path string }
}

// list runs go list and gives the packages by their path within the module,
// or whole for those of others.
func list(t *testing.T, args ...string) map[string]pkg {
	t.Helper()
	cmd := exec.Command("go", append([]string{"list", "-json=ImportPath,Imports,Deps,Module"}, args...)...)
	cmd.Dir = ".."
	out, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	found := map[string]pkg{}
	for dec := json.NewDecoder(strings.NewReader(string(out))); ; {
		var p pkg
		if err := dec.Decode(&p); errors.Is(err, io.EOF) {
			return found
		} else if err != nil {
			t.Fatal(err)
		}
		found[strings.TrimPrefix(p.ImportPath, module)] = p
	}
}

func layer(name string) int {
	return slices.IndexFunc(layers, func(l []string) bool { return slices.Contains(l, name) })
}

func TestArrowsPointDownward(t *testing.T) {
	for name, p := range list(t, "./...") {
		double := strings.HasSuffix(name, "test") || name == "functions" // tests alone
		if layer(name) < 0 && !double {
			t.Errorf("%s has no layer in this test's table", name)
		}
		for _, path := range p.Imports {
			imported, ours := strings.CutPrefix(path, module)
			switch {
			case !ours || double:
			case strings.HasSuffix(imported, "test") && name == "local":
			case layer(imported) < 0 || layer(imported) >= layer(name):
				t.Errorf("%s imports %s, which is not below it", name, imported)
			}
		}
	}
}

func TestLinked(t *testing.T) {
	all := list(t, "-deps", "./functions/...")
	for name, p := range all {
		function, is := strings.CutSuffix(name, "/bootstrap")
		if !is {
			continue
		}
		function = strings.TrimPrefix(function, "functions/")
		var got []string
		for _, path := range p.Deps {
			dep := all[strings.TrimPrefix(path, module)]
			if dep.Module == nil {
				continue
			}
			short, known := shortNames[dep.Module.Path]
			if !known {
				short = dep.Module.Path
			}
			if short != "" && !slices.Contains(got, short) {
				got = append(got, short)
			}
		}
		slices.Sort(got)
		if !slices.Equal(got, linked[function]) {
			t.Errorf("%s links %v, want %v", function, got, linked[function])
		}
	}
}
