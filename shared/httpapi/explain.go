package httpapi

import (
	"net/http"

	"github.com/preset/nanobanana-functions/shared/task"
)

// Explanation is what one code looks like from outside.
type Explanation struct {
	// Status is the HTTP status of a request refused with the code.
	Status int
	// Malformed is the status instead of that for a request that could not be
	// understood; see task.Malformed.
	Malformed int
	// Title says what happened, and Hint what to do now: sentences for
	// people, shown as they are.
	Title string
	Hint  string
	// Claude tells a model that calls our tools what to do now.
	Claude string
	// Retryable says that the same request, unchanged, may well succeed in
	// a while, so that a "Try again" makes sense.
	Retryable bool
}

// Explain gives the explanation of code; of one that does not exist, that of
// task.CodeInternal.
func Explain(code task.Code) Explanation {
	if x, ok := explanations[code]; ok {
		return x
	}
	return explanations[task.CodeInternal]
}

// explanations holds every code of package task; a test sees to it.
var explanations = map[task.Code]Explanation{
	// Refused requests.
	task.CodeInvalidRequest: {
		Status:    http.StatusUnprocessableEntity,
		Malformed: http.StatusBadRequest,
		Title:     "Something in this request is not right.",
		Hint:      "Correct what is named and send it again.",
		Claude:    "Correct the arguments named in errors and call again. If the right value is not clear from the conversation, ask the user.",
	},
	task.CodeUnsupportedMediaType: {
		Status: http.StatusUnsupportedMediaType,
		Title:  "Only plain JSON can be read here.",
		Hint:   "Send the body as application/json in UTF-8, not compressed.",
		Claude: "Do not retry. Tell the user that the request was not sent as plain JSON in UTF-8.",
	},
	task.CodeBodyTooLarge: {
		Status: http.StatusRequestEntityTooLarge,
		Title:  "This request is too large.",
		Hint:   "Shorten it. Pictures are not sent here: upload them first, or give their links.",
		Claude: "Shorten the arguments and call again. Never put image data into a call: give links, or upload first.",
	},
	task.CodeIdempotencyKeyReused: {
		Status: http.StatusUnprocessableEntity,
		Title:  "This key already belongs to another request, or to one that was deleted.",
		Hint:   "Use a new Idempotency-Key for a new request.",
		Claude: "If the user wants a new picture, call again with a new requestKey. Otherwise look up the task made before; do not submit again.",
	},
	task.CodeUnauthorized: {
		Status: http.StatusUnauthorized,
		Title:  "Please sign in.",
		Hint:   "Your session may have ended. Sign in again and repeat what you did.",
		Claude: "Ask the user to connect to Preset again. Do not retry before that.",
	},
	task.CodeForbidden: {
		Status: http.StatusForbidden,
		Title:  "Your account may not do this.",
		Hint:   "Sign in with another account, or ask for access.",
		Claude: "Do not retry. Tell the user that the connected account may not do this.",
	},
	task.CodeNotFound: {
		Status: http.StatusNotFound,
		Title:  "We could not find this.",
		Hint:   "It may have been deleted, or belong to another account. Check the address.",
		Claude: "Do not retry with the same id. List the user's tasks to find the right one, or ask the user.",
	},
	task.CodeConflict: {
		Status: http.StatusConflict,
		Title:  "This cannot be done at the moment.",
		Hint:   "The picture is still being made. Wait until it is finished, then try again.",
		Claude: "Wait until the task is done, checking its status, then call again.",
	},
	task.CodePromptRejected: {
		Status: http.StatusUnprocessableEntity,
		Title:  "This description cannot be used.",
		Hint:   "Please put it in other words. Nothing was charged.",
		Claude: "Ask the user to rephrase the prompt; do not retry it, and do not reword it to get around the refusal.",
	},
	task.CodeQuotaExceeded: {
		Status: http.StatusTooManyRequests,
		Title:  "You have used up your pictures for today.",
		Hint:   "There will be new ones after midnight UTC.",
		Claude: "Do not retry today. Tell the user that the daily quota is used up and when it resets; the credits tool says when.",
	},
	task.CodeInsufficientCredits: {
		Status: http.StatusPaymentRequired,
		Title:  "There are not enough credits left to make this picture.",
		Hint:   "Nothing was charged. Please try again when Preset's credits have been topped up.",
		Claude: "Do not retry. Tell the user that credits have run out and that the operator of Preset has to top them up.",
	},
	task.CodeRateLimited: {
		Status:    http.StatusTooManyRequests,
		Title:     "That was a little too fast.",
		Hint:      "Please wait a moment, then try again.",
		Claude:    "Wait as long as Retry-After says, or 30 seconds, then call again with the same requestKey.",
		Retryable: true,
	},
	task.CodePaused: {
		Status:    http.StatusServiceUnavailable,
		Title:     "Making pictures is paused for maintenance.",
		Hint:      "Please try again in a while. Nothing was charged.",
		Claude:    "Tell the user that making pictures is paused for maintenance; try again only when the user asks.",
		Retryable: true,
	},
	task.CodeUnavailable: {
		Status:    http.StatusServiceUnavailable,
		Title:     "We cannot do this just now.",
		Hint:      "Please try again in a few seconds. You will not be charged twice.",
		Claude:    "Wait a few seconds and call again with the same requestKey, at most three times; then tell the user.",
		Retryable: true,
	},
	task.CodeInternal: {
		Status:    http.StatusInternalServerError,
		Title:     "Something went wrong on our side.",
		Hint:      "Please try again. If it happens again, tell us the request id.",
		Claude:    "Call again once with the same requestKey. If it fails again, tell the user and give them the requestId.",
		Retryable: true,
	},

	// Failed tasks.
	task.CodeContentPolicy: {
		Status: http.StatusUnprocessableEntity,
		Title:  "The image service declined this request under its content rules.",
		Hint:   "Please describe the picture differently, or use other pictures to start from.",
		Claude: "Ask the user to rephrase or to choose other input images; do not retry, and do not reword it to get around the rules.",
	},
	task.CodeInputImageUnusable: {
		Status: http.StatusUnprocessableEntity,
		Title:  "One of the pictures to start from could not be used.",
		Hint:   "Check that its link opens and that it is a PNG, JPEG or WebP picture, or upload it.",
		Claude: "Ask the user for another link or to upload the picture; then submit with a new requestKey. Do not retry unchanged.",
	},
	task.CodeProviderUnavailable: {
		Status:    http.StatusServiceUnavailable,
		Title:     "The image service could not be reached.",
		Hint:      "Please try again later. You were not charged.",
		Claude:    "Tell the user. If they want to try again, submit with a new requestKey after some minutes.",
		Retryable: true,
	},
	task.CodeProviderUnauthorized: {
		Status: http.StatusBadGateway,
		Title:  "The image service did not let us in.",
		Hint:   "This is ours to put right, and you were not charged. Please try again later.",
		Claude: "Do not retry. Tell the user that the operator of Preset has to renew its access to the image service.",
	},
	task.CodeProviderRejected: {
		Status: http.StatusBadGateway,
		Title:  "The image service did not accept this request.",
		Hint:   "Please try other options or another description. You were not charged.",
		Claude: "Do not retry unchanged. Suggest other options or another model; submit with a new requestKey if the user agrees.",
	},
	task.CodeGenerationFailed: {
		Status:    http.StatusBadGateway,
		Title:     "The picture could not be made.",
		Hint:      "Please try again. You were not charged.",
		Claude:    "Tell the user. If they want to try again, submit once more with a new requestKey.",
		Retryable: true,
	},
	task.CodeOutcomeUnknown: {
		Status: http.StatusGatewayTimeout,
		Title:  "We could not find out whether your picture was made.",
		Hint:   "To be safe we did not ask for it twice, and you were not charged. You can ask for it again.",
		Claude: "Do not submit again by yourself. Tell the user; if they want the picture still, submit with a new requestKey.",
	},
	task.CodeTimedOut: {
		Status:    http.StatusGatewayTimeout,
		Title:     "The picture took too long.",
		Hint:      "Please try again. You were not charged.",
		Claude:    "Tell the user. If they want to try again, submit once more with a new requestKey.",
		Retryable: true,
	},
	task.CodeImageUnavailable: {
		Status:    http.StatusBadGateway,
		Title:     "The picture was made, but we could not fetch it.",
		Hint:      "Please try again. You were not charged.",
		Claude:    "Tell the user. If they want to try again, submit once more with a new requestKey.",
		Retryable: true,
	},
	task.CodeCanceled: {
		Status: http.StatusConflict,
		Title:  "This request was cancelled.",
		Hint:   "Nothing was charged. You can ask for the picture again at any time.",
		Claude: "Do not submit again unless the user asks for it; then use a new requestKey.",
	},
}
