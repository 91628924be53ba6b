package nanobanana

import (
	"cmp"
	"encoding/json"
)

// State is how far the provider is with a task.
type State string

// The states. Of the last two nobody can say how far the provider is: they are no reason to end
// a task, and no proof that it runs.
const (
	Running   State = "running"   // successFlag 0
	Succeeded State = "succeeded" // successFlag 1
	Failed    State = "failed"    // successFlag 2 (not created) and 3 (generation failed)
	Unstated  State = "unstated"  // nothing in the record states one
	Unclear   State = "unclear"   // a state we do not know, or statements that contradict each other
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

	Reason    Reason // why it failed
	ErrorCode int    // the failure's code; 0 where none was given

	// Retryable tells that another generation may help: the code is 500 or 501, and the text does
	// not blame the prompt, a parameter, an input image, the account or the key.
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

// parseRecord reads the data of a record answer; ok tells whether there was any.
func parseRecord(env envelope) (r Record, ok bool) {
	var d taskData
	if !decodeObject(env.Data, &d) {
		return Record{}, false
	}
	r = Record{TaskID: env.taskID(d), State: d.state(), URLs: d.urls(), Params: parseParams(d.ParamJSON)}
	if r.State == Failed {
		r.ErrorCode, _ = d.ErrorCode.integer()
		r.Reason = outcomeReason(r.ErrorCode, string(d.ErrorMessage))
		r.Retryable = worthAnother(r.ErrorCode, r.Reason)
	}
	return r, true
}

// state translates successFlag, which goes no further than this.
func (d taskData) state() State {
	switch flag, _ := d.SuccessFlag.integer(); flag {
	case 1:
		return Succeeded
	case 2, 3:
		return Failed
	}
	return Running
}

// worthAnother tells whether a failed generation may be paid for again: only where the code is
// the provider's own fault and the text put the blame nowhere else.
func worthAnother(code int, reason Reason) bool {
	blameless := reason == GenerationFailed || reason == ServerError || reason == RateLimited
	return blameless && (code == 500 || code == 501)
}

// paramNames are the spellings under which the request may be echoed. Matching is
// case-insensitive, so callBackUrl stands for callbackUrl too.
type paramNames struct {
	CallbackURL      scalar          `json:"callBackUrl"`
	CallbackURLSnake scalar          `json:"callback_url"`
	Prompt           json.RawMessage `json:"prompt"`
	Input            json.RawMessage `json:"input"` // siblings nest the prompt here
}

// parseParams reads paramJson, a text holding JSON. What cannot be read is as if it were absent:
// it neither confirms nor contradicts.
func parseParams(raw json.RawMessage) Params {
	var outer, inner paramNames
	if !decodeObject(raw, &outer) {
		return Params{}
	}
	decodeObject(outer.Input, &inner)
	var p Params
	for _, names := range []paramNames{outer, inner} {
		if p.CallbackURL == "" {
			p.CallbackURL = string(cmp.Or(names.CallbackURL, names.CallbackURLSnake))
		}
		if p.Prompt == "" {
			// Verbatim, not trimmed as a scalar is: it will be compared with what was sent.
			_ = json.Unmarshal(names.Prompt, &p.Prompt)
		}
	}
	p.Present = p.CallbackURL != "" || p.Prompt != ""
	return p
}
