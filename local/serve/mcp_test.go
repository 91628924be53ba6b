package serve

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/modelcontextprotocol/go-sdk/mcp"

	"github.com/preset/nanobanana-functions/local/signin"
	"github.com/preset/nanobanana-functions/shared/httpapi/httpapitest"
	"github.com/preset/nanobanana-functions/shared/task"
)

// tokenTransport adds a token to each request.
type tokenTransport struct{ token string }

func (b tokenTransport) RoundTrip(r *http.Request) (*http.Response, error) {
	r = r.Clone(r.Context())
	r.Header.Set("Authorization", "Bearer "+b.token)
	return http.DefaultTransport.RoundTrip(r)
}

// connect returns an MCP session of the SDK's own client, as ada.
func (r *harness) connect() *mcp.ClientSession {
	r.t.Helper()
	transport := &mcp.StreamableClientTransport{Endpoint: r.URL + "/mcp", HTTPClient: &http.Client{Transport: tokenTransport{r.Token}}}
	session, err := mcp.NewClient(&mcp.Implementation{Name: "test", Version: "1"}, nil).Connect(r.t.Context(), transport, nil)
	if err != nil {
		r.t.Fatal(err)
	}
	r.t.Cleanup(func() { _ = session.Close() })
	return session
}

// A picture made through MCP is the same as the API's.
func TestMCP(t *testing.T) {
	r := startHarness(t, fastSweeps)
	session := r.connect()
	tools, err := session.ListTools(t.Context(), nil)
	if err != nil || len(tools.Tools) == 0 {
		t.Fatalf("%d tools, %v", len(tools.Tools), err)
	}
	call := func(name string, arguments map[string]any) (picture struct {
		TaskID string
		Images []struct{ URL string }
	}) {
		t.Helper()
		result, err := session.CallTool(t.Context(), &mcp.CallToolParams{Name: name, Arguments: arguments})
		if err != nil || result.IsError {
			t.Fatalf("%s: %v, %+v", name, err, result)
		}
		data, err := json.Marshal(result.StructuredContent)
		if err == nil {
			err = json.Unmarshal(data, &picture)
		}
		if err != nil {
			t.Fatal(err)
		}
		return picture
	}
	id := call("generate_image", map[string]any{"requestKey": "k", "prompt": "a lighthouse"}).TaskID
	made := call("get_image", map[string]any{"taskId": id, "waitSeconds": 20})
	got := r.AwaitSuccess(t, id)
	if len(made.Images) != 1 || made.Images[0].URL != got.Images[0].URL {
		t.Errorf("the tool shows %+v, the API %+v", made.Images, got.Images)
	}
	r.checkPictures(got, providerPictures(t, r.studio.simulator, 0))
}

// A token that only /mcp accepts is refused elsewhere, and /mcp refuses other sites'
// pages.
func TestMCPOnlyToken(t *testing.T) {
	r := startHarness(t, nil)
	mint, err := signin.Open(r.data, r.URL)
	if err != nil {
		t.Fatal(err)
	}
	claims := mint.Claims("ada", time.Hour)
	claims["client_id"] = "claude"
	token, err := mint.Sign(claims)
	if err != nil {
		t.Fatal(err)
	}
	ask := func(method, path, host, origin string) httpapitest.Answer {
		q := httpapitest.NewRequest(t, method, r.URL+path, strings.NewReader(`{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"get_credits"}}`),
			"Authorization", "Bearer "+token, "Content-Type", "application/json", "Accept", "application/json, text/event-stream", "Origin", origin)
		if host != "" {
			q.Host = host
		}
		return httpapitest.Load(t).Do(t, q)
	}
	if got := ask(http.MethodPost, "/mcp", "", ""); got.Status != http.StatusOK || !strings.Contains(got.Body, `"balance":1000`) {
		t.Errorf("%d %s", got.Status, got.Body)
	}
	ask(http.MethodGet, "/v1/credits", "", "").Problem(t, http.StatusForbidden, task.CodeForbidden)
	ask(http.MethodPost, "/mcp", "evil.example:8787", "").Problem(t, http.StatusForbidden, task.CodeForbidden)
	ask(http.MethodPost, "/mcp", "", "https://evil.example").Problem(t, http.StatusForbidden, task.CodeForbidden)
	if got := ask(http.MethodPost, "/mcp", "localhost:8787", "http://localhost:6274"); got.Status != http.StatusOK {
		t.Errorf("the Inspector's page gets %d %s", got.Status, got.Body)
	}
}
