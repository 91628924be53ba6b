package nanobanana

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/preset/nanobanana-functions/shared/outbound"
)

// Op is the operation that failed.
type Op string

// The operations. A callback's codes have other meanings than an answer's.
const (
	OpSubmit   Op = "submit"
	OpRecord   Op = "record"
	OpCallback Op = "callback"
	OpCredits  Op = "credits"
)

// Reason is one word for why the provider refused, failed or could not be understood. Callers decide
// by it; the provider's own text is for the log only.
type Reason string

// The reasons, each with the code it usually comes from. Messages refine them (see wordings).
const (
	BadRequest       Reason = "bad_request"       // 400: a parameter is wrong
	Unauthorized     Reason = "unauthorized"      // 401: the key is missing or invalid
	NoCredits        Reason = "no_credits"        // 402: the account is empty
	NotFound         Reason = "not_found"         // 404: no such task, perhaps not yet
	TooLarge         Reason = "too_large"         // 413
	Invalid          Reason = "invalid"           // 422: validation failed
	RateLimited      Reason = "rate_limited"      // 429
	Maintenance      Reason = "maintenance"       // 455
	Disabled         Reason = "disabled"          // 505: the feature is switched off
	Policy           Reason = "policy"            // the prompt or the picture was blocked
	InputImage       Reason = "input_image"       // an input image could not be fetched or read
	GenerationFailed Reason = "generation_failed" // 501: this generation is over
	ServerError      Reason = "server_error"      // 500 and every unknown code
	Unreadable       Reason = "unreadable"        // no JSON, cut short, empty, too large, or without what it must carry
	Transport        Reason = "transport"         // timeout, reset: the connection failed after it was established
	NotConnected     Reason = "not_connected"     // dial or TLS failed: no byte of the request was written
	NoSuchPath       Reason = "no_such_path"      // 404 and 405 for an unknown path: is the base URL right?
	Blocked          Reason = "blocked"           // 403 with a page: a challenge or a firewall in front of the API
)

// Error is the only error this package returns. Its text contains no key, no URL and no text of the
// provider's.
type Error struct {
	Op         Op
	Reason     Reason
	Code       int           // the code of a well-formed envelope; 0 if there was none
	HTTPStatus int           // 0 if no answer came
	RetryAfter time.Duration // how long the provider asks us to wait, at most a day; 0 if it does not
	NotSent    bool          // no byte of the request was written
	Detail     string        // what makes an answer unreadable, in our words; often empty
	Message    string        // the provider's, as in [Record]
	Shape      string        // of an unreadable answer, as in [Record]

	notExecuted bool  // something in front of the API refused, and the answer has no task id
	cause       error // for errors.Is; printed only as far as safeCause allows
}

// Error describes the failure without secrets.
func (e *Error) Error() string {
	var b strings.Builder
	fmt.Fprintf(&b, "nanobanana %s: %s", e.Op, strings.ReplaceAll(string(e.Reason), "_", " "))
	if e.Code != 0 {
		fmt.Fprintf(&b, ", code %d", e.Code)
	}
	if e.HTTPStatus != 0 {
		fmt.Fprintf(&b, ", HTTP status %d", e.HTTPStatus)
	}
	if e.Detail != "" {
		b.WriteString(", " + e.Detail)
	}
	if e.cause != nil {
		fmt.Fprintf(&b, " (%s)", safeCause(e.cause))
	}
	return b.String()
}

// Unwrap returns the transport's error, so that a caller can recognise its own cancellation.
func (e *Error) Unwrap() error { return e.cause }

// Certain reports whether the provider certainly did not accept the request: nothing was sent, or
// a well-formed envelope refused it, or something in front of the API did with a status that is
// never sent after a request was carried out. Only then may it be sent again. A message never decides
// this: a code 500 with "insufficient credits" is a reason to show the user, but 500 leaves
// open what the provider had done before it failed. A refusing envelope inside a redirect or a
// server error is not certain: the two contradict each other.
func (e *Error) Certain() bool {
	agrees := e.HTTPStatus == e.Code || e.HTTPStatus/100 == 2 || e.HTTPStatus/100 == 4
	return e.NotSent || e.notExecuted || codes[e.Code].refusal && agrees
}

// codes classifies the provider's codes. The meaning of a code depends on where it is: in the answer
// to a call (submit, record, credits), or as the outcome of a task (in a callback, or as errorCode in
// a record).
var codes = map[int]struct {
	answer, outcome Reason
	refusal         bool // the provider certainly did not accept such a submit
	fixed           bool // about the account or the service, not the request: messages do not refine it
}{
	400: {answer: BadRequest, outcome: Policy, refusal: true},
	401: {answer: Unauthorized, outcome: Unauthorized, refusal: true, fixed: true},
	402: {answer: NoCredits, outcome: NoCredits, refusal: true},
	404: {answer: NotFound, outcome: NotFound, refusal: true},
	413: {answer: TooLarge, outcome: TooLarge, refusal: true},
	422: {answer: Invalid, outcome: Invalid, refusal: true},
	429: {answer: RateLimited, outcome: RateLimited, refusal: true},
	455: {answer: Maintenance, outcome: Maintenance, refusal: true, fixed: true},
	500: {answer: ServerError, outcome: ServerError},
	501: {answer: GenerationFailed, outcome: GenerationFailed},
	505: {answer: Disabled, outcome: Disabled, refusal: true, fixed: true},
}

// gatewayStatuses are the statuses with which something in front of the API refuses a request,
// without the vendor's envelope. The reason depends on whether it answers with JSON or with a page.
var gatewayStatuses = map[int]struct {
	json, page Reason
	fixed      bool // messages do not refine it
}{
	400: {json: BadRequest, page: BadRequest},
	401: {json: Unauthorized, page: Unauthorized, fixed: true},
	403: {json: Unauthorized, page: Blocked, fixed: true},
	404: {json: NoSuchPath, page: NoSuchPath, fixed: true},
	405: {json: NoSuchPath, page: NoSuchPath, fixed: true},
	406: {json: BadRequest, page: BadRequest, fixed: true},
	411: {json: BadRequest, page: BadRequest, fixed: true},
	413: {json: TooLarge, page: TooLarge},
	414: {json: TooLarge, page: TooLarge, fixed: true},
	415: {json: BadRequest, page: BadRequest, fixed: true},
	422: {json: Invalid, page: Invalid},
	429: {json: RateLimited, page: RateLimited, fixed: true},
	431: {json: TooLarge, page: TooLarge, fixed: true},
}

// answerReason classifies an answer to a call by the body's code, or else by the HTTP status, refined
// by the messages. An alleged success is unreadable.
func answerReason(code, status int, messages []string) Reason {
	if code == 0 || code == 200 {
		code = status
	}
	row, known := codes[code]
	switch {
	case known && row.fixed:
		return row.answer
	case code == 429: // other things that it mentions, such as a policy, explain the limit
		if reason := refine(row.answer, messages); reason == NoCredits {
			return reason
		}
		return row.answer
	case known:
		return refine(row.answer, messages)
	case code >= 200 && code < 300:
		return refine(Unreadable, messages)
	}
	return refine(ServerError, messages)
}

// outcomeReason classifies the failure of a task by its code (0 if there is none) and messages.
func outcomeReason(code int, messages []string) Reason {
	row, known := codes[code]
	switch {
	case known && row.fixed:
		return row.outcome
	case known:
		return refine(row.outcome, messages)
	case code == 0 || code == 200:
		return refine(GenerationFailed, messages)
	}
	return refine(ServerError, messages)
}

// safeCause describes the cause of an error without the URL and without anything from the other side.
func safeCause(err error) string {
	switch safe := outbound.Printable(err); {
	case errors.Is(err, context.DeadlineExceeded):
		return "timed out"
	case errors.Is(err, context.Canceled):
		return "canceled"
	case safe != nil:
		return safe.Error()
	}
	return fmt.Sprintf("%T", err)
}
