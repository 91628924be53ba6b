// Package httpapitest checks the functions' answers against openapi.yaml, the contract,
// which is written by hand. A test loads the contract and sends requests through it
// ([Contract.Do], [Contract.Serve]), or lets its own client check every answer
// ([Contract.Transport]).
package httpapitest

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/santhosh-tekuri/jsonschema/v6"
)

// Contract is openapi.yaml. It is safe for concurrent use.
type Contract struct {
	doc    *openapi3.T
	routes map[string]*openapi3.Operation // by "GET /v1/tasks/{id}"
	mux    *http.ServeMux                 // finds the route of a request, as the functions do

	mu       sync.Mutex                              // guards compiled
	compiled map[*openapi3.Schema]*jsonschema.Schema // the schemas used so far
}

// Load reads openapi.yaml from the root of the test's module. It ends the test if the
// document or one of its examples is not valid.
func Load(t testing.TB) *Contract {
	t.Helper()
	c, err := load()
	if err != nil {
		t.Fatalf("httpapitest: %v", err)
	}
	return c
}

// load reads the contract once for all tests of a package.
var load = sync.OnceValues(func() (*Contract, error) {
	root, err := moduleRoot()
	if err != nil {
		return nil, err
	}
	doc, err := openapi3.NewLoader().LoadFromFile(filepath.Join(root, "openapi.yaml"))
	if err != nil {
		return nil, err
	}
	if err := doc.Validate(context.Background(), openapi3.EnableExamplesValidation()); err != nil {
		return nil, fmt.Errorf("openapi.yaml: %w", err)
	}
	c := &Contract{
		doc: doc, routes: map[string]*openapi3.Operation{}, mux: http.NewServeMux(), compiled: map[*openapi3.Schema]*jsonschema.Schema{},
	}
	for path, item := range doc.Paths.Map() {
		for method, operation := range item.Operations() {
			c.routes[method+" "+path] = operation
			c.mux.Handle(method+" "+path, http.NotFoundHandler())
		}
	}
	return c, nil
})

func moduleRoot() (string, error) {
	dir, err := os.Getwd()
	for ; err == nil; dir = filepath.Dir(dir) {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			return dir, nil
		}
		if dir == filepath.Dir(dir) {
			err = errors.New("no go.mod above the test")
		}
	}
	return "", err
}

// Routes returns the routes of the contract, such as "POST /v1/tasks", sorted.
func (c *Contract) Routes() []string { return slices.Sorted(maps.Keys(c.routes)) }

// Example returns the value under components/examples as JSON.
func (c *Contract) Example(t testing.TB, name string) []byte {
	t.Helper()
	example, ok := c.doc.Components.Examples[name]
	if !ok {
		t.Fatalf("httpapitest: the contract has no example %q", name)
	}
	b, err := json.Marshal(example.Value.Value)
	if err != nil {
		t.Fatalf("httpapitest: example %q: %v", name, err)
	}
	return b
}

// CheckJSON fails the test unless body matches the contract's schema with this name, such
// as "Task".
func (c *Contract) CheckJSON(t testing.TB, schema string, body []byte) {
	t.Helper()
	ref, ok := c.doc.Components.Schemas[schema]
	if !ok {
		t.Fatalf("httpapitest: the contract has no schema %q", schema)
	}
	if _, err := c.checkJSON(ref.Value, body); err != nil {
		t.Errorf("not a %s: %v\n%s", schema, err, body)
	}
}
