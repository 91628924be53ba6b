package mcp_test

import (
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"io/fs"
	"net/http"
	"os"
	"slices"
	"strings"
	"testing"

	"go.yaml.in/yaml/v4"

	"github.com/preset/nanobanana-functions/functions/mcp"
	"github.com/preset/nanobanana-functions/shared/httpapi/httpapitest"
)

// skillFolder is the skill as it is installed by hand.
const skillFolder = "skill/preset-images"

const skillMain = "skill://preset-images/SKILL.md"

// skillTexts returns the skill's files by their URIs, read from the folder.
func skillTexts(t testing.TB) map[string]string {
	t.Helper()
	folder, texts := os.DirFS(skillFolder), map[string]string{}
	err := fs.WalkDir(folder, ".", func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		content, err := fs.ReadFile(folder, path)
		texts["skill://preset-images/"+path] = string(content)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return texts
}

// ask sends a request of a protocol version and returns its result or its error.
func (h *harness) ask(version, method, params string) (httpapitest.Answer, json.RawMessage, int) {
	h.t.Helper()
	body := `{"jsonrpc":"2.0","id":1,"method":"` + method + `","params":` + params + `}`
	header := []string{"MCP-Protocol-Version", version}
	if version >= "2026" {
		body = strings.Replace(body, `"params":{`, `"params":{"_meta":{"io.modelcontextprotocol/protocolVersion":"`+version+`","io.modelcontextprotocol/clientCapabilities":{}},`, 1)
		body = strings.Replace(body, ",}", "}", 1)
		var p struct{ URI string }
		_ = json.Unmarshal([]byte(params), &p)
		header = append(header, "Mcp-Method", method, "Mcp-Name", p.URI)
	}
	got := h.post(body, header...)
	var answer struct {
		Result json.RawMessage
		Error  struct{ Code int }
	}
	if err := json.Unmarshal([]byte(got.Body), &answer); err != nil {
		h.t.Fatalf("%s: %d %s", method, got.Status, got.Body)
	}
	return got, answer.Result, answer.Error.Code
}

var eras = []string{"2025-06-18", "2025-11-25", "2026-07-28"}

type wireSkill struct {
	URI         string
	Frontmatter map[string]any
	Resources   []struct {
		URI, Digest string
		Size        int
	}
}

// Both methods describe the skill completely: its frontmatter as YAML has it, and
// each file of the folder, once, as it is read.
func TestSkill(t *testing.T) {
	h, texts := newHarness(t), skillTexts(t)
	_, block, _ := strings.Cut(texts[skillMain], "---\n")
	block, _, _ = strings.Cut(block, "\n---\n")
	var matter map[string]any
	if err := yaml.Unmarshal([]byte(block), &matter); err != nil {
		t.Fatal(err)
	}
	for _, era := range eras {
		_, list, _ := h.ask(era, "skills/list", `{}`)
		_, one, _ := h.ask(era, "skills/get", `{"uri":"`+skillMain+`"}`)
		listed := read[struct {
			ResultType, CacheScope string
			TTLMs                  int
			Skills                 []wireSkill
		}](t, list)
		got := read[struct {
			ResultType, CacheScope string
			TTLMs                  int
			Skill                  wireSkill
		}](t, one)
		if listed.ResultType != "complete" || listed.CacheScope != "public" || listed.TTLMs <= 0 || len(listed.Skills) != 1 {
			t.Fatalf("%s: skills/list is %s", era, list)
		}
		if got.ResultType != "complete" || got.CacheScope != "public" || got.TTLMs <= 0 || fmt.Sprint(got.Skill) != fmt.Sprint(listed.Skills[0]) {
			t.Errorf("%s: skills/get is %s", era, one)
		}
		if got.Skill.URI != skillMain || fmt.Sprint(got.Skill.Frontmatter) != fmt.Sprint(matter) {
			t.Errorf("%s: the entry is %s, the frontmatter %v", era, one, matter)
		}
		if len(got.Skill.Resources) != len(texts) {
			t.Errorf("%s: %d files are listed, of %d", era, len(got.Skill.Resources), len(texts))
		}
		for _, r := range got.Skill.Resources {
			_, result, _ := h.ask(era, "resources/read", `{"uri":"`+r.URI+`"}`)
			contents := read[struct {
				Contents []struct{ URI, MIMEType, Text string }
			}](t, result).Contents
			if len(contents) != 1 || contents[0].URI != r.URI || contents[0].MIMEType != "text/markdown" || contents[0].Text != texts[r.URI] || texts[r.URI] == "" {
				t.Errorf("%s: %s is read as %.200s", era, r.URI, result)
			}
			if digest := fmt.Sprintf("sha256:%x", sha256.Sum256([]byte(texts[r.URI]))); r.Digest != digest || r.Size != len(texts[r.URI]) {
				t.Errorf("%s: %s has %s and %d bytes, listed with %s and %d", era, r.URI, digest, len(texts[r.URI]), r.Digest, r.Size)
			}
		}
	}
}

// To a client without the extension, the skill's files are ordinary resources.
func TestResources(t *testing.T) {
	h, texts := newHarness(t), skillTexts(t)
	for _, era := range eras {
		_, result, _ := h.ask(era, "resources/list", `{}`)
		list := read[struct {
			Resources []struct {
				URI, Name, Title, Description, MIMEType string
				Size                                    int
			}
		}](t, result)
		var uris []string
		for _, r := range list.Resources {
			if uris = append(uris, r.URI); strings.HasPrefix(r.URI, "skill:") && (r.Size != len(texts[r.URI]) || r.MIMEType != "text/markdown" || r.Name == "" || r.Title == "") {
				t.Errorf("%s: %+v", era, r)
			}
			if r.URI == skillMain && (r.Name != "preset-images" || r.Description == "") {
				t.Errorf("%s: %+v", era, r)
			}
		}
		for uri := range texts {
			if !slices.Contains(uris, uri) {
				t.Errorf("%s: %s is not listed", era, uri)
			}
		}
		if _, templates, _ := h.ask(era, "resources/templates/list", `{}`); !strings.Contains(string(templates), `"resourceTemplates":[]`) {
			t.Errorf("%s: the templates are %s", era, templates)
		}
	}
}

// What is not there is refused by the protocol's error, which repeats nothing of the
// request.
func TestUnknownResource(t *testing.T) {
	h := newHarness(t)
	const invalidParams = -32602
	for _, era := range eras {
		for _, tt := range []struct{ method, params string }{
			{"resources/read", `{"uri":"skill://preset-images/references/none.md"}`},
			{"resources/read", `{"uri":"skill://preset-images"}`},
			{"resources/read", `{"uri":"skill://preset-images/../preset-images/SKILL.md"}`},
			{"resources/read", `{"uri":"file:///etc/passwd"}`},
			{"resources/read", `{"uri":"none\u0007"}`},
			{"skills/get", `{"uri":"skill://preset-images/references/prompting.md"}`},
			{"skills/get", `{"uri":"none"}`},
			{"skills/get", `{"uri":5}`},
			{"skills/get", `{}`},
			{"skills/list", `{"cursor":"none"}`},
		} {
			if era >= "2026" && strings.Contains(tt.params, `\u`) {
				continue // its header would not be HTTP
			}
			got, result, code := h.ask(era, tt.method, tt.params)
			if got.Status >= 500 || code != invalidParams || result != nil || strings.Contains(got.Body, "none") || strings.Contains(got.Body, "passwd") {
				t.Errorf("%s of %s %s: %d %s", era, tt.method, tt.params, got.Status, got.Body)
			}
		}
	}
	if log := h.Logged.Take(); strings.Contains(log, `"level":"ERROR"`) {
		t.Errorf("an error was logged: %s", log)
	}
}

// The first requests of a process, at once, all find every resource.
func TestFirstResources(t *testing.T) {
	h := newHarness(t)
	server, list := mcp.New(h.function), `{"jsonrpc":"2.0","id":1,"method":"resources/list"}`
	want := len(skillTexts(t)) + 1 // with the page
	t.Run("at once", func(t *testing.T) {
		for range 20 {
			t.Run("", func(t *testing.T) {
				t.Parallel()
				r := httpapitest.NewRequest(t, http.MethodPost, h.Settings.PublicURL+"/mcp", strings.NewReader(list),
					"Authorization", "Bearer "+h.token, "Content-Type", "application/json", "Accept", "application/json, text/event-stream")
				var answer struct{ Result struct{ Resources []any } }
				h.contract.Serve(t, server, r).JSON(t, http.StatusOK, &answer)
				if len(answer.Result.Resources) != want {
					t.Errorf("%d resources, want %d", len(answer.Result.Resources), want)
				}
			})
		}
	})
}
