package nanobanana

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
	Reason  Reason   // why it failed
	Code    int      // the failure's code; 0 where none was given
}

// ParseCallback reads the body of a callback, of either family: generate reports by the
// envelope's code, the newer models send their whole record, whose successFlag decides even where
// the code contradicts. The caller bounds the body. A body from which nothing can be read is an
// [*Error] with reason Unreadable.
func ParseCallback(body []byte) (Callback, error) {
	var env envelope
	if !decodeObject(body, &env) {
		return Callback{}, &Error{Op: OpCallback, Reason: Unreadable}
	}
	d := env.taskData()
	cb := Callback{TaskID: env.taskID(d), URLs: d.urls()}
	code, hasCode := env.Code.integer()
	_, hasFlag := d.SuccessFlag.integer()
	switch {
	case hasFlag:
		cb.settle(d.state(), failureCode(d, code), string(d.ErrorMessage)+" "+env.text())
	case code == 200:
		cb.settle(Succeeded, 0, "")
	case hasCode:
		cb.settle(Failed, code, env.text())
	case cb.TaskID == "":
		return Callback{}, &Error{Op: OpCallback, Reason: Unreadable}
	}
	return cb, nil
}

func (cb *Callback) settle(state State, code int, text string) {
	switch state {
	case Succeeded:
		cb.Success = len(cb.URLs) > 0
		cb.Final = cb.Success
	case Failed:
		cb.Final, cb.Code, cb.Reason = true, code, outcomeReason(code, text)
	}
}

// failureCode is the record's own code, else the envelope's where that is not the usual 200.
func failureCode(d taskData, envelopeCode int) int {
	if code, ok := d.ErrorCode.integer(); ok && code != 0 {
		return code
	}
	if envelopeCode == 200 {
		return 0
	}
	return envelopeCode
}
