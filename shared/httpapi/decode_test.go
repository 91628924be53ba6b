package httpapi

import (
	"bytes"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/preset/nanobanana-functions/shared/cputest"
	"github.com/preset/nanobanana-functions/shared/task"
)

const limit = 256 << 10

// submission is shaped like the body of POST /v1/tasks.
type submission struct {
	Prompt    string            `json:"prompt"`
	ImageURLs []string          `json:"imageUrls,omitempty"`
	NumImages int               `json:"numImages,omitzero"`
	Watermark bool              `json:"watermark,omitzero"`
	Strength  float64           `json:"strength,omitzero"`
	Target    *target           `json:"target,omitzero"`
	Metadata  map[string]string `json:"metadata,omitempty"`
}

type target struct {
	Kind string `json:"kind"`
	ID   string `json:"id"`
}

var advice = map[string]string{"/callBackUrl": "Not needed: the service sets it."}

func post(body string) *http.Request {
	r := httptest.NewRequest("POST", "/v1/tasks", strings.NewReader(body))
	r.Header.Set("Content-Type", "application/json")
	return r
}

func TestDecode(t *testing.T) {
	got, err := Decode[submission](post(` {"prompt":"a \"cat\" \\u0000 \ud83c\udf4c ","numImages":2,
		"imageUrls":["https://a.example/x"],"target":{"kind":"moodboard","id":"m 1"},"metadata":{"shot":"</script>\r\n"}} `), limit, nil)
	want := submission{
		Prompt: "a \"cat\" \\u0000 🍌 ", NumImages: 2, ImageURLs: []string{"https://a.example/x"},
		Target: &target{"moodboard", "m 1"}, Metadata: map[string]string{"shot": "</script>\r\n"},
	}
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v, %v; want %+v", got, err, want)
	}
	bananas := strings.Repeat("🍌", 5000) + "\u202e"
	if got, err := Decode[submission](post(`{"prompt":"`+bananas+`"}`), limit, nil); err != nil || got.Prompt != bananas {
		t.Errorf("the text changed: %v", err)
	}
}

func TestDecodeRefuses(t *testing.T) {
	long := strings.Repeat("x", 5000)
	for _, c := range []struct {
		name, body string
		status     int
		pointer    string
		code       string
	}{
		{"an empty body", ``, 400, "", "required"},
		{"white space", " \r\n", 400, "", "required"},
		{"null", `null`, 400, "", "wrong_type"},
		{"a list", `[]`, 400, "", "wrong_type"},
		{"text", `"{}"`, 400, "", "wrong_type"},
		{"a number", `1`, 400, "", "wrong_type"},
		{"a byte order mark", "\uFEFF{}", 400, "", "byte_order_mark"},
		{"two values", `{"prompt":"a"}{"prompt":"a"}`, 400, "", "malformed_json"},
		{"text after the value", `{"prompt":"a"} x`, 400, "", "malformed_json"},
		{"an object cut short", `{"prompt":"a"`, 400, "", "malformed_json"},
		{"a trailing comma", `{"prompt":"a",}`, 400, "", "malformed_json"},
		{"a comment", `{/**/}`, 400, "", "malformed_json"},
		{"single quotes", `{'prompt':'a'}`, 400, "", "malformed_json"},
		{"NaN", `{"numImages":NaN}`, 400, "/numImages", "malformed_json"},
		{"a field twice", `{"prompt":"a","prompt":"b"}`, 400, "/prompt", "duplicate_field"},
		{"a field twice, once escaped", `{"prompt":"a","pr\u006fmpt":"b"}`, 400, "/prompt", "duplicate_field"},
		{"a key twice in a map", `{"metadata":{"a":"1","a":"2"}}`, 400, "/metadata/a", "duplicate_field"},
		{"a field in another case", `{"PROMPT":"a"}`, 400, "/PROMPT", "unknown_field"},
		{"an unknown field", `{"prompt":"a","owner":"bob"}`, 400, "/owner", "unknown_field"},
		{"an unknown field of a field", `{"target":{"kind":"a","Id":"b"}}`, 400, "/target/Id", "unknown_field"},
		{"an unknown field with a slash", `{"a/~b":1}`, 400, "/a~1~0b", "unknown_field"},
		{"an unknown field with an endless name", `{"` + long + `":1}`, 400, "", "unknown_field"},
		{"invalid UTF-8", "{\"prompt\":\"\xff\"}", 400, "/prompt", "malformed_json"},
		{"UTF-8 in more bytes than needed", "{\"prompt\":\"\xc0\xaf\"}", 400, "/prompt", "malformed_json"},
		{"a raw NUL", "{\"prompt\":\"a\x00\"}", 400, "/prompt", "malformed_json"},
		{"an escaped NUL", `{"prompt":"a\\\u0000"}`, 400, "", "invalid_character"},
		{"a lone surrogate", `{"prompt":"\ud800"}`, 400, "/prompt", "malformed_json"},
		{"surrogates in the wrong order", `{"prompt":"\udf4c\ud83c"}`, 400, "/prompt", "malformed_json"},
		{"200,000 lists in lists", strings.Repeat("[", 200_000), 400, "", "wrong_type"},
		{"200,000 lists in lists in a field", `{"imageUrls":` + strings.Repeat("[", 200_000), 400, "*", "malformed_json"},
		{"200,000 objects in objects", strings.Repeat(`{"a":`, 200_000), 400, "/a", "unknown_field"},
		{"null for text", `{"prompt":null}`, 400, "/prompt", "null"},
		{"null for an object", `{"prompt":"a","target":null}`, 400, "/target", "null"},
		{"null for a list", `{"imageUrls":null}`, 400, "/imageUrls", "null"},
		{"null in a list", `{"imageUrls":["a",null]}`, 400, "/imageUrls/1", "null"},
		{"null in a map", `{"metadata":{"a":null}}`, 400, "/metadata/a", "null"},
		{"a wrong type in malformed JSON", `{"watermark":[,"prompt":`, 400, "/watermark/0", "malformed_json"},
		{"text for a number", `{"numImages":"2"}`, 422, "/numImages", "wrong_type"},
		{"half a picture", `{"numImages":1.5}`, 422, "/numImages", "wrong_type"},
		{"1e30 pictures", `{"numImages":1e30}`, 422, "/numImages", "wrong_type"},
		{"more than 64 bits", `{"numImages":99999999999999999999}`, 422, "/numImages", "wrong_type"},
		{"a number for text", `{"prompt":7}`, 422, "/prompt", "wrong_type"},
		{"text for a list", `{"imageUrls":"https://a.example"}`, 422, "/imageUrls", "wrong_type"},
		{"a number in a list", `{"imageUrls":["a",2]}`, 422, "/imageUrls/1", "wrong_type"},
		{"a list for an object", `{"target":[]}`, 422, "/target", "wrong_type"},
		{"text for an object", `{"target":"moodboard"}`, 422, "/target", "wrong_type"},
		{"an object in a map of text", `{"metadata":{"a":{}}}`, 422, "/metadata/a", "wrong_type"},
		{"text for a boolean", `{"watermark":"true"}`, 422, "/watermark", "wrong_type"},
		{"a list for a float", `{"strength":[]}`, 422, "/strength", "wrong_type"},
	} {
		t.Run(c.name, func(t *testing.T) {
			var got submission
			var err error
			cputest.Within(t, time.Second, "to decode it", func() { got, err = Decode[submission](post(c.body), limit<<3, nil) })
			if !reflect.DeepEqual(got, submission{}) {
				t.Errorf("returned %+v together with an error", got)
			}
			e := refused(t, err, task.CodeInvalidRequest, c.status)
			if f := e.Fields[0]; f.Pointer != c.pointer && c.pointer != "*" || f.Code != c.code {
				t.Errorf("got %+v, want %s at %s", f, c.code, c.pointer)
			}
			for _, f := range e.Fields {
				if len(f.Pointer) > 256 || strings.Contains(f.Message, "1e30") || strings.Contains(f.Message, "json:") {
					t.Errorf("repeats too much of the input: %+v", f)
				}
			}
		})
	}
}

func TestDecodeAdvises(t *testing.T) {
	_, err := Decode[submission](post(`{"prompt":"a","callBackUrl":"https://evil.example"}`), limit, advice)
	e := refused(t, err, task.CodeInvalidRequest, 400)
	want := task.Field{Pointer: "/callBackUrl", Code: "unknown_field", Message: advice["/callBackUrl"]}
	if e.Fields[0] != want {
		t.Errorf("got %+v, want %+v", e.Fields[0], want)
	}
}

func TestDecodeNamesTheExpectedType(t *testing.T) {
	for body, want := range map[string]string{
		`{"prompt":1}`:      "Expected text.",
		`{"numImages":"1"}`: "Expected a whole number.",
		`{"watermark":1}`:   "Expected true or false.",
		`{"strength":"1"}`:  "Expected a number.",
		`{"imageUrls":1}`:   "Expected a list.",
		`{"target":1}`:      "Expected an object.",
		`{"metadata":1}`:    "Expected an object.",
	} {
		_, err := Parse[submission]([]byte(body), nil)
		if e := refused(t, err, task.CodeInvalidRequest, 422); e.Fields[0].Message != want {
			t.Errorf("%s: got %q, want %q", body, e.Fields[0].Message, want)
		}
	}
}

func TestDecodeLimit(t *testing.T) {
	exact := `{"prompt":"` + strings.Repeat("a", limit-13) + `"}`
	if len(exact) != limit {
		t.Fatal(len(exact))
	}
	if _, err := Decode[submission](post(exact), limit, nil); err != nil {
		t.Errorf("a body of exactly the limit: %v", err)
	}
	_, err := Decode[submission](post(exact+" "), limit, nil)
	refused(t, err, task.CodeBodyTooLarge, 413)

	r := post(exact + " ")
	r.ContentLength = -1 // chunked: the length is not announced
	_, err = Decode[submission](r, limit, nil)
	refused(t, err, task.CodeBodyTooLarge, 413)

	r = post(``)
	r.Body = io.NopCloser(io.MultiReader(strings.NewReader(`{"prompt":"a"}`), errReader{}))
	_, err = Decode[submission](r, limit, nil)
	if e := refused(t, err, task.CodeInvalidRequest, 400); e.Fields[0].Code != "incomplete_body" {
		t.Errorf("a body that ends too early: %v", e)
	}
}

type errReader struct{}

func (errReader) Read([]byte) (int, error) { return 0, io.ErrUnexpectedEOF }

func TestDecodeMediaType(t *testing.T) {
	for _, c := range []struct {
		name   string
		header http.Header
		ok     bool
	}{
		{"json", http.Header{"Content-Type": {"application/json"}}, true},
		{"json in UTF-8", http.Header{"Content-Type": {`Application/JSON; charset="UTF-8"`}}, true},
		{"identity", http.Header{"Content-Type": {"application/json"}, "Content-Encoding": {"identity"}}, true},
		{"none", http.Header{}, false},
		{"text", http.Header{"Content-Type": {"text/plain"}}, false},
		{"a form", http.Header{"Content-Type": {"application/x-www-form-urlencoded"}}, false},
		{"json in Latin-1", http.Header{"Content-Type": {"application/json; charset=latin1"}}, false},
		{"another parameter", http.Header{"Content-Type": {"application/json; version=1"}}, false},
		{"garbage", http.Header{"Content-Type": {"application/json; ;;="}}, false},
		{"two types", http.Header{"Content-Type": {"application/json", "application/json"}}, false},
		{"two types, joined", http.Header{"Content-Type": {"application/json,application/json"}}, false},
		{"gzip", http.Header{"Content-Type": {"application/json"}, "Content-Encoding": {"gzip"}}, false},
		{"gzip after identity", http.Header{"Content-Type": {"application/json"}, "Content-Encoding": {"identity", "gzip"}}, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := post(`{"prompt":"a"}`)
			r.Header = c.header
			_, err := Decode[submission](r, limit, nil)
			if c.ok && err != nil {
				t.Fatal(err)
			}
			if !c.ok {
				refused(t, err, task.CodeUnsupportedMediaType, 415)
			}
		})
	}
}

// refused fails the test unless err is a *task.Error with this code and status.
func refused(t *testing.T, err error, code task.Code, status int) *task.Error {
	t.Helper()
	var e *task.Error
	if !errors.As(err, &e) {
		t.Fatalf("got %v, want %s", err, code)
	}
	if a, _ := problemAnswer(e, Answer{}, ""); e.Code != code || a.Status != status {
		t.Fatalf("got %v with status %d, want %s with %d", e, a.Status, code, status)
	}
	return e
}

func FuzzParse(f *testing.F) {
	for _, seed := range []string{
		``, `{}`, `null`, `{"prompt":"a\\u0000"}`, `{"prompt":"\u0000"}`, `{"prompt":"\ud83c\udf4c"}`,
		`{"prompt":"a","numImages":-0,"watermark":true,"strength":1e-9,"imageUrls":["x"],"metadata":{"a":"b"}}`,
		`{"target":{"kind":"k","id":"i"}}`, `{"target":{"id":null}}`, `{"a":[[[[`, "{\"\xff\":1}", "\uFEFF{}",
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		v, err := Parse[submission](body, advice)
		if err != nil {
			if e := ErrorOf(err); e.Code != task.CodeInvalidRequest || len(e.Fields) != 1 {
				t.Fatalf("%v", err)
			}
			return
		}
		if bytes.ContainsRune([]byte(v.Prompt), 0) {
			t.Fatal("a NUL came through")
		}
		encoded, err := Encode(v)
		if err != nil {
			t.Fatal(err)
		}
		again, err := Parse[submission](encoded, nil)
		if err != nil {
			t.Fatalf("%s: %v", encoded, err)
		}
		if encodedAgain, _ := Encode(again); !bytes.Equal(encoded, encodedAgain) {
			t.Fatalf("%s became %s", encoded, encodedAgain)
		}
	})
}
