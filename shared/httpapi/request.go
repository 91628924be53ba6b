package httpapi

import (
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/preset/nanobanana-functions/shared/task"
)

const maxIdempotencyKey = 255

// IdempotencyKey returns the request's Idempotency-Key, or "" if it has none. A key is 1
// to 255 visible ASCII characters without a comma, because API Gateway joins two
// headers with a comma. Any other key, and more than one, is task.Malformed.
func IdempotencyKey(r *http.Request) (string, error) {
	keys := r.Header.Values("Idempotency-Key")
	if len(keys) == 0 {
		return "", nil
	}
	key := keys[0]
	invisible := func(c rune) bool { return c <= ' ' || c > '~' || c == ',' }
	if len(keys) > 1 || key == "" || len(key) > maxIdempotencyKey || strings.ContainsFunc(key, invisible) {
		return "", task.Malformed(task.Field{Code: "invalid_idempotency_key",
			Message: "An Idempotency-Key is one header of 1 to 255 visible ASCII characters, without a comma."})
	}
	return key, nil
}

// Query returns the parameters of the request's query. A parameter that is not in
// names, comes twice, or is not well formed is task.Malformed.
func Query(r *http.Request, names ...string) (url.Values, error) {
	q, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil {
		return nil, task.Malformed(task.Field{Code: "malformed_query", Message: "The query is not well formed."})
	}
	for name, values := range q {
		if !slices.Contains(names, name) {
			return nil, task.Malformed(task.Field{Pointer: parameter(name), Code: "unknown_parameter",
				Message: "The query has an unknown parameter. Known ones are: " + strings.Join(names, ", ") + "."})
		}
		if len(values) > 1 {
			return nil, task.Malformed(task.Field{Pointer: parameter(name), Code: "repeated_parameter", Message: fmt.Sprintf("The parameter %s may appear only once.", name)})
		}
	}
	return q, nil
}

// parameter returns the pointer to a parameter of the query: the query counts as an
// object of its parameters. It points to the whole request if the name cannot be sent
// back.
func parameter(name string) string {
	if !utf8.ValidString(name) {
		return ""
	}
	return shortPointer(jsontext.Pointer("").AppendToken(name))
}

// QueryInt returns the whole number that q holds under name, or fallback if there is
// none. Anything other than a number from low to high is task.Malformed.
func QueryInt(q url.Values, name string, fallback, low, high int) (int, error) {
	if !q.Has(name) {
		return fallback, nil
	}
	n, err := strconv.Atoi(q.Get(name))
	if err != nil || n < low || n > high {
		return 0, task.Malformed(task.Field{Pointer: parameter(name), Code: "out_of_range",
			Message: fmt.Sprintf("The parameter %s must be a whole number from %d to %d.", name, low, high)})
	}
	return n, nil
}
