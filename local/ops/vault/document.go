package vault

import (
	"bytes"
	"errors"
	"slices"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

// errForm quotes nothing of the value.
var errForm = errors.New("the secret is not one JSON object, or one of its lists is not a list of objects; correct it by hand (docs/deploy.md#keys shows its form)")

// object is a JSON object whose members keep their order and their text.
type object []member

type member struct {
	name  string
	value jsontext.Value
}

func parseObject(text []byte) (object, error) {
	d := jsontext.NewDecoder(bytes.NewReader(text))
	if t, err := d.ReadToken(); err != nil || t.Kind() != '{' {
		return nil, errForm
	}
	o := object{}
	for d.PeekKind() != '}' {
		name, err := d.ReadToken()
		if err != nil {
			return nil, errForm
		}
		m := member{name: name.String()}
		value, err := d.ReadValue()
		if err != nil {
			return nil, errForm
		}
		m.value = value.Clone()
		o = append(o, m)
	}
	if _, err := d.ReadToken(); err != nil {
		return nil, errForm
	}
	if _, err := d.ReadToken(); err == nil { // something follows
		return nil, errForm
	}
	return o, nil
}

func (o object) index(name string) int {
	return slices.IndexFunc(o, func(m member) bool { return m.name == name })
}

// text returns a member that is a string, or "".
func (o object) text(name string) string {
	var text string
	if i := o.index(name); i >= 0 && json.Unmarshal(o[i].value, &text) == nil {
		return text
	}
	return ""
}

// time returns a member that is a time, or the zero time.
func (o object) time(name string) time.Time {
	at, _ := time.Parse(time.RFC3339, o.text(name))
	return at
}

// set sets the value of a member, in its place or at the end.
func (o *object) set(name string, value jsontext.Value) {
	if i := o.index(name); i >= 0 {
		(*o)[i].value = value
		return
	}
	*o = append(*o, member{name, value})
}

func (o *object) setText(name, text string) { o.set(name, quote(text)) }

func quote(text string) jsontext.Value {
	quoted, _ := jsontext.AppendQuote(nil, text) // what is no UTF-8 is replaced
	return quoted
}

func (o object) encode() jsontext.Value {
	b := []byte{'{'}
	for i, m := range o {
		if i > 0 {
			b = append(b, ',')
		}
		b = append(append(append(b, quote(m.name)...), ':'), m.value...)
	}
	return append(b, '}')
}

// Document is the secret's JSON object.
type Document struct{ members object }

// Parse reads the secret. It refuses only what cannot be edited: a value that the
// functions would refuse can be corrected by a change. The error quotes nothing.
func Parse(value []byte) (*Document, error) {
	o, err := parseObject(value)
	if err != nil {
		return nil, err
	}
	d := &Document{members: o}
	for _, name := range lists {
		if _, err := d.entries(name); err != nil {
			return nil, err
		}
	}
	return d, nil
}

// Text returns the secret's JSON.
func (d *Document) Text() []byte { return d.members.encode() }

// Take sets a member to its value in from, or drops it if from has none.
func (d *Document) Take(name string, from *Document) {
	if i := from.members.index(name); i >= 0 {
		d.members.set(name, from.members[i].value)
		return
	}
	d.Drop(name)
}

// Drop removes a member.
func (d *Document) Drop(name string) {
	d.members = slices.DeleteFunc(d.members, func(m member) bool { return m.name == name })
}

// Same reports whether a member has the same value in other.
func (d *Document) Same(name string, other *Document) bool {
	value := func(o object) string {
		if i := o.index(name); i >= 0 {
			return string(o[i].value)
		}
		return ""
	}
	return value(d.members) == value(other.members)
}

// entries returns the entries of a list, none if it is missing.
func (d *Document) entries(name string) ([]object, error) {
	i := d.members.index(name)
	if i < 0 {
		return nil, nil
	}
	var raw []jsontext.Value
	if json.Unmarshal(d.members[i].value, &raw) != nil {
		return nil, errForm
	}
	var entries []object
	for _, r := range raw {
		e, err := parseObject(r)
		if err != nil {
			return nil, err
		}
		entries = append(entries, e)
	}
	return entries, nil
}

// list is entries of a list that Parse has accepted.
func (d *Document) list(name string) []object {
	entries, _ := d.entries(name)
	return entries
}

func (d *Document) setList(name string, entries []object) {
	b := []byte{'['}
	for i, e := range entries {
		if i > 0 {
			b = append(b, ',')
		}
		b = append(b, e.encode()...)
	}
	d.members.set(name, append(b, ']'))
}
