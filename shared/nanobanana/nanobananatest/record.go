package nanobananatest

import (
	"cmp"
	"encoding/json"
	"maps"
	"net/http"
	"strings"
	"time"
)

func (s *Server) record(w http.ResponseWriter, r *http.Request, path string) {
	knobs := s.Knobs()
	if served := knobs.RecordPath; served != "both" && (served == "record") != (path == "record") {
		notFound.write(w) // the path is unknown, not the task
		return
	}
	fault := s.takeFault(func(k *Knobs) *Fault { return &k.Record })
	t, visible := s.noteRead(r.FormValue("taskId"))
	var proper reply
	switch {
	case !s.authorized(r):
		proper = s.unauthorized()
	case !visible:
		proper = s.refuse(404, "the task does not exist")
	default:
		proper = success(knobs.Reshape.apply(knobs.spellNumbers(s.recordBody(t, knobs))))
	}
	s.answer(w, r, fault, proper)
}

// noteRead counts a read of a record and reports whether the record is visible yet.
func (s *Server) noteRead(id string) (t *task, visible bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	t, known := s.tasks[id]
	if !known {
		return nil, false
	}
	now := s.Now()
	t.Reads = append(t.Reads, now)
	return t, !now.Before(t.visible)
}

// recordBody returns the current record of t, changed by the knobs.
func (s *Server) recordBody(t *task, knobs Knobs) []byte {
	s.mu.Lock()
	defer s.mu.Unlock()
	shown := t.Task
	if shown.Flag == FlagSucceeded {
		if knobs.RecordFlips && t.successReads > 0 {
			shown.Flag, shown.ErrorCode, shown.ErrorMessage = FlagFailed, 501, usualMessage(501)
		}
		t.successReads++
	}
	values := t.commonFields(knobs)
	if shown.Flag != FlagRunning {
		values["data.completeTime"] = t.formatTime(t.doneAt)
	}
	sample := "record-running"
	switch shown.Flag {
	case FlagSucceeded:
		sample = "record-success"
		values["data.response"] = s.response(t, knobs)
	case FlagFailed:
		sample = "record-failed"
		values["data.errorCode"], values["data.errorMessage"] = shown.ErrorCode, shown.ErrorMessage
		if knobs.BareFailures {
			values["data.errorCode"], values["data.errorMessage"] = nil, ""
		}
	}
	if knobs.RecordFlag != nil {
		values["data.successFlag"] = *knobs.RecordFlag
	}
	return fill(sample, values)
}

// callbackBody returns the callback of a finished task: in family A the outcome and the URL, in family B
// the whole record, with the sample's completeTime, which is not a valid time. With contradict it is a
// failure, whatever the outcome.
func (s *Server) callbackBody(t *task, knobs Knobs, contradict bool) []byte {
	s.mu.Lock()
	defer s.mu.Unlock()
	code, message := t.ErrorCode, t.ErrorMessage
	if contradict {
		code, message = 501, usualMessage(501)
	}
	switch {
	case t.endpoint.newer && code == 0:
		values := t.commonFields(knobs)
		values["data.response"] = s.response(t, knobs)
		return fill("callback-newer", values)
	case t.endpoint.newer:
		values := t.commonFields(knobs)
		values["data.errorCode"], values["data.errorMessage"] = code, message
		return fill("callback-newer-failed", values)
	case code == 0:
		info := s.response(t, knobs)
		delete(info, "originImageUrl")
		return fill("callback-generate", fields{"data.taskId": t.ID, "data.info": info})
	}
	return fill("callback-generate-failed", fields{"code": code, "msg": message, "data.taskId": t.ID})
}

// commonFields returns what every record contains. The caller holds Server.mu.
func (t *task) commonFields(knobs Knobs) fields {
	model := strings.Replace(t.Endpoint, "generate", "nano-banana", 1)
	return fields{
		"data.taskId":        t.ID,
		"data.operationType": model + "_" + strings.ToLower(cmp.Or(t.request.Resolution, "1K")),
		"data.createTime":    t.formatTime(t.CreatedAt),
		"data.paramJson":     t.paramJSON(knobs),
	}
}

// formatTime formats a time as the endpoint's records do: the newer ones in UTC+8, without a zone.
func (t *task) formatTime(at time.Time) string {
	if t.endpoint.newer {
		return at.UTC().Add(8 * time.Hour).Format(time.DateTime)
	}
	return at.UTC().Format(time.RFC3339)
}

func (t *task) paramJSON(knobs Knobs) string {
	params := maps.Clone(t.Params)
	switch knobs.ParamJSON {
	case "absent":
		return ""
	case "noCallback":
		delete(params, "callBackUrl")
	}
	text, _ := json.Marshal(params) // it came from JSON
	return string(text)
}

// urls returns the URLs of the pictures of t.
func (s *Server) urls(t *task) []string {
	urls := t.fileNames()
	for i, name := range urls {
		urls[i] = s.URL + "/result/" + name
	}
	return urls
}

// response returns the object with the pictures' URLs, in the shape that the knobs say. originImageUrl
// is a trap: it looks like a result but leads nowhere.
func (s *Server) response(t *task, knobs Knobs) map[string]any {
	urls := s.urls(t)
	urls = urls[:max(0, len(urls)-max(0, knobs.ShortBy))]
	response := map[string]any{"originImageUrl": s.URL + "/result/origin-" + t.fileNames()[0]}
	switch {
	case knobs.Delivery == "resultUrls", knobs.Delivery == "resultImageUrls", knobs.Delivery == "result_urls":
		response[knobs.Delivery] = urls
	case knobs.Delivery == "images":
		images := make([]map[string]string, len(urls))
		for i, url := range urls {
			images[i] = map[string]string{"url": url}
		}
		response["images"] = images
	case len(urls) == 1:
		response["resultImageUrl"] = urls[0]
	case knobs.Delivery == "jsonText":
		text, _ := json.Marshal(urls)
		response["resultImageUrl"] = string(text)
	case knobs.Delivery == "commaText":
		response["resultImageUrl"] = strings.Join(urls, ",")
	default:
		response["resultImageUrl"] = urls
	}
	return response
}
