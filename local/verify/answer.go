package verify

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"net/url"
	"slices"
	"strings"
)

// answerBody holds the codes and words of an answer, a record or a callback.
type answerBody struct {
	Code    any    `json:"code"`
	Msg     string `json:"msg"`
	Message string `json:"message"`
	Data    struct {
		SuccessFlag  any    `json:"successFlag"`
		ErrorCode    any    `json:"errorCode"`
		ErrorMessage string `json:"errorMessage"`
		ParamJSON    any    `json:"paramJson"`
	} `json:"data"`
}

// parseAnswer reads a body. ok is false if it is not a JSON object.
func parseAnswer(body []byte) (a answerBody, ok bool) {
	var raw map[string]json.RawMessage
	if json.Unmarshal(body, &raw) != nil {
		return a, false
	}
	_ = json.Unmarshal(body, &a) // data may be a number, which has no fields
	return a, true
}

// String returns the codes and words in one line, shortened.
func (a answerBody) String() string {
	text := a.Msg
	if text == "" {
		text = a.Message
	}
	s := fmt.Sprintf("code %v %q", a.Code, truncate(text))
	if a.Data.SuccessFlag != nil {
		code := a.Data.ErrorCode
		if code == nil {
			code = "null"
		}
		s += fmt.Sprintf(", successFlag %v, errorCode %v %q", a.Data.SuccessFlag, code, truncate(a.Data.ErrorMessage))
	}
	return s
}

// maxQuote is how many characters of a text are quoted.
const maxQuote = 100

func truncate(text string) string {
	if runes := []rune(text); len(runes) > maxQuote {
		return string(runes[:maxQuote]) + "…"
	}
	return text
}

// paramNames returns the names in the record's paramJson. ok reports whether the
// record has a paramJson.
func (a answerBody) paramNames() (names []string, ok bool) {
	var params map[string]any
	switch p := a.Data.ParamJSON.(type) {
	case string:
		ok = json.Unmarshal([]byte(p), &params) == nil
	case map[string]any:
		params, ok = p, true
	}
	return slices.Sorted(maps.Keys(params)), ok
}

// urlField is a field of an answer that contains URLs.
type urlField struct {
	place string // its path, such as data.response.images[].url
	urls  []string
}

// findURLs returns the fields of an answer that contain URLs, without those in
// paramJson, which came from the request. The elements of a list count as one field.
func findURLs(body []byte) []urlField {
	var value any
	if json.Unmarshal(body, &value) != nil {
		return nil
	}
	var all []urlField
	walk("", value, func(place string, links []string) {
		i := slices.IndexFunc(all, func(f urlField) bool { return f.place == place })
		if i < 0 {
			all = append(all, urlField{place: place})
			i = len(all) - 1
		}
		all[i].urls = append(all[i].urls, links...)
	})
	return all
}

// walk calls visit with the place and the URLs of each text in value that consists
// of URLs. JSON in a text is read too.
func walk(place string, value any, visit func(place string, urls []string)) {
	switch v := value.(type) {
	case map[string]any:
		for _, name := range slices.Sorted(maps.Keys(v)) {
			if name != "paramJson" {
				walk(strings.TrimPrefix(place+"."+name, "."), v[name], visit)
			}
		}
	case []any:
		for _, element := range v {
			walk(place+"[]", element, visit)
		}
	case string:
		if inner, ok := parseJSONText(v); ok {
			walk(place+" (as text)", inner, visit)
			return
		}
		urls := splitURLs(v)
		if len(urls) > 1 {
			place += " (with commas)"
		}
		if urls != nil {
			visit(place, urls)
		}
	}
}

// parseJSONText returns the JSON object or list that a text consists of.
func parseJSONText(text string) (value any, ok bool) {
	b := bytes.TrimSpace([]byte(text))
	if len(b) == 0 || b[0] != '[' && b[0] != '{' {
		return nil, false
	}
	ok = json.Unmarshal(b, &value) == nil
	return value, ok
}

// splitURLs returns the URLs of a text that consists of one URL, or of several with
// commas between them; nil if it consists of anything else.
func splitURLs(text string) (urls []string) {
	for part := range strings.SplitSeq(strings.ReplaceAll(text, ", http", ",http"), ",http") {
		if len(urls) > 0 {
			part = "http" + part
		}
		if u, err := url.Parse(part); err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" {
			return nil
		}
		urls = append(urls, part)
	}
	return urls
}
