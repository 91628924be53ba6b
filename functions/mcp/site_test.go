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

	"github.com/santhosh-tekuri/jsonschema/v6"

	"github.com/preset/nanobanana-functions/functions/credits"
	"github.com/preset/nanobanana-functions/functions/images"
	"github.com/preset/nanobanana-functions/functions/mcp"
	"github.com/preset/nanobanana-functions/functions/submit"
	"github.com/preset/nanobanana-functions/functions/tasks"
	"github.com/preset/nanobanana-functions/functions/uploads"
	"github.com/preset/nanobanana-functions/shared/httpapi"
	"github.com/preset/nanobanana-functions/shared/httpapi/httpapitest"
	"github.com/preset/nanobanana-functions/shared/lifecycle/lifecycletest"
	"github.com/preset/nanobanana-functions/shared/outbound"
	"github.com/preset/nanobanana-functions/shared/task"
)

// site is the function, served over HTTP, and what stands behind it.
type site struct {
	*lifecycletest.Harness
	t        testing.TB
	identity *lifecycletest.Identity
	function mcp.Function
	token    string // ada's
	contract *httpapitest.Contract
	outputs  map[string]*jsonschema.Schema // by tool
}

func serve(t testing.TB) *site {
	t.Helper()
	s := &site{Harness: lifecycletest.New(t), t: t, contract: httpapitest.Load(t), outputs: outputs(t)}
	s.identity = s.Identity(t)
	s.token = s.identity.Token("ada")
	s.Settings.AuthIssuer = s.Settings.PublicURL // where the identity provider stands
	s.function = mcp.Function{Auth: s.identity.Clients, API: s.api(), HTTP: outbound.NewClient(), Settings: s.Settings, Log: s.Log}
	s.Mux.Handle("/v1/", s.api())
	s.Mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) { mcp.New(s.function).ServeHTTP(w, r) })
	return s
}

// api is the HTTP API, for whom mcp is for.
func (s *site) api() http.Handler {
	clients := s.identity.Clients
	view := httpapi.View{PublicURL: s.Settings.PublicURL, Secrets: s.Secrets, Now: s.Clock.Now}
	mux := http.NewServeMux()
	submit.Register(mux.Handle, submit.Function{Auth: clients, Submitter: s.Submitter, View: view, Log: s.Log})
	tasks.Register(mux.Handle, tasks.Function{Auth: clients, Store: s.Rows, View: view, WaitMax: 20 * time.Second, Rules: s.Rules, Now: s.Now, Log: s.Log})
	mux.HandleFunc("GET /v1/credits", func(w http.ResponseWriter, r *http.Request) {
		f := credits.Function{Auth: clients, Account: s.Account, Prices: s.Prices, Quota: s.Quota, LowBelow: 100, Log: s.Log}
		credits.New(f).ServeHTTP(w, r)
	})
	uploads.Register(mux.Handle, uploads.Function{Auth: clients, Links: s.Bucket, Now: time.Now, Log: s.Log})
	images.Register(mux.Handle, images.Function{Secrets: s.Secrets, Links: s.Bucket, Log: s.Log})
	return mux
}

func outputs(t testing.TB) map[string]*jsonschema.Schema {
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

// in gives the site to a subtest.
func (s *site) in(t testing.TB) *site {
	c := *s
	c.t = t
	return &c
}

// post sends a body to /mcp as a client of the protocol does, as ada unless a
// header says otherwise.
func (s *site) post(body string, header ...string) httpapitest.Answer {
	s.t.Helper()
	return s.send(http.MethodPost, body, header...)
}

func (s *site) send(method, body string, header ...string) httpapitest.Answer {
	s.t.Helper()
	header = append([]string{
		"Authorization", "Bearer " + s.token, "Content-Type", "application/json", "Accept", "application/json, text/event-stream",
	}, header...)
	return httpapitest.Do(s.t, httpapitest.NewRequest(s.t, method, s.Settings.PublicURL+"/mcp", strings.NewReader(body), header...))
}

// said is what a tool said.
type said struct {
	IsError bool
	Content []struct {
		Type, Text, Data, MIMEType, URI, Name string
		Size                                  int64
	}
	StructuredContent json.RawMessage

	t testing.TB
}

// text is what it said in words.
func (r said) text() string { return r.Content[0].Text }

// previews are the pictures that are shown.
func (r said) previews() (sides []int) {
	r.t.Helper()
	for _, c := range r.Content {
		if c.Type != "image" {
			continue
		}
		b, err := base64.StdEncoding.DecodeString(c.Data)
		config, broken := jpeg.DecodeConfig(bytes.NewReader(b))
		if err != nil || broken != nil || c.MIMEType != "image/jpeg" {
			r.t.Fatalf("a preview that is none: %s, %v, %v", c.MIMEType, err, broken)
		}
		sides = append(sides, max(config.Width, config.Height))
	}
	return sides
}

// into reads the data of a success.
func (r said) into(v any) {
	r.t.Helper()
	if r.IsError {
		r.t.Fatalf("an error: %s", r.text())
	}
	if err := json.Unmarshal(r.StructuredContent, v); err != nil {
		r.t.Fatalf("%v: %s", err, r.StructuredContent)
	}
}

// refused fails the test unless it was refused with this code, in our words
// alone: the sentence for people and the one for Claude.
func (r said) refused(code task.Code) {
	r.t.Helper()
	x := httpapi.Explain(code)
	if !r.IsError || !strings.HasPrefix(r.text(), string(code)+": "+x.Title) || !strings.Contains(r.text(), "What to do: "+x.Claude) {
		r.t.Errorf("isError %v, want %s: %s", r.IsError, code, r.text())
	}
}

// limit is how large a result may be: Claude cuts what is larger.
const limit = 60_000

// call calls a tool. Whatever it says is of the tool's own schema, and not too large.
func (s *site) call(tool string, arguments any, header ...string) said {
	s.t.Helper()
	body, err := json.Marshal(map[string]any{
		"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": map[string]any{"name": tool, "arguments": arguments},
	})
	if err != nil {
		s.t.Fatal(err)
	}
	got := s.post(string(body), header...)
	var answer struct {
		Result *said
		Error  any
	}
	got.JSON(s.t, http.StatusOK, &answer)
	if answer.Result == nil || answer.Error != nil || len(answer.Result.Content) == 0 || answer.Result.Content[0].Type != "text" {
		s.t.Fatalf("no result: %s", got.Body)
	}
	if len(got.Body) > limit {
		s.t.Errorf("a result of %d bytes", len(got.Body))
	}
	r := *answer.Result
	r.t = s.t
	if r.StructuredContent == nil {
		if !r.IsError {
			s.t.Errorf("a success without data: %s", r.text())
		}
		return r
	}
	v, err := jsonschema.UnmarshalJSON(bytes.NewReader(r.StructuredContent))
	if err == nil {
		err = s.outputs[tool].Validate(v)
	}
	if err != nil {
		s.t.Errorf("%s said what its schema does not have: %v\n%s", tool, err, r.StructuredContent)
	}
	return r
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
	Credits  struct{ Estimate float64 }
	Error    *struct{ Code task.Code }
	NextStep string
}

// args are a tool's arguments by name and value.
func args(pairs ...any) map[string]any {
	m := map[string]any{}
	for i := 0; i < len(pairs); i += 2 {
		m[fmt.Sprint(pairs[i])] = pairs[i+1]
	}
	return m
}
