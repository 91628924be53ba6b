package nanobanana

import (
	"bytes"
	"encoding/json"
	"math"
	"net/url"
	"slices"
	"strconv"
	"strings"
)

// What the provider sends is read with encoding/json and not with the strict decoder our own
// API uses: other cases, repeated names and wrong types must not lose a picture.

const (
	maxURL  = 2048
	maxURLs = 16 // four times what one task can be asked for
)

const (
	maxTaskID = 128
	taskIDs   = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-"
)

// envelope is what every answer and every callback comes in.
type envelope struct {
	Code    scalar          `json:"code"`
	Msg     scalar          `json:"msg"`
	Message scalar          `json:"message"` // generate-2 says message
	Data    json.RawMessage `json:"data"`
	TaskID  scalar          `json:"taskId"` // callbacks only, and only perhaps
}

// taskData is the data of a submit answer, a record or a callback, as far as it concerns us.
// Times are left out: they come in five formats, one of which does not exist (24:00:00), and
// state is decided by our own clock.
type taskData struct {
	TaskID       scalar          `json:"taskId"`
	TaskIDSnake  scalar          `json:"task_id"`
	ParamJSON    json.RawMessage `json:"paramJson"`
	SuccessFlag  scalar          `json:"successFlag"`
	ErrorCode    scalar          `json:"errorCode"`
	ErrorMessage scalar          `json:"errorMessage"`
	Response     json.RawMessage `json:"response"`
	Info         json.RawMessage `json:"info"`
	pictures
}

// pictures lists every name under which result URLs were seen or may be expected. originImageUrl
// is not among them: it is the upstream's own copy and lives for ten minutes.
type pictures struct {
	ResultImageURL  any `json:"resultImageUrl"`
	ResultImageURLs any `json:"resultImageUrls"`
	ResultURLs      any `json:"resultUrls"`
	ResultURLsSnake any `json:"result_urls"`
	Images          any `json:"images"`
}

// scalar is a JSON number or text, kept as text; anything else is empty and no error.
type scalar string

func (s *scalar) UnmarshalJSON(raw []byte) error {
	*s = ""
	switch {
	case raw[0] == '"':
		var text string
		if err := json.Unmarshal(raw, &text); err != nil {
			return err
		}
		*s = scalar(strings.TrimSpace(text))
	case raw[0] == '-' || raw[0] >= '0' && raw[0] <= '9':
		*s = scalar(raw)
	}
	return nil
}

// integer gives the whole number in s, and whether there is one.
func (s scalar) integer() (int, bool) {
	f, ok := s.float()
	if !ok || f != math.Trunc(f) || math.Abs(f) > 1e9 {
		return 0, false
	}
	return int(f), true
}

func (s scalar) float() (float64, bool) {
	f, err := strconv.ParseFloat(string(s), 64)
	return f, err == nil && !math.IsNaN(f) && !math.IsInf(f, 0)
}

// decodeObject reads raw, an object or a text that holds one, into v. It reports whether it could.
func decodeObject(raw []byte, v any) bool {
	raw = bytes.TrimSpace(bytes.TrimPrefix(raw, []byte("\ufeff")))
	if len(raw) > 0 && raw[0] == '"' {
		var text string
		if json.Unmarshal(raw, &text) != nil {
			return false
		}
		raw = bytes.TrimSpace([]byte(text))
	}
	return len(raw) > 0 && raw[0] == '{' && json.Unmarshal(raw, v) == nil
}

// text is what the envelope says in words.
func (e envelope) text() string {
	if e.Msg != "" {
		return string(e.Msg)
	}
	return string(e.Message)
}

// code is the envelope's code, 0 where it has none: it is then not well-formed.
func (e envelope) code() int {
	code, _ := e.Code.integer()
	return code
}

// taskData reads the envelope's data; what is not an object is as good as empty.
func (e envelope) taskData() (d taskData) {
	decodeObject(e.Data, &d)
	return d
}

// taskID is the first lawful provider id among the places where one may stand, or empty.
func (e envelope) taskID(d taskData) string {
	for _, id := range []scalar{d.TaskID, d.TaskIDSnake, e.TaskID} {
		if id != "" && len(id) <= maxTaskID && strings.Trim(string(id), taskIDs) == "" {
			return string(id)
		}
	}
	return ""
}

// urls collects the result URLs of a task in order, without repeats.
func (d taskData) urls() []string {
	var response, info pictures
	decodeObject(d.Response, &response)
	decodeObject(d.Info, &info)
	var urls []string
	for _, p := range []pictures{response, info, d.pictures} {
		for _, value := range []any{p.ResultImageURL, p.ResultImageURLs, p.ResultURLs, p.ResultURLsSnake, p.Images} {
			urls = appendURLs(urls, value)
		}
	}
	return urls
}

// appendURLs appends the URLs in value: a text, a list, or an object with a url.
func appendURLs(urls []string, value any) []string {
	switch v := value.(type) {
	case string:
		var list []any
		if v = strings.TrimSpace(v); strings.HasPrefix(v, "[") && json.Unmarshal([]byte(v), &list) == nil {
			return appendURLs(urls, list)
		}
		for _, u := range splitURLs(v) {
			if len(urls) < maxURLs && lawfulURL(u) && !slices.Contains(urls, u) {
				urls = append(urls, u)
			}
		}
	case []any:
		for _, element := range v {
			urls = appendURLs(urls, element)
		}
	case map[string]any:
		urls = appendURLs(urls, v["url"])
	}
	return urls
}

// splitURLs takes apart a text that holds one URL, or several with commas between. A comma parts
// two URLs only where another begins: it is lawful inside one.
func splitURLs(text string) []string {
	var urls []string
	start := 0
	for i := range len(text) {
		if text[i] == ',' && strings.HasPrefix(strings.TrimLeft(text[i+1:], " "), "http") {
			urls = append(urls, strings.TrimSpace(text[start:i]))
			start = i + 1
		}
	}
	return append(urls, strings.TrimSpace(text[start:]))
}

// lawfulURL tells whether text is an absolute http or https URL of bearable length. Whether it
// may be fetched is decided where it is fetched.
func lawfulURL(text string) bool {
	if len(text) > maxURL {
		return false
	}
	u, err := url.Parse(text)
	return err == nil && (u.Scheme == "http" || u.Scheme == "https") && u.Host != ""
}
