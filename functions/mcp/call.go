package mcp

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"runtime/debug"
	"strconv"
	"strings"
	"time"

	"github.com/go-json-experiment/json"
	sdk "github.com/modelcontextprotocol/go-sdk/mcp"

	"github.com/preset/nanobanana-functions/shared/httpapi"
	"github.com/preset/nanobanana-functions/shared/task"
)

// call is one call of a tool.
type call struct {
	*server
	tool    string               // its name
	request *http.Request        // that called it
	message *sdk.CallToolRequest // in that request
}

// run turns a panic into an error. A tool runs on a goroutine of the SDK, where an
// uncaught panic would end the process.
func (c call) run(do tool, arguments []byte) (res result, err error) {
	defer func() {
		if p := recover(); p != nil {
			res, err = result{}, fmt.Errorf("panic: %v\n%s", p, debug.Stack())
		}
	}()
	return do(c, arguments)
}

// api sends a request to our own API as the caller and decodes the answer into out.
// For a refusal it returns the *task.Error behind the API's problem.
func (c call) api(method, path string, header http.Header, body, out any) (httpapi.Answer, error) {
	content, err := httpapi.Encode(body)
	if err != nil {
		return httpapi.Answer{}, err
	}
	r, err := http.NewRequestWithContext(c.request.Context(), method, path, bytes.NewReader(content))
	if err != nil {
		return httpapi.Answer{}, err
	}
	r.Host = c.request.Host // image links and callbacks may use it
	r.Header.Set("Content-Type", "application/json")
	for _, name := range []string{"Authorization", "On-Behalf-Of"} {
		if values := c.request.Header.Values(name); len(values) > 0 {
			r.Header[name] = values
		}
	}
	maps.Copy(r.Header, header)
	a := httpapi.Capture(c.API, r)
	answer, _ := a.Body.([]byte)
	if a.Status >= http.StatusBadRequest {
		return a, problemError(a, answer)
	}
	if out != nil {
		err = json.Unmarshal(answer, out)
	}
	return a, err
}

// problemError returns the error behind a problem.
func problemError(a httpapi.Answer, body []byte) error {
	var p httpapi.Problem
	if err := json.Unmarshal(body, &p); err != nil || p.Code == "" {
		return fmt.Errorf("our API answered %d without a problem", a.Status)
	}
	e := problemOf(p)
	if seconds, err := strconv.Atoi(a.Header.Get("Retry-After")); err == nil {
		e.RetryAfter = time.Duration(seconds) * time.Second
	}
	return e
}

// problemOf returns the error that a problem shows.
func problemOf(p httpapi.Problem) *task.Error {
	e := &task.Error{Code: p.Code, Reason: p.Reason()}
	for _, f := range p.Errors {
		e.Fields = append(e.Fields, task.Field(f))
	}
	return e
}

// parse decodes a tool's arguments as strictly as the API decodes a body.
func parse[T any](arguments []byte) (T, error) { return httpapi.Parse[T](arguments, fieldHints) }

// fieldHints say what to do about arguments that models make up.
var fieldHints = map[string]string{
	"/n":            "Use numImages.",
	"/count":        "Use numImages.",
	"/size":         "Use aspectRatio, and resolution where the model has it.",
	"/image_size":   "Use aspectRatio.",
	"/images":       "Use imageUrls.",
	"/imageUrl":     "Use imageUrls, a list.",
	"/image_urls":   "Use imageUrls.",
	"/aspect_ratio": "Use aspectRatio.",
	"/id":           "Use taskId.",
	"/task_id":      "Use taskId.",
	"/request_key":  "Use requestKey.",
}

// errorResult returns the code of err, a sentence, and what to do now. It logs
// errors without a code of their own; the API has logged its errors already.
func (c call) errorResult(err error) *sdk.CallToolResult {
	ctx := c.request.Context()
	if _, known := errors.AsType[*task.Error](err); !known {
		c.Log.ErrorContext(ctx, "a tool failed", "tool", c.tool, "requestId", httpapi.RequestID(ctx), "error", err)
	}
	e := httpapi.ErrorOf(err)
	x := httpapi.Explain(e.Code)
	var b strings.Builder
	fmt.Fprintf(&b, "%s: %s", e.Code, httpapi.Sentence(e))
	for _, f := range e.Fields {
		fmt.Fprintf(&b, "\n- %s: %s", argument(f.Pointer), f.Message)
	}
	fmt.Fprintf(&b, "\nWhat to do: %s", x.Claude)
	if e.RetryAfter > 0 {
		fmt.Fprintf(&b, "\nRetry-After: %d seconds.", int(e.RetryAfter/time.Second))
	}
	if e.Code == task.CodeInternal {
		fmt.Fprintf(&b, "\nrequestId: %s", httpapi.RequestID(ctx))
	}
	return &sdk.CallToolResult{
		Meta:    sdk.Meta{"problem": refusal{Code: e.Code, Message: httpapi.Sentence(e), Hint: x.Hint, Retryable: x.Retryable, Fields: messages(e.Fields), RetryAfter: int(e.RetryAfter / time.Second)}},
		Content: []sdk.Content{&sdk.TextContent{Text: b.String()}}, IsError: true,
	}
}

// refusal is an error for the page, in words for people. Models do not see it.
type refusal struct {
	Code       task.Code `json:"code"`
	Message    string    `json:"message"`
	Hint       string    `json:"hint"`
	Retryable  bool      `json:"retryable"`
	Fields     []string  `json:"fields,omitempty"`    // what is wrong with the arguments
	RetryAfter int       `json:"retryAfter,omitzero"` // seconds
}

func messages(fields []task.Field) (list []string) {
	for _, f := range fields {
		list = append(list, f.Message)
	}
	return list
}

func invalid(pointer, code, message string) error {
	return task.Invalid(task.Field{Pointer: pointer, Code: code, Message: message})
}

func checkTaskID(id string) error {
	if !task.ValidID(id) {
		return invalid("/taskId", "invalid", "A taskId has 26 letters and digits, as generate_image or list_images returned it.")
	}
	return nil
}

func checkTarget(target task.Target) error {
	faults := target.Faults()
	if len(faults) == 0 {
		return nil
	}
	for i := range faults {
		faults[i].Pointer = "/target" + faults[i].Pointer
	}
	return task.Invalid(faults...)
}
