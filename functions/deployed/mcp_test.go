package deployed_test

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/preset/nanobanana-functions/shared/auth/token"
	"github.com/preset/nanobanana-functions/shared/nanobanana/nanobananatest"
	"github.com/preset/nanobanana-functions/shared/task"
)

// toolSaid is what a tool said of a picture.
type toolSaid struct {
	IsError bool
	Content []struct{ Type, Text, URI string }
	Data    struct {
		TaskID string
		Status task.Status
		Images []struct{ URL, ImageURL string }
	} `json:"structuredContent"`
}

// toolCall is the body that calls one of Claude's tools.
func toolCall(name string, arguments map[string]any) map[string]any {
	return map[string]any{"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": map[string]any{"name": name, "arguments": arguments}}
}

// tool calls one of Claude's tools, with this token.
func (w *world) tool(token, name string, arguments map[string]any) (said toolSaid) {
	w.t.Helper()
	var answer struct{ Result toolSaid }
	w.call("", http.MethodPost, "/mcp", toolCall(name, arguments), "Authorization", "Bearer "+token, "Accept", "application/json, text/event-stream").into(w.t, http.StatusOK, &answer)
	return answer.Result
}

// A conversation, by the real binaries, with a token that ada gave to Claude
// Code: a picture, the same asked for twice, an edit of it. What Claude made is
// hers by the API, too.
func TestMCP(t *testing.T) {
	t.Parallel()
	w := newWorld(t, map[string]string{"DAILY_QUOTA": "2"})
	personal, kept := token.NewPersonalToken("ada", "claude")
	w.hide(personal)
	w.giveTokens(kept)

	lighthouse := map[string]any{"requestKey": "lighthouse", "prompt": "a lighthouse", "target": map[string]string{"kind": "moodboard", "id": "m1"}}
	begun := w.tool(personal, "generate_image", lighthouse)
	again := w.tool(personal, "generate_image", lighthouse)
	if again.Data.TaskID != begun.Data.TaskID || w.sim.Posts() != 1 {
		t.Fatalf("tasks %q and %q, %d POSTs", begun.Data.TaskID, again.Data.TaskID, w.sim.Posts())
	}
	made := w.pictured(personal, begun.Data.TaskID)
	w.same(w.ended("ada", made.Data.TaskID), 0)
	if len(made.Content) != 3 || made.Content[1].URI != made.Data.Images[0].URL || made.Content[2].Type != "image" {
		t.Errorf("it shows %+v", made.Content)
	}

	edit := w.tool(personal, "generate_image", map[string]any{"requestKey": "night", "prompt": "at night", "imageUrls": []string{made.Data.Images[0].ImageURL}})
	w.pictured(personal, edit.Data.TaskID)
	over := w.tool(personal, "generate_image", map[string]any{"requestKey": "more", "prompt": "one more"})
	if !over.IsError || !strings.HasPrefix(over.Content[0].Text, string(task.CodeQuotaExceeded)) || w.sim.Posts() != 2 {
		t.Errorf("beyond the quota, after %d POSTs: %+v", w.sim.Posts(), over)
	}
	if other := w.tool(w.token("bob"), "get_image", map[string]any{"taskId": made.Data.TaskID}); !other.IsError || !strings.HasPrefix(other.Content[0].Text, "not_found") {
		t.Errorf("bob sees %+v", other)
	}
	w.toolsRefuse(personal)
}

// pictured waits for a picture, as the tool says it is done.
func (w *world) pictured(token, id string) (said toolSaid) {
	w.t.Helper()
	for range 3 {
		if said = w.tool(token, "get_image", map[string]any{"taskId": id, "waitSeconds": 20}); said.Data.Status == task.Succeeded {
			return said
		}
	}
	w.t.Fatalf("after three waits it is %+v\n%s", said, w.logs())
	return said
}

// giveTokens puts personal tokens into the secret.
func (w *world) giveTokens(kept ...token.PersonalToken) {
	w.t.Helper()
	var secret map[string]any
	if err := json.Unmarshal([]byte(keys(nanobananatest.DefaultKey, callbackKey)), &secret); err != nil {
		w.t.Fatal(err)
	}
	secret["personalTokens"] = kept
	for _, k := range kept {
		w.hide(k.Hash)
	}
	value, err := json.Marshal(secret)
	if err != nil {
		w.t.Fatal(err)
	}
	w.setSecret(string(value))
}

// toolsRefuse fails the test unless /mcp says by itself who may not, and how to
// get in.
func (w *world) toolsRefuse(token string) {
	w.t.Helper()
	ping := map[string]any{"jsonrpc": "2.0", "id": 1, "method": "ping"}
	nobody := w.call("", http.MethodPost, "/mcp", ping)
	refused(w.t, nobody, http.StatusUnauthorized, task.CodeUnauthorized)
	if says := nobody.header.Get("Www-Authenticate"); says != `Bearer resource_metadata="`+w.url+`/.well-known/oauth-protected-resource/mcp"` {
		w.t.Errorf("it says %s", says)
	}
	refused(w.t, w.call("", http.MethodGet, "/mcp", nil, "Authorization", "Bearer "+token), http.StatusMethodNotAllowed, task.CodeInvalidRequest)
	refused(w.t, w.call("", http.MethodPost, "/mcp", ping, "Authorization", "Bearer "+token, "Origin", "https://evil.example"), http.StatusForbidden, task.CodeForbidden)
	var metadata struct {
		Resource string
		Servers  []string `json:"authorization_servers"`
	}
	w.call("", http.MethodGet, "/.well-known/oauth-protected-resource", nil).into(w.t, http.StatusOK, &metadata)
	if metadata.Resource != w.url+"/mcp" || len(metadata.Servers) != 1 || metadata.Servers[0] != w.issuer {
		w.t.Errorf("the metadata is %+v", metadata)
	}
}

// Mcp is killed before or after the provider has taken the order. The call again,
// with its requestKey, is the same task, and whatever was accepted is delivered.
func TestMCPKilled(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		at    moment
		posts int // by the killed process
	}{
		"after the row, before the POST": {moment{"PutItem", 1, true}, 0},
		"before the answer is written":   {moment{"PutItem", 2, false}, 1},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, hasty, func(k *nanobananatest.Knobs) { k.CallbackDelay = nanobananatest.Duration(500 * time.Millisecond) })
			w.killAt("mcp", test.at, 1)
			lighthouse := map[string]any{"requestKey": "k", "prompt": "a lighthouse"}
			a, err := w.try(&http.Client{}, "ada", http.MethodPost, "/mcp", toolCall("generate_image", lighthouse), "Accept", "application/json, text/event-stream")
			if err != nil || a.status != http.StatusInternalServerError || w.sim.Posts() != test.posts {
				t.Fatalf("%v, answered %d %s after %d POSTs", err, a.status, a.body, w.sim.Posts())
			}
			again := w.tool(w.token("ada"), "generate_image", lighthouse)
			x := w.submit("ada", map[string]any{"prompt": "a lighthouse"}, "k") // which the API has under this key
			if again.IsError || again.Data.TaskID != x.ID {
				t.Errorf("the call again is %+v, the task %s", again, x.ID)
			}
			w.settled(x, test.posts)
		})
	}
}
