package mcp_test

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"image/jpeg"
	"net/http"
	"strings"
	"testing"
	"time"
	"unicode"

	"github.com/santhosh-tekuri/jsonschema/v6"

	"github.com/preset/nanobanana-functions/functions/credits"
	"github.com/preset/nanobanana-functions/functions/images"
	"github.com/preset/nanobanana-functions/functions/mcp"
	"github.com/preset/nanobanana-functions/functions/mcp/mcptest"
	"github.com/preset/nanobanana-functions/functions/submit"
	"github.com/preset/nanobanana-functions/functions/tasks"
	"github.com/preset/nanobanana-functions/functions/uploads"
	"github.com/preset/nanobanana-functions/shared/httpapi"
	"github.com/preset/nanobanana-functions/shared/httpapi/httpapitest"
	"github.com/preset/nanobanana-functions/shared/lifecycle"
	"github.com/preset/nanobanana-functions/shared/lifecycle/lifecycletest"
	"github.com/preset/nanobanana-functions/shared/outbound"
	"github.com/preset/nanobanana-functions/shared/task"
)

// harness is the function, served over HTTP, with everything behind it.
type harness struct {
	*lifecycletest.Harness
	t        testing.TB
	identity *lifecycletest.Identity
	function mcp.Function
	token    string // ada's
	contract *httpapitest.Contract
	outputs  map[string]*jsonschema.Schema // by tool
}

func newHarness(t testing.TB) *harness {
	t.Helper()
	h := &harness{Harness: lifecycletest.New(t), t: t, contract: httpapitest.Load(t), outputs: outputSchemas(t)}
	h.identity = h.Identity(t)
	h.token = h.identity.Token("ada")
	h.Settings.AuthIssuer = h.Settings.PublicURL // where the identity provider stands
	h.function = mcp.Function{Auth: h.identity.Clients, API: h.api(), HTTP: outbound.NewClient(), Settings: h.Settings, Log: h.Log}
	h.Mux.Handle("/v1/", h.api())
	h.Mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) { mcp.New(h.function).ServeHTTP(w, r) })
	return h
}

// api returns the HTTP API for the callers that mcp accepts.
func (h *harness) api() http.Handler {
	clients := h.identity.Clients
	view := httpapi.View{PublicURL: h.Settings.PublicURL, Secrets: h.Secrets, Now: h.Clock.Now}
	mux := http.NewServeMux()
	submit.Register(mux.Handle, submit.Function{Auth: clients, Submitter: h.Submitter, View: view, Log: h.Log})
	tasks.Register(mux.Handle, tasks.Function{Auth: clients, Store: h.Rows, View: view, WaitMax: 20 * time.Second, Reader: lifecycle.NewReader(h.Service), Now: h.Now, Log: h.Log})
	mux.HandleFunc("GET /v1/credits", func(w http.ResponseWriter, r *http.Request) {
		f := credits.Function{Auth: clients, Account: h.Account, Prices: h.Prices, Quota: h.Quota, LowBelow: 100, Log: h.Log}
		credits.New(f).ServeHTTP(w, r)
	})
	uploads.Register(mux.Handle, uploads.Function{Auth: clients, Store: h.Rows, Links: h.Bucket, PerDay: h.Settings.UploadsPerDay, Now: time.Now, Log: h.Log})
	images.Register(mux.Handle, images.Function{Secrets: h.Secrets, Links: h.Bucket, Log: h.Log})
	return mux
}

func outputSchemas(t testing.TB) map[string]*jsonschema.Schema {
	t.Helper()
	tools, err := mcp.Definitions()
	if err != nil {
		t.Fatal(err)
	}
	compiled := map[string]*jsonschema.Schema{}
	for _, tool := range tools {
		schema, err := jsonschema.UnmarshalJSON(bytes.NewReader(tool.OutputSchema.(json.RawMessage)))
		if err != nil {
			t.Fatal(err)
		}
		c := jsonschema.NewCompiler()
		if err := c.AddResource(tool.Name, schema); err != nil {
			t.Fatal(err)
		}
		if compiled[tool.Name], err = c.Compile(tool.Name); err != nil {
			t.Fatal(err)
		}
	}
	return compiled
}

// with returns the harness for a subtest.
func (h *harness) with(t testing.TB) *harness {
	c := *h
	c.t = t
	return &c
}

// post sends a body to /mcp as a client of the protocol does, as ada unless a
// header says otherwise.
func (h *harness) post(body string, header ...string) httpapitest.Answer {
	h.t.Helper()
	return h.send(http.MethodPost, body, header...)
}

func (h *harness) send(method, body string, header ...string) httpapitest.Answer {
	h.t.Helper()
	header = append([]string{
		"Authorization", "Bearer " + h.token, "Content-Type", "application/json", "Accept", "application/json, text/event-stream",
	}, header...)
	return httpapitest.Do(h.t, httpapitest.NewRequest(h.t, method, h.Settings.PublicURL+"/mcp", strings.NewReader(body), header...))
}

// toolResult is a tool's result.
type toolResult struct {
	IsError bool
	Content []struct {
		Type, Text, Data, MIMEType, URI, Name, Title string
		Size                                         int64
	}
	StructuredContent json.RawMessage
	Meta              struct {
		Problem struct {
			Code          task.Code
			Message, Hint string
			RetryAfter    int
		}
	} `json:"_meta"`

	t testing.TB
}

// text returns the result's text.
func (r toolResult) text() string { return r.Content[0].Text }

// previews returns the longer sides of the shown previews.
func (r toolResult) previews() (sides []int) {
	r.t.Helper()
	for _, c := range r.Content {
		if c.Type != "image" {
			continue
		}
		b, err := base64.StdEncoding.DecodeString(c.Data)
		config, broken := jpeg.DecodeConfig(bytes.NewReader(b))
		if err != nil || broken != nil || c.MIMEType != "image/jpeg" {
			r.t.Fatalf("an invalid preview: %s, %v, %v", c.MIMEType, err, broken)
		}
		sides = append(sides, max(config.Width, config.Height))
	}
	return sides
}

// decode decodes the data of a success.
func (r toolResult) decode(v any) {
	r.t.Helper()
	if r.IsError {
		r.t.Fatalf("an error: %s", r.text())
	}
	if err := json.Unmarshal(r.StructuredContent, v); err != nil {
		r.t.Fatalf("%v: %s", err, r.StructuredContent)
	}
}

// checkRefused fails the test unless the call was refused with this code and
// only our sentences for people and for Claude.
func (r toolResult) checkRefused(code task.Code) {
	r.t.Helper()
	x := httpapi.Explain(code)
	if !r.IsError || !strings.HasPrefix(r.text(), string(code)+": "+strings.TrimSuffix(x.Title, ".")) || !strings.Contains(r.text(), "What to do: "+x.Claude) {
		r.t.Errorf("isError %v, want %s: %s", r.IsError, code, r.text())
	}
}

// maxAnswer is the size of the largest result that Claude does not cut.
const maxAnswer = 60_000

// call calls a tool and checks that the result matches the tool's schema and is
// not too large.
func (h *harness) call(tool string, arguments any, header ...string) toolResult {
	h.t.Helper()
	body, err := json.Marshal(map[string]any{
		"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": map[string]any{"name": tool, "arguments": arguments},
	})
	if err != nil {
		h.t.Fatal(err)
	}
	got := h.post(string(body), header...)
	var answer struct {
		Result *toolResult
		Error  any
	}
	got.JSON(h.t, http.StatusOK, &answer)
	if answer.Result == nil || answer.Error != nil || len(answer.Result.Content) == 0 || answer.Result.Content[0].Type != "text" {
		h.t.Fatalf("no result: %s", got.Body)
	}
	if len(got.Body) > maxAnswer {
		h.t.Errorf("a result of %d bytes", len(got.Body))
	}
	r := *answer.Result
	r.t = h.t
	h.checkVisible(tool, answer.Result)
	if r.StructuredContent == nil {
		if !r.IsError {
			h.t.Errorf("a success without data: %s", r.text())
		}
		return r
	}
	v, err := jsonschema.UnmarshalJSON(bytes.NewReader(r.StructuredContent))
	if err == nil {
		err = h.outputs[tool].Validate(v)
	}
	if err != nil {
		h.t.Errorf("%s does not match its schema: %v\n%s", tool, err, r.StructuredContent)
	}
	var data struct{ NextStep string }
	if err := json.Unmarshal(r.StructuredContent, &data); err != nil || !strings.HasSuffix(r.text(), data.NextStep) || mcptest.Conduct(data.NextStep) != "" {
		h.t.Errorf("%s does not end with what can follow, %q (%v), or that gives orders: %s", tool, data.NextStep, err, r.text())
	}
	return r
}

// checkVisible fails the test if something in a result is not seen as itself by
// whoever reads it, or breaks a line in another way than ours.
func (h *harness) checkVisible(tool string, r *toolResult) {
	h.t.Helper()
	shown := []string{string(r.StructuredContent)}
	for _, c := range r.Content {
		shown = append(shown, strings.ReplaceAll(c.Text, "\n", ""), c.Name, c.Title)
	}
	for _, text := range shown {
		if i := strings.IndexFunc(text, isHidden); i >= 0 {
			h.t.Errorf("%s shows something hidden: %.80q", tool, text[max(i-20, 0):])
		}
	}
}

func isHidden(r rune) bool {
	return !unicode.IsGraphic(r) || unicode.In(r, unicode.Other_Default_Ignorable_Code_Point, unicode.Variation_Selector)
}

// picture is a task as the tools show it.
type picture struct {
	TaskID string
	Status task.Status
	Done   bool
	Images []struct {
		URL, ImageURL string
		Width, Height int
		Bytes         int64
		Damaged       bool
	}
	Target   *task.Target
	Credits  struct{ Estimate float64 }
	Error    *struct{ Code task.Code }
	NextStep string
}

// args returns a tool's arguments from names and values.
func args(pairs ...any) map[string]any {
	m := map[string]any{}
	for i := 0; i < len(pairs); i += 2 {
		m[fmt.Sprint(pairs[i])] = pairs[i+1]
	}
	return m
}
