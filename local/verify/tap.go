package verify

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/url"
	"os"
	"slices"
	"strings"
	"sync"
	"time"
)

// exchange is a request to the provider and its answer, as far as it was read.
type exchange struct {
	Method string
	Path   string // without the query
	Status int    // 0 where no answer came
	Took   time.Duration
	Body   []byte
}

// tap is a transport that remembers what passes through it, and writes the
// answers down. Requests are made one at a time.
type tap struct {
	http.RoundTripper
	notes *notes
	seen  []*exchange
}

func (t *tap) RoundTrip(r *http.Request) (*http.Response, error) {
	e := &exchange{Method: r.Method, Path: r.URL.Path}
	t.seen = append(t.seen, e)
	begun := time.Now()
	resp, err := t.RoundTripper.RoundTrip(r)
	e.Took = time.Since(begun)
	if err != nil {
		return nil, err
	}
	e.Status = resp.StatusCode
	resp.Body = &tappedBody{ReadCloser: resp.Body, exchange: e, notes: t.notes, begun: begun}
	return resp, nil
}

// since gives the exchanges after the first n.
func (t *tap) since(n int) []*exchange { return t.seen[n:] }

type tappedBody struct {
	io.ReadCloser
	exchange *exchange
	notes    *notes
	begun    time.Time
}

func (b *tappedBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	b.exchange.Body = append(b.exchange.Body, p[:n]...)
	return n, err
}

func (b *tappedBody) Close() error {
	e := b.exchange
	e.Took = time.Since(b.begun)
	b.notes.write(map[string]any{"answer": e.Method + " " + e.Path, "status": e.Status, "ms": e.Took.Milliseconds(), "body": string(e.Body)})
	return b.ReadCloser.Close()
}

// notes is the file that what the provider said is written down in, as it was
// said, so that the simulator's samples can be corrected by it.
type notes struct {
	mu     sync.Mutex
	file   *os.File
	secret string // what must not be in it
}

func (n *notes) write(line map[string]any) {
	line["at"] = time.Now().UTC()
	b, err := json.Marshal(line)
	if err != nil {
		return
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	_, _ = n.file.Write(append([]byte(hide(string(b), n.secret)), '\n')) // they are extra
}

// hide takes a secret out of what somebody else has said.
func hide(text, secret string) string {
	if secret == "" {
		return text
	}
	return strings.ReplaceAll(text, secret, "[hidden]")
}

// answerText is what an answer, a record or a callback says in words.
type answerText struct {
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

func readAnswer(body []byte) (a answerText, ok bool) {
	var raw map[string]json.RawMessage
	if json.Unmarshal(body, &raw) != nil {
		return a, false
	}
	_ = json.Unmarshal(body, &a) // data may be a number: then there is none
	return a, true
}

// String is its code and words, in one line of bearable length.
func (a answerText) String() string {
	text := a.Msg
	if text == "" {
		text = a.Message
	}
	s := fmt.Sprintf("code %v %q", a.Code, clip(text))
	if a.Data.SuccessFlag != nil {
		code := a.Data.ErrorCode
		if code == nil {
			code = "null"
		}
		s += fmt.Sprintf(", successFlag %v, errorCode %v %q", a.Data.SuccessFlag, code, clip(a.Data.ErrorMessage))
	}
	return s
}

const maxQuote = 100

func clip(text string) string {
	if runes := []rune(text); len(runes) > maxQuote {
		return string(runes[:maxQuote]) + "…"
	}
	return text
}

// paramNames are the names in the record's paramJson; ok tells whether it is there.
func (a answerText) paramNames() (names []string, ok bool) {
	var params map[string]any
	switch p := a.Data.ParamJSON.(type) {
	case string:
		ok = json.Unmarshal([]byte(p), &params) == nil
	case map[string]any:
		params, ok = p, true
	}
	return slices.Sorted(maps.Keys(params)), ok
}

// spot is a place in an answer where URLs stand.
type spot struct {
	place string
	urls  []string
}

// spots lists where in an answer URLs stand, but for those that the request
// brought along. Lists are one place.
func spots(body []byte) []spot {
	var value any
	if json.Unmarshal(body, &value) != nil {
		return nil
	}
	var all []spot
	walk("", value, func(place string, links []string) {
		i := slices.IndexFunc(all, func(s spot) bool { return s.place == place })
		if i < 0 {
			all = append(all, spot{place: place})
			i = len(all) - 1
		}
		all[i].urls = append(all[i].urls, links...)
	})
	return all
}

func walk(place string, value any, visit func(place string, links []string)) {
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
		var inner any
		if text := bytes.TrimSpace([]byte(v)); len(text) > 0 && (text[0] == '[' || text[0] == '{') && json.Unmarshal(text, &inner) == nil {
			walk(place+" (as text)", inner, visit)
			return
		}
		var links []string
		for part := range strings.SplitSeq(strings.ReplaceAll(v, ", http", ",http"), ",http") {
			if len(links) > 0 {
				part = "http" + part
			}
			if u, err := url.Parse(part); err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" {
				return
			}
			links = append(links, part)
		}
		if len(links) > 1 {
			place += " (with commas)"
		}
		visit(place, links)
	}
}
