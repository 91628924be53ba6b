package httpapi

import (
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/preset/nanobanana-functions/shared/task"
)

const maxIdempotencyKey = 255

// IdempotencyKey gives the request's Idempotency-Key, "" where it has none.
// A key is 1 to 255 visible ASCII characters other than the comma: API
// Gateway joins two headers with one, and two keys are refused, as is
// everything else, with task.CodeInvalidRequest.
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

// Query gives the parameters of the request's query. One that is not among
// names, comes twice, or is not well formed is refused with
// task.CodeInvalidRequest.
func Query(r *http.Request, names ...string) (url.Values, error) {
	q, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil {
		return nil, task.Malformed(task.Field{Code: "malformed_query", Message: "The query is not well formed."})
	}
	for name, values := range q {
		if !slices.Contains(names, name) {
			return nil, task.Malformed(task.Field{Code: "unknown_parameter",
				Message: "The query has a parameter that is not known here. Known are: " + strings.Join(names, ", ") + "."})
		}
		if len(values) > 1 {
			return nil, task.Malformed(task.Field{Code: "repeated_parameter", Message: fmt.Sprintf("The parameter %s may be given only once.", name)})
		}
	}
	return q, nil
}

// QueryInt gives the whole number that q holds under name, or fallback where
// it holds none. Anything but a number from low to high is refused with
// task.CodeInvalidRequest.
func QueryInt(q url.Values, name string, fallback, low, high int) (int, error) {
	if !q.Has(name) {
		return fallback, nil
	}
	n, err := strconv.Atoi(q.Get(name))
	if err != nil || n < low || n > high {
		return 0, task.Malformed(task.Field{Code: "out_of_range",
			Message: fmt.Sprintf("The parameter %s takes a whole number from %d to %d.", name, low, high)})
	}
	return n, nil
}

// refusal is task.CodeInvalidRequest for one fault.
func refusal(pointer, code, message string) *task.Error {
	return &task.Error{
		Code:   task.CodeInvalidRequest,
		Fields: []task.Field{{Pointer: pointer, Code: code, Message: message}},
	}
}
