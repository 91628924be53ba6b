package nanobanana

// DecodeRecord does what Record does with the body of an answer; the fuzzer needs no server for it.
func DecodeRecord(body []byte) (Record, bool) {
	r := reply{status: 200}
	r.parseBody(body, true)
	record, err := r.record("", "https://api.example")
	return record, err == nil
}

// DecodeSubmit does what Submit does with an answer.
func DecodeSubmit(status int, body []byte) (taskID string, err error) {
	r := reply{status: status}
	r.parseBody(body, true)
	return r.submitted()
}

// OutcomeReason returns the reason of a failure with this code and text.
func OutcomeReason(code int, text string) Reason { return outcomeReason(code, []string{text}) }
