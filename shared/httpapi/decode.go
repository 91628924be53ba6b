package httpapi

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"reflect"
	"strings"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/preset/nanobanana-functions/shared/task"
)

// Decode reads the request's body as Parse does. A body that is not plain
// application/json is task.CodeUnsupportedMediaType; one longer than limit bytes is
// task.CodeBodyTooLarge.
func Decode[T any](r *http.Request, limit int64, advice map[string]string) (T, error) {
	body, err := readBody(r, limit)
	if err != nil {
		var none T
		return none, err
	}
	return Parse[T](body, advice)
}

// Parse reads one JSON object strictly. It returns task.Malformed for fields that T
// does not have, names in another case, repeated names, null, and text that is not
// UTF-8 or holds U+0000, and task.Invalid for values of the wrong type. Text is kept
// exactly as it came.
//
// Advice holds, by JSON pointer, a sentence for unknown fields that deserve more than
// "unknown"; it may be nil.
func Parse[T any](body []byte, advice map[string]string) (T, error) {
	var v, none T
	if err := checkForm(body); err != nil {
		return none, err
	}
	if err := json.Unmarshal(body, &v, json.RejectUnknownMembers(true), json.WithUnmarshalers(noNull)); err != nil {
		return none, explainFault(err, body, advice)
	}
	return v, nil
}

// readBody reads a JSON body of at most limit bytes.
func readBody(r *http.Request, limit int64) ([]byte, error) {
	if !isPlainJSON(r.Header) {
		return nil, &task.Error{Code: task.CodeUnsupportedMediaType}
	}
	if r.ContentLength > limit {
		return nil, &task.Error{Code: task.CodeBodyTooLarge}
	}
	body, err := io.ReadAll(io.LimitReader(r.Body, limit+1))
	if r.Context().Err() != nil {
		return nil, r.Context().Err()
	}
	if err != nil {
		return nil, task.Malformed(task.Field{Code: "incomplete_body", Message: "The body ended too early. Send it again."})
	}
	if int64(len(body)) > limit {
		return nil, &task.Error{Code: task.CodeBodyTooLarge}
	}
	return body, nil
}

// isPlainJSON reports whether the headers announce plain JSON in UTF-8.
func isPlainJSON(h http.Header) bool {
	for _, encoding := range h.Values("Content-Encoding") {
		if !strings.EqualFold(encoding, "identity") {
			return false
		}
	}
	types := h.Values("Content-Type")
	if len(types) != 1 {
		return false
	}
	name, params, err := mime.ParseMediaType(types[0])
	if err != nil || name != "application/json" {
		return false
	}
	charset, given := params["charset"]
	delete(params, "charset")
	return len(params) == 0 && (!given || strings.EqualFold(charset, "utf-8"))
}

// checkForm refuses what the decoder would accept, or would refuse with an unhelpful
// error.
func checkForm(body []byte) error {
	trimmed := bytes.TrimLeft(body, " \t\r\n")
	switch {
	case len(trimmed) == 0:
		return task.Malformed(task.Field{Code: "required", Message: "The body is empty; it must be a JSON object."})
	case bytes.HasPrefix(body, []byte("\uFEFF")):
		return task.Malformed(task.Field{Code: "byte_order_mark", Message: "The body must not begin with a byte order mark."})
	case trimmed[0] != '{':
		return task.Malformed(task.Field{Code: "wrong_type", Message: "The body must be a JSON object."})
	case hasNUL(body):
		return task.Malformed(task.Field{Code: "invalid_character", Message: `Text must not contain the character \u0000.`})
	}
	return nil
}

// hasNUL reports whether JSON text holds an escaped U+0000: \u0000 after an
// even number of backslashes. A NUL that is not escaped is not JSON.
func hasNUL(body []byte) bool {
	for {
		i := bytes.Index(body, []byte(`\u0000`))
		if i < 0 {
			return false
		}
		before := body[:i]
		if (i-len(bytes.TrimRight(before, `\`)))%2 == 0 {
			return true
		}
		body = body[i+1:]
	}
}

var errNull = errors.New("httpapi: null")

// noNull refuses null everywhere. The decoder would read it as the zero value, but the
// client believes that it set the field.
var noNull = json.UnmarshalFromFunc(func(dec *jsontext.Decoder, _ any) error {
	if dec.PeekKind() == jsontext.KindNull {
		return errNull
	}
	return errors.ErrUnsupported // leaves the value to the decoder
})

// explainFault returns the decoder's error for people, without its text, which may hold
// values. Malformed JSON comes before a wrong type, even if the decoder found the wrong
// type first.
func explainFault(err error, body []byte, advice map[string]string) error {
	var syntactic *jsontext.SyntacticError
	var semantic *json.SemanticError
	switch {
	case errors.As(err, &syntactic):
		return malformedJSON(syntactic)
	case !errors.As(err, &semantic):
		return fmt.Errorf("decoding the body: %w", err)
	}
	pointer := shortPointer(semantic.JSONPointer)
	switch {
	case errors.Is(err, json.ErrUnknownName):
		message, ok := advice[string(semantic.JSONPointer)]
		if !ok {
			message = "This field is unknown. Names are in lowerCamelCase."
		}
		return task.Malformed(task.Field{Pointer: pointer, Code: "unknown_field", Message: message})
	case errors.Is(err, errNull):
		return task.Malformed(task.Field{Pointer: pointer, Code: "null", Message: "This field must not be null; leave it out instead."})
	}
	var raw jsontext.Value
	if errors.As(json.Unmarshal(body, &raw), &syntactic) {
		return malformedJSON(syntactic)
	}
	return task.Invalid(task.Field{Pointer: pointer, Code: "wrong_type", Message: "Expected " + jsonType(semantic.GoType) + "."})
}

func malformedJSON(err *jsontext.SyntacticError) error {
	pointer := shortPointer(err.JSONPointer)
	if errors.Is(err, jsontext.ErrDuplicateName) {
		return task.Malformed(task.Field{Pointer: pointer, Code: "duplicate_field", Message: "This field appears twice."})
	}
	return task.Malformed(task.Field{Pointer: pointer, Code: "malformed_json", Message: "The body is not one well-formed JSON object in UTF-8."})
}

// shortPointer returns p, which holds the client's names and is sent back, or if it is
// too long the pointer to the nearest field around it.
func shortPointer(p jsontext.Pointer) string {
	const longest = 256
	for len(p) > longest {
		p = p.Parent()
	}
	return string(p)
}

// jsonType returns a name for people of the JSON type that t is read from.
func jsonType(t reflect.Type) string {
	if t == nil { // the decoder may not know it
		return "another value"
	}
	switch t.Kind() {
	case reflect.String:
		return "text"
	case reflect.Bool:
		return "true or false"
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64,
		reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		return "a whole number"
	case reflect.Float32, reflect.Float64:
		return "a number"
	case reflect.Slice, reflect.Array:
		return "a list"
	default:
		return "an object"
	}
}
