package mcp_test

import (
	"context"
	"encoding/json"
	"net/http"
	"strings"
	"testing"

	sdk "github.com/modelcontextprotocol/go-sdk/mcp"

	"github.com/preset/nanobanana-functions/shared/lifecycle/lifecycletest"
	"github.com/preset/nanobanana-functions/shared/task"
)

// signedIn sends requests as ada.
type signedIn struct{ token string }

func (s signedIn) RoundTrip(r *http.Request) (*http.Response, error) {
	r = r.Clone(r.Context())
	r.Header.Set("Authorization", "Bearer "+s.token)
	return http.DefaultTransport.RoundTrip(r)
}

// asking calls generate_image with the protocol's own client, whose user answers each
// question with action, and returns the questions. An empty action: it cannot ask.
func (h *harness) asking(version, action string, arguments map[string]any) (result *sdk.CallToolResult, asked []string) {
	h.t.Helper()
	o := &sdk.ClientOptions{}
	if action != "" {
		o.ElicitationHandler = func(_ context.Context, r *sdk.ElicitRequest) (*sdk.ElicitResult, error) {
			asked = append(asked, r.Params.Message)
			return &sdk.ElicitResult{Action: action, Content: map[string]any{}}, nil
		}
	}
	transport := &sdk.StreamableClientTransport{
		Endpoint: h.Settings.PublicURL + "/mcp", HTTPClient: &http.Client{Transport: signedIn{h.token}}, DisableStandaloneSSE: true,
	}
	session, err := sdk.NewClient(&sdk.Implementation{Name: "test", Version: "1"}, o).
		Connect(h.t.Context(), transport, &sdk.ClientSessionOptions{ProtocolVersion: version})
	if err != nil {
		h.t.Fatal(err)
	}
	defer func() { _ = session.Close() }()
	if result, err = session.CallTool(h.t.Context(), &sdk.CallToolParams{Name: "generate_image", Arguments: arguments}); err != nil {
		h.t.Fatal(err)
	}
	return result, asked
}

func TestConfirm(t *testing.T) {
	const now, before = "2026-07-28", "2025-11-25"
	dear := args("requestKey", "dear", "prompt", "a \"red\"\ncoat", "numImages", 4)
	for _, tt := range []struct {
		name            string
		limit           int
		version, action string
		arguments       map[string]any
		question        string
		ordered         bool
		says            string
	}{
		{"above the limit, and the user agrees", 15, now, "accept", dear, `These 4 pictures cost 16 credits. Order now? The prompt: "a \"red\"\ncoat"`, true, "generating"},
		{"the user declines", 15, now, "decline", dear, "16 credits", false, "did not confirm 16 credits. Nothing was ordered."},
		{"the user closes the question", 15, now, "cancel", dear, "16 credits", false, "Nothing was ordered"},
		{"one picture", 3, now, "decline", args("requestKey", "one", "prompt", "a"), "This picture costs 4 credits.", false, "Nothing was ordered"},
		{"at the limit nobody is asked", 16, now, "decline", dear, "", true, "generating"},
		{"without a limit nobody is asked", 0, now, "decline", dear, "", true, "generating"},
		{"a client that cannot ask orders", 15, now, "", dear, "", true, "generating"},
		{"a client of an older protocol orders", 15, before, "decline", dear, "", true, "generating"},
		{"what is refused is not asked about", 1, now, "accept", args("requestKey", "bad", "prompt", "a naked woman"), "", false, "prompt_rejected"},
		{"a mistake is not asked about", 1, now, "accept", args("requestKey", "bad", "prompt", "a", "numImages", 9), "", false, "\n- numImages: "},
	} {
		t.Run(tt.name, func(t *testing.T) {
			h := newHarness(t)
			h.function.Settings.ConfirmCredits = tt.limit
			result, asked := h.asking(tt.version, tt.action, tt.arguments)
			if got := strings.Join(asked, "|"); !strings.Contains(got, tt.question) || (got == "") != (tt.question == "") || len(asked) > 1 {
				t.Errorf("asked %q", asked)
			}
			if text := result.Content[0].(*sdk.TextContent).Text; !strings.Contains(text, tt.says) || result.IsError == tt.ordered {
				t.Errorf("isError %v: %s", result.IsError, text)
			}
			if rows, posts := h.Rows.Count("create"), h.Sim.Posts(); (rows == 1) != tt.ordered || posts != rows {
				t.Errorf("%d tasks, %d POSTs", rows, posts)
			}
		})
	}
}

// A repeated call of an order that exists asks nobody, and charges nothing.
func TestConfirmedOnce(t *testing.T) {
	h := newHarness(t)
	h.function.Settings.ConfirmCredits = 1
	order := args("requestKey", "k", "prompt", "a")
	first, asked := h.asking("2026-07-28", "accept", order)
	again, askedAgain := h.asking("2026-07-28", "decline", order)
	if len(asked) != 1 || len(askedAgain) != 0 || first.IsError || again.IsError || h.Sim.Posts() != 1 {
		t.Errorf("asked %q, then %q; %d POSTs", asked, askedAgain, h.Sim.Posts())
	}
	if text := again.Content[0].(*sdk.TextContent).Text; !strings.Contains(text, "nothing was charged again") {
		t.Errorf("the text is %s", text)
	}
}

// raw calls generate_image as a client of the current protocol does, with answers to
// questions, and returns the ids of the questions that come back.
func (h *harness) raw(arguments map[string]any, capabilities string, answers map[string]any) (ids []string) {
	h.t.Helper()
	return h.rawIn("2026-07-28", arguments, capabilities, answers)
}

func (h *harness) rawIn(version string, arguments map[string]any, capabilities string, answers map[string]any) (ids []string) {
	h.t.Helper()
	body, err := json.Marshal(map[string]any{"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": map[string]any{
		"name": "generate_image", "arguments": arguments, "inputResponses": answers,
		"_meta": map[string]any{"io.modelcontextprotocol/protocolVersion": version, "io.modelcontextprotocol/clientCapabilities": json.RawMessage(capabilities)},
	}})
	if err != nil {
		h.t.Fatal(err)
	}
	var answer struct {
		Result struct {
			ResultType    string
			Content       []any // an empty list: some clients read no null
			InputRequests map[string]struct {
				Method string
				Params struct{ RequestedSchema map[string]any }
			}
		}
	}
	h.post(string(body), "MCP-Protocol-Version", version, "Mcp-Method", "tools/call", "Mcp-Name", "generate_image").JSON(h.t, http.StatusOK, &answer)
	if answer.Result.Content == nil {
		h.t.Error("the result has no list of content")
	}
	for id, r := range answer.Result.InputRequests {
		if answer.Result.ResultType != "input_required" || r.Method != "elicitation/create" || r.Params.RequestedSchema["type"] != "object" {
			h.t.Errorf("a question of %q: %+v", answer.Result.ResultType, r)
		}
		ids = append(ids, id)
	}
	return ids
}

// A yes counts for the order and the price that the user saw, for nothing else.
func TestConfirmCountsForOne(t *testing.T) {
	h := newHarness(t)
	h.function.Settings.ConfirmCredits = 1
	const form = `{"elicitation":{"form":{}}}`
	yes := func(id string) map[string]any { return args(id, args("action", "accept")) }
	order := func(prompt string) map[string]any { return args("requestKey", "k", "prompt", prompt) }
	asked := h.raw(order("a"), form, nil)
	if len(asked) != 1 {
		t.Fatalf("asked %q", asked)
	}
	h.raw(order("b"), form, yes(asked[0]))
	h.raw(args("requestKey", "k2", "prompt", "a"), form, yes(asked[0]))
	h.raw(order("a"), form, yes("confirm"))
	h.Prices["nano-banana"] = 40
	if dearer := h.raw(order("a"), form, yes(asked[0])); len(dearer) != 1 || dearer[0] == asked[0] {
		t.Errorf("at another price %q, at first %q", dearer, asked)
	}
	h.Prices["nano-banana"] = 4
	if n := h.Rows.Count("create"); n != 0 {
		t.Fatalf("%d were ordered", n)
	}
	if left := h.raw(order("a"), form, yes(asked[0])); len(left) != 0 || h.Sim.Posts() != 1 {
		t.Errorf("asked %q, %d POSTs", left, h.Sim.Posts())
	}
	for key, tt := range map[string]struct {
		capabilities string
		asked        int
	}{"any": {`{"elicitation":{}}`, 1}, "url": {`{"elicitation":{"url":{}}}`, 0}, "none": {`{}`, 0}} {
		if got := h.raw(args("requestKey", key, "prompt", "a"), tt.capabilities, nil); len(got) != tt.asked {
			t.Errorf("%s: asked %q", tt.capabilities, got)
		}
	}
}

// A client of an older protocol that claims to ask cannot be asked: there is no
// session to ask it in.
func TestConfirmInOlderProtocol(t *testing.T) {
	h := newHarness(t)
	h.function.Settings.ConfirmCredits = 1
	if asked := h.rawIn("2025-11-25", args("requestKey", "k", "prompt", "a"), `{"elicitation":{"form":{}}}`, nil); len(asked) != 0 || h.Sim.Posts() != 1 {
		t.Errorf("asked %q, %d POSTs", asked, h.Sim.Posts())
	}
}

// While the price cannot be told, nothing is ordered.
func TestConfirmWithoutQuote(t *testing.T) {
	h := newHarness(t)
	h.function.Settings.ConfirmCredits = 1
	h.Rows.Fail(lifecycletest.On("task", lifecycletest.ErrStore), nil)
	result, asked := h.asking("2026-07-28", "accept", args("requestKey", "k", "prompt", "a"))
	if text := result.Content[0].(*sdk.TextContent).Text; !result.IsError || !strings.HasPrefix(text, string(task.CodeUnavailable)) || len(asked) != 0 || h.Rows.Count("create") != 0 {
		t.Errorf("asked %q: %s", asked, text)
	}
}
