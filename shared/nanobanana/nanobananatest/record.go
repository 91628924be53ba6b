package nanobananatest

import (
	"encoding/json"
	"maps"
	"net/http"
	"strings"
	"time"
)

func (s *Server) record(w http.ResponseWriter, r *http.Request, path string) {
	knobs := s.Knobs()
	if served := knobs.RecordPath; served != "both" && (served == "record") != (path == "record") {
		http.NotFound(w, r) // not the vendor's envelope: the path is unknown, not the task
		return
	}
	fault := s.take(func(k *Knobs) *Fault { return &k.Record })
	t, visible := s.noteRead(r.FormValue("taskId"))
	switch {
	case !s.authorized(w, r):
	case fault.Kind == NoFault && !visible:
		s.refuse(w, refusal{404, "the task does not exist"})
	case !visible: // a fault that needs a proper body cuts up that of another
		s.answer(w, r, fault, "application/json", Golden("record-running"))
	default:
		s.answer(w, r, fault, "application/json", s.recordBody(t, knobs))
	}
}

// noteRead counts a read of a record, and tells whether it may be seen.
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

// recordBody is the record of t as it stands, with what the knobs make of it.
func (s *Server) recordBody(t *task, knobs Knobs) []byte {
	s.mu.Lock()
	defer s.mu.Unlock()
	shown := t.Task
	if shown.Flag == FlagSucceeded {
		if knobs.RecordFlips && t.told > 0 {
			shown.Flag, shown.ErrorCode, shown.ErrorMessage = FlagFailed, 501, usualMessage(501)
		}
		t.told++
	}
	values := t.common(knobs)
	sample := "record-running"
	switch shown.Flag {
	case FlagSucceeded:
		sample = "record-success"
		values["data.completeTime"] = s.Now().UTC().Format(time.RFC3339)
		values["data.response"] = t.delivered(knobs)
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

// callbackBody is what is called back about a task that is done: in family A the outcome and the
// URL, in family B the whole record. Contradicting, a failure whatever became of it.
func (s *Server) callbackBody(t *task, knobs Knobs, contradict bool) []byte {
	s.mu.Lock()
	defer s.mu.Unlock()
	code, message := t.ErrorCode, t.ErrorMessage
	if contradict {
		code, message = 501, usualMessage(501)
	}
	switch {
	case t.endpoint.newer && code == 0:
		values := t.common(knobs)
		values["data.response"] = t.delivered(knobs)
		return fill("callback-newer", values)
	case t.endpoint.newer:
		values := t.common(knobs)
		values["data.errorCode"], values["data.errorMessage"] = code, message
		return fill("callback-newer-failed", values)
	case code == 0:
		info := t.delivered(knobs)
		delete(info, "originImageUrl")
		return fill("callback-generate", fields{"data.taskId": t.ID, "data.info": info})
	}
	return fill("callback-generate-failed", fields{"code": code, "msg": message, "data.taskId": t.ID})
}

// common is what every record holds. The caller holds Server.mu.
func (t *task) common(knobs Knobs) fields {
	created := t.CreatedAt.UTC()
	values := fields{
		"data.taskId":        t.ID,
		"data.operationType": strings.Replace(t.Endpoint, "generate", "nano-banana", 1),
		"data.createTime":    created.Format(time.RFC3339),
		"data.paramJson":     t.paramJSON(knobs),
	}
	if t.endpoint.newer { // zone-less, and of another zone
		values["data.createTime"] = created.Add(8 * time.Hour).Format(time.DateTime)
	}
	return values
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

// delivered is where the URLs of the pictures stand, in the shape the knobs say. originImageUrl is
// a trap: it looks like a result, and nothing is there.
func (t *task) delivered(knobs Knobs) map[string]any {
	urls := t.URLs[:max(0, len(t.URLs)-knobs.ShortBy)]
	origin := strings.Replace(t.URLs[0], "/result/", "/result/origin-", 1)
	response := map[string]any{"originImageUrl": origin}
	switch {
	case knobs.Delivery == "resultUrls":
		response["resultUrls"] = urls
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
