package mcp_test

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/preset/nanobanana-functions/functions/mcp"
	"github.com/preset/nanobanana-functions/shared/auth/token"
	"github.com/preset/nanobanana-functions/shared/httpapi/httpapitest"
	"github.com/preset/nanobanana-functions/shared/task"
)

const ping = `{"jsonrpc":"2.0","id":1,"method":"ping"}`

func TestCallers(t *testing.T) {
	h := newHarness(t)
	personal, kept := token.NewPersonalToken("ada", "claude")
	stranger, _ := token.NewPersonalToken("ada", "claude")
	h.Secret.SetPersonalTokens(kept)
	service, of := token.NewServiceToken("preset")
	h.Secret.SetServiceTokens(of)
	adas := h.Submitted(t, "ada", 1).ID
	for _, tt := range []struct {
		name   string
		token  string
		header []string
	}{
		{"a session's token", h.token, nil},
		{"a token that claude.ai was given", h.identity.TokenWith("client_id", "6f1b"), nil},
		{"a personal token", personal, nil},
		{"a service token on behalf of a user", service, []string{"On-Behalf-Of", "ada"}},
	} {
		t.Run(tt.name+" gets at the user's own", func(t *testing.T) {
			var p picture
			h.with(t).call("get_image", args("taskId", adas), append([]string{"Authorization", "Bearer " + tt.token}, tt.header...)...).decode(&p)
		})
	}
	for _, tt := range []struct {
		name   string
		header []string
		status int
		code   task.Code
	}{
		{"no token", []string{"Authorization", ""}, http.StatusUnauthorized, task.CodeUnauthorized},
		{"an expired one", []string{"Authorization", "Bearer " + h.identity.TokenWith("exp", h.Now().Add(-time.Hour).Unix())}, http.StatusUnauthorized, task.CodeUnauthorized},
		{"a personal token that is none of ours", []string{"Authorization", "Bearer " + stranger}, http.StatusUnauthorized, task.CodeUnauthorized},
		{"Supabase's anon key", []string{"Authorization", "Bearer " + h.identity.TokenWith("role", "anon")}, http.StatusForbidden, task.CodeForbidden},
		{"a personal token for somebody else", []string{"Authorization", "Bearer " + personal, "On-Behalf-Of", "bob"}, http.StatusForbidden, task.CodeForbidden},
	} {
		t.Run(tt.name+" is refused", func(t *testing.T) {
			got := h.with(t).post(ping, tt.header...)
			got.Problem(t, tt.status, tt.code)
			challenge := `resource_metadata="` + h.Settings.PublicURL + `/.well-known/oauth-protected-resource/mcp"`
			if challenged := got.Header.Get("WWW-Authenticate"); strings.HasSuffix(challenged, challenge) != (tt.status == http.StatusUnauthorized) {
				t.Errorf("WWW-Authenticate: %s", challenged)
			}
		})
	}
	if log := h.Logged.Take(); strings.Contains(log, personal) || strings.Contains(log, h.token) || strings.Contains(log, kept.Hash) {
		t.Errorf("a token is in the log: %s", log)
	}
}

func TestMetadata(t *testing.T) {
	h := newHarness(t)
	for _, path := range []string{"/.well-known/oauth-protected-resource", "/.well-known/oauth-protected-resource/mcp"} {
		var m struct {
			Resource             string
			AuthorizationServers []string `json:"authorization_servers"`
		}
		h.contract.Do(t, httpapitest.NewRequest(t, http.MethodGet, h.Settings.PublicURL+path, nil)).JSON(t, http.StatusOK, &m)
		if m.Resource != h.Settings.PublicURL+"/mcp" || len(m.AuthorizationServers) != 1 || m.AuthorizationServers[0] != h.Settings.AuthIssuer {
			t.Errorf("%s returns %+v", path, m)
		}
	}
	t.Run("with OAUTH_PROXY we sign users in ourselves", func(t *testing.T) {
		off := h.function.Settings.AuthIssuer
		h.function.Settings.OAuthProxy, h.function.Settings.AuthIssuer = true, "https://x.supabase.co/auth/v1"
		defer func() { h.function.Settings.OAuthProxy, h.function.Settings.AuthIssuer = false, off }()
		a := h.contract.Do(t, httpapitest.NewRequest(t, http.MethodGet, h.Settings.PublicURL+"/.well-known/oauth-protected-resource/mcp", nil))
		if !strings.Contains(a.Body, `"authorization_servers":["`+h.Settings.PublicURL+`"]`) {
			t.Errorf("the answer is %s", a.Body)
		}
	})
	t.Run("without a PUBLIC_URL the request's host is the address", func(t *testing.T) {
		h.function.Settings.PublicURL = ""
		w := httptest.NewRecorder()
		mcp.New(h.function).ServeHTTP(w, httptest.NewRequest(http.MethodGet, "https://abc.execute-api.eu-central-1.amazonaws.com/.well-known/oauth-protected-resource", nil))
		if !strings.Contains(w.Body.String(), `"https://abc.execute-api.eu-central-1.amazonaws.com/mcp"`) {
			t.Errorf("the answer is %s", w.Body)
		}
	})
}

// Requests that another site's page makes a browser send are refused.
func TestGuard(t *testing.T) {
	h := newHarness(t)
	own := strings.TrimPrefix(h.Settings.PublicURL, "http://")
	for _, tt := range []struct {
		name         string
		hosts, cors  []string
		host, origin string
		refused      bool
	}{
		{"a program", []string{"tunnel.example"}, nil, own, "", false},
		{"to the tunnel's name", []string{"tunnel.example"}, nil, "tunnel.example", "", false},
		{"to localhost", []string{"tunnel.example"}, nil, "localhost:8787", "http://localhost:8787", false},
		{"to the IPv6 loopback address", []string{}, nil, "[::1]:8787", "", false},
		{"to a foreign name that resolves to this machine", []string{"tunnel.example"}, nil, "evil.example", "", true},
		{"to a name that starts like ours", []string{}, nil, "localhost.evil.example", "", true},
		{"to an address in the local network", []string{}, nil, "192.168.1.7:8787", "", true},
		{"to any name, behind a gateway", nil, nil, "abc.execute-api.eu-central-1.amazonaws.com", "", false},
		{"from another site's page", []string{}, nil, own, "https://evil.example", true},
		{"from the origin null", []string{}, nil, own, "null", true},
		{"from another site's page, behind a gateway", nil, nil, own, "https://evil.example", true},
		{"from a page on this machine, behind a gateway", nil, nil, "api.example", "http://localhost:3000", true},
		{"from an allowed page", nil, []string{"https://app.example"}, own, "https://app.example", false},
		{"from a page whose origin starts like an allowed one", nil, []string{"https://app.example"}, own, "https://app.example.evil.example", true},
		{"from any page, if all are allowed", nil, []string{"*"}, own, "https://evil.example", false},
		{"from our own page", nil, nil, "api.example", "https://api.example", false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			h := h.with(t)
			h.function.Hosts, h.function.Settings.CORSOrigins, h.function.Settings.StandIns = tt.hosts, tt.cors, tt.hosts != nil // as in the local run
			r := httpapitest.NewRequest(t, http.MethodPost, h.Settings.PublicURL+"/mcp", strings.NewReader(ping),
				"Authorization", "Bearer "+h.token, "Content-Type", "application/json", "Accept", "*/*", "Origin", tt.origin)
			r.Host = tt.host
			got := h.contract.Serve(t, mcp.New(h.function), r)
			if want := map[bool]int{true: http.StatusForbidden, false: http.StatusOK}[tt.refused]; got.Status != want {
				t.Errorf("%d, want %d: %s", got.Status, want, got.Body)
			}
		})
	}
}

// Messages that are not the protocol's, or use an unknown method, are refused.
func TestProtocol(t *testing.T) {
	h := newHarness(t)
	call := `{"jsonrpc":"2.0","id":7,"method":"tools/call","params":`
	for _, tt := range []struct {
		name, body string
		header     []string
		status     int
		want       string // in the body
	}{
		{"initialize", `{"jsonrpc":"2.0","id":1,"method":"initialize","params":{"protocolVersion":"2025-11-25","capabilities":{},"clientInfo":{"name":"c","version":"1"}}}`, nil, 200, `"protocolVersion":"2025-11-25"`},
		{"initialize with a future version gets the current one", `{"jsonrpc":"2.0","id":1,"method":"initialize","params":{"protocolVersion":"2031-01-01","capabilities":{},"clientInfo":{"name":"c","version":"1"}}}`, nil, 200, `"protocolVersion":"2025-11-25"`},
		{"a notification", `{"jsonrpc":"2.0","method":"notifications/initialized"}`, nil, 202, ""},
		{"ping", ping, nil, 200, `"result":{}`},
		{"ping in a supported version", ping, []string{"MCP-Protocol-Version", "2025-06-18"}, 200, `"result":{}`},
		{"ping in an old version", ping, []string{"MCP-Protocol-Version", "1999-01-01"}, 400, "2025-11-25"},
		{"ping in a future version", ping, []string{"MCP-Protocol-Version", "2031-01-01"}, 400, ""},
		{"a batch in version 2025-03-26", "[" + ping + "," + strings.Replace(ping, "1,", "2,", 1) + "]", []string{"MCP-Protocol-Version", "2025-03-26"}, 200, `[{"jsonrpc"`},
		{"a batch in a later version", "[" + ping + "]", []string{"MCP-Protocol-Version", "2025-11-25"}, 400, ""},
		{"an unknown tool", call + `{"name":"delete_everything","arguments":{}}}`, nil, 200, `"code":-32602`},
		{"a tool without a name", call + `{}}`, nil, 200, `"code":-32602`},
		{"a name that is a number", call + `{"name":5}}`, nil, 200, `"code":-32602`},
		{"no params", `{"jsonrpc":"2.0","id":7,"method":"tools/call"}`, nil, 400, "not_mcp"},
		{"an unknown method", `{"jsonrpc":"2.0","id":7,"method":"images/steal"}`, nil, 400, "not_mcp"},
		{"no JSON", "a red bicycle", nil, 400, "not_mcp"},
		{"nothing", "", nil, 400, "not_mcp"},
		{"null", "null", nil, 400, ""},
		{"an empty batch", "[]", nil, 400, ""},
		{"JSON-RPC 1.0", `{"jsonrpc":"1.0","id":7,"method":"ping"}`, nil, 400, ""},
		{"200,000 brackets", strings.Repeat("[", 200_000), nil, 400, ""},
		{"a megabyte", `{"jsonrpc":"2.0","id":7,"method":"ping","x":"` + strings.Repeat("a", 1<<20) + `"}`, nil, 413, "body_too_large"},
		{"text", ping, []string{"Content-Type", "text/plain"}, 415, "unsupported_media_type"},
		{"Accept: text/html", ping, []string{"Accept", "text/html"}, 400, "Accept: application/json, text/event-stream"},
		{"no Accept", ping, []string{"Accept", ""}, 400, "Accept: application/json, text/event-stream"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got := h.with(t).post(tt.body, tt.header...)
			if got.Status != tt.status || !strings.Contains(got.Body, tt.want) {
				t.Errorf("%d, want %d with %s: %.300s", got.Status, tt.status, tt.want, got.Body)
			}
		})
	}
	for _, method := range []string{http.MethodGet, http.MethodDelete, http.MethodPut} {
		if got := h.send(method, ""); got.Status != http.StatusMethodNotAllowed || !strings.Contains(got.Header.Get("Allow"), http.MethodPost) {
			t.Errorf("%s: %d, Allow %q", method, got.Status, got.Header.Get("Allow"))
		}
	}
	for _, method := range []string{http.MethodGet, http.MethodDelete} { // as the contract has them
		r := httpapitest.NewRequest(t, method, h.Settings.PublicURL+"/mcp", nil, "Authorization", "Bearer "+strings.Repeat("a", 9<<10))
		if got := h.contract.Do(t, r); got.Status != http.StatusBadRequest || !strings.Contains(got.Body, "8 KiB") {
			t.Errorf("%s with a token of 9 KiB: %d %s", method, got.Status, got.Body)
		}
	}
	if log := h.Logged.Take(); strings.Contains(log, `"level":"ERROR"`) {
		t.Errorf("an error was logged: %s", log)
	}
}

// The server refuses every other method. In particular it opens no stream, which would
// keep the function running.
func TestOnlyKnownMethods(t *testing.T) {
	h := newHarness(t)
	for _, method := range []string{
		"prompts/list", "resources/subscribe", "resources/unsubscribe", "resources/directory/read",
		"completion/complete", "logging/setLevel", "subscriptions/listen", "tasks/list", "skills/activate",
	} {
		for version, params := range map[string]string{
			"2025-11-25": `{}`,
			"2026-07-28": `{"notifications":{"toolsListChanged":true},"uri":"x","_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientCapabilities":{}}}`,
		} {
			got := h.post(`{"jsonrpc":"2.0","id":1,"method":"`+method+`","params":`+params+`}`, "MCP-Protocol-Version", version, "Mcp-Method", method, "Mcp-Name", "x")
			if got.Status >= 500 || strings.Contains(got.Body, `"result"`) || !strings.Contains(got.Body, "-32601") && !strings.Contains(got.Body, "-32602") && !strings.Contains(got.Body, "not_mcp") {
				t.Errorf("%s of %s: %d %s", method, version, got.Status, got.Body)
			}
		}
	}
}

// A client of protocol version 2026-07-28 sends no handshake.
func TestModernProtocol(t *testing.T) {
	h := newHarness(t)
	body := `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"get_credits","arguments":{},"_meta":{
		"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientCapabilities":{}}}}`
	got := h.post(body, "MCP-Protocol-Version", "2026-07-28", "Mcp-Method", "tools/call", "Mcp-Name", "get_credits")
	var answer struct {
		Result struct{ StructuredContent struct{ Balance float64 } }
	}
	if got.JSON(t, http.StatusOK, &answer); answer.Result.StructuredContent.Balance != 1000 {
		t.Errorf("it said %s", got.Body)
	}
}

// Concurrent calls do not mix up their owners.
func TestAtOnce(t *testing.T) {
	h := newHarness(t)
	tokens := map[string]string{"ada": h.token, "bob": h.identity.Token("bob")}
	ids := map[string]string{"ada": h.Submitted(t, "ada", 1).ID, "bob": h.Submitted(t, "bob", 1).ID}
	t.Run("calls", func(t *testing.T) {
		for i := range 40 {
			asks, of := []string{"ada", "bob"}[i%2], []string{"ada", "bob"}[i/2%2]
			t.Run("", func(t *testing.T) {
				t.Parallel()
				got := h.with(t).call("get_image", args("taskId", ids[of]), "Authorization", "Bearer "+tokens[asks])
				if got.IsError == (asks == of) {
					t.Errorf("%s asks for %s's: %s", asks, of, got.text())
				}
			})
		}
	})
}

func TestInstructions(t *testing.T) {
	h := newHarness(t)
	got := h.post(`{"jsonrpc":"2.0","id":1,"method":"initialize","params":{"protocolVersion":"2025-11-25","capabilities":{},"clientInfo":{"name":"c","version":"1"}}}`)
	var answer struct {
		Result struct {
			Instructions string
			Capabilities json.RawMessage
		}
	}
	got.JSON(t, http.StatusOK, &answer)
	const want = `{"extensions":{"io.modelcontextprotocol/skills":{},"io.modelcontextprotocol/ui":{}},"resources":{},"tools":{}}`
	if string(answer.Result.Capabilities) != want || len(answer.Result.Instructions) < 100 {
		t.Errorf("the answer is %s", got.Body)
	}
}
