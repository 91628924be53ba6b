package httpapi

import (
	"context"
	"errors"
	"maps"
	"math/rand/v2"
	"net/http"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/preset/nanobanana-functions/shared/task"
)

// Problem is the body of every refusal, in the form of RFC 9457. It never has values of
// the request, or internals of ours or the provider's.
type Problem struct {
	Type      string         `json:"type"` // urn:preset:nanobanana:<code>
	Title     string         `json:"title"`
	Status    int            `json:"status"`
	Code      task.Code      `json:"code"`
	Detail    string         `json:"detail"`
	Hint      string         `json:"hint"`
	RequestID string         `json:"requestId"`
	Errors    []ProblemField `json:"errors,omitempty"`
}

// ProblemField is the published form of a task.Field.
type ProblemField struct {
	Pointer string `json:"pointer"`
	Code    string `json:"code"`
	Message string `json:"message"`
}

// plainErrors holds how errors without a code are shown.
var plainErrors = []struct {
	err   error
	shown task.Error
}{
	{task.ErrNotFound, task.Error{Code: task.CodeNotFound}},
	{task.ErrCursor, *task.Malformed(task.Field{
		Pointer: "/cursor", Code: "invalid_cursor", Message: "This cursor is not valid. Start again without it."})},
	{task.ErrQuota, task.Error{Code: task.CodeQuotaExceeded}},
	{task.ErrBusy, task.Error{Code: task.CodeUnavailable}},
	{task.ErrConflict, task.Error{Code: task.CodeUnavailable}},
	{task.ErrForeign, task.Error{Code: task.CodeUnavailable}},
	{context.DeadlineExceeded, task.Error{Code: task.CodeUnavailable}},
	{context.Canceled, task.Error{Code: task.CodeUnavailable}},
}

// ErrorOf returns err with the code that it is shown with. Nothing else decides that.
// An unknown error is task.CodeInternal, and only the log has its text.
func ErrorOf(err error) *task.Error {
	if e, ok := errors.AsType[*task.Error](err); ok {
		if _, known := explain(e.Code); known {
			return e
		}
	}
	for _, p := range plainErrors {
		if errors.Is(err, p.err) {
			shown := p.shown
			return &shown
		}
	}
	return &task.Error{Code: task.CodeInternal}
}

// problemAnswer returns the answer for e. It keeps the headers of a, and its status if
// that is 400 or more.
func problemAnswer(e *task.Error, a Answer, requestID string) (Answer, []byte) {
	x := Explain(e.Code)
	status := x.status(e)
	if a.Status >= http.StatusBadRequest {
		status = a.Status
	}
	header := http.Header{"Content-Type": {"application/problem+json"}}
	if status == http.StatusUnauthorized {
		header.Set("WWW-Authenticate", "Bearer")
	}
	if wait := retryAfter(status, e.RetryAfter); wait > 0 {
		header.Set("Retry-After", strconv.Itoa(wait))
	}
	maps.Copy(header, a.Header)
	// A Problem is made of strings and numbers: encoding it cannot fail.
	body, _ := Encode(problem(e, x, status, requestID))
	return Answer{Status: status, Header: header}, body
}

// ProblemOf returns the Problem of r if it were refused with err.
func ProblemOf(r *http.Request, err error) Problem {
	e := ErrorOf(err)
	x := Explain(e.Code)
	return problem(e, x, x.status(e), RequestID(r.Context()))
}

// status returns the status of a request that is refused with e, which x explains.
func (x Explanation) status(e *task.Error) int {
	if e.Malformed {
		return x.Malformed
	}
	return x.Status
}

func problem(e *task.Error, x Explanation, status int, requestID string) Problem {
	p := Problem{
		Type:      "urn:preset:nanobanana:" + string(e.Code),
		Title:     x.Title,
		Status:    status,
		Code:      e.Code,
		Detail:    Sentence(e),
		Hint:      x.Hint,
		RequestID: requestID,
	}
	if len(e.Fields) == 0 {
		return p
	}
	messages := make([]string, len(e.Fields))
	p.Errors = make([]ProblemField, len(e.Fields))
	for i, f := range e.Fields {
		messages[i] = f.Message
		p.Errors[i] = ProblemField(f)
	}
	p.Detail = strings.Join(messages, " ")
	return p
}

// Sentence returns what happened, for people: the sentence of the code, and the reason if
// there is one.
func Sentence(e *task.Error) string {
	title := Explain(e.Code).Title
	if e.Reason == "" {
		return title
	}
	s := beforeReason(title) + e.Reason
	if last, _ := utf8.DecodeLastRuneInString(s); !unicode.IsPunct(last) {
		s += "."
	}
	return s
}

func beforeReason(title string) string { return strings.TrimSuffix(title, ".") + ": " }

// Reason returns the reason in a Problem's detail, or "".
func (p Problem) Reason() string {
	reason, found := strings.CutPrefix(p.Detail, beforeReason(p.Title))
	if !found {
		return ""
	}
	return reason
}

// retryAfter returns whole seconds, never fewer than promised. Without a promise, it
// spreads the clients of a 503 over five seconds, so that they do not all come back at
// once.
func retryAfter(status int, promised time.Duration) int {
	if promised <= 0 && status == http.StatusServiceUnavailable {
		return 1 + rand.IntN(5)
	}
	return int((promised + time.Second - 1) / time.Second)
}
