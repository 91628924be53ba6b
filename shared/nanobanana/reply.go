package nanobanana

import (
	"bytes"
	"net/http"
	"strings"
	"time"
)

// reply is an answer of the provider, or of something in front of it.
type reply struct {
	root         *node  // nil if the body is not an object
	key          string // the API key of the request; the body may repeat it
	status       int
	retryAfter   time.Duration
	complete     bool   // the whole body was read
	mentionsTask bool   // the body mentions a task id in some form
	page         bool   // the body is not JSON
	detail       string // what is wrong with the body
	shape        string
}

// parseBody parses the body of an answer; complete is whether all of it was read.
func (r *reply) parseBody(raw []byte, read bool) {
	r.complete = read
	root, whole := parse(raw)
	if object := root.object(); object != nil {
		r.shape = object.shape()
		if whole && read {
			r.root = object
		}
	}
	r.mentionsTask = r.root.namesTask() || r.root.mentionsTask()
	if !r.mentionsTask && bytes.Contains([]byte(fold(string(raw))), []byte("taskid")) {
		r.mentionsTask = !r.root.any(isTaskIDName) // it is where the tree does not reach
	}
	r.page = !whole || root.kind == isNumber || root.kind == isNull // "403" alone is a page, too
}

// mentionsTask reports whether a text in n mentions a task id.
func (n *node) mentionsTask() bool {
	return n.any(func(m member) bool {
		return m.value.kind == isText && m.value.embedded == nil && strings.Contains(fold(m.value.text), "taskid")
	})
}

// code returns the envelope's code, or 0.
func (r reply) code() int {
	code, _ := r.root.get("code").integer()
	return code
}

// enveloped reports whether the answer is in the vendor's envelope.
func (r reply) enveloped() bool {
	_, has := r.root.get("code").integer()
	return has
}

// ok reports whether both status and code are a success.
func (r reply) ok() bool { return r.success() && r.code() == 200 }

// readable reports whether the answer can be a record: a success, with or without an envelope.
func (r reply) readable() bool {
	return r.ok() || r.success() && r.root != nil && r.root.get("code") == nil
}

func (r reply) success() bool { return r.status >= 200 && r.status < 300 }

// noSuchPath reports whether the path is unknown. The vendor's 404 for an unknown task has an
// envelope.
func (r reply) noSuchPath() bool { return r.status == http.StatusNotFound && !r.enveloped() }

// submitted returns the task id in the answer to a submit, or why there may be no task.
func (r reply) submitted() (taskID string, err error) {
	if r.root != nil {
		taskID = findAnswer(r.root, "").submittedID()
	}
	switch {
	case r.ok() && taskID != "":
		return taskID, nil
	case r.root.namesTask():
		// A refusal that names a task contradicts itself; believing the refusal could pay twice.
		return "", &Error{Op: OpSubmit, Reason: Unreadable, HTTPStatus: r.status, Shape: r.shape}
	}
	return "", r.err(OpSubmit)
}

// record returns the record in the answer; asked is the id of the task it should be about.
func (r reply) record(asked, origin string) (Record, error) {
	if !r.readable() {
		return Record{}, r.err(OpRecord)
	}
	record, inline, ok := readRecord(findAnswer(r.root, asked), origin)
	if inline {
		r.detail = "a picture in the answer itself"
	}
	if !ok || inline {
		return Record{}, r.err(OpRecord)
	}
	record.Message = loggable(record.Message, r.key)
	return record, nil
}

// err returns the error that the reply is. No other place makes errors from replies.
func (r reply) err(op Op) *Error {
	messages := r.root.messages()
	e := &Error{
		Op: op, Code: r.code(), HTTPStatus: r.status, RetryAfter: r.retryAfter, Detail: r.detail,
		Message: loggable(strings.Join(messages, " "), r.key), Shape: r.shape,
	}
	front, known := gatewayStatuses[r.status]
	switch {
	case r.enveloped() || !known:
		e.Reason = answerReason(e.Code, r.status, messages)
	case r.page:
		e.Reason = front.page
	case front.fixed:
		e.Reason = front.json
	default:
		e.Reason = refine(front.json, messages)
	}
	e.notExecuted = known && r.complete && !r.enveloped() && !r.mentionsTask
	return e
}
