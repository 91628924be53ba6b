package task

import (
	"errors"
	"fmt"
	"time"
)

// Code names one way in which a request or a task can fail. It is a stored,
// published word; what people read for it stands in httpapi's table.
type Code string

// Codes of a refused request.
const (
	CodeInvalidRequest       Code = "invalid_request"
	CodeUnsupportedMediaType Code = "unsupported_media_type"
	CodeBodyTooLarge         Code = "body_too_large"
	CodeIdempotencyKeyReused Code = "idempotency_key_reused"
	CodeUnauthorized         Code = "unauthorized"
	CodeForbidden            Code = "forbidden"
	CodeNotFound             Code = "not_found"
	CodeConflict             Code = "conflict"
	CodePromptRejected       Code = "prompt_rejected"
	CodeQuotaExceeded        Code = "quota_exceeded"
	CodeInsufficientCredits  Code = "insufficient_credits" // of a task too
	CodeRateLimited          Code = "rate_limited"         // of a task too
	CodePaused               Code = "paused"               // of a task too: the provider's maintenance
	CodeUnavailable          Code = "unavailable"
	CodeInternal             Code = "internal"
)

// Codes of a failed task.
const (
	CodeContentPolicy        Code = "content_policy"
	CodeInputImageUnusable   Code = "input_image_unusable"
	CodeProviderUnavailable  Code = "provider_unavailable"
	CodeProviderUnauthorized Code = "provider_unauthorized"
	CodeProviderRejected     Code = "provider_rejected"
	CodeGenerationFailed     Code = "generation_failed"
	CodeOutcomeUnknown       Code = "outcome_unknown"
	CodeTimedOut             Code = "timed_out"
	CodeImageUnavailable     Code = "image_unavailable"
	CodeCanceled             Code = "canceled"
)

// Error is a failure with a Code: the one kind of error that is shown to
// people. Every other error is shown as CodeInternal, without its text.
type Error struct {
	Code Code
	// Malformed reports that the request could not be understood at all; see
	// [Malformed]. Only CodeInvalidRequest has it.
	Malformed bool
	// Fields names the parts of the request that are at fault, if any.
	Fields []Field
	// RetryAfter is how long to wait before the same request is worth
	// repeating. 0 means that nothing is promised.
	RetryAfter time.Duration
	// Err is the cause, for the log alone.
	Err error
}

// Field is one fault of a request. Nothing of the input is echoed in it.
type Field struct {
	Pointer string // RFC 6901, such as /imageUrls/2; empty for the whole body
	Code    string // a word such as "required", "too_long", "unknown_field"
	Message string // a sentence for people
}

// Invalid returns the error of a request that is well formed but asks for
// something that is not available.
func Invalid(fields ...Field) *Error { return &Error{Code: CodeInvalidRequest, Fields: fields} }

// Malformed returns the error of a request that could not be understood.
func Malformed(fields ...Field) *Error {
	return &Error{Code: CodeInvalidRequest, Malformed: true, Fields: fields}
}

// Error gives the code, the fields' pointers and the cause, for the log.
func (e *Error) Error() string {
	s := string(e.Code)
	for _, f := range e.Fields {
		s += fmt.Sprintf(" [%s %s]", f.Pointer, f.Code)
	}
	if e.Err != nil {
		s += ": " + e.Err.Error()
	}
	return s
}

// Unwrap gives the cause.
func (e *Error) Unwrap() error { return e.Err }

// Errors of a Store, beside those of its transport.
var (
	// ErrNotFound says that no row has this id.
	ErrNotFound = errors.New("task: not found")
	// ErrExists says that a row with this id stands already.
	ErrExists = errors.New("task: exists already")
	// ErrConflict says that somebody else has written the row since it was read.
	ErrConflict = errors.New("task: changed meanwhile")
	// ErrQuota says that the owner's images of the day are used up.
	ErrQuota = errors.New("task: quota of the day used up")
	// ErrForeign says that the row was written by newer code: it has a
	// status or a schema that this code does not know, and is left alone.
	ErrForeign = errors.New("task: row of a newer version")
	// ErrBusy says that the store could not take the write for now, after
	// the tries it makes itself. Nothing is known to be written.
	ErrBusy = errors.New("task: store is busy")
	// ErrCursor says that a cursor is not one that this Store gave.
	ErrCursor = errors.New("task: cursor is not valid")
	// ErrStuck says that a row was refused because it would have been left
	// unfinished outside the index of due tasks.
	ErrStuck = errors.New("task: unfinished row without a due time")
)
