package nanobanana

import "cmp"

// Callback is what the provider says when it calls back. Nobody signs it: it is a hint, and the
// record decides.
type Callback struct {
	TaskID string // empty where it names no lawful id

	// Final tells that it claims an outcome; if not, only the record can tell. A success without
	// a URL is not final.
	Final   bool
	Success bool
	URLs    []string // as in Record
	Words   string   // as in Record
	Reason  Reason   // why it failed, or may have
	Code    int      // the failure's code, also where it is not final; 0 where none was given
}

// ParseCallback reads the body of a callback, of either family: generate reports by the
// envelope's code, the newer models send their whole record, whose successFlag decides even where
// the code contradicts. The caller bounds the body. Relative links are left out: the callback does
// not say where its sender is, and the record may. A body from which nothing can be read is an
// [*Error] with reason Unreadable.
func ParseCallback(body []byte) (Callback, error) {
	root, whole := parse(body)
	if root = root.object(); root == nil || !whole {
		return Callback{}, &Error{Op: OpCallback, Reason: Unreadable}
	}
	a := find(root, "")
	r, _, _ := readRecord(a, "")
	cb := Callback{TaskID: r.TaskID, URLs: r.URLs}
	code, texts := a.failure(a.places())
	said, hasCode := root.get("code").integer()
	if code == 0 && said != 200 {
		code = said
	}
	switch {
	case r.State != Unstated:
		cb.settle(r.State, code, texts, r.Params.Prompt)
	case said == 200:
		cb.settle(Succeeded, 0, nil, "")
	case hasCode && said != 0: // as an errorCode of 0 is none
		cb.settle(Failed, said, texts, r.Params.Prompt)
	case cb.TaskID == "" && !hasCode:
		return Callback{}, &Error{Op: OpCallback, Reason: Unreadable, Shape: r.Shape}
	}
	return cb, nil
}

func (cb *Callback) settle(state State, code int, texts []string, prompt string) {
	switch state {
	case Succeeded:
		cb.Success = len(cb.URLs) > 0
		cb.Final = cb.Success
	case Failed, Unclear:
		cb.Final, cb.Code = state == Failed, code
		if cb.Final || code != 0 {
			cb.Reason, cb.Words = outcomeReason(code, texts), words(cmp.Or(texts...), prompt)
		}
	}
}
