package httpapi

import (
	"net/http"

	"github.com/preset/nanobanana-functions/shared/task"
)

// Explanation is what clients see of one code.
type Explanation struct {
	// Status is the HTTP status of a request that is refused with the code.
	Status int
	// Malformed is the status instead of that for a request that could not be
	// understood; see task.Malformed.
	Malformed int
	// Title says what happened, and Hint what to do now. Clients show these
	// sentences to people unchanged.
	Title string
	Hint  string
	// Claude states, for a model that uses our tools, what can follow. It is data and
	// gives no orders: models distrust orders in a tool's result.
	Claude string
	// Retryable reports that the same request may well succeed later, so that a
	// "Try again" button makes sense.
	Retryable bool
}

// Explain returns the explanation of code, or that of task.CodeInternal for an unknown
// code.
func Explain(code task.Code) Explanation {
	if x, ok := explain(code); ok {
		return x
	}
	x, _ := explain(task.CodeInternal)
	return x
}

func explain(code task.Code) (x Explanation, ok bool) {
	for i := range explanations {
		if explanations[i].code == code {
			return explanations[i].Explanation, true
		}
	}
	return x, false
}

// explanations has every code of package task, which a test checks.
var explanations = []struct {
	code task.Code
	Explanation
}{
	// Refused requests.
	{task.CodeInvalidRequest, Explanation{
		Status:    http.StatusUnprocessableEntity,
		Malformed: http.StatusBadRequest,
		Title:     "There is a mistake in this request.",
		Hint:      "Fix the marked field and try again.",
		Claude:    "A call with the named arguments put right will do. What the conversation leaves open, only the user can say.",
	}},
	{task.CodeUnsupportedMediaType, Explanation{
		Status: http.StatusUnsupportedMediaType,
		Title:  "Only plain JSON is accepted here.",
		Hint:   "Send the body as JSON in UTF-8, without compression, and say so in Content-Type.",
		Claude: "The request was not sent as plain JSON in UTF-8, and fails in the same way until it is.",
	}},
	{task.CodeBodyTooLarge, Explanation{
		Status: http.StatusRequestEntityTooLarge,
		Title:  "This request is too large.",
		Hint:   "Make it shorter. Do not put pictures in it: upload them first, or use links.",
		Claude: "A call with shorter arguments will do. Pictures go by link or as an upload, not as data.",
	}},
	{task.CodeIdempotencyKeyReused, Explanation{
		Status: http.StatusUnprocessableEntity,
		Title:  "This key was already used for another request, or for one that was deleted.",
		Hint:   "Use a new Idempotency-Key for a new request.",
		Claude: "This requestKey belongs to an earlier order, which list_images shows unless it was deleted. A new picture, if the user wants one, is a call with a new requestKey, and is paid for.",
	}},
	{task.CodeUnauthorized, Explanation{
		Status: http.StatusUnauthorized,
		Title:  "Please sign in.",
		Hint:   "Your session may have ended. Sign in and try again.",
		Claude: "Each call fails like this until the user has connected to Preset again.",
	}},
	{task.CodeForbidden, Explanation{
		Status: http.StatusForbidden,
		Title:  "Your account is not allowed to do this.",
		Hint:   "Sign in with another account, or ask for access.",
		Claude: "The connected account is not allowed to do this, so a repetition fails in the same way.",
	}},
	{task.CodeNotFound, Explanation{
		Status: http.StatusNotFound,
		Title:  "We could not find this.",
		Hint:   "It may be deleted, or belong to another account. Check the address.",
		Claude: "The user has nothing with this id, so a repetition fails in the same way. list_images shows what there is.",
	}},
	{task.CodeConflict, Explanation{
		Status: http.StatusConflict,
		Title:  "This is not possible right now.",
		Hint:   "If the picture is still being made, wait until it is finished, then try again.",
		Claude: "This is possible once the task is done; get_image returns its status.",
	}},
	{task.CodePromptRejected, Explanation{
		Status: http.StatusUnprocessableEntity,
		Title:  "This description cannot be used.",
		Hint:   "Please use other words. Nothing was charged.",
		Claude: "The same prompt is refused each time. It is for the user to describe something else; other words for the same thing, chosen to get around the refusal, are not allowed.",
	}},
	{task.CodeQuotaExceeded, Explanation{
		Status: http.StatusTooManyRequests,
		Title:  "You have reached your limit for today.",
		Hint:   "A new day begins at midnight UTC.",
		Claude: "The user's daily quota is used up, so no call succeeds before it resets; get_credits returns when that is.",
	}},
	{task.CodeInsufficientCredits, Explanation{
		Status: http.StatusPaymentRequired,
		Title:  "There are not enough credits left to make this picture.",
		Hint:   "Nothing was charged. Please try again when Preset's credits have been topped up.",
		Claude: "The credits have run out, so no call succeeds until Preset's operator has topped them up.",
	}},
	{task.CodeRateLimited, Explanation{
		Status:    http.StatusTooManyRequests,
		Title:     "That was a little too fast.",
		Hint:      "Please wait a moment, then try again.",
		Claude:    "The same call, with the same requestKey, is accepted after the time in Retry-After, or after 30 seconds.",
		Retryable: true,
	}},
	{task.CodePaused, Explanation{
		Status:    http.StatusServiceUnavailable,
		Title:     "Making pictures is paused.",
		Hint:      "Please try again in a while. Nothing was charged.",
		Claude:    "Making pictures is paused for everybody, until Preset's operator or the image service ends that. Repeating the call does not help meanwhile; when to try again is for the user to decide.",
		Retryable: true,
	}},
	{task.CodeUnavailable, Explanation{
		Status:    http.StatusServiceUnavailable,
		Title:     "We cannot do this right now.",
		Hint:      "Please try again in a few seconds. You will not be charged twice.",
		Claude:    "The same call, with the same requestKey, mostly succeeds after a few seconds and charges nothing twice. After three failures in a row it will take longer.",
		Retryable: true,
	}},
	{task.CodeInternal, Explanation{
		Status:    http.StatusInternalServerError,
		Title:     "Something went wrong on our side.",
		Hint:      "Please try again. If it happens again, send us the request id.",
		Claude:    "The same call, with the same requestKey, may succeed and charges nothing twice. If it fails again, the requestId helps whoever repairs it.",
		Retryable: true,
	}},

	// Failed tasks.
	{task.CodeContentPolicy, Explanation{
		Status: http.StatusUnprocessableEntity,
		Title:  "The image service declined this request under its content rules.",
		Hint:   "Please describe the picture differently, or use other input pictures.",
		Claude: "The same request is declined each time. It is for the user to describe something else, or to choose other input pictures; other words for the same thing, chosen to get around the rules, are not allowed.",
	}},
	{task.CodeInputImageUnusable, Explanation{
		Status: http.StatusUnprocessableEntity,
		Title:  "One of the input pictures could not be used.",
		Hint:   "Check that its link opens and that it is a PNG, JPEG or WebP picture. Or upload it.",
		Claude: "The same request fails each time. Another link, or an upload of the picture, in a call with a new requestKey will do; the user may have one.",
	}},
	{task.CodeProviderUnavailable, Explanation{
		Status:    http.StatusServiceUnavailable,
		Title:     "The image service could not be reached.",
		Hint:      "Please try again later. You were not charged.",
		Claude:    "Nothing was charged. If the user wants to try again, a call with a new requestKey after some minutes is a new order.",
		Retryable: true,
	}},
	{task.CodeProviderUnauthorized, Explanation{
		Status: http.StatusBadGateway,
		Title:  "The image service refused our access.",
		Hint:   "We have to fix this. You were not charged. Please try again later.",
		Claude: "Each order fails like this until Preset's operator has renewed the access to the image service.",
	}},
	{task.CodeProviderRejected, Explanation{
		Status: http.StatusBadGateway,
		Title:  "The image service did not accept this request.",
		Hint:   "Please try other options or another description. You were not charged.",
		Claude: "The same request is refused each time. Other options or another model, in a call with a new requestKey, may be accepted; that is for the user to decide.",
	}},
	{task.CodeGenerationFailed, Explanation{
		Status:    http.StatusBadGateway,
		Title:     "The picture could not be made.",
		Hint:      "Please try again. You were not charged.",
		Claude:    "Nothing was charged. If the user wants to try again, a call with a new requestKey is a new order.",
		Retryable: true,
	}},
	{task.CodeOutcomeUnknown, Explanation{
		Status: http.StatusGatewayTimeout,
		Title:  "We could not find out whether your picture was made.",
		Hint:   "To be safe, we did not order it twice. You were not charged. You can order it again.",
		Claude: "Nothing was charged, but nobody knows whether the picture was made. Whether to order it again is for the user to decide; a call with a new requestKey is a new order.",
	}},
	{task.CodeTimedOut, Explanation{
		Status:    http.StatusGatewayTimeout,
		Title:     "The picture took too long.",
		Hint:      "Please try again. You were not charged.",
		Claude:    "Nothing was charged. If the user wants to try again, a call with a new requestKey is a new order.",
		Retryable: true,
	}},
	{task.CodeImageUnavailable, Explanation{
		Status:    http.StatusBadGateway,
		Title:     "The picture was made, but we could not fetch it.",
		Hint:      "Please try again. You were not charged.",
		Claude:    "Nothing was charged. If the user wants to try again, a call with a new requestKey is a new order.",
		Retryable: true,
	}},
	{task.CodeCanceled, Explanation{
		Status: http.StatusConflict,
		Title:  "This request was cancelled.",
		Hint:   "Nothing was charged. You can order the picture again at any time.",
		Claude: "The order was cancelled, and nothing was charged. If the user wants the picture after all, a call with a new requestKey is a new order.",
	}},
}
