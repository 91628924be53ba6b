package nanobanana

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/preset/nanobanana-functions/shared/outbound"
)

// Op names what was being done when an [Error] arose.
type Op string

// The operations. The codes of a callback mean other things than those of an answer.
const (
	OpSubmit   Op = "submit"
	OpRecord   Op = "record"
	OpCallback Op = "callback"
	OpCredits  Op = "credits"
)

// Reason says in one word why the provider refused, failed or could not be understood. It is all
// of the provider's text that leaves this package.
type Reason string

// The reasons, each with the code it usually comes from. Text refines them (see the texts table).
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
	Transport        Reason = "transport"         // timeout, reset: the connection failed after it stood
	NotConnected     Reason = "not_connected"     // dial or TLS failed: no byte of the request was written
	NoSuchPath       Reason = "no_such_path"      // 404 and 405 from something that knows no such path: is the base URL right?
	Blocked          Reason = "blocked"           // 403 with a page: a challenge or a firewall in front of the API
)

// Error is the only error this package returns. Its text holds neither the key, nor a URL, nor a
// word of the provider's.
type Error struct {
	Op         Op
	Reason     Reason
	Code       int           // the code of a well-formed envelope; 0 where there was none
	HTTPStatus int           // 0 where no answer came
	RetryAfter time.Duration // how long the provider asks to wait, at most a day; 0 where it does not say
	NotSent    bool          // no byte of the request was written
	Detail     string        // what is wrong with an answer that could not be read, in our words; often empty
	Words      string        // the provider's own, as in [Record]
	Shape      string        // of an answer that could not be read, as in [Record]

	notExecuted bool  // something in front of the API refused, and no task's id stands in the answer
	cause       error // for errors.Is; printed only as far as safeCause allows
}

// Error says what failed, without anything secret.
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

// Unwrap gives the cause in the transport, so that a caller can tell its own cancellation.
func (e *Error) Unwrap() error { return e.cause }

// Certain reports whether the provider certainly did not accept the request: nothing was sent, or
// a well-formed envelope refused it, or something in front of the API did, with a status that none
// sends after the request was carried out. Only then may it be sent again. The text never decides
// this: a code 500 that says "insufficient credits" is a reason to tell the user, but the
// provider's own word for it, 500, leaves open what had been done before it failed. An envelope
// that refuses inside a redirect or a server error is not certain: the two contradict each other.
func (e *Error) Certain() bool {
	agrees := e.HTTPStatus == e.Code || e.HTTPStatus/100 == 2 || e.HTTPStatus/100 == 4
	return e.NotSent || e.notExecuted || codes[e.Code].refusal && agrees
}

// codes is the one classification table. What a code means depends on where it stands: in the
// answer to a call (submit, record, credits), or as the outcome of a task (in a callback, or as
// errorCode in a record).
var codes = map[int]struct {
	answer, outcome Reason
	refusal         bool // a submit answered so was certainly not accepted
	firm            bool // about the account or the service, not the request: no text says it better
}{
	400: {answer: BadRequest, outcome: Policy, refusal: true},
	401: {answer: Unauthorized, outcome: Unauthorized, refusal: true, firm: true},
	402: {answer: NoCredits, outcome: NoCredits, refusal: true},
	404: {answer: NotFound, outcome: NotFound, refusal: true},
	413: {answer: TooLarge, outcome: TooLarge, refusal: true},
	422: {answer: Invalid, outcome: Invalid, refusal: true},
	429: {answer: RateLimited, outcome: RateLimited, refusal: true},
	455: {answer: Maintenance, outcome: Maintenance, refusal: true, firm: true},
	500: {answer: ServerError, outcome: ServerError},
	501: {answer: GenerationFailed, outcome: GenerationFailed},
	505: {answer: Disabled, outcome: Disabled, refusal: true, firm: true},
}

// fronts are the statuses with which something in front of the API refuses, without the vendor's
// envelope, what it did not let through: a reason where it answers with JSON, and one where it
// answers with a page.
var fronts = map[int]struct {
	json, page Reason
	firm       bool // no text says it better
}{
	400: {json: BadRequest, page: BadRequest},
	401: {json: Unauthorized, page: Unauthorized, firm: true},
	403: {json: Unauthorized, page: Blocked, firm: true},
	404: {json: NoSuchPath, page: NoSuchPath, firm: true},
	405: {json: NoSuchPath, page: NoSuchPath, firm: true},
	406: {json: BadRequest, page: BadRequest, firm: true},
	411: {json: BadRequest, page: BadRequest, firm: true},
	413: {json: TooLarge, page: TooLarge},
	414: {json: TooLarge, page: TooLarge, firm: true},
	415: {json: BadRequest, page: BadRequest, firm: true},
	422: {json: Invalid, page: Invalid},
	429: {json: RateLimited, page: RateLimited, firm: true},
	431: {json: TooLarge, page: TooLarge, firm: true},
}

// answerReason classifies an answer to a call: by the body's code, else by the HTTP status (an
// answer that claims success and yet is none is unreadable), refined by the texts.
func answerReason(code, status int, texts []string) Reason {
	if code == 0 || code == 200 {
		code = status
	}
	row, known := codes[code]
	switch {
	case known && row.firm:
		return row.answer
	case code == 429: // what it mentions besides, a policy say, is why there is a limit
		if reason := refine(row.answer, texts); reason == NoCredits {
			return reason
		}
		return row.answer
	case known:
		return refine(row.answer, texts)
	case code >= 200 && code < 300:
		return refine(Unreadable, texts)
	}
	return refine(ServerError, texts)
}

// outcomeReason classifies how a task failed, by its code (0 where none was given) and texts.
func outcomeReason(code int, texts []string) Reason {
	row, known := codes[code]
	switch {
	case known && row.firm:
		return row.outcome
	case known:
		return refine(row.outcome, texts)
	case code == 0 || code == 200:
		return refine(GenerationFailed, texts)
	}
	return refine(ServerError, texts)
}

// safeCause describes the cause of an error without the URL and without anything that the other
// side sent.
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
