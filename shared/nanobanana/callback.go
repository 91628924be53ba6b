package nanobanana

import "cmp"

// Callback is the body of the provider's callback. It is not signed, so it is only a hint: the
// record decides (docs/decisions/record-decides.md).
type Callback struct {
	TaskID string // empty if the body has no valid id

	// Final reports whether it claims an outcome. A success without a URL is not final: only the
	// record can show whether the task is done.
	Final   bool
	Success bool
	URLs    []string // as in Record
	Message string   // as in Record
	Reason  Reason   // why it failed, or may have failed
	Code    int      // the failure's code, even if not Final; 0 if there is none
}

// ParseCallback parses the body of a callback, of either family: generate reports the outcome by the
// envelope's code; the newer models send their whole record, whose successFlag decides even if the
// code contradicts it. The caller bounds the body. ParseCallback skips relative links, since a
// callback does not name its origin. If it can read nothing, it returns an [*Error] with reason
// Unreadable.
func ParseCallback(body []byte) (Callback, error) {
	root, whole := parse(body)
	if root = root.object(); root == nil || !whole {
		return Callback{}, &Error{Op: OpCallback, Reason: Unreadable}
	}
	a := findAnswer(root, "")
	r, _, _ := readRecord(a, "")
	cb := Callback{TaskID: r.TaskID, URLs: r.URLs}
	code, messages := a.failure(a.places())
	envelopeCode, hasCode := root.get("code").integer()
	if code == 0 && envelopeCode != 200 {
		code = envelopeCode
	}
	switch {
	case r.State != Unstated:
		cb.setOutcome(r.State, code, messages, r.Params.Prompt)
	case envelopeCode == 200:
		cb.setOutcome(Succeeded, 0, nil, "")
	case hasCode && envelopeCode != 0: // like an errorCode of 0, it is none
		cb.setOutcome(Failed, envelopeCode, messages, r.Params.Prompt)
	case cb.TaskID == "" && !hasCode:
		return Callback{}, &Error{Op: OpCallback, Reason: Unreadable, Shape: r.Shape}
	}
	return cb, nil
}

// setOutcome sets what the callback claims.
func (cb *Callback) setOutcome(state State, code int, messages []string, prompt string) {
	switch state {
	case Succeeded:
		cb.Success = len(cb.URLs) > 0
		cb.Final = cb.Success
	case Failed, Unclear:
		cb.Final, cb.Code = state == Failed, code
		if cb.Final || code != 0 {
			cb.Reason, cb.Message = outcomeReason(code, messages), loggable(cmp.Or(messages...), prompt)
		}
	}
}
