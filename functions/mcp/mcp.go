// Package mcp is POST /mcp: Claude's tools over the Model Context Protocol,
// without sessions and in plain JSON. Each tool sends a request to our own HTTP
// API, in process and with the caller's token, so the API alone decides what an
// owner may do, what it costs and how it is refused. The well-known addresses of
// RFC 9728 name the identity provider that signs users in.
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
	"github.com/preset/nanobanana-functions/shared/outbound"
	"github.com/preset/nanobanana-functions/shared/task"
)

// maxBody is the longest body in bytes, as everywhere in the API.
const maxBody = 256 << 10

// Function is what the endpoint needs.
type Function struct {
	Auth *auth.Verifier // also accepts tokens that users gave to their clients
	// API is our HTTP API: tasks, uploads, credits and images. It must accept
	// the same callers as Auth.
	API  http.Handler
	HTTP *http.Client // fetches thumbnails by our own links
	// Hosts are the names, besides loopback's, that requests may be sent to. Nil
	// allows any name, for use behind a gateway that only accepts its own names.
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
	s.mcp = sdk.NewStreamableHTTPHandler(s.newServer(), &sdk.StreamableHTTPOptions{
		Stateless: true, JSONResponse: true, MaxRequestBodyBytes: maxBody, Logger: f.Log,
		DisableLocalhostProtection: true, // guard does that, and also allows tunnels
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

// httpRequest is the context key of the HTTP request that a tool was called by.
type httpRequest struct{}

// serve answers one message of the protocol. The context that the SDK passes to a
// tool lacks the request's deadline, so tools use the request itself.
func (s *server) serve(r *http.Request) (httpapi.Answer, error) {
	if err := s.guard(r); err != nil {
		return httpapi.Answer{}, err
	}
	if _, err := s.Auth.Owner(r.Context(), r); errors.Is(err, auth.ErrUnauthorized) {
		return httpapi.Answer{Header: s.challenge(r)}, err
	} else if err != nil {
		return httpapi.Answer{}, err
	}
	a := httpapi.Capture(s.mcp, r.WithContext(context.WithValue(r.Context(), httpRequest{}, r)))
	if a.Status >= http.StatusBadRequest && a.Header.Get("Content-Type") != "application/json" {
		header := http.Header{}
		if a.Status == http.StatusMethodNotAllowed {
			header["Allow"] = a.Header["Allow"]
		}
		return httpapi.Answer{Status: a.Status, Header: header}, protocolError(a.Status)
	}
	a.Header.Del("Cache-Control") // the SDK's would allow caching
	return a, nil
}

// protocolError replaces the SDK's answer to something that is no message of the
// protocol: the SDK answers in plain text and in terms of its own code.
func protocolError(status int) error {
	switch status {
	case http.StatusRequestEntityTooLarge:
		return &task.Error{Code: task.CodeBodyTooLarge}
	case http.StatusUnsupportedMediaType:
		return &task.Error{Code: task.CodeUnsupportedMediaType}
	}
	return task.Malformed(task.Field{Code: "not_mcp", Message: notMCP})
}

var notMCP = "This address speaks the Model Context Protocol: POST a JSON-RPC 2.0 message with a known method, with Accept: application/json, text/event-stream " +
	"and, if you send one, an MCP-Protocol-Version of " + strings.Join(sdk.SupportedProtocolVersions(), ", ") + "."

// guard refuses requests that another site's page makes a browser send, either
// directly to this machine or under a name that resolves to it (DNS rebinding).
// Programs send no Origin.
func (s *server) guard(r *http.Request) error {
	if s.Hosts != nil && !outbound.OnLoopback(r.Host) && !slices.Contains(s.Hosts, r.Host) {
		return forbidden("host_not_allowed", "This service is not reached under this name.")
	}
	for _, origin := range r.Header.Values("Origin") {
		u, err := url.Parse(origin)
		ours := err == nil && (u.Host == r.Host || slices.Contains(s.Hosts, u.Host))
		if !ours && !s.Settings.AllowsOrigin(origin) {
			return forbidden("origin_not_allowed", "Pages of this origin may not call this service.")
		}
	}
	return nil
}

func forbidden(code, message string) error {
	return &task.Error{Code: task.CodeForbidden, Fields: []task.Field{{Code: code, Message: message}}}
}

// baseURL returns the address that clients use for this service.
func (s *server) baseURL(r *http.Request) string {
	return s.Settings.Origin(r.Host)
}

// challenge returns the header that says where to learn how to sign in. The gateway
// may rename it; clients then try the well-known addresses.
func (s *server) challenge(r *http.Request) http.Header {
	header := "Bearer "
	if r.Header.Get("Authorization") != "" {
		header += `error="invalid_token", `
	}
	return http.Header{"Www-Authenticate": {header + `resource_metadata="` + s.baseURL(r) + `/.well-known/oauth-protected-resource/mcp"`}}
}

// metadata is RFC 9728's: it names who signs in this resource's users, the identity
// provider or, in front of it, package oauthproxy.
func (s *server) metadata(r *http.Request) (httpapi.Answer, error) {
	signsIn := s.Settings.AuthIssuer
	if s.Settings.OAuthProxy {
		signsIn = s.baseURL(r)
	}
	return httpapi.Answer{
		Header: http.Header{"Cache-Control": {"public, max-age=300"}, "Access-Control-Allow-Origin": {"*"}},
		Body: map[string]any{
			"resource":                 s.baseURL(r) + "/mcp",
			"resource_name":            title,
			"authorization_servers":    []string{signsIn},
			"bearer_methods_supported": []string{"header"},
		},
	}, nil
}
