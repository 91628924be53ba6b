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

// toolResult is a tool's result about a picture.
type toolResult struct {
	IsError bool
	Content []struct{ Type, Text, URI string }
	Data    struct {
		TaskID string
		Status task.Status
		Images []struct{ URL, ImageURL string }
	} `json:"structuredContent"`
}

// toolCall returns the body that calls one of Claude's tools.
func toolCall(name string, arguments map[string]any) map[string]any {
	return map[string]any{"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": map[string]any{"name": name, "arguments": arguments}}
}

// callTool calls one of Claude's tools with this token.
func (h *harness) callTool(token, name string, arguments map[string]any) (result toolResult) {
	h.t.Helper()
	var answer struct{ Result toolResult }
	h.call("", http.MethodPost, "/mcp", toolCall(name, arguments), "Authorization", "Bearer "+token, "Accept", "application/json, text/event-stream").decode(h.t, http.StatusOK, &answer)
	return answer.Result
}

// A conversation with a token that ada gave to Claude Code: a picture, the same
// again, and an edit of it. Ada also sees the pictures by the API.
func TestMCP(t *testing.T) {
	t.Parallel()
	h := newHarness(t, map[string]string{"DAILY_QUOTA": "2"})
	personal, kept := token.NewPersonalToken("ada", "claude")
	h.hide(personal)
	h.setPersonalTokens(kept)

	lighthouse := map[string]any{"requestKey": "lighthouse", "prompt": "a lighthouse", "target": map[string]string{"kind": "moodboard", "id": "m1"}}
	begun := h.callTool(personal, "generate_image", lighthouse)
	again := h.callTool(personal, "generate_image", lighthouse)
	if again.Data.TaskID != begun.Data.TaskID || h.sim.Posts() != 1 {
		t.Fatalf("tasks %q and %q, %d POSTs", begun.Data.TaskID, again.Data.TaskID, h.sim.Posts())
	}
	made := h.awaitPicture(personal, begun.Data.TaskID)
	h.checkImages(h.awaitEnd("ada", made.Data.TaskID), 0)
	if len(made.Content) != 3 || made.Content[1].URI != made.Data.Images[0].URL || made.Content[2].Type != "image" {
		t.Errorf("it shows %+v", made.Content)
	}

	edit := h.callTool(personal, "generate_image", map[string]any{"requestKey": "night", "prompt": "at night", "imageUrls": []string{made.Data.Images[0].ImageURL}})
	h.awaitPicture(personal, edit.Data.TaskID)
	over := h.callTool(personal, "generate_image", map[string]any{"requestKey": "more", "prompt": "one more"})
	if !over.IsError || !strings.HasPrefix(over.Content[0].Text, string(task.CodeQuotaExceeded)) || h.sim.Posts() != 2 {
		t.Errorf("beyond the quota, after %d POSTs: %+v", h.sim.Posts(), over)
	}
	if other := h.callTool(h.token("bob"), "get_image", map[string]any{"taskId": made.Data.TaskID}); !other.IsError || !strings.HasPrefix(other.Content[0].Text, "not_found") {
		t.Errorf("bob sees %+v", other)
	}
	h.checkMCPRefusals(personal)
}

// awaitPicture calls get_image until the picture is done.
func (h *harness) awaitPicture(token, id string) (result toolResult) {
	h.t.Helper()
	for range 3 {
		if result = h.callTool(token, "get_image", map[string]any{"taskId": id, "waitSeconds": 20}); result.Data.Status == task.Succeeded {
			return result
		}
	}
	h.t.Fatalf("after three waits it is %+v\n%s", result, h.logs())
	return result
}

// setPersonalTokens stores a secret with these personal tokens.
func (h *harness) setPersonalTokens(kept ...token.PersonalToken) {
	h.t.Helper()
	var secret map[string]any
	if err := json.Unmarshal([]byte(secretValue(nanobananatest.DefaultKey, callbackKey)), &secret); err != nil {
		h.t.Fatal(err)
	}
	secret["personalTokens"] = kept
	for _, k := range kept {
		h.hide(k.Hash)
	}
	value, err := json.Marshal(secret)
	if err != nil {
		h.t.Fatal(err)
	}
	h.setSecret(string(value))
}

// checkMCPRefusals fails the test unless /mcp refuses what it should and says
// how to sign in.
func (h *harness) checkMCPRefusals(token string) {
	h.t.Helper()
	ping := map[string]any{"jsonrpc": "2.0", "id": 1, "method": "ping"}
	anonymous := h.call("", http.MethodPost, "/mcp", ping)
	checkRefused(h.t, anonymous, http.StatusUnauthorized, task.CodeUnauthorized)
	if challenge := anonymous.header.Get("Www-Authenticate"); challenge != `Bearer resource_metadata="`+h.url+`/.well-known/oauth-protected-resource/mcp"` {
		h.t.Errorf("the challenge is %s", challenge)
	}
	checkRefused(h.t, h.call("", http.MethodGet, "/mcp", nil, "Authorization", "Bearer "+token), http.StatusMethodNotAllowed, task.CodeInvalidRequest)
	checkRefused(h.t, h.call("", http.MethodPost, "/mcp", ping, "Authorization", "Bearer "+token, "Origin", "https://evil.example"), http.StatusForbidden, task.CodeForbidden)
	var metadata struct {
		Resource string
		Servers  []string `json:"authorization_servers"`
	}
	h.call("", http.MethodGet, "/.well-known/oauth-protected-resource", nil).decode(h.t, http.StatusOK, &metadata)
	if metadata.Resource != h.url+"/mcp" || len(metadata.Servers) != 1 || metadata.Servers[0] != h.issuer {
		h.t.Errorf("the metadata is %+v", metadata)
	}
}

// Mcp is killed before or after the provider has accepted the order. The same
// call with its requestKey returns the same task, and what was accepted is
// delivered.
func TestMCPKilled(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		at    killPoint
		posts int // by the killed process
	}{
		"after the row, before the POST": {killPoint{"PutItem", 1, true}, 0},
		"before the answer is written":   {killPoint{"PutItem", 2, false}, 1},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := newHarness(t, fastPolling, func(k *nanobananatest.Knobs) { k.CallbackDelay = nanobananatest.Duration(500 * time.Millisecond) })
			h.killAt("mcp", test.at, 1)
			lighthouse := map[string]any{"requestKey": "k", "prompt": "a lighthouse"}
			a, err := h.send(&http.Client{}, "ada", http.MethodPost, "/mcp", toolCall("generate_image", lighthouse), "Accept", "application/json, text/event-stream")
			if err != nil || a.status != http.StatusInternalServerError || h.sim.Posts() != test.posts {
				t.Fatalf("%v, answered %d %s after %d POSTs", err, a.status, a.body, h.sim.Posts())
			}
			again := h.callTool(h.token("ada"), "generate_image", lighthouse)
			x := h.submit("ada", map[string]any{"prompt": "a lighthouse"}, "k") // the API finds the task by this key
			if again.IsError || again.Data.TaskID != x.ID {
				t.Errorf("the call again is %+v, the task %s", again, x.ID)
			}
			h.checkOutcome(x, test.posts)
		})
	}
}
