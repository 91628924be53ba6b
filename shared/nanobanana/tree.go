package nanobanana

import (
	"bytes"
	"encoding/json"
	"math"
	"slices"
	"strconv"
	"strings"
	"unicode"
)

// The provider's JSON becomes a tree in which nothing is required. The strict decoder of our own API
// would lose pictures: the provider may use another case, repeated names, other types or other nesting.

const (
	maxDepth = 64     // deeper values are left out
	maxNodes = 20_000 // later values are left out; a documented record has fewer than a hundred
)

// kind is the type of a JSON value, as shape prints it.
type kind string

const (
	isObject kind = "object"
	isList   kind = "list"
	isText   kind = "text"
	isNumber kind = "number"
	isBool   kind = "bool"
	isNull   kind = "null"
	isCut    kind = "?" // the answer ends before the value does
)

// node is a JSON value. All methods accept nil, for a missing value.
type node struct {
	kind     kind
	text     string   // a text, number or bool as it is written
	members  []member // of an object or a list, in the provider's order
	embedded *node    // the JSON in a text
}

// member is an element of a list, or a named one of an object.
type member struct {
	name  string // as it is written
	key   string // the folded name, for comparing
	value *node
}

// parse reads raw as JSON; whole reports whether raw is exactly one JSON value. Otherwise the tree has
// what could be read, for a shape.
func parse(raw []byte) (root *node, whole bool) {
	raw = bytes.TrimSpace(bytes.TrimPrefix(raw, []byte("\ufeff")))
	p := parser{dec: numbersAsText(raw), left: maxNodes}
	return p.value(0), json.Valid(raw)
}

func numbersAsText(raw []byte) *json.Decoder {
	dec := json.NewDecoder(bytes.NewReader(raw))
	dec.UseNumber()
	return dec
}

// parser builds a tree of bounded size and depth in linear time. It stops when the bytes or
// the nodes are used up.
type parser struct {
	dec  *json.Decoder
	left int // nodes that may still be built
}

func (p *parser) value(depth int) *node {
	token, err := p.dec.Token()
	if err != nil {
		return &node{kind: isCut}
	}
	switch t := token.(type) {
	case json.Delim:
		if depth >= maxDepth {
			return p.skip(t)
		}
		return p.members(t, depth)
	case string:
		return &node{kind: isText, text: t, embedded: p.embedded(t, depth)}
	case json.Number:
		return &node{kind: isNumber, text: t.String()}
	case bool:
		return &node{kind: isBool, text: strconv.FormatBool(t)}
	}
	return &node{kind: isNull}
}

func (p *parser) members(opening json.Delim, depth int) *node {
	n := &node{kind: kindOf(opening)}
	for p.left > 0 && p.dec.More() {
		var m member
		if n.kind == isObject {
			name, err := p.dec.Token()
			if err != nil {
				return n
			}
			m.name, _ = name.(string)
			m.key = fold(m.name)
		}
		m.value = p.value(depth + 1)
		n.members = append(n.members, m)
		if p.left--; m.value.kind == isCut {
			p.left = 0
		}
	}
	if p.left > 0 {
		_, _ = p.dec.Token() // the closing bracket; if it is missing, so is the next token
	}
	return n
}

// skip passes over an object or a list without recursion, since it may be of any depth.
func (p *parser) skip(opening json.Delim) *node {
	for open := 1; open > 0; {
		token, err := p.dec.Token()
		if err != nil {
			break
		}
		switch token {
		case json.Delim('{'), json.Delim('['):
			open++
		case json.Delim('}'), json.Delim(']'):
			open--
		}
	}
	return &node{kind: kindOf(opening)}
}

func kindOf(opening json.Delim) kind {
	if opening == '{' {
		return isObject
	}
	return isList
}

// embedded returns the object or list in a text, however often it was quoted, or nil.
func (p *parser) embedded(text string, depth int) *node {
	text = strings.TrimSpace(text)
	if text == "" || !strings.ContainsRune(`{["`, rune(text[0])) || depth >= maxDepth || !json.Valid([]byte(text)) {
		return nil
	}
	inner := parser{dec: numbersAsText([]byte(text)), left: p.left}
	n := inner.value(depth + 1)
	p.left = inner.left
	return n
}

// fold makes names comparable: without case and separators, so that result_image_url is
// resultImageUrl.
func fold(name string) string {
	return strings.Map(func(r rune) rune {
		if strings.ContainsRune("_-. ", r) {
			return -1
		}
		return unicode.ToLower(r)
	}, name)
}

// decoded returns the JSON in a text, or else the value itself.
func (n *node) decoded() *node {
	for n != nil && n.embedded != nil {
		n = n.embedded
	}
	return n
}

// object returns n as an object, also from a text or a list of one; or nil.
func (n *node) object() *node {
	for n = n.decoded(); n != nil && n.kind == isList && len(n.members) == 1; {
		n = n.members[0].value.decoded()
	}
	if n == nil || n.kind != isObject {
		return nil
	}
	return n
}

// all returns every value of an object under a folded name.
func (n *node) all(key string) (values []*node) {
	if n == nil || n.kind != isObject {
		return nil
	}
	for _, m := range n.members {
		if m.key == key {
			values = append(values, m.value)
		}
	}
	return values
}

// any reports whether f is true for any member in n, at any depth.
func (n *node) any(f func(member) bool) bool {
	n = n.decoded()
	return n != nil && slices.ContainsFunc(n.members, func(m member) bool { return f(m) || m.value.any(f) })
}

// get returns the value under the first of these folded names that has one, the last if the name is
// repeated. Null and the empty text are not values.
func (n *node) get(keys ...string) *node {
	for _, key := range keys {
		values := n.all(key)
		for i := len(values) - 1; i >= 0; i-- {
			if v := values[i]; v.kind != isNull && v.kind != isCut && (v.kind != isText || strings.TrimSpace(v.text) != "") {
				return v
			}
		}
	}
	return nil
}

// scalar returns a trimmed text, a number or a bool; "" for anything else.
func (n *node) scalar() string {
	if n = n.decoded(); n == nil || n.kind == isObject || n.kind == isList {
		return ""
	}
	return strings.TrimSpace(n.text)
}

// integer returns the whole number in n, and whether there is one.
func (n *node) integer() (int, bool) {
	f, ok := n.float()
	if !ok || f != math.Trunc(f) || math.Abs(f) > 1e9 {
		return 0, false
	}
	return int(f), true
}

func (n *node) float() (float64, bool) {
	f, err := strconv.ParseFloat(n.scalar(), 64)
	return f, err == nil && !math.IsNaN(f) && !math.IsInf(f, 0)
}

const (
	maxNames = 100 // in a shape
	maxName  = 40
	maxAlike = 3 // elements of a list that a shape shows
)

// shape returns the names and types in n on one line, and never a value. It prints an odd name as *.
func (n *node) shape() string {
	var b strings.Builder
	left := maxNames
	n.print(&b, &left)
	return b.String()
}

func (n *node) print(b *strings.Builder, left *int) {
	switch {
	case n.kind == isObject:
		b.WriteString("{")
		n.printMembers(b, left, len(n.members))
		b.WriteString("}")
	case n.kind == isList:
		b.WriteString("[")
		n.printMembers(b, left, maxAlike)
		b.WriteString("]")
	case n.embedded != nil:
		b.WriteString("text:")
		n.embedded.print(b, left)
	default:
		b.WriteString(string(n.kind))
	}
}

func (n *node) printMembers(b *strings.Builder, left *int, most int) {
	for i, m := range n.members {
		if i > 0 {
			b.WriteString(",")
		}
		if i >= most || *left <= 0 {
			b.WriteString("...")
			return
		}
		*left--
		if n.kind == isObject {
			b.WriteString(printable(m.name) + ":")
		}
		m.value.print(b, left)
	}
}

func printable(name string) string {
	odd := func(r rune) bool {
		return r != '_' && (r < '0' || r > '9') && (r < 'A' || r > 'Z') && (r < 'a' || r > 'z')
	}
	if name == "" || len(name) > maxName || strings.ContainsFunc(name, odd) {
		return "*"
	}
	return name
}
