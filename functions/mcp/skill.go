package mcp

import (
	"context"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"errors"
	"io/fs"
	"strings"
	"sync"

	"github.com/modelcontextprotocol/go-sdk/jsonrpc"
	sdk "github.com/modelcontextprotocol/go-sdk/mcp"
)

const (
	skillsExtension = "io.modelcontextprotocol/skills" // SEP-2640

	skillURI  = "skill://preset-images/"
	skillMain = skillURI + "SKILL.md"
)

// skill is the folder of the skill. It is also what people install by hand.
//
//go:embed skill/preset-images
var skill embed.FS

// skillFiles returns the skill's files as resources, SKILL.md first.
func skillFiles() (files []resource) {
	folder, err := fs.Sub(skill, "skill/preset-images")
	if err != nil {
		panic(err) // the path is ours, and valid
	}
	_ = fs.WalkDir(folder, ".", func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		content, err := fs.ReadFile(folder, path)
		text := string(content)
		files = append(files, resource{uri: skillURI + path, name: entry.Name(), title: heading(text), mimeType: "text/markdown", text: text})
		return err // never one: the folder is in the binary
	})
	main := &files[0] // capitals come first
	matter := frontmatter(main.text)
	main.name, main.description = matter["name"], matter["description"]
	return files
}

// heading returns the first heading of a text in Markdown.
func heading(text string) string {
	for line := range strings.SplitSeq(text, "\n") {
		if title, ok := strings.CutPrefix(line, "# "); ok {
			return title
		}
	}
	return ""
}

// frontmatter returns the fields at the beginning of SKILL.md. They are written so
// that they need no YAML parser, which a test holds: each is one line, and plain text.
func frontmatter(text string) map[string]string {
	fields := map[string]string{}
	block, _, _ := strings.Cut(strings.TrimPrefix(text, "---\n"), "\n---\n")
	for line := range strings.SplitSeq(block, "\n") {
		key, value, _ := strings.Cut(line, ": ")
		fields[key] = value
	}
	return fields
}

// skillEntry is a skill as the extension's methods show it: its frontmatter as it
// stands there, and all its files with their digests.
type skillEntry struct {
	URI         string            `json:"uri"`
	Frontmatter map[string]string `json:"frontmatter"`
	Resources   []skillFile       `json:"resources"`
}

type skillFile struct {
	URI    string `json:"uri"`
	Digest string `json:"digest"`
	Size   int    `json:"size"`
}

// entry is the one skill. Its digests are computed when a client first asks.
var entry = sync.OnceValue(func() skillEntry {
	e := skillEntry{URI: skillMain}
	for _, r := range resources() {
		if !strings.HasPrefix(r.uri, skillURI) {
			continue
		}
		if r.uri == skillMain {
			e.Frontmatter = frontmatter(r.text)
		}
		sum := sha256.Sum256([]byte(r.text))
		e.Resources = append(e.Resources, skillFile{URI: r.uri, Digest: "sha256:" + hex.EncodeToString(sum[:]), Size: len(r.text)})
	}
	return e
})

// skillsAnswer is what both methods' results have in common.
type skillsAnswer struct {
	sdk.ResultBase
	sdk.Cacheable
	ResultType string `json:"resultType"`
}

func newSkillsAnswer() skillsAnswer {
	return skillsAnswer{Cacheable: sdk.Cacheable{TTLMs: freshFor, CacheScope: "public"}, ResultType: "complete"}
}

type listSkillsParams struct {
	sdk.ParamsBase
	Cursor string `json:"cursor"`
}

type listSkillsResult struct {
	skillsAnswer
	Skills []skillEntry `json:"skills"`
}

// listSkills answers skills/list. There is one page.
func listSkills(_ context.Context, _ *sdk.ServerSession, p *listSkillsParams) (*listSkillsResult, error) {
	if p != nil && p.Cursor != "" {
		return nil, &jsonrpc.Error{Code: jsonrpc.CodeInvalidParams, Message: "There is no such page: leave out the cursor."}
	}
	return &listSkillsResult{newSkillsAnswer(), []skillEntry{entry()}}, nil
}

type getSkillParams struct {
	sdk.ParamsBase
	URI string `json:"uri"`
}

type getSkillResult struct {
	skillsAnswer
	Skill skillEntry `json:"skill"`
}

// getSkill answers skills/get.
func getSkill(_ context.Context, _ *sdk.ServerSession, p *getSkillParams) (*getSkillResult, error) {
	if p == nil || p.URI != skillMain {
		return nil, &jsonrpc.Error{Code: jsonrpc.CodeInvalidParams, Message: "There is no such skill. skills/list has all."}
	}
	return &getSkillResult{newSkillsAnswer(), entry()}, nil
}

// addSkills adds the extension's methods, which the SDK does not know.
func addSkills(server *sdk.Server) {
	err := errors.Join(
		sdk.AddReceivingCustomMethod(server, "skills/list", listSkills),
		sdk.AddReceivingCustomMethod(server, "skills/get", getSkill),
	)
	if err != nil {
		panic(err) // the SDK has a method of this name now
	}
}
