package nanobanana

// DecodeRecord is what Record does with the body of an answer; the fuzzer needs no server for it.
func DecodeRecord(body []byte) (Record, bool) {
	var env envelope
	if !decodeObject(body, &env) {
		return Record{}, false
	}
	return parseRecord(env)
}

// DecodeSubmit is what Submit does with an answer.
func DecodeSubmit(status int, body []byte) (taskID string, err error) {
	r := reply{status: status}
	decodeObject(body, &r.envelope)
	return r.submitted()
}
