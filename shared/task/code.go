package task

import (
	"errors"
	"fmt"
	"time"
)

// Code names one way in which a request or a task can fail. It is a stored,
// published word. httpapi's table holds what people read for it.
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

// Error is a failure with a Code. It is the only kind of error that people see;
// every other error is shown as CodeInternal, without its text.
type Error struct {
	Code Code
	// Malformed reports that the request could not be understood at all; see
	// [Malformed]. Only CodeInvalidRequest has it.
	Malformed bool
	// Fields names the parts of the request that are at fault, if any.
	Fields []Field
	// Reason says why in the operator's words, which people are shown. Only CodePaused
	// has it.
	Reason string
	// RetryAfter is how long to wait before repeating the same request.
	// 0 promises nothing.
	RetryAfter time.Duration
	// Err is the cause, only for the log.
	Err error
}

// Field is one fault of a request. It never repeats the input.
type Field struct {
	Pointer string // RFC 6901, such as /imageUrls/2, or /limit of the query; empty for the whole request
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

// Error returns the code, the fields' pointers and the cause, for the log.
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

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Err }

// Errors of a Store, besides those of its transport.
var (
	// ErrNotFound means that no row has this id.
	ErrNotFound = errors.New("task: not found")
	// ErrExists means that a row with this id already exists.
	ErrExists = errors.New("task: already exists")
	// ErrDeleted means that the owner has deleted the task.
	ErrDeleted = errors.New("task: deleted")
	// ErrConflict means that another writer changed the row after it was read.
	ErrConflict = errors.New("task: changed meanwhile")
	// ErrQuota means that the owner has used up the images, or the uploads, of the day.
	ErrQuota = errors.New("task: daily quota used up")
	// ErrForeign means that newer code wrote the row: this code does not know
	// its status or schema, and does not change it.
	ErrForeign = errors.New("task: row of a newer version")
	// ErrBusy means that the store did not accept the write, even after its own
	// retries. It may or may not have been written.
	ErrBusy = errors.New("task: store is busy")
	// ErrCursor means that this Store did not issue the cursor.
	ErrCursor = errors.New("task: cursor is not valid")
	// ErrFull means that no other owner can be forgotten now: MaxForgotten are.
	ErrFull = errors.New("task: too many forgotten owners")
	// ErrStuck means that the store refused a row because it would stay
	// unfinished outside the index of due tasks.
	ErrStuck = errors.New("task: unfinished row without a due time")
)
