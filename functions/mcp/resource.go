package mcp

import (
	"context"
	_ "embed"
	"net/http"
	"slices"
	"strings"
	"sync"

	"github.com/modelcontextprotocol/go-sdk/jsonrpc"
	sdk "github.com/modelcontextprotocol/go-sdk/mcp"
)

const (
	uiExtension = "io.modelcontextprotocol/ui" // MCP Apps

	pageURI  = "ui://preset/image.html"
	pageType = "text/html;profile=mcp-app"
)

// page shows a picture in the chat. local/mcp/app makes it.
//
//go:embed app/image.html
var page string

// resource is a text that clients read by its URI.
type resource struct {
	uri, name, title, description, mimeType string

	text string
	// ui returns what a host must know before it shows the text; nil for a text that
	// is no page. base is the address that clients use for this service.
	ui func(base string) map[string]any
}

// resources returns every resource.
var resources = sync.OnceValue(func() []resource {
	return append(skillFiles(),
		resource{uri: pageURI, name: pageURI, title: "Picture", description: "Shows a picture while it is being made, and then the picture.", mimeType: pageType, text: page, ui: pageUI})
})

// freshFor is how long a client may keep what it has listed or read, in
// milliseconds. It is the same for everybody and changes only with a release.
const freshFor = 5 * 60 * 1000

func cacheable(_ context.Context, _ sdk.Request, c *sdk.Cacheable) { c.TTLMs = freshFor }

// pageUI allows the page to load from our own address alone. The page loads nothing;
// hosts have shown pages without any policy as blank.
func pageUI(base string) map[string]any {
	ours := []string{base}
	return map[string]any{"csp": map[string]any{"connectDomains": ours, "resourceDomains": ours}, "prefersBorder": true}
}

func (r resource) listed() *sdk.Resource {
	return &sdk.Resource{URI: r.uri, Name: r.name, Title: r.title, Description: r.description, MIMEType: r.mimeType, Size: int64(len(r.text))}
}

// read answers resources/read.
func (s *server) read(r resource) sdk.ResourceHandler {
	return func(ctx context.Context, _ *sdk.ReadResourceRequest) (*sdk.ReadResourceResult, error) {
		contents := &sdk.ResourceContents{URI: r.uri, MIMEType: r.mimeType, Text: r.text}
		if r.ui != nil {
			contents.Meta = sdk.Meta{"ui": r.ui(s.baseURL(ctx.Value(httpRequest{}).(*http.Request)))}
		}
		return &sdk.ReadResourceResult{Contents: []*sdk.ResourceContents{contents}}, nil
	}
}

// withResources adds the resources to the server when a client first asks for any, since
// a cold start without them needs to read none. It refuses to read what is not there:
// the SDK's own refusal repeats the URI in a form that is not JSON if it has control
// characters.
func (s *server) withResources(server *sdk.Server) sdk.Middleware {
	add := sync.OnceFunc(func() {
		for _, r := range resources() {
			server.AddResource(r.listed(), s.read(r))
		}
	})
	return func(next sdk.MethodHandler) sdk.MethodHandler {
		return func(ctx context.Context, method string, request sdk.Request) (sdk.Result, error) {
			if strings.HasPrefix(method, "resources/") {
				add()
			}
			if read, ok := request.(*sdk.ReadResourceRequest); ok &&
				!slices.ContainsFunc(resources(), func(r resource) bool { return r.uri == read.Params.URI }) {
				return nil, &jsonrpc.Error{Code: jsonrpc.CodeInvalidParams, Message: "There is no such resource. resources/list has all."}
			}
			return next(ctx, method, request)
		}
	}
}
