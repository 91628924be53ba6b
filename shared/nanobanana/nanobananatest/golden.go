package nanobananatest

import (
	"bytes"
	"embed"
	"encoding/json"
	"fmt"
	"strings"
)

// golden has one reply for each documented shape. The simulator fills in its own values and serves
// them; the client's tests read them as they are.
//
//go:embed testdata/*.json
var golden embed.FS

// Golden returns the sample reply of this name, a file of testdata without .json. It panics for an
// unknown name, which is a mistake in the test.
func Golden(name string) []byte {
	body, err := golden.ReadFile("testdata/" + name + ".json")
	if err != nil {
		panic(err)
	}
	return body
}

// fields maps a place in a reply, such as data.taskId, to its value.
type fields map[string]any

// fill returns the sample with these values. A place may be new, but not the object that it is in.
func fill(name string, values fields) []byte {
	var reply map[string]any
	if err := json.Unmarshal(Golden(name), &reply); err != nil {
		panic(fmt.Errorf("sample %s: %w", name, err))
	}
	for place, value := range values {
		object := reply
		path := strings.Split(place, ".")
		for _, key := range path[:len(path)-1] {
			object = object[key].(map[string]any)
		}
		object[path[len(path)-1]] = value
	}
	body, err := json.Marshal(reply)
	if err != nil {
		panic(fmt.Errorf("sample %s: %w", name, err))
	}
	return body
}

// spellNumbers returns body, with its numbers as texts if the knobs say so.
func (k Knobs) spellNumbers(body []byte) []byte {
	if !k.TextNumbers {
		return body
	}
	var reply map[string]any
	decoder := json.NewDecoder(bytes.NewReader(body))
	decoder.UseNumber()
	if err := decoder.Decode(&reply); err != nil {
		panic(err) // the body is our own
	}
	spelled, err := json.Marshal(numbersAsText(reply))
	if err != nil {
		panic(err)
	}
	return spelled
}

func numbersAsText(value any) any {
	switch v := value.(type) {
	case json.Number:
		return v.String()
	case map[string]any:
		for name := range v {
			v[name] = numbersAsText(v[name])
		}
	}
	return value
}
