package nanobanana

import "cmp"

// State is how far the provider is with a task.
type State string

// The states. The last two are no reason to end a task, and no proof that it runs.
const (
	Running   State = "running"   // successFlag 0
	Succeeded State = "succeeded" // successFlag 1
	Failed    State = "failed"    // successFlag 2 (not created) and 3 (generation failed)
	Unstated  State = "unstated"  // the record has no state
	Unclear   State = "unclear"   // an unknown state, states that disagree, or a failure with a link
)

// Record is the provider's answer about one of its tasks.
type Record struct {
	TaskID string // empty if the record has none
	State  State

	// URLs are the links to the pictures under names known to hold results: absolute, in the
	// provider's order, without repeats. A success may have none, or fewer than asked for.
	URLs []string
	// Guesses are links under other names that may hold results. They are worth a try only if URLs
	// is empty. They may be the request's own input images: the caller knows what it sent.
	Guesses []string
	// Dropped counts the links that did not fit: a record keeps the first 8 of at most 8 KiB each
	// and 32 KiB together.
	Dropped int

	Reason    Reason // why it failed
	ErrorCode int    // the failure's code; 0 if there is none

	// Retryable reports whether another generation may help: successFlag or state is a failure, the
	// code is 500 or 501, and no message blames the prompt, a parameter, an input image, the account
	// or the key (docs/decisions/generations.md).
	Retryable bool

	// Message is the provider's explanation of a failure, for the log only: one line of at most 200
	// characters, without links.
	Message string
	// Shape is the names and types in the record, without its values, for the log only.
	Shape string

	Params Params
}

// Params is what a record repeats of its request.
type Params struct {
	Present     bool // the record has at least one of the two
	CallbackURL string
	Prompt      string
}

// readRecord reads an answer as a record. ok reports whether it is one, and inline whether its only
// picture is in the answer itself instead of behind a link.
func readRecord(a answer, origin string) (r Record, inline, ok bool) {
	places := a.places()
	known, guessed, inline := a.links(origin)
	state, explicit := a.state(places)
	r = Record{
		TaskID: a.taskID(), State: state, URLs: known.list, Guesses: guessed.list, Dropped: known.dropped,
		Params: a.params(places), Shape: a.root.shape(),
	}
	if len(r.URLs) == 0 {
		r.Dropped = cmp.Or(known.dropped, guessed.dropped)
	}
	switch {
	case state == Failed && len(r.URLs) > 0:
		r.State = Unclear
	case state == Failed:
		code, messages := a.failure(places)
		r.setFailure(code, messages, explicit)
	}
	if !a.enveloped() { // any object would be its own data
		ok = a.about.taskID() != "" || a.about.get("successflag") != nil || len(r.URLs) > 0
	}
	inline = inline && len(r.URLs)+len(r.Guesses)+r.Dropped == 0 && r.State != Running
	return r, inline, ok || a.enveloped()
}

// setFailure sets why the task failed.
func (r *Record) setFailure(code int, messages []string, explicit bool) {
	r.ErrorCode = code
	r.Reason = outcomeReason(code, messages)
	r.Retryable = explicit && worthRetrying(code, r.Reason)
	r.Message = loggable(cmp.Or(messages...), r.Params.Prompt)
}

// worthRetrying reports whether a failed generation may be paid for again: only if the code is the
// provider's own fault and no message blames anything else.
func worthRetrying(code int, reason Reason) bool {
	blameless := reason == GenerationFailed || reason == ServerError || reason == RateLimited
	return blameless && (code == 500 || code == 501)
}
