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

// bearing sends a token with everything.
type bearing struct{ token string }

func (b bearing) RoundTrip(r *http.Request) (*http.Response, error) {
	r = r.Clone(r.Context())
	r.Header.Set("Authorization", "Bearer "+b.token)
	return http.DefaultTransport.RoundTrip(r)
}

// connect gives a session of the SDK's own client, as ada.
func (r *running) connect() *mcp.ClientSession {
	r.t.Helper()
	transport := &mcp.StreamableClientTransport{Endpoint: r.URL + "/mcp", HTTPClient: &http.Client{Transport: bearing{r.Token}}}
	session, err := mcp.NewClient(&mcp.Implementation{Name: "test", Version: "1"}, nil).Connect(r.t.Context(), transport, nil)
	if err != nil {
		r.t.Fatal(err)
	}
	r.t.Cleanup(func() { _ = session.Close() })
	return session
}

// A picture from a conversation is the same that the API has.
func TestMCP(t *testing.T) {
	r := runLocal(t, hurry)
	session := r.connect()
	tools, err := session.ListTools(t.Context(), nil)
	if err != nil || len(tools.Tools) != 5 {
		t.Fatalf("%d tools, %v", len(tools.Tools), err)
	}
	call := func(name string, arguments map[string]any) (picture struct {
		TaskID string
		Images []struct{ URL string }
	}) {
		t.Helper()
		said, err := session.CallTool(t.Context(), &mcp.CallToolParams{Name: name, Arguments: arguments})
		if err != nil || said.IsError {
			t.Fatalf("%s: %v, %+v", name, err, said)
		}
		data, err := json.Marshal(said.StructuredContent)
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
	r.same(got, served(t, r.studio.simulator, 0))
}

// Whoever is let in by /mcp alone is not let in elsewhere; and a page of
// somebody else's gets nowhere.
func TestMCPAlone(t *testing.T) {
	r := runLocal(t, nil)
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
		t.Errorf("the Inspector's page: %d %s", got.Status, got.Body)
	}
}
