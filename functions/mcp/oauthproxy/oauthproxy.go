// Package oauthproxy is a thin OAuth authorization server before the identity
// provider's own, for clients of the Model Context Protocol that cannot use that one
// as it is. It is off unless OAUTH_PROXY is set. Users sign in at the provider; only a
// client's registration and its exchange of a code or a refresh token pass through
// here, each as one request to AUTH_ISSUER and nowhere else. Nothing is stored, and no
// body or query is logged. Answers come back as they are, with two exceptions: a token's
// 201 becomes 200, and a registration's secret gets the method that is missing.
package oauthproxy

import (
	"bytes"
	"cmp"
	"context"
	"io"
	"log/slog"
	"maps"
	"mime"
	"net/http"
	"strings"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
	"golang.org/x/time/rate"

	"github.com/preset/nanobanana-functions/shared/config"
	"github.com/preset/nanobanana-functions/shared/httpapi"
	"github.com/preset/nanobanana-functions/shared/outbound"
)

const (
	maxBody   = 16 << 10 // of a request, in bytes
	maxAnswer = 64 << 10 // of the provider's answer
	patience  = 10 * time.Second

	// Registrations that one process passes on: so many at once, then one in each interval.
	registerBurst    = 10
	registerInterval = 2 * time.Second
)

// The provider's addresses, below AUTH_ISSUER.
const (
	authorizePath = "/oauth/authorize"
	tokenPath     = "/oauth/token"
	registerPath  = "/oauth/clients/register"
)

// Function is what the proxy needs.
type Function struct {
	HTTP     *http.Client // follows no redirect
	Settings config.Settings
	Now      func() time.Time
	Log      *slog.Logger
}

// Register adds the routes to a mux, whose Handle method is handle, if the proxy is on.
func Register(handle func(pattern string, h http.Handler), f Function) {
	if !f.Settings.OAuthProxy {
		return
	}
	p := &proxy{Function: f, registrations: rate.NewLimiter(rate.Every(registerInterval), registerBurst)}
	handle("GET /.well-known/oauth-authorization-server", httpapi.Handler(f.Log, p.metadata))
	handle("POST /token", httpapi.Handler(f.Log, p.token))
	handle("POST /register", httpapi.Handler(f.Log, p.register))
}

type proxy struct {
	Function
	registrations *rate.Limiter
}

// metadata is RFC 8414's. Its issuer is our own origin, as clients require of the
// address where they found it. It does not promise RFC 9207's "iss": the redirect to
// the client is the provider's, and an "iss" in it would name the provider.
func (p *proxy) metadata(r *http.Request) (httpapi.Answer, error) {
	origin := p.Settings.Origin(r.Host)
	return httpapi.Answer{
		Header: http.Header{"Cache-Control": {"public, max-age=300"}, "Access-Control-Allow-Origin": {"*"}},
		Body: map[string]any{
			"issuer":                                origin,
			"authorization_endpoint":                p.upstream(authorizePath),
			"token_endpoint":                        origin + "/token",
			"registration_endpoint":                 origin + "/register",
			"response_types_supported":              []string{"code"},
			"response_modes_supported":              []string{"query"},
			"grant_types_supported":                 []string{"authorization_code", "refresh_token"},
			"code_challenge_methods_supported":      []string{"S256"},
			"token_endpoint_auth_methods_supported": []string{"none", "client_secret_post", "client_secret_basic"},
		},
	}, nil
}

// token passes on the exchange of a code or a refresh token. Some clients take only 200
// for success.
func (p *proxy) token(r *http.Request) (httpapi.Answer, error) {
	a := p.forward(r, tokenPath)
	if a.Status == http.StatusCreated {
		a.Status = http.StatusOK
	}
	return a, nil
}

func (p *proxy) register(r *http.Request) (httpapi.Answer, error) {
	if !p.registrations.AllowN(p.Now(), 1) {
		a := refusal(http.StatusTooManyRequests, "temporarily_unavailable", "Too many clients are being registered. Wait some seconds, then try again.")
		a.Header = http.Header{"Retry-After": {"10"}}
		return a, nil
	}
	a := p.forward(r, registerPath)
	nameMethod(&a)
	return a, nil
}

// nameMethod names the method of a client that got a secret and no method: some clients
// would keep the secret to themselves, and the provider would refuse them.
func nameMethod(a *httpapi.Answer) {
	body, _ := a.Body.([]byte)
	var client map[string]jsontext.Value
	if a.Status/100 != 2 || json.Unmarshal(body, &client) != nil || client["client_secret"] == nil || client["token_endpoint_auth_method"] != nil {
		return
	}
	client["token_endpoint_auth_method"] = jsontext.Value(`"client_secret_post"`)
	a.Body = client
}

// forward sends the request's body to the provider, once, and returns its answer. Of
// the headers only those below pass, in either direction.
func (p *proxy) forward(r *http.Request, path string) httpapi.Answer {
	kind, ok := contentType(r.Header)
	if !ok {
		return refusal(http.StatusUnsupportedMediaType, "invalid_request", "Send a form (application/x-www-form-urlencoded) or JSON (application/json).")
	}
	body, err := io.ReadAll(io.LimitReader(r.Body, maxBody+1))
	switch {
	case err != nil:
		return refusal(http.StatusBadRequest, "invalid_request", "The body ended too early. Send it again.")
	case len(body) > maxBody:
		return refusal(http.StatusRequestEntityTooLarge, "invalid_request", "The body is longer than 16 KiB.")
	}
	header := http.Header{"Content-Type": {kind}, "Accept": {"application/json"}, "User-Agent": {outbound.UserAgent}}
	if secret := r.Header.Get("Authorization"); secret != "" {
		header.Set("Authorization", secret) // the client's own, as client_secret_basic sends it
	}
	if key := p.Settings.OAuthAPIKey; key != "" {
		header.Set("Apikey", key)
	}
	a, fault, cause := p.send(r.Context(), path, header, body)
	if fault != "" {
		p.Log.WarnContext(r.Context(), "signing in: "+fault+"; the client was told to try again", "path", path, "error", outbound.Printable(cause))
		return refusal(http.StatusBadGateway, "temporarily_unavailable", "The identity provider could not be asked. Try again in a minute.")
	}
	return a
}

// send makes the one request. A fault says why there is no answer to pass on; the cause
// may be nil.
func (p *proxy) send(ctx context.Context, path string, header http.Header, body []byte) (_ httpapi.Answer, fault string, cause error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, p.upstream(path), bytes.NewReader(body))
	if err != nil {
		return httpapi.Answer{}, "AUTH_ISSUER is no address", nil
	}
	req.Header = header
	resp, err := p.HTTP.Do(req)
	if err != nil {
		return httpapi.Answer{}, "the identity provider did not answer", err
	}
	defer func() { _ = resp.Body.Close() }()
	answer, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer+1))
	kind, _, _ := mime.ParseMediaType(resp.Header.Get("Content-Type"))
	switch {
	case err != nil:
		return httpapi.Answer{}, "the identity provider's answer ended too early", err
	case len(answer) > maxAnswer:
		return httpapi.Answer{}, "the identity provider's answer is too long", nil
	case kind != "application/json", resp.StatusCode/100 == 3:
		return httpapi.Answer{}, "the identity provider answered with " + resp.Status[:3] + " and no JSON of its own", nil
	}
	maps.DeleteFunc(resp.Header, func(name string, _ []string) bool { return name != "Retry-After" && name != "Www-Authenticate" })
	return httpapi.Answer{Status: resp.StatusCode, Header: resp.Header, Body: answer}, "", nil
}

func (p *proxy) upstream(path string) string {
	return strings.TrimRight(p.Settings.AuthIssuer, "/") + path
}

// contentType returns the type of a plain form or plain JSON.
func contentType(h http.Header) (kind string, ok bool) {
	kind, parameters, err := mime.ParseMediaType(h.Get("Content-Type"))
	plain := len(h.Values("Content-Type")) == 1 && cmp.Or(strings.ToLower(h.Get("Content-Encoding")), "identity") == "identity"
	utf8 := strings.EqualFold(cmp.Or(parameters["charset"], "utf-8"), "utf-8")
	return kind, err == nil && plain && utf8 && (kind == "application/x-www-form-urlencoded" || kind == "application/json")
}

// refusal is an answer of our own, in the form of RFC 6749.
func refusal(status int, code, sentence string) httpapi.Answer {
	return httpapi.Answer{Status: status, Body: map[string]string{"error": code, "error_description": sentence}}
}
