package nanobananatest

import (
	"bytes"
	"embed"
	"encoding/json"
	"fmt"
	"strings"
)

// golden holds one reply for each shape the provider sends, after nanobanana-api.md. The
// simulator fills in its own values and serves them; the client's tests read them as they are.
//
//go:embed testdata/*.json
var golden embed.FS

// Golden returns the sample reply of this name (a file of testdata, without .json). An unknown
// name is a mistake in the test, and panics.
func Golden(name string) []byte {
	body, err := golden.ReadFile("testdata/" + name + ".json")
	if err != nil {
		panic(err)
	}
	return body
}

// fields names values by their place in a reply, such as data.taskId.
type fields map[string]any

// fill returns the sample with the values given put in their places. A place may be new, but not
// the object it is in.
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

// spell is body with its numbers as texts, where the knobs say so.
func (k Knobs) spell(body []byte) []byte {
	if !k.TextNumbers {
		return body
	}
	var reply map[string]any
	decoder := json.NewDecoder(bytes.NewReader(body))
	decoder.UseNumber()
	if err := decoder.Decode(&reply); err != nil {
		panic(err) // it is ours
	}
	spelled, err := json.Marshal(spelled(reply))
	if err != nil {
		panic(err)
	}
	return spelled
}

func spelled(value any) any {
	switch v := value.(type) {
	case json.Number:
		return v.String()
	case map[string]any:
		for name := range v {
			v[name] = spelled(v[name])
		}
	}
	return value
}
