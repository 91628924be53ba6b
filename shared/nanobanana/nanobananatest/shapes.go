package nanobananatest

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"net/url"
	"strings"
)

// Shape returns the JSON value that is sent in place of a record or a callback. It may change its
// argument.
type Shape func(envelope map[string]any) any

// Shapes are ways in which a record or a callback may differ from the documented ones. Each changes what
// it finds and leaves the rest.
var Shapes = map[string]Shape{
	// The same content in another form.
	"nested":  inData(func(data object) any { return object{"record": data} }),
	"listed":  inData(func(data object) any { return []any{data} }),
	"quoted":  inData(func(data object) any { return text(data) }),
	"flat":    flat,
	"words":   inData(siblingWording),
	"renamed": inResponse(func(_, response object) { rename(response, "resultImageUrl", "imageFile") }),

	// Links in another form.
	"relative": links(func(u *url.URL) string { return u.RequestURI() }),
	"noScheme": links(func(u *url.URL) string { return "//" + u.Host + u.RequestURI() }),
	"amp":      links(func(u *url.URL) string { return u.String() + "?a=1&amp;b=2" }),
	"percent":  links(func(u *url.URL) string { return u.String() + "?name=100%" }),
	"http":     links(func(u *url.URL) string { return "http://" + u.Host + u.RequestURI() }),

	// Nothing useful in it.
	"linkless":    inResponse(func(data, _ object) { data["response"] = nil }),
	"inline":      links(func(*url.URL) string { return "data:image/png;base64,iVBORw0KGgo" + strings.Repeat("A", 300) }),
	"stateless":   inData(func(data object) any { delete(data, "successFlag"); return data }),
	"unknown":     inData(func(data object) any { data["successFlag"] = 7; return data }),
	"conflicting": inData(conflicting),
	"large":       inData(func(data object) any { data["trace"] = strings.Repeat("x", 1<<20); return data }),

	// Another task's, or perhaps so.
	"stranger": stranger,
	"respelt":  inData(func(data object) any { return reprompt(data, asASCII) }),
	"rewritten": inData(func(data object) any {
		return reprompt(data, func(string) string { return "Something else entirely." })
	}),
	"noParams": inData(func(data object) any { delete(data, "paramJson"); return data }),
}

// OtherTaskID is the task id in a record of the shape "stranger".
const OtherTaskID = "ffffffffffffffffffffffffffffffff"

type object = map[string]any

// apply changes a body; nil leaves it as it is.
func (s Shape) apply(body []byte) []byte {
	if s == nil {
		return body
	}
	decoder := json.NewDecoder(bytes.NewReader(body))
	decoder.UseNumber()
	var envelope object
	if err := decoder.Decode(&envelope); err != nil {
		panic(err) // the body is our own
	}
	var out bytes.Buffer
	encoder := json.NewEncoder(&out)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(s(envelope)); err != nil {
		panic(fmt.Errorf("nanobananatest: a shape that is not JSON: %w", err))
	}
	return out.Bytes()
}

// inData returns a Shape that changes only the data.
func inData(change func(data object) any) Shape {
	return func(envelope object) any {
		if data, ok := envelope["data"].(object); ok {
			envelope["data"] = change(data)
		}
		return envelope
	}
}

// inResponse returns a Shape that changes the object with the results, if there is one.
func inResponse(change func(data, response object)) Shape {
	return inData(func(data object) any {
		for _, name := range []string{"response", "info"} {
			if response, ok := data[name].(object); ok {
				change(data, response)
			}
		}
		return data
	})
}

// links returns a Shape that rewrites the links to results.
func links(write func(*url.URL) string) Shape {
	other := func(link any) any {
		if u, err := url.Parse(fmt.Sprint(link)); err == nil && u.Host != "" {
			return write(u)
		}
		return link
	}
	return inResponse(func(_, response object) {
		switch value := response["resultImageUrl"].(type) {
		case string:
			response["resultImageUrl"] = other(value)
		case []any:
			for i, link := range value {
				value[i] = other(link)
			}
		}
	})
}

func text(value any) string {
	text, err := json.Marshal(value)
	if err != nil {
		panic(err) // it came from JSON
	}
	return string(text)
}

func rename(in object, from, to string) {
	if value, ok := in[from]; ok {
		delete(in, from)
		in[to] = value
	}
}

// flat has no data: the envelope has all its members, and those of its response.
func flat(envelope object) any {
	data, _ := envelope["data"].(object)
	delete(envelope, "data")
	maps.Copy(envelope, data)
	if response, ok := data["response"].(object); ok {
		delete(envelope, "response")
		maps.Copy(envelope, response)
	}
	return envelope
}

// siblingWording writes records as a sibling of the provider does.
func siblingWording(data object) any {
	states := map[string]string{"0": "generating", "1": "success", "2": "fail", "3": "fail"}
	data["state"] = states[fmt.Sprint(data["successFlag"])]
	delete(data, "successFlag")
	rename(data, "errorCode", "failCode")
	rename(data, "errorMessage", "failMsg")
	rename(data, "paramJson", "param")
	if response, ok := data["response"].(object); ok {
		delete(data, "response")
		data["resultJson"] = text(object{"resultUrls": response["resultImageUrl"]})
	}
	return data
}

// conflicting also has a state that is the opposite of its flag.
func conflicting(data object) any {
	data["state"] = "success"
	if fmt.Sprint(data["successFlag"]) == "1" {
		data["state"] = "fail"
	}
	return data
}

// stranger is the record of another customer's task, with that customer's picture.
func stranger(envelope object) any {
	links(func(u *url.URL) string { return u.String() + "?of=" + OtherTaskID })(envelope)
	return inData(func(data object) any {
		data["taskId"] = OtherTaskID
		data["paramJson"] = text(object{
			"prompt": "somebody else's picture", "callBackUrl": "https://other.example/v1/callbacks/zzzzzzzzzzzzzzzzzzzzzzzzzz/1/xxx",
		})
		return data
	})(envelope)
}

// reprompt changes the prompt that a record repeats.
func reprompt(data object, change func(string) string) any {
	var params object
	if echoed, ok := data["paramJson"].(string); ok && json.Unmarshal([]byte(echoed), &params) == nil {
		params["prompt"] = change(fmt.Sprint(params["prompt"]))
		data["paramJson"] = text(params)
	}
	return data
}

// asASCII returns a text as an ASCII store would keep it.
func asASCII(text string) string {
	return strings.Map(func(r rune) rune {
		if r > 127 {
			return '?'
		}
		return r
	}, text)
}
