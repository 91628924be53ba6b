package contract_test

import (
	"bytes"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"go.yaml.in/yaml/v4"

	contract "github.com/preset/nanobanana-functions"
	"github.com/preset/nanobanana-functions/shared/nanobanana"
	"github.com/preset/nanobanana-functions/shared/task"
)

// document is openapi.yaml as it is written, with references in place.
type document map[string]any

func read(t *testing.T, text []byte) document {
	t.Helper()
	var d map[string]any
	if err := yaml.Unmarshal(text, &d); err != nil {
		t.Fatalf("%.200s: %v", text, err)
	}
	return d
}

// faults returns what generators of clients cannot read, or read wrongly, as "place:
// fault". docs/clients.md has the rules.
func (d document) faults() []string {
	var found []string
	d.walk("#", map[string]any(d), func(place string, node map[string]any) {
		add := func(format string, args ...any) { found = append(found, place+": "+fmt.Sprintf(format, args...)) }
		for _, name := range slices.Sorted(maps.Keys(node)) {
			if name == "" {
				add("an empty name")
			}
		}
		switch node["type"] {
		case "array":
			if node["items"] == nil {
				add("a list without items")
			}
			if node["maxItems"] == nil {
				add("a list without maxItems")
			}
		case "boolean":
			if node["const"] != nil || node["enum"] != nil {
				add("a boolean of one value")
			}
		case "number":
			if node["format"] == nil {
				add("a number without format")
			}
		}
		if node["if"] != nil {
			add("a condition")
		}
		if node["in"] != nil && dig(d.resolve(node["schema"]), "default") != nil {
			add("a parameter with a default")
		}
		d.checkParts(node, add)
		d.checkKinds(node, add)
		if content, ok := node["application/problem+json"]; ok && !isRef(dig(content, "schema"), "Problem") {
			add("a Problem of its own type")
		}
		if dig(node, "content", "application/problem+json") != nil && node["x-codes"] == nil {
			add("a Problem without x-codes")
		}
	})
	return found
}

// walk calls visit for each object of the document below node, except for examples.
func (d document) walk(place string, node any, visit func(place string, node map[string]any)) {
	switch node := node.(type) {
	case map[string]any:
		visit(place, node)
		for _, name := range slices.Sorted(maps.Keys(node)) {
			if name != "example" {
				d.walk(place+"/"+name, node[name], visit)
			}
		}
	case []any:
		for i, each := range node {
			d.walk(fmt.Sprintf("%s/%d", place, i), each, visit)
		}
	}
}

// checkParts adds a fault for each property that two parts of an allOf declare, unless
// the second only shortens the enum of the first: some generators keep one of the two,
// and others drop the whole type.
func (d document) checkParts(node map[string]any, add func(string, ...any)) {
	declared := map[string]any{}
	for _, part := range list(node["allOf"]) {
		for name, property := range d.properties(part) {
			before, ok := declared[name]
			if declared[name] = property; ok && !d.shortens(property, before) {
				add("%s stands in two parts", name)
			}
		}
	}
}

// properties returns those of a schema, with those of its parts.
func (d document) properties(schema any) map[string]any {
	schema = d.resolve(schema)
	all := map[string]any{}
	for _, part := range list(dig(schema, "allOf")) {
		maps.Copy(all, d.properties(part))
	}
	own, _ := dig(schema, "properties").(map[string]any)
	maps.Copy(all, own)
	return all
}

func (d document) shortens(property, before any) bool {
	some, all := list(dig(d.resolve(property), "enum")), list(dig(d.resolve(before), "enum"))
	return len(some) > 0 && !slices.ContainsFunc(some, func(v any) bool { return !slices.Contains(all, v) })
}

// checkKinds adds a fault for each oneOf of objects whose discriminator does not map
// each value of each kind: clients then try one kind after another, or cannot choose.
func (d document) checkKinds(node map[string]any, add func(string, ...any)) {
	kinds := list(node["oneOf"])
	if len(kinds) == 0 || slices.ContainsFunc(kinds, func(k any) bool { return dig(d.resolve(k), "type") == "array" }) {
		return
	}
	name, _ := dig(node, "discriminator", "propertyName").(string)
	mapping, _ := dig(node, "discriminator", "mapping").(map[string]any)
	left := maps.Clone(mapping)
	for _, kind := range kinds {
		property := d.resolve(d.properties(kind)[name])
		values := list(dig(property, "enum"))
		if one := dig(property, "const"); one != nil {
			values = append(values, one)
		}
		if len(values) == 0 {
			add("a kind without the discriminator %q", name)
		}
		for _, v := range values {
			if left[fmt.Sprint(v)] != dig(kind, "$ref") {
				add("the discriminator maps %v to %v", v, mapping[fmt.Sprint(v)])
			}
			delete(left, fmt.Sprint(v))
		}
	}
	if len(left) > 0 {
		add("the discriminator maps %v to no kind", left)
	}
}

// resolve follows a reference inside the document.
func (d document) resolve(node any) any {
	for {
		ref, ok := dig(node, "$ref").(string)
		if !ok {
			return node
		}
		node = map[string]any(d)
		for name := range strings.SplitSeq(strings.TrimPrefix(ref, "#/"), "/") {
			node = dig(node, name)
		}
	}
}

func dig(node any, path ...string) any {
	for _, name := range path {
		m, _ := node.(map[string]any)
		node = m[name]
	}
	return node
}

func list(node any) []any {
	l, _ := node.([]any)
	return l
}

func isRef(node any, schema string) bool { return dig(node, "$ref") == "#/components/schemas/"+schema }

// Generators of clients can read the contract. make test-clients runs some of them; this
// test finds what would break them without running them.
func TestDocumentSuitsGenerators(t *testing.T) {
	for _, fault := range read(t, contract.YAML).faults() {
		t.Error(fault)
	}
}

// The check must find each kind of fault; otherwise it proves nothing.
func TestDocumentFaultsAreFound(t *testing.T) {
	for text, want := range map[string]string{
		"credits: {default: 4}": "",
		"credits: {'': 4}":      "#/credits: an empty name",
		"a: {type: array, items: {type: string}, maxItems: 3}":                                  "",
		"a: {type: array, items: {type: string}}":                                               "#/a: a list without maxItems",
		"a: {type: array, maxItems: 0}":                                                         "#/a: a list without items",
		"a: {type: boolean, const: true}":                                                       "#/a: a boolean of one value",
		"a: [{type: boolean, enum: [false]}]":                                                   "#/a/0: a boolean of one value",
		"a: {in: query, schema: {type: integer, default: 1}}":                                   "#/a: a parameter with a default",
		"a: {if: {}, then: {}}":                                                                 "#/a: a condition",
		"a: {type: number}":                                                                     "#/a: a number without format",
		"application/problem+json: {schema: {type: object}}":                                    "#: a Problem of its own type",
		"content: {application/problem+json: {schema: {$ref: '#/components/schemas/Problem'}}}": "#: a Problem without x-codes",
		"allOf: [{properties: {a: {}}}, {properties: {b: {}}}]":                                 "",
		"allOf: [{properties: {a: {}}}, {properties: {a: {}}}]":                                 "#: a stands in two parts",
		"allOf: [{properties: {a: {enum: [x, y]}}}, {properties: {a: {enum: [x]}}}]":            "",
		"allOf: [{properties: {a: {enum: [x]}}}, {properties: {a: {enum: [x, y]}}}]":            "#: a stands in two parts",
		"allOf: [{properties: {a: {}}}, {allOf: [{properties: {a: {}}}]}]":                      "#: a stands in two parts",
		"oneOf: [{properties: {a: {}}}]":                                                        `#: a kind without the discriminator ""`,
		"b: {properties: {s: {enum: [x]}}}\noneOf: [{$ref: '#/b'}]\ndiscriminator: {propertyName: s, mapping: {x: '#/b'}}":          "",
		"b: {properties: {s: {const: x}}}\noneOf: [{$ref: '#/b'}]\ndiscriminator: {propertyName: s, mapping: {x: '#/c'}}":           "#: the discriminator maps x to #/c",
		"b: {properties: {s: {const: x}}}\noneOf: [{$ref: '#/b'}]\ndiscriminator: {propertyName: s, mapping: {x: '#/b', y: '#/b'}}": "#: the discriminator maps map[y:#/b] to no kind",
	} {
		if got := strings.Join(read(t, []byte(text)).faults(), "\n"); got != want {
			t.Errorf("%s\n got %s\nwant %s", text, got, want)
		}
	}
}

// The limits of the lists are those of the code.
func TestDocumentLimits(t *testing.T) {
	d := read(t, contract.YAML)
	schemas := dig(map[string]any(d), "components", "schemas")
	ratios, resolutions, inputs := 0, 0, 0
	for _, m := range task.Models() {
		ratios, resolutions, inputs = max(ratios, len(m.AspectRatios)), max(resolutions, len(m.Resolutions)), max(inputs, m.MaxInputs)
	}
	succeeded := d.properties(dig(schemas, "SucceededTask"))
	models := dig(map[string]any(d), "paths", "/v1/models", "get", "responses", "200", "content", "application/json", "schema")
	for _, x := range []struct {
		name string
		list any
		want int
	}{
		{"the models", models, len(task.Models())},
		{"aspectRatios", dig(schemas, "Model", "properties", "aspectRatios"), ratios},
		{"resolutions", dig(schemas, "Model", "properties", "resolutions"), resolutions},
		{"imageUrls of an order", dig(schemas, "NewTask", "properties", "imageUrls"), inputs},
		{"imageUrls of a task", succeeded["imageUrls"], inputs},
		{"inputs", succeeded["inputs"], inputs},
		{"images", succeeded["images"], mostPictures(t)},
		{"errors", dig(schemas, "Problem", "properties", "errors"), mostFaults()},
		{"a batch for /mcp", list(dig(schemas, "RPC", "oneOf"))[1], (256<<10 - len("[]") + len(",")) / len(`{"jsonrpc":"2.0"},`)},
	} {
		if got := dig(x.list, "maxItems"); got != x.want {
			t.Errorf("%s: maxItems is %v, the code's limit is %d", x.name, got, x.want)
		}
	}
	if bytes.Contains(contract.YAML, []byte("\t")) {
		t.Error("a tab, which YAML forbids as indentation")
	}
}

// mostPictures returns how many links are read from what the provider sends.
func mostPictures(t *testing.T) int {
	t.Helper()
	var links []string
	for i := range 100 {
		links = append(links, fmt.Sprintf(`"https://images.example.com/%d.png"`, i))
	}
	c, err := nanobanana.ParseCallback(fmt.Appendf(nil, `{"code":200,"data":{"taskId":"t","info":{"resultImageUrls":[%s]}}}`, strings.Join(links, ",")))
	if err != nil {
		t.Fatal(err)
	}
	return len(c.URLs)
}

// mostFaults returns how many faults the worst order has.
func mostFaults() int {
	most := 0
	for _, m := range append(task.Models(), task.Model{ID: "none"}) {
		r := task.Request{
			Model: m.ID, AspectRatio: "x", Resolution: "x", Watermark: "\x00", NumImages: -1,
			ImageURLs: slices.Repeat([]string{"data:,"}, 20), Target: &task.Target{}, Metadata: map[string]string{},
		}
		for i := range 16 {
			r.Metadata[fmt.Sprintf("No%d", i)] = ""
		}
		r.Normalize()
		most = max(most, len(r.Faults()))
	}
	return most
}
