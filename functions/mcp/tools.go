package mcp

import (
	"bytes"
	"embed"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"

	sdk "github.com/modelcontextprotocol/go-sdk/mcp"
)

// served is a tool: what does it, and what clients are told about its effects.
type served struct {
	name  string
	title string // for people
	do    tool

	readOnly    bool // it changes nothing
	destructive bool // it changes or deletes what is there; adding is neither
	idempotent  bool // the same call again changes nothing more
	openWorld   bool // it reaches a service outside Preset

	page    bool // its results are shown by the page
	forPage bool // the page calls it; hosts hide it from the model
}

// tools has every tool. Its order is that of tools.json.
var tools = []served{
	{name: "generate_image", title: "Make or edit a picture", do: call.generate, idempotent: true, openWorld: true, page: true}, // by requestKey
	{name: "get_image", title: "Get a picture", do: call.image, readOnly: true, idempotent: true, page: true},
	{name: "list_images", title: "List pictures", do: call.list, readOnly: true, idempotent: true},
	{name: "get_credits", title: "Read credits and quota", do: call.credits, readOnly: true, idempotent: true},
	{name: "upload_image", title: "Upload a picture", do: call.upload},
	{name: "quote_image", title: "Price a picture", do: call.quote, readOnly: true, idempotent: true},
	{name: "move_image", title: "Move a picture", do: call.move, destructive: true, idempotent: true},
	{name: "delete_image", title: "Delete a picture", do: call.delete, destructive: true, idempotent: true},
	{name: "watch_image", title: "Watch a picture", do: call.watch, readOnly: true, idempotent: true, forPage: true},
}

// annotations returns the tool's effects as the protocol has them. Each is stated,
// also where it is the protocol's default: the directory's check reads them from
// here, the title included.
func (s served) annotations() *sdk.ToolAnnotations {
	return &sdk.ToolAnnotations{
		Title: s.title, ReadOnlyHint: s.readOnly, DestructiveHint: &s.destructive, IdempotentHint: s.idempotent, OpenWorldHint: &s.openWorld,
	}
}

// meta returns what hosts of the MCP Apps extension need to know about the tool.
// Some read the page's address only where the extension's first drafts had it.
func (s served) meta() sdk.Meta {
	switch {
	case s.page:
		return sdk.Meta{"ui": map[string]any{"resourceUri": pageURI}, "ui/resourceUri": pageURI}
	case s.forPage:
		return sdk.Meta{"ui": map[string]any{"visibility": []string{"app"}}}
	}
	return nil
}

// definitions are the tools' names, descriptions and schemas as clients see them:
// tools.json, in which each "TASK" is replaced by task.json, and so on.
//
//go:embed tools.json order.json task.json target.json quota.json
var definitions embed.FS

// parts are the replaced names. Those later in the list may stand in earlier ones.
var parts = []string{"order", "task", "target", "quota"}

// Definitions returns the tools as clients see them. Callers must not change them.
func Definitions() ([]*sdk.Tool, error) { return readDefinitions() }

var readDefinitions = sync.OnceValues(func() (list []*sdk.Tool, _ error) {
	var read []struct {
		sdk.Tool
		InputSchema  json.RawMessage `json:"inputSchema"` // passed through, not parsed
		OutputSchema json.RawMessage `json:"outputSchema"`
	}
	whole, err := wholeDefinitions()
	if err == nil {
		err = json.Unmarshal(whole, &read)
	}
	if err != nil {
		return nil, fmt.Errorf("tools.json: %w", err)
	}
	for i := range read {
		t := &read[i].Tool
		at := slices.IndexFunc(tools, func(s served) bool { return s.name == t.Name })
		if at < 0 {
			return nil, fmt.Errorf("tools.json: %s is not in the table of tools", t.Name)
		}
		t.InputSchema, t.OutputSchema = read[i].InputSchema, read[i].OutputSchema
		t.Title, t.Annotations, t.Meta = tools[at].title, tools[at].annotations(), tools[at].meta()
		list = append(list, t)
	}
	return list, nil
})

func wholeDefinitions() ([]byte, error) {
	whole, err := definitions.ReadFile("tools.json")
	for _, name := range parts {
		part, missing := definitions.ReadFile(name + ".json")
		whole, err = bytes.ReplaceAll(whole, []byte(`"`+strings.ToUpper(name)+`"`), part), errors.Join(err, missing)
	}
	return whole, err
}
