// Package mcp is POST /mcp: Claude's tools, by the Model Context Protocol,
// without sessions and in plain JSON. A tool is a request to our own HTTP API, in
// process, with the caller's own token: what an owner may do, what it costs and
// how it is refused is decided there, and nowhere twice. It also says, at the
// well-known addresses of RFC 9728, who signs users in.
package mcp

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"net/url"
	"slices"
	"strings"

	sdk "github.com/modelcontextprotocol/go-sdk/mcp"

	"github.com/preset/nanobanana-functions/shared/auth"
	"github.com/preset/nanobanana-functions/shared/config"
	"github.com/preset/nanobanana-functions/shared/httpapi"
	"github.com/preset/nanobanana-functions/shared/task"
)

// maxBody is the longest body in bytes, as everywhere in the API.
const maxBody = 256 << 10

// Function is what the endpoint needs.
type Function struct {
	Auth *auth.Verifier // of tokens that were given to the users' clients, too
	// API is our HTTP API: tasks, uploads, credits and images. It must accept
	// whom Auth accepts.
	API  http.Handler
	HTTP *http.Client // fetches thumbnails, by our own links
	// Hosts are the names that requests may come to beside loopback's. Nil is any:
	// a gateway in front hands over what came to its own alone.
	Hosts    []string
	Settings config.Settings
	Log      *slog.Logger
}

// New returns the function's handler.
func New(f Function) http.Handler {
	mux := http.NewServeMux()
	Register(mux.Handle, f)
	return httpapi.Mux(f.Log, mux)
}

// Register adds the function's routes to a mux, whose Handle method is handle.
func Register(handle func(pattern string, h http.Handler), f Function) {
	s := &server{Function: f}
	s.mcp = sdk.NewStreamableHTTPHandler(s.tools(), &sdk.StreamableHTTPOptions{
		Stateless: true, JSONResponse: true, MaxRequestBodyBytes: maxBody, Logger: f.Log,
		DisableLocalhostProtection: true, // guard does that, and knows of tunnels
	})
	handle("POST /mcp", httpapi.Handler(f.Log, s.serve))
	handle("GET /mcp", httpapi.Handler(f.Log, s.serve))    // 405: there is no stream to listen to,
	handle("DELETE /mcp", httpapi.Handler(f.Log, s.serve)) // and no session to end
	handle("GET /.well-known/oauth-protected-resource", httpapi.Handler(f.Log, s.metadata))
	handle("GET /.well-known/oauth-protected-resource/mcp", httpapi.Handler(f.Log, s.metadata))
}

type server struct {
	Function
	mcp http.Handler
}

// calledBy is where a tool finds the HTTP request that it was called by.
type calledBy struct{}

// serve answers one message of the protocol. The SDK hands a tool a context
// without the request's deadline; the request itself has it.
func (s *server) serve(r *http.Request) (httpapi.Answer, error) {
	if err := s.guard(r); err != nil {
		return httpapi.Answer{}, err
	}
	if _, err := s.Auth.Owner(r.Context(), r); errors.Is(err, auth.ErrUnauthorized) {
		return httpapi.Answer{Header: s.challenge(r)}, err
	} else if err != nil {
		return httpapi.Answer{}, err
	}
	a := httpapi.Capture(s.mcp, r.WithContext(context.WithValue(r.Context(), calledBy{}, r)))
	if a.Status >= http.StatusBadRequest && a.Header.Get("Content-Type") != "application/json" {
		header := http.Header{}
		if a.Status == http.StatusMethodNotAllowed {
			header["Allow"] = a.Header["Allow"]
		}
		return httpapi.Answer{Status: a.Status, Header: header}, protocolError(a.Status)
	}
	a.Header.Del("Cache-Control") // the SDK would let it be kept
	return a, nil
}

// protocolError is for what is no message of the protocol. The SDK says in plain
// text, and in terms of its own code, what is wrong with it.
func protocolError(status int) error {
	switch status {
	case http.StatusRequestEntityTooLarge:
		return &task.Error{Code: task.CodeBodyTooLarge}
	case http.StatusUnsupportedMediaType:
		return &task.Error{Code: task.CodeUnsupportedMediaType}
	}
	return task.Malformed(task.Field{Code: "not_mcp", Message: notMCP})
}

var notMCP = "This address takes the Model Context Protocol: a POST of JSON-RPC 2.0 with a method it has, with Accept: application/json, text/event-stream " +
	"and, if any, an MCP-Protocol-Version of " + strings.Join(sdk.SupportedProtocolVersions(), ", ") + "."

// guard refuses what a page of somebody else's makes a browser send: to a machine
// that this browser alone can reach, or under a name that was made to lead there.
// Programs send no Origin.
func (s *server) guard(r *http.Request) error {
	if s.Hosts != nil && !s.local(r.Host) {
		return forbidden("host_not_allowed", "This service does not go by this name.")
	}
	for _, origin := range r.Header.Values("Origin") {
		u, err := url.Parse(origin)
		own := err == nil && (u.Host == r.Host || s.Hosts != nil && s.local(u.Host))
		if !own && !slices.Contains(s.Settings.CORSOrigins, origin) && !slices.Contains(s.Settings.CORSOrigins, "*") {
			return forbidden("origin_not_allowed", "Pages of this origin may not call this service.")
		}
	}
	return nil
}

// local tells whether host, with its port, is this machine or one of Hosts.
func (s *server) local(host string) bool {
	return httpapi.OnLoopback(host) || slices.Contains(s.Hosts, host)
}

func forbidden(code, message string) error {
	return &task.Error{Code: task.CodeForbidden, Fields: []task.Field{{Code: code, Message: message}}}
}

// base is the address that clients know us by.
func (s *server) base(r *http.Request) string {
	if s.Settings.PublicURL != "" {
		return s.Settings.PublicURL
	}
	return "https://" + r.Host
}

// challenge says where to learn how to sign in. The gateway may rename the
// header; clients then look at the well-known addresses by themselves.
func (s *server) challenge(r *http.Request) http.Header {
	header := "Bearer "
	if r.Header.Get("Authorization") != "" {
		header += `error="invalid_token", `
	}
	return http.Header{"Www-Authenticate": {header + `resource_metadata="` + s.base(r) + `/.well-known/oauth-protected-resource/mcp"`}}
}

// metadata is RFC 9728's: who signs in the users of this resource.
func (s *server) metadata(r *http.Request) (httpapi.Answer, error) {
	return httpapi.Answer{
		Header: http.Header{"Cache-Control": {"public, max-age=300"}, "Access-Control-Allow-Origin": {"*"}},
		Body: map[string]any{
			"resource":                 s.base(r) + "/mcp",
			"resource_name":            title,
			"authorization_servers":    []string{s.Settings.AuthIssuer},
			"bearer_methods_supported": []string{"header"},
		},
	}, nil
}
