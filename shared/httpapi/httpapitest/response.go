package httpapitest

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"path"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/go-json-experiment/json"

	"github.com/preset/nanobanana-functions/shared/task"
)

// CheckResponse fails the test unless the contract allows our handlers to answer r with
// resp: the status is declared for the route, required headers are there, headers and
// body match their schemas, and a Problem agrees with status and headers. It reads the
// body and puts it back.
//
// The contract also has the gateway's own {"message"}, which no handler may send. Under
// /v1/, the answer for an unknown route must be a Problem with 404 or 405. Other
// addresses are not in the contract, and not checked.
func (c *Contract) CheckResponse(t testing.TB, r *http.Request, resp *http.Response) {
	t.Helper()
	if err := c.check(r, resp); err != nil {
		t.Errorf("%s %s, answered %d, is not in the contract: %v", r.Method, r.URL.Path, resp.StatusCode, err)
	}
}

// Transport returns an http.RoundTripper that sends requests through next, or
// http.DefaultTransport if next is nil, and checks every answer as CheckResponse does.
func (c *Contract) Transport(t testing.TB, next http.RoundTripper) http.RoundTripper {
	if next == nil {
		next = http.DefaultTransport
	}
	return transport{t: t, contract: c, next: next}
}

type transport struct {
	t        testing.TB
	contract *Contract
	next     http.RoundTripper
}

func (x transport) RoundTrip(r *http.Request) (*http.Response, error) {
	resp, err := x.next.RoundTrip(r)
	if err == nil {
		x.contract.CheckResponse(x.t, r, resp)
	}
	return resp, err
}

func (c *Contract) check(r *http.Request, resp *http.Response) error {
	operation := c.operation(r)
	if operation == nil && !strings.HasPrefix(r.URL.Path, "/v1/") {
		return nil
	}
	body, err := io.ReadAll(resp.Body)
	if err := errors.Join(err, resp.Body.Close()); err != nil {
		return fmt.Errorf("reading the body: %w", err)
	}
	resp.Body = io.NopCloser(bytes.NewReader(body))
	if operation == nil {
		return c.checkUnmatched(resp, body)
	}
	declared := operation.Responses.Status(resp.StatusCode)
	if declared == nil {
		return errors.New("the status is not declared")
	}
	if r.Method == http.MethodHead {
		return c.checkHeaders(declared.Value.Headers, resp.Header)
	}
	// The body first: its faults explain more than those of the headers.
	return errors.Join(c.checkBody(declared.Value, resp, body), c.checkHeaders(declared.Value.Headers, resp.Header))
}

// operation returns the route of r, or nil.
func (c *Contract) operation(r *http.Request) *openapi3.Operation {
	if p := r.URL.EscapedPath(); p != path.Clean("/"+p) { // the functions do not redirect to a clean path
		return nil
	}
	_, pattern := c.mux.Handler(r)
	return c.routes[pattern]
}

// checkUnmatched checks the answer for an unknown address or method.
func (c *Contract) checkUnmatched(resp *http.Response, body []byte) error {
	if status := resp.StatusCode; status != http.StatusNotFound && status != http.StatusMethodNotAllowed {
		return errors.New("there is no such route, so the status must be 404 or 405")
	}
	if resp.StatusCode == http.StatusMethodNotAllowed && resp.Header.Get("Allow") == "" {
		return errors.New("405 without the header Allow")
	}
	problem := openapi3.NewMediaType().WithSchemaRef(c.doc.Components.Schemas["Problem"])
	return c.checkBody(&openapi3.Response{Content: openapi3.Content{problemType: problem}}, resp, body)
}

const problemType = "application/problem+json"

func (c *Contract) checkBody(declared *openapi3.Response, resp *http.Response, body []byte) error {
	contentType := resp.Header.Get("Content-Type")
	if len(declared.Content) == 0 {
		if len(body) > 0 || contentType != "" {
			return fmt.Errorf("a body of %d bytes, Content-Type %q, but none is declared", len(body), contentType)
		}
		return nil
	}
	if passedOn := declared.Extensions["x-passed-on"] == true; resp.StatusCode >= http.StatusBadRequest && contentType != problemType && !passedOn {
		return fmt.Errorf("Content-Type %q: our refusals are %s", contentType, problemType)
	}
	media, ok := declared.Content[contentType]
	if !ok {
		return fmt.Errorf("Content-Type %q is not declared", contentType)
	}
	if contentType == "application/yaml" { // the contract itself
		if len(body) == 0 {
			return errors.New("an empty document")
		}
		return nil
	}
	value, err := c.checkJSON(media.Schema.Value, body)
	if err != nil || contentType != problemType {
		return err
	}
	return checkProblem(value.(map[string]any), declared, resp)
}

// checkProblem checks what the one schema of all Problems cannot express. A schema for
// each response could, but a generated client would then have as many types.
func checkProblem(p map[string]any, declared *openapi3.Response, resp *http.Response) error {
	var errs []error
	if p["code"] == string(task.CodeInvalidRequest) && p["errors"] == nil {
		errs = append(errs, errors.New("the Problem does not say what is wrong, in errors"))
	}
	if codes, ok := declared.Extensions["x-codes"].([]any); ok && !slices.Contains(codes, p["code"]) {
		errs = append(errs, fmt.Errorf("the Problem's code is %q, want one of %q", p["code"], codes))
	}
	for _, x := range []struct{ name, got, want string }{
		{"status", fmt.Sprint(p["status"]), strconv.Itoa(resp.StatusCode)},
		{"requestId", fmt.Sprint(p["requestId"]), resp.Header.Get("X-Request-Id")},
		{"type", fmt.Sprint(p["type"]), "urn:preset:nanobanana:" + fmt.Sprint(p["code"])},
	} {
		if x.got != x.want {
			errs = append(errs, fmt.Errorf("the Problem's %s is %q, want %q", x.name, x.got, x.want))
		}
	}
	return errors.Join(errs...)
}

func (c *Contract) checkHeaders(declared openapi3.Headers, h http.Header) error {
	var errs []error
	for _, name := range slices.Sorted(maps.Keys(declared)) {
		header := declared[name].Value
		values := h.Values(name)
		switch {
		case len(values) == 0 && header.Required:
			errs = append(errs, fmt.Errorf("the header %s is missing", name))
		case len(values) > 1:
			errs = append(errs, fmt.Errorf("the header %s came %d times", name, len(values)))
		case len(values) == 1:
			if err := c.visit(header.Schema.Value, headerValue(header.Schema.Value, values[0])); err != nil {
				errs = append(errs, fmt.Errorf("the header %s: %w", name, err))
			}
		}
	}
	return errors.Join(errs...)
}

// headerValue returns a header's value in the type of its schema.
func headerValue(schema *openapi3.Schema, text string) any {
	if n, err := strconv.ParseInt(text, 10, 64); err == nil && schema.Type.Is(openapi3.TypeInteger) {
		return float64(n)
	}
	return text
}

// checkJSON decodes body, which must be exactly one JSON value, and checks it.
func (c *Contract) checkJSON(schema *openapi3.Schema, body []byte) (any, error) {
	var value any
	if err := json.Unmarshal(body, &value); err != nil {
		return nil, fmt.Errorf("the body is not JSON: %w", err)
	}
	return value, errors.Join(c.visit(schema, value), checkDone(value))
}

// checkDone checks that each task in value is done exactly if its status is final. A
// schema could hold done to one value, but many generators of clients cannot read that.
func checkDone(value any) error {
	var errs []error
	switch value := value.(type) {
	case map[string]any:
		status, _ := value["status"].(string)
		if done, ok := value["done"].(bool); ok && done != (&task.Task{Status: task.Status(status)}).Done() {
			errs = append(errs, fmt.Errorf("done is %v with the status %q", done, status))
		}
		for _, each := range value {
			errs = append(errs, checkDone(each))
		}
	case []any:
		for _, each := range value {
			errs = append(errs, checkDone(each))
		}
	}
	return errors.Join(errs...)
}
