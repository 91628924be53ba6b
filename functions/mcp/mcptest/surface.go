// Package mcptest holds what a client of the protocol is told about a server's tools
// against the published rules for software in Claude's directory.
package mcptest

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// Surface is everything that a server tells a client, and so a model, before any tool
// is called. Skills are left out: they exist to say how something is done.
type Surface struct {
	Tools []Tool
	Texts []Text
}

// Tool is a tool's definition. A nil hint is one that the server leaves to the
// protocol's default.
type Tool struct {
	Name, Description         string
	InputSchema, OutputSchema any
	Annotations               struct {
		Title                                                        string
		ReadOnlyHint, DestructiveHint, IdempotentHint, OpenWorldHint *bool
	}
}

// Text is a text for the model, and where it stands.
type Text struct {
	Where string
	Kind  Kind
	Text  string
}

// Kind is what a text describes.
type Kind int

const (
	OfServer Kind = iota // its instructions
	OfTool               // a tool's description
	OfField              // a description within a tool's schema
	OfOther              // a prompt's or a resource's description
	OfTitle              // a name for people
)

// Read reads a server's surface. Call sends a request and decodes its result; it
// reports whether the server has the method.
func Read(call func(method, params string, result any) (bool, error)) (Surface, error) {
	var s Surface
	for method, params := range map[string]string{
		"initialize":      `{"protocolVersion":"2025-11-25","capabilities":{},"clientInfo":{"name":"rules","version":"1"}}`,
		"server/discover": `{"_meta":{"io.modelcontextprotocol/protocolVersion":"` + modern + `","io.modelcontextprotocol/clientCapabilities":{}}}`,
	} {
		var a struct {
			Instructions string
			ServerInfo   struct{ Title string }
		}
		if known, err := call(method, params, &a); err != nil {
			return s, err
		} else if known {
			s.Texts = append(s.Texts, Text{method + ": instructions", OfServer, a.Instructions}, Text{method + ": title", OfTitle, a.ServerInfo.Title})
		}
	}
	var list struct{ Tools []Tool }
	if known, err := call("tools/list", `{}`, &list); err != nil || !known || len(list.Tools) == 0 {
		return s, fmt.Errorf("no tools are listed: %v, %w", known, err)
	}
	s.Tools = list.Tools
	for _, t := range s.Tools {
		s.Texts = append(s.Texts, Text{t.Name, OfTool, t.Description}, Text{t.Name + ": title", OfTitle, t.Annotations.Title})
		s.addDescriptions(t.Name+": input", t.InputSchema, OfField)
		s.addDescriptions(t.Name+": output", t.OutputSchema, OfField)
	}
	for _, method := range []string{"prompts/list", "resources/list", "resources/templates/list"} {
		var listed map[string]any
		if known, err := call(method, `{}`, &listed); err != nil {
			return s, err
		} else if known {
			s.addDescriptions(method, listed, OfOther)
		}
	}
	return s, nil
}

// addDescriptions adds each description within v, and outside of schemas each title
// and name as well. It leaves out skills.
func (s *Surface) addDescriptions(where string, v any, kind Kind) {
	switch v := v.(type) {
	case []any:
		for i, of := range v {
			s.addDescriptions(fmt.Sprintf("%s/%d", where, i), of, kind)
		}
	case map[string]any:
		if uri, _ := v["uri"].(string); strings.HasPrefix(uri, "skill://") {
			return
		}
		for _, key := range slices.Sorted(maps.Keys(v)) {
			text, is := v[key].(string)
			switch {
			case is && key == "description":
				s.Texts = append(s.Texts, Text{where, kind, text})
			case is && kind == OfOther && (key == "title" || key == "name"):
				s.Texts = append(s.Texts, Text{where + "/" + key, OfTitle, text})
			case !is:
				s.addDescriptions(where+"/"+key, v[key], kind)
			}
		}
	}
}

// modern is the version of the protocol whose clients discover a server instead of
// initializing it.
const modern = "2026-07-28"

// Header returns the headers of a request of a method, as names and values.
func Header(method string) []string {
	if method != "server/discover" {
		return nil
	}
	return []string{"MCP-Protocol-Version", modern, "Mcp-Method", method}
}

// ReadJSON decodes the answer to a request as Read's call does it.
func ReadJSON(body []byte, result any) (bool, error) {
	var answer struct {
		Result json.RawMessage
		Error  *struct{ Message string }
		Code   string // of our own refusal of something that is not the protocol's
	}
	if err := json.Unmarshal(body, &answer); err != nil {
		return false, fmt.Errorf("%w: %.200s", err, body)
	}
	if answer.Result == nil {
		return false, nil
	}
	return true, json.Unmarshal(answer.Result, result)
}
