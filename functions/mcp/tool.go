package mcp

import (
	"bytes"
	"context"
	_ "embed"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"sync"

	"github.com/modelcontextprotocol/go-sdk/jsonrpc"
	sdk "github.com/modelcontextprotocol/go-sdk/mcp"

	"github.com/preset/nanobanana-functions/shared/httpapi"
)

const (
	title = "Preset pictures" // of this server, for people

	instructions = "Makes and edits pictures for Preset. generate_image answers at once; then get_image with waitSeconds 20, at most three times. " +
		"Give the user each picture's link. Never call generate_image twice for one wish, but with the same requestKey, or when the user, asked first, wants it."
)

// definitions are the tools as clients see them: names, descriptions, schemas.
// TASK in it stands for the schema of a task.
//
//go:embed tools.json
var definitions []byte

//go:embed task.json
var taskSchema []byte

// Definitions gives the tools as clients see them, to be read alone.
func Definitions() ([]*sdk.Tool, error) { return readDefinitions() }

var readDefinitions = sync.OnceValues(func() (tools []*sdk.Tool, _ error) {
	var read []struct {
		sdk.Tool
		InputSchema  json.RawMessage `json:"inputSchema"` // which pass through, unread
		OutputSchema json.RawMessage `json:"outputSchema"`
	}
	if err := json.Unmarshal(bytes.ReplaceAll(definitions, []byte(`"TASK"`), taskSchema), &read); err != nil {
		return nil, fmt.Errorf("tools.json: %w", err)
	}
	for i := range read {
		t := &read[i].Tool
		t.InputSchema, t.OutputSchema = read[i].InputSchema, read[i].OutputSchema
		tools = append(tools, t)
	}
	return tools, nil
})

// A tool does what a client calls it for. Its arguments are to be one JSON object.
// An error is shown to the client by its code.
type tool func(c call, arguments []byte) (result, error)

// result is what a tool has to say: in words for the model, and the same as data,
// which some clients show it instead.
type result struct {
	text   string
	extra  []sdk.Content // links and pictures
	data   any
	failed bool // it is no success, though nothing went wrong in asking
}

// tools gives the protocol's server, which is one for all requests: it keeps
// nothing between them.
func (s *server) tools() func(*http.Request) *sdk.Server {
	server := sdk.NewServer(&sdk.Implementation{Name: "preset-nanobanana", Title: title, Version: "1.0.0"}, &sdk.ServerOptions{
		Instructions: instructions,
		Capabilities: &sdk.ServerCapabilities{Tools: &sdk.ToolCapabilities{}}, // no logging, and the list never changes
	})
	for name, do := range map[string]tool{
		"generate_image": call.generate, "get_image": call.image, "list_images": call.list,
		"get_credits": call.credits, "upload_image": call.upload,
	} {
		server.AddTool(&sdk.Tool{Name: name, InputSchema: json.RawMessage(`{"type":"object"}`)}, s.handler(name, do))
	}
	server.AddReceivingMiddleware(only, defined)
	return func(*http.Request) *sdk.Server { return server }
}

// only lets pass what a server of tools has. For the rest the SDK has answers of
// its own: empty lists, and a stream of news that never come, which would keep a
// function running until its time is up.
func only(next sdk.MethodHandler) sdk.MethodHandler {
	return func(ctx context.Context, method string, request sdk.Request) (sdk.Result, error) {
		switch method {
		case "initialize", "ping", "server/discover", "tools/list", "tools/call":
		default:
			if !strings.HasPrefix(method, "notifications/") {
				return nil, &jsonrpc.Error{Code: jsonrpc.CodeMethodNotFound, Message: "There are tools here, and nothing else."}
			}
		}
		return next(ctx, method, request)
	}
}

// defined puts the definitions into the answer to tools/list. The SDK is not given
// them, since it would read each schema several times at every start, and a call
// has no use for it: arguments are parsed in our own way, which names every fault.
func defined(next sdk.MethodHandler) sdk.MethodHandler {
	return func(ctx context.Context, method string, request sdk.Request) (sdk.Result, error) {
		answer, err := next(ctx, method, request)
		if list, ok := answer.(*sdk.ListToolsResult); ok && err == nil {
			list.Tools, err = Definitions()
		}
		return answer, err
	}
}

// handler calls a tool. What it refuses is a result, since a model is to read
// and to mind it; only what is wrong with the protocol is the protocol's error.
func (s *server) handler(name string, do tool) sdk.ToolHandler {
	return func(ctx context.Context, request *sdk.CallToolRequest) (*sdk.CallToolResult, error) {
		c := call{server: s, tool: name, request: ctx.Value(calledBy{}).(*http.Request)}
		arguments := []byte(request.Params.Arguments)
		if len(arguments) == 0 || string(arguments) == "null" {
			arguments = []byte("{}") // the protocol lets them be left out
		}
		res, err := c.run(do, arguments)
		if err != nil {
			return c.refused(err), nil
		}
		data, err := httpapi.Encode(res.data)
		if err != nil {
			return nil, err
		}
		content := append([]sdk.Content{&sdk.TextContent{Text: res.text}}, res.extra...)
		return &sdk.CallToolResult{Content: content, StructuredContent: json.RawMessage(data), IsError: res.failed}, nil
	}
}
