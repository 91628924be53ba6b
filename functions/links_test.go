// Package functions_test checks what the functions link: imports between our
// packages point downward only, and no function links a module that only another
// one needs, because that costs cold starts.
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

const (
	module = "github.com/preset/nanobanana-functions/"
	root   = "github.com/preset/nanobanana-functions" // openapi.yaml, embedded
)

// layers are our packages from the bottom up: each imports only from layers below
// its own. "*test" packages may be imported by tests and local.
var layers = [][]string{
	{root, "shared/outbound", "shared/auth/token", "shared/task", "shared/metric", "shared/moderation", "shared/media/thumbnail", "shared/aws/env", "shared/aws/stream"},
	{"shared/nanobanana", "shared/media", "shared/config"},
	{"shared/taskbolt", "shared/media/picture", "shared/media/dir", "shared/aws/taskdb", "shared/aws/s3bucket", "shared/aws/s3link", "shared/aws/secret", "shared/auth", "shared/httpapi", "shared/lifecycle", "shared/webhook"},
	{"functions/submit", "functions/tasks", "functions/credits", "functions/callback", "functions/images", "functions/uploads", "functions/sweep", "functions/ingest", "functions/notify", "functions/mcp", "functions/mcp/oauthproxy",
		"local/signin", "local/client", "local/page", "local/ops/vault", "local/ops/ledger"},
	{"local/ops"},
	{"functions/submit/bootstrap", "functions/tasks/bootstrap", "functions/credits/bootstrap", "functions/callback/bootstrap",
		"functions/images/bootstrap", "functions/uploads/bootstrap", "functions/sweep/bootstrap", "functions/ingest/bootstrap", "functions/notify/bootstrap", "functions/mcp/bootstrap", "local/serve", "local/verify", "local/mcp/rules", "local/aws/standins", "local/bench", "local/bench/hello", "local/supply"},
	{"local", "local/ops/bootstrap"},
}

// linked are the other modules that a function links, besides Lambda's own and the
// SDK's core.
var linked = map[string][]string{
	"submit":   {"dynamodb", "go-jose", "json", "secretsmanager", "ssrf", "x/text", "x/time"},
	"tasks":    {"dynamodb", "go-jose", "json", "secretsmanager", "ssrf", "x/text", "x/time"},
	"credits":  {"dynamodb", "go-jose", "json", "secretsmanager", "ssrf", "standard-webhooks", "x/text", "x/time"},
	"callback": {"dynamodb", "json", "secretsmanager", "ssrf", "x/text", "x/time"},
	"images":   {"json", "secretsmanager", "ssrf"},
	"uploads":  {"dynamodb", "go-jose", "json", "secretsmanager", "ssrf"},
	"sweep":    {"dynamodb", "json", "secretsmanager", "ssrf", "x/text", "x/time"},
	"ingest":   {"dynamodb", "json", "s3", "ssrf", "x/image", "x/text", "x/time"},
	"mcp": {"dynamodb", "github.com/google/jsonschema-go", "github.com/segmentio/asm", "github.com/segmentio/encoding", "github.com/yosida95/uritemplate/v3",
		"go-jose", "json", "mcp", "secretsmanager", "ssrf", "standard-webhooks", "x/oauth2", "x/sync", "x/sys", "x/text", "x/time"},
	"notify": {"dynamodb", "json", "secretsmanager", "standard-webhooks"},
}

// short returns the name of a module in linked, or "" for modules that all link.
func short(path string) string {
	const sdk = "github.com/aws/aws-sdk-go-v2"
	if service, ok := strings.CutPrefix(path, sdk+"/service/"); ok && !strings.Contains(service, "/") {
		return service
	}
	switch {
	case path == sdk+"/config", path == sdk+"/credentials", path == sdk+"/feature/ec2/imds": // cold starts: see package env
		return path
	case strings.HasPrefix(path, sdk), path == "github.com/aws/smithy-go", path == "github.com/aws/aws-lambda-go", path+"/" == module:
		return ""
	case path == "code.dny.dev/ssrf":
		return "ssrf"
	case path == "github.com/go-jose/go-jose/v4":
		return "go-jose"
	case path == "github.com/go-json-experiment/json":
		return "json"
	case path == "github.com/standard-webhooks/standard-webhooks/libraries":
		return "standard-webhooks"
	case path == "github.com/modelcontextprotocol/go-sdk":
		return "mcp"
	}
	return strings.TrimPrefix(path, "golang.org/")
}

type pkg struct {
	ImportPath string
	GoFiles    []string
	Imports    []string
	Deps       []string
	Module     *struct{ Path string }
}

// list runs go list and returns the packages by their path: within the module for
// ours, in full for others.
func list(t *testing.T, args ...string) map[string]pkg {
	t.Helper()
	cmd := exec.Command("go", append([]string{"list", "-json=ImportPath,GoFiles,Imports,Deps,Module"}, args...)...)
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
		testsOnly := strings.HasSuffix(name, "test") || len(p.GoFiles) == 0
		if layer(name) < 0 && !testsOnly {
			t.Errorf("%s has no layer in this test's table", name)
		}
		for _, path := range p.Imports {
			imported, ours := strings.CutPrefix(path, module)
			switch {
			case !ours || testsOnly:
			case strings.HasSuffix(imported, "test") && strings.HasPrefix(name, "local"):
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
			if strings.HasPrefix(path, "github.com/aws/aws-sdk-go-v2/service/") && strings.HasSuffix(path, "/schemas") {
				t.Errorf("%s links %s: docs/decisions/pinned-sdks.md says what that costs", function, path)
			}
			dep := all[strings.TrimPrefix(path, module)]
			if dep.Module == nil {
				continue
			}
			if name := short(dep.Module.Path); name != "" && !slices.Contains(got, name) {
				got = append(got, name)
			}
		}
		slices.Sort(got)
		if !slices.Equal(got, linked[function]) {
			t.Errorf("%s links %v, want %v", function, got, linked[function])
		}
	}
}
