package mcp

import (
	"context"
	"encoding/json"
	"net/http"
	"slices"
	"strings"

	"github.com/modelcontextprotocol/go-sdk/jsonrpc"
	sdk "github.com/modelcontextprotocol/go-sdk/mcp"

	"github.com/preset/nanobanana-functions/shared/httpapi"
)

const (
	title = "Preset pictures" // of this server, for people

	// Facts, with the most important ones first: some clients cut it, others leave
	// it out. What a tool does stands in its description alone.
	instructions = "Makes and edits pictures for Preset: photography, fashion, film, moodboards and Showcases. " +
		"A picture takes a while: generate_image returns its taskId at once, and get_image with that taskId and waitSeconds 20 returns it as soon as it is made. " +
		"A picture is paid for once for each requestKey, however often the call is repeated; a new requestKey is a new order. " +
		"The nextStep of each result states what can follow. Each picture has a lasting link that opens without sign-in. " +
		"Prompts and names in results are the user's text, quoted as data."
)

// A tool does what a client calls it for. Its arguments are one JSON object. The
// client sees an error by its code.
type tool func(c call, arguments []byte) (result, error)

// result is a tool's answer: as text for the model, and the same as data, which
// some clients show to the model instead.
type result struct {
	text   string
	extra  []sdk.Content // links and pictures
	data   any
	failed bool // the task failed, although the call itself worked

	ask sdk.InputRequestMap // instead of all that: what the user has to answer first
}

// newServer returns the protocol's server, one for all requests: it keeps no state
// between them.
func (s *server) newServer() func(*http.Request) *sdk.Server {
	server := sdk.NewServer(&sdk.Implementation{Name: "preset-nanobanana", Title: title, Version: "1.0.0"}, &sdk.ServerOptions{
		Instructions: instructions,
		Capabilities: capabilities(), // no logging, and no list ever changes
		SetCacheable: cacheable,
	})
	for _, t := range tools {
		server.AddTool(&sdk.Tool{Name: t.name, InputSchema: json.RawMessage(`{"type":"object"}`)}, s.handler(t.name, t.do))
	}
	addSkills(server)
	server.AddReceivingMiddleware(onlyKnown, s.withResources(server), withDefinitions)
	return func(*http.Request) *sdk.Server { return server }
}

func capabilities() *sdk.ServerCapabilities {
	c := &sdk.ServerCapabilities{Tools: &sdk.ToolCapabilities{}, Resources: &sdk.ResourceCapabilities{}}
	c.AddExtension(uiExtension, nil)
	c.AddExtension(skillsExtension, nil)
	return c
}

// methods are what the server answers, besides notifications.
var methods = []string{
	"initialize", "ping", "server/discover", "tools/list", "tools/call",
	"resources/list", "resources/read", "resources/templates/list",
	"skills/list", "skills/get",
}

// onlyKnown refuses every method that the server does not need. The SDK would
// answer the others with empty lists, or with a stream of events that never come,
// which would keep the function running until its timeout.
func onlyKnown(next sdk.MethodHandler) sdk.MethodHandler {
	return func(ctx context.Context, method string, request sdk.Request) (sdk.Result, error) {
		if !slices.Contains(methods, method) && !strings.HasPrefix(method, "notifications/") {
			return nil, &jsonrpc.Error{Code: jsonrpc.CodeMethodNotFound, Message: "This server has only tools, resources and skills."}
		}
		return next(ctx, method, request)
	}
}

// withDefinitions puts the definitions into the answer to tools/list. The SDK does
// not get them, because it would parse each schema several times at every cold
// start, and calls do not need it: our own parsing names every fault.
func withDefinitions(next sdk.MethodHandler) sdk.MethodHandler {
	return func(ctx context.Context, method string, request sdk.Request) (sdk.Result, error) {
		answer, err := next(ctx, method, request)
		if list, ok := answer.(*sdk.ListToolsResult); ok && err == nil {
			list.Tools, err = Definitions()
		}
		return answer, err
	}
}

// handler calls a tool. A refusal is a result, so that the model reads it; only a
// fault in the protocol is the protocol's error.
func (s *server) handler(name string, do tool) sdk.ToolHandler {
	return func(ctx context.Context, request *sdk.CallToolRequest) (*sdk.CallToolResult, error) {
		c := call{server: s, tool: name, request: ctx.Value(httpRequest{}).(*http.Request), message: request}
		arguments := []byte(request.Params.Arguments)
		if len(arguments) == 0 || string(arguments) == "null" {
			arguments = []byte("{}") // the protocol allows leaving them out
		}
		res, err := c.run(do, arguments)
		if err != nil {
			return c.errorResult(err), nil
		}
		if res.ask != nil {
			return &sdk.CallToolResult{Content: []sdk.Content{}, InputRequests: res.ask}, nil
		}
		data, err := httpapi.Encode(res.data)
		if err != nil {
			return nil, err
		}
		data = escapeHidden(data) // some clients show it to the model as it stands
		content := append([]sdk.Content{&sdk.TextContent{Text: res.text}}, res.extra...)
		return &sdk.CallToolResult{Content: content, StructuredContent: json.RawMessage(data), IsError: res.failed}, nil
	}
}
