package mcp_test

import (
	"bytes"
	"encoding/json"
	"flag"
	"maps"
	"net/http"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/preset/nanobanana-functions/functions/mcp"
	"github.com/preset/nanobanana-functions/shared/media"
	"github.com/preset/nanobanana-functions/shared/task"
)

var update = flag.Bool("update", false, "rewrite claude-tools.json and testdata")

// schema is the part of a JSON schema that this test checks.
type schema struct {
	Type, Pattern, Description     string
	Properties                     map[string]*schema
	Required                       []string
	Items                          *schema
	AdditionalProperties           json.RawMessage
	Enum                           []string
	Default                        any
	Minimum, Maximum               float64
	MaxLength, MaxItems, MinLength int
}

func read[T any](t testing.TB, raw []byte) (v T) {
	t.Helper()
	if err := json.Unmarshal(raw, &v); err != nil {
		t.Fatalf("%v: %s", err, raw)
	}
	return v
}

// definitions returns the tools as a client sees them.
func definitions(t testing.TB) []definition {
	t.Helper()
	got := newHarness(t).post(`{"jsonrpc":"2.0","id":1,"method":"tools/list"}`)
	var answer struct{ Result struct{ Tools []definition } }
	got.JSON(t, http.StatusOK, &answer)
	return answer.Result.Tools
}

type definition struct {
	Name, Title, Description  string
	InputSchema, OutputSchema json.RawMessage
	Annotations               annotations
}

// annotations are what a client is told about a tool's effects. A nil is a hint
// that was left to the protocol's default.
type annotations struct {
	Title                                                        string
	ReadOnlyHint, DestructiveHint, IdempotentHint, OpenWorldHint *bool
}

func TestDefinitions(t *testing.T) {
	for _, d := range definitions(t) {
		if n := strings.Count(d.Description, ". ") + 1; n < 3 || n > 5 || len(d.Description) > 1024 {
			t.Errorf("%s is described in %d sentences, %d bytes", d.Name, n, len(d.Description))
		}
		checkClosed(t, d.Name, read[*schema](t, d.InputSchema))
		checkClosed(t, d.Name+"'s result", read[*schema](t, d.OutputSchema))
	}
}

// Each tool states its effects, and a client gets exactly these tools.
func TestAnnotations(t *testing.T) {
	const readOnly, destructive, idempotent, openWorld = 1, 2, 4, 8
	want := map[string]struct {
		title string
		hints int
	}{
		"generate_image": {"Make or edit a picture", idempotent | openWorld},
		"get_image":      {"Get a picture", readOnly | idempotent},
		"list_images":    {"List pictures", readOnly | idempotent},
		"get_credits":    {"Read credits and quota", readOnly | idempotent},
		"upload_image":   {"Upload a picture", 0},
		"quote_image":    {"Price a picture", readOnly | idempotent},
		"move_image":     {"Move a picture", destructive | idempotent},
		"delete_image":   {"Delete a picture", destructive | idempotent},
		"watch_image":    {"Watch a picture", readOnly | idempotent},
	}
	var got []string
	for _, d := range definitions(t) {
		got = append(got, d.Name)
		w, a := want[d.Name], d.Annotations
		if a.Title != w.title || d.Title != w.title {
			t.Errorf("%s is titled %q and %q, want %q", d.Name, a.Title, d.Title, w.title)
		}
		for bit, hint := range map[int]*bool{readOnly: a.ReadOnlyHint, destructive: a.DestructiveHint, idempotent: a.IdempotentHint, openWorld: a.OpenWorldHint} {
			if hint == nil || *hint != (w.hints&bit != 0) {
				t.Errorf("%s: the hints are %+v, want %04b", d.Name, a, w.hints)
			}
		}
	}
	if names := slices.Sorted(maps.Keys(want)); !slices.Equal(slices.Sorted(slices.Values(got)), names) {
		t.Errorf("the tools are %q, want %q", got, names)
	}
}

// checkClosed fails the test if an object allows properties that are not
// described.
func checkClosed(t testing.TB, name string, s *schema) {
	t.Helper()
	if s == nil {
		return
	}
	if s.Type == "object" && len(s.AdditionalProperties) == 0 {
		t.Errorf("%s: an object may have anything", name)
	}
	for _, required := range s.Required {
		if s.Properties[required] == nil {
			t.Errorf("%s requires %s, which it does not have", name, required)
		}
	}
	for property, of := range s.Properties {
		checkClosed(t, name+"."+property, of)
	}
	checkClosed(t, name+"[]", s.Items)
}

// The schema of generate_image allows what the models allow.
func TestDefinitionsFollowTheModels(t *testing.T) {
	for _, d := range definitions(t) {
		p := read[schema](t, d.InputSchema).Properties
		switch d.Name {
		case "upload_image":
			if p["bytes"].Maximum != media.MaxUploadBytes {
				t.Errorf("uploads of up to %v bytes", p["bytes"].Maximum)
			}
		case "generate_image":
			var ids, ratios, resolutions []string
			var images, inputs, prompt int
			for _, m := range task.Models() {
				ids, ratios, resolutions = append(ids, m.ID), append(ratios, m.AspectRatios...), append(resolutions, m.Resolutions...)
				images, inputs, prompt = max(images, m.MaxImages), max(inputs, m.MaxInputs), max(prompt, m.MaxPrompt)
			}
			checkSame(t, "models", p["model"].Enum, ids)
			checkSame(t, "aspect ratios", p["aspectRatio"].Enum, ratios)
			checkSame(t, "resolutions", p["resolution"].Enum, resolutions)
			if p["model"].Default != task.DefaultModel || int(p["numImages"].Maximum) != images || p["imageUrls"].MaxItems != inputs || p["prompt"].MaxLength != prompt {
				t.Errorf("the limits are not the models': %s", d.InputSchema)
			}
		}
	}
}

func checkSame(t testing.TB, what string, got, want []string) {
	t.Helper()
	slices.Sort(want)
	slices.Sort(got)
	if want = slices.Compact(want); !slices.Equal(got, want) {
		t.Errorf("%s: %q, want %q", what, got, want)
	}
}

// claude-tools.json has the same tools in the form of the Messages API, which
// names the schema differently and has neither titles nor output schemas.
func TestClaudeTools(t *testing.T) {
	tools, err := mcp.Definitions()
	if err != nil {
		t.Fatal(err)
	}
	type tool struct {
		Name        string `json:"name"`
		Description string `json:"description"`
		InputSchema any    `json:"input_schema"`
	}
	var list []tool
	for _, d := range tools {
		if ui, is := d.Meta["ui"].(map[string]any); is && ui["resourceUri"] == nil {
			continue // a page's tool: without a host that shows the page there is none
		}
		list = append(list, tool{d.Name, d.Description, d.InputSchema})
	}
	var want bytes.Buffer
	e := json.NewEncoder(&want)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	if err := e.Encode(list); err != nil {
		t.Fatal(err)
	}
	if *update {
		if err := os.WriteFile("claude-tools.json", want.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	got, err := os.ReadFile("claude-tools.json")
	if err != nil || !bytes.Equal(got, want.Bytes()) {
		t.Errorf("claude-tools.json is not what tools.json says: go test ./functions/mcp -update (%v)", err)
	}
}
