package nanobanana

import (
	"bytes"
	"net/http"
	"strings"
	"time"
)

// reply is an answer of the provider, or of something in front of it.
type reply struct {
	root       *node  // nil where the body holds no object
	key        string // that it was asked with, which it may repeat
	status     int
	retryAfter time.Duration
	read       bool   // the whole body was read
	mentions   bool   // the body mentions a task's id, in whatever form
	page       bool   // the body is no JSON
	detail     string // what is wrong with the body
	shape      string
}

// body reads the body of an answer, which may have been cut short.
func (r *reply) body(raw []byte, read bool) {
	r.read = read
	root, whole := parse(raw)
	if object := root.object(); object != nil {
		r.shape = object.shape()
		if whole && read {
			r.root = object
		}
	}
	r.mentions = r.root.namesTask() || r.root.writesOfTask()
	if !r.mentions && bytes.Contains([]byte(fold(string(raw))), []byte("taskid")) {
		r.mentions = !r.root.any(isTaskID) // it stands where the tree does not reach
	}
	r.page = !whole || root.kind == isNumber || root.kind == isNull // "403" alone is a page, too
}

// writesOfTask reports whether a text in n mentions a task's id.
func (n *node) writesOfTask() bool {
	return n.any(func(m member) bool {
		return m.value.kind == isText && m.value.holds == nil && strings.Contains(fold(m.value.text), "taskid")
	})
}

// code is the envelope's code, 0 where there is none.
func (r reply) code() int {
	code, _ := r.root.get("code").integer()
	return code
}

// enveloped reports whether the answer is in the vendor's envelope.
func (r reply) enveloped() bool {
	_, has := r.root.get("code").integer()
	return has
}

// ok reports whether the provider says success, by status and by code.
func (r reply) ok() bool { return r.success() && r.code() == 200 }

// readable reports whether the answer may be a record: a success, perhaps without an envelope.
func (r reply) readable() bool {
	return r.ok() || r.success() && r.root != nil && r.root.get("code") == nil
}

func (r reply) success() bool { return r.status >= 200 && r.status < 300 }

// noSuchPath reports whether the path itself is unknown: the vendor's own 404 for a task comes in
// its envelope.
func (r reply) noSuchPath() bool { return r.status == http.StatusNotFound && !r.enveloped() }

// submitted reads the answer to a submit: the id of the task it became, or why it may be none.
func (r reply) submitted() (taskID string, err error) {
	if r.root != nil {
		taskID = find(r.root, "").submittedID()
	}
	switch {
	case r.ok() && taskID != "":
		return taskID, nil
	case r.root.namesTask():
		// A refusal that names a task contradicts itself; trusting either half could pay twice.
		return "", &Error{Op: OpSubmit, Reason: Unreadable, HTTPStatus: r.status, Shape: r.shape}
	}
	return "", r.err(OpSubmit)
}

// record reads the record of the task asked for.
func (r reply) record(asked, origin string) (Record, error) {
	if !r.readable() {
		return Record{}, r.err(OpRecord)
	}
	record, inline, ok := readRecord(find(r.root, asked), origin)
	if inline {
		r.detail = "a picture in the answer itself"
	}
	if !ok || inline {
		return Record{}, r.err(OpRecord)
	}
	record.Words = words(record.Words, r.key)
	return record, nil
}

// err is the one place where a reply becomes an error.
func (r reply) err(op Op) *Error {
	texts := r.root.said()
	e := &Error{
		Op: op, Code: r.code(), HTTPStatus: r.status, RetryAfter: r.retryAfter, Detail: r.detail,
		Words: words(strings.Join(texts, " "), r.key), Shape: r.shape,
	}
	front, known := fronts[r.status]
	switch {
	case r.enveloped() || !known:
		e.Reason = answerReason(e.Code, r.status, texts)
	case r.page:
		e.Reason = front.page
	case front.firm:
		e.Reason = front.json
	default:
		e.Reason = refine(front.json, texts)
	}
	e.notExecuted = known && r.read && !r.enveloped() && !r.mentions
	return e
}
