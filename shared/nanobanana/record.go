package nanobanana

import "cmp"

// State is how far the provider is with a task.
type State string

// The states. Of the last two nobody can say how far the provider is: they are no reason to end
// a task, and no proof that it runs.
const (
	Running   State = "running"   // successFlag 0
	Succeeded State = "succeeded" // successFlag 1
	Failed    State = "failed"    // successFlag 2 (not created) and 3 (generation failed)
	Unstated  State = "unstated"  // nothing in the record states one
	Unclear   State = "unclear"   // one we do not know, statements that disagree, or a failure that has a link
)

// Record is the provider's answer about one of its tasks.
type Record struct {
	TaskID string // empty where the record names none
	State  State

	// URLs of the pictures, absolute, in the provider's order, without repeats: those under names
	// that are known to hold results. A success may come without any, or with fewer than asked.
	URLs []string
	// Guesses are links under other names that may hold results. They are worth a try only where
	// URLs are none. They may be the order's own input: the caller knows what it sent.
	Guesses []string
	// Dropped is how many links there was no room for: a record keeps 8, of 8 KiB each and 32 KiB
	// together, the first that fit.
	Dropped int

	Reason    Reason // why it failed
	ErrorCode int    // the failure's code; 0 where none was given

	// Retryable reports whether another generation may help: successFlag or state says failed, the code
	// is 500 or 501, and the text does not blame the prompt, a parameter, an input image, the
	// account or the key.
	Retryable bool

	// Words are the provider's own on why it failed, for the log alone: one line of at most 200
	// characters, without links.
	Words string
	// Shape is the record without its values: names and types, for the log alone.
	Shape string

	Params Params
}

// Params is what a record tells of the request it belongs to.
type Params struct {
	Present     bool // the record echoed at least one of the two
	CallbackURL string
	Prompt      string
}

// readRecord reads an answer as a record; ok reports whether it is one, and inline whether its
// picture stands in the answer itself, where nobody can fetch it.
func readRecord(a answer, origin string) (r Record, inline, ok bool) {
	places := a.places()
	known, guessed, inline := a.links(origin)
	state, firm := a.state(places)
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
		code, texts := a.failure(places)
		r.fail(code, texts, firm)
	}
	if !a.enveloped() { // any object is its own data
		ok = a.about.taskID() != "" || a.about.get("successflag") != nil || len(r.URLs) > 0
	}
	inline = inline && len(r.URLs)+len(r.Guesses)+r.Dropped == 0 && r.State != Running
	return r, inline, ok || a.enveloped()
}

// fail notes why the task failed.
func (r *Record) fail(code int, texts []string, firm bool) {
	r.ErrorCode = code
	r.Reason = outcomeReason(code, texts)
	r.Retryable = firm && worthAnother(code, r.Reason)
	r.Words = words(cmp.Or(texts...), r.Params.Prompt)
}

// worthAnother tells whether a failed generation may be paid for again: only where the code is
// the provider's own fault and the text put the blame nowhere else.
func worthAnother(code int, reason Reason) bool {
	blameless := reason == GenerationFailed || reason == ServerError || reason == RateLimited
	return blameless && (code == 500 || code == 501)
}
