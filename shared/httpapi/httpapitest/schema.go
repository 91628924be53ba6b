package httpapitest

import (
	"encoding/json"
	"fmt"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/santhosh-tekuri/jsonschema/v6"
)

// visit checks a value against JSON Schema 2020-12, as OpenAPI 3.1 uses it.
func (c *Contract) visit(schema *openapi3.Schema, value any) error {
	compiled, err := c.compile(schema)
	if err != nil {
		return fmt.Errorf("compiling the schema: %w", err)
	}
	return compiled.Validate(value)
}

// compile returns the compiled schema and keeps it. The library's schema.VisitJSON
// compiles the schema for every value, which took a third of the functions' tests.
func (c *Contract) compile(schema *openapi3.Schema) (*jsonschema.Schema, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if compiled, ok := c.compiled[schema]; ok {
		return compiled, nil
	}
	// Together with the components, to which the schema refers.
	text, err := json.Marshal(map[string]any{"components": c.doc.Components, "schema": schema})
	if err != nil {
		return nil, err
	}
	var document any
	if err := json.Unmarshal(text, &document); err != nil {
		return nil, err
	}
	compiler := jsonschema.NewCompiler()
	compiler.AssertFormat()
	compiler.RegisterFormat(&jsonschema.Format{Name: "date-time", Validate: dateTime})
	if err := compiler.AddResource("urn:contract", document); err != nil {
		return nil, err
	}
	compiled, err := compiler.Compile("urn:contract#/schema")
	if err == nil {
		c.compiled[schema] = compiled
	}
	return compiled, err
}

// dateTime checks OpenAPI's date-time, which unlike JSON Schema's has no lower-case
// letters.
func dateTime(value any) error {
	text, ok := value.(string)
	if !ok {
		return nil
	}
	return openapi3.SchemaStringFormats["date-time"].Validate(text)
}
