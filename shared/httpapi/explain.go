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
	// Claude is what a model that uses our tools should do now.
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
		Claude:    "Fix the arguments named in errors and call again. If the right value is not clear from the conversation, ask the user.",
	}},
	{task.CodeUnsupportedMediaType, Explanation{
		Status: http.StatusUnsupportedMediaType,
		Title:  "Only plain JSON is accepted here.",
		Hint:   "Send the body as JSON in UTF-8, without compression, and say so in Content-Type.",
		Claude: "Do not retry. Tell the user that the request was not sent as plain JSON in UTF-8.",
	}},
	{task.CodeBodyTooLarge, Explanation{
		Status: http.StatusRequestEntityTooLarge,
		Title:  "This request is too large.",
		Hint:   "Make it shorter. Do not put pictures in it: upload them first, or use links.",
		Claude: "Shorten the arguments and call again. Never put image data into a call: use links, or upload first.",
	}},
	{task.CodeIdempotencyKeyReused, Explanation{
		Status: http.StatusUnprocessableEntity,
		Title:  "This key was already used for another request, or for one that was deleted.",
		Hint:   "Use a new Idempotency-Key for a new request.",
		Claude: "If the user wants a new picture, call again with a new requestKey. Otherwise look up the earlier task; do not submit again.",
	}},
	{task.CodeUnauthorized, Explanation{
		Status: http.StatusUnauthorized,
		Title:  "Please sign in.",
		Hint:   "Your session may have ended. Sign in and try again.",
		Claude: "Ask the user to connect to Preset again. Do not retry until then.",
	}},
	{task.CodeForbidden, Explanation{
		Status: http.StatusForbidden,
		Title:  "Your account is not allowed to do this.",
		Hint:   "Sign in with another account, or ask for access.",
		Claude: "Do not retry. Tell the user that the connected account is not allowed to do this.",
	}},
	{task.CodeNotFound, Explanation{
		Status: http.StatusNotFound,
		Title:  "We could not find this.",
		Hint:   "It may be deleted, or belong to another account. Check the address.",
		Claude: "Do not retry with the same id. List the user's tasks to find the right one, or ask the user.",
	}},
	{task.CodeConflict, Explanation{
		Status: http.StatusConflict,
		Title:  "This is not possible right now.",
		Hint:   "If the picture is still being made, wait until it is finished, then try again.",
		Claude: "Check the task's status until it is done, then call again.",
	}},
	{task.CodePromptRejected, Explanation{
		Status: http.StatusUnprocessableEntity,
		Title:  "This description cannot be used.",
		Hint:   "Please use other words. Nothing was charged.",
		Claude: "Ask the user to rephrase the prompt; do not retry it, and do not reword it to get around the refusal.",
	}},
	{task.CodeQuotaExceeded, Explanation{
		Status: http.StatusTooManyRequests,
		Title:  "You have reached your limit for today.",
		Hint:   "A new day begins at midnight UTC.",
		Claude: "Do not retry today. Tell the user that the daily quota is used up and when it resets; the credits tool shows that.",
	}},
	{task.CodeInsufficientCredits, Explanation{
		Status: http.StatusPaymentRequired,
		Title:  "There are not enough credits left to make this picture.",
		Hint:   "Nothing was charged. Please try again when Preset's credits have been topped up.",
		Claude: "Do not retry. Tell the user that the credits have run out and that Preset's operator must top them up.",
	}},
	{task.CodeRateLimited, Explanation{
		Status:    http.StatusTooManyRequests,
		Title:     "That was a little too fast.",
		Hint:      "Please wait a moment, then try again.",
		Claude:    "Wait for the time in Retry-After, or 30 seconds, then call again with the same requestKey.",
		Retryable: true,
	}},
	{task.CodePaused, Explanation{
		Status:    http.StatusServiceUnavailable,
		Title:     "Making pictures is paused for maintenance.",
		Hint:      "Please try again in a while. Nothing was charged.",
		Claude:    "Tell the user that making pictures is paused for maintenance; try again only when the user asks.",
		Retryable: true,
	}},
	{task.CodeUnavailable, Explanation{
		Status:    http.StatusServiceUnavailable,
		Title:     "We cannot do this right now.",
		Hint:      "Please try again in a few seconds. You will not be charged twice.",
		Claude:    "Wait a few seconds and call again with the same requestKey, at most three times; then tell the user.",
		Retryable: true,
	}},
	{task.CodeInternal, Explanation{
		Status:    http.StatusInternalServerError,
		Title:     "Something went wrong on our side.",
		Hint:      "Please try again. If it happens again, send us the request id.",
		Claude:    "Call again once with the same requestKey. If it fails again, tell the user and give them the requestId.",
		Retryable: true,
	}},

	// Failed tasks.
	{task.CodeContentPolicy, Explanation{
		Status: http.StatusUnprocessableEntity,
		Title:  "The image service declined this request under its content rules.",
		Hint:   "Please describe the picture differently, or use other input pictures.",
		Claude: "Ask the user to rephrase or to choose other input images; do not retry, and do not reword it to get around the rules.",
	}},
	{task.CodeInputImageUnusable, Explanation{
		Status: http.StatusUnprocessableEntity,
		Title:  "One of the input pictures could not be used.",
		Hint:   "Check that its link opens and that it is a PNG, JPEG or WebP picture. Or upload it.",
		Claude: "Ask the user for another link or to upload the picture; then submit with a new requestKey. Do not retry unchanged.",
	}},
	{task.CodeProviderUnavailable, Explanation{
		Status:    http.StatusServiceUnavailable,
		Title:     "The image service could not be reached.",
		Hint:      "Please try again later. You were not charged.",
		Claude:    "Tell the user. If they want to try again, submit with a new requestKey after some minutes.",
		Retryable: true,
	}},
	{task.CodeProviderUnauthorized, Explanation{
		Status: http.StatusBadGateway,
		Title:  "The image service refused our access.",
		Hint:   "We have to fix this. You were not charged. Please try again later.",
		Claude: "Do not retry. Tell the user that Preset's operator must renew the access to the image service.",
	}},
	{task.CodeProviderRejected, Explanation{
		Status: http.StatusBadGateway,
		Title:  "The image service did not accept this request.",
		Hint:   "Please try other options or another description. You were not charged.",
		Claude: "Do not retry unchanged. Suggest other options or another model; submit with a new requestKey if the user agrees.",
	}},
	{task.CodeGenerationFailed, Explanation{
		Status:    http.StatusBadGateway,
		Title:     "The picture could not be made.",
		Hint:      "Please try again. You were not charged.",
		Claude:    "Tell the user. If they want to try again, submit once more with a new requestKey.",
		Retryable: true,
	}},
	{task.CodeOutcomeUnknown, Explanation{
		Status: http.StatusGatewayTimeout,
		Title:  "We could not find out whether your picture was made.",
		Hint:   "To be safe, we did not order it twice. You were not charged. You can order it again.",
		Claude: "Do not submit again by yourself. Tell the user. If they still want the picture, submit with a new requestKey.",
	}},
	{task.CodeTimedOut, Explanation{
		Status:    http.StatusGatewayTimeout,
		Title:     "The picture took too long.",
		Hint:      "Please try again. You were not charged.",
		Claude:    "Tell the user. If they want to try again, submit once more with a new requestKey.",
		Retryable: true,
	}},
	{task.CodeImageUnavailable, Explanation{
		Status:    http.StatusBadGateway,
		Title:     "The picture was made, but we could not fetch it.",
		Hint:      "Please try again. You were not charged.",
		Claude:    "Tell the user. If they want to try again, submit once more with a new requestKey.",
		Retryable: true,
	}},
	{task.CodeCanceled, Explanation{
		Status: http.StatusConflict,
		Title:  "This request was cancelled.",
		Hint:   "Nothing was charged. You can order the picture again at any time.",
		Claude: "Do not submit again unless the user asks for it; then use a new requestKey.",
	}},
}
