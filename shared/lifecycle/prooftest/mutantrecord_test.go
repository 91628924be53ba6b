package prooftest

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"slices"
	"strings"

	"github.com/preset/nanobanana-functions/shared/lifecycle"
	"github.com/preset/nanobanana-functions/shared/nanobanana/nanobananatest"
	"github.com/preset/nanobanana-functions/shared/task"
)

// The rules about whose a record is, and whether it can be used, have no interface of their
// own. These mutants change the record on its way, to hide what the rule depends on.
var recordMutants = []mutant{
	{name: "the id in a record is ignored", caught: []string{decidesNothing}, transport: readAs(func(o *order, r *read) { r.data["taskId"] = o.id })},
	{name: "the callback address in a record is ignored", caught: []string{decidesNothing, "the record decides"}, transport: readAs(func(o *order, r *read) {
		if r.ours && !strings.HasPrefix(r.path(), o.path0()) {
			r.sent = nil
		}
	})},
	{name: "a stranger's failure leads to another generation", caught: []string{decidesNothing, "I4"}, transport: readAs(func(o *order, r *read) {
		if r.flag() == nanobananatest.FlagFailed && (r.data["taskId"] != o.id || !strings.HasPrefix(r.path(), o.path0())) {
			r.data["taskId"] = o.id
			_ = json.Unmarshal([]byte(o.params), &r.sent)
		}
	})},
	{name: "another prompt contradicts even a proved id", caught: []string{"P1", "no image is lost", "the log is true"}, transport: readAs(func(o *order, r *read) {
		if said, is := r.sent["prompt"].(string); is && !strings.Contains(o.params, said) {
			r.sent["callBackUrl"] = nobodys
		}
	})},
	{name: "a callback address on another host contradicts", caught: []string{"P1", "no image is lost", "the log is true", "the end's code is true"}, transport: readAs(func(_ *order, r *read) {
		if r.address != "" && !strings.HasPrefix(r.address, publicURL) {
			r.sent["callBackUrl"] = nobodys
		}
	})},
	{name: "a callback address proves its attempt with a broken token", caught: []string{"I4"}, transport: readAs(func(o *order, r *read) {
		if strings.HasPrefix(r.path(), o.path0()) {
			_ = json.Unmarshal([]byte(o.params), &r.sent)
		}
	})},
	{name: "a callback counts for an unproved id with an unusable record", caught: []string{"the record decides"}, store: faulty(func(d *faultyStore) { d.noDoubt = true }), transport: readAs(func(o *order, r *read) {
		r.gone = o.doubt.said && slices.Contains(unclear, o.record) && echoes[o.echo].proof == neutral
	})},
	{name: "a success without a link counts as running", caught: []string{"P1", doubtLogged}, transport: readAs(func(_ *order, r *read) {
		if r.flag() == nanobananatest.FlagSucceeded && r.linkless() {
			r.data["successFlag"] = nanobananatest.FlagRunning
		}
	})},
	{name: "an unknown state counts as running", caught: []string{"P1", doubtLogged}, transport: readAs(func(_ *order, r *read) {
		if r.flag() == 7 {
			r.data["successFlag"], r.data["response"] = nanobananatest.FlagRunning, nil
		}
	})},
	{name: "a failure with a link counts", caught: []string{"the record decides"}, transport: readAs(func(_ *order, r *read) {
		if r.flag() == nanobananatest.FlagFailed {
			r.data["response"] = nil
		}
	})},
	{name: "links without a state count at once", caught: []string{"the record decides"}, transport: readAs(func(_ *order, r *read) {
		if r.data["successFlag"] == nil {
			r.data["successFlag"] = nanobananatest.FlagSucceeded
		}
	})},
	{name: "an unusable record is not logged", caught: []string{doubtLogged}, dropsEvent: lifecycle.EventDoubt},
	{name: "an end is not logged", caught: []string{endsLogged}, dropsEvent: lifecycle.EventEnded},
	{name: "a change of status is not logged", caught: []string{movesLogged}, dropsEvent: lifecycle.EventTransition},
}

// nobodys is the callback address of a task that does not exist.
var nobodys = publicURL + "/v1/callbacks/" + task.NewID("eve", "2") + "/1/k.xxx"

// read is a record that a mutant may change.
type read struct {
	data    map[string]any
	sent    map[string]any // its parameters
	address string         // the callback address in these
	ours    bool           // address is one of ours
	gone    bool           // answer something other than a record
}

func (r *read) flag() int {
	flag, _ := r.data["successFlag"].(float64)
	return int(flag)
}

func (r *read) linkless() bool {
	response, err := json.Marshal(r.data["response"])
	return err == nil && !bytes.Contains(response, []byte("http"))
}

// path returns the callback address after "/v1/callbacks/".
func (r *read) path() string {
	_, path, _ := strings.Cut(r.address, "/v1/callbacks/")
	return path
}

// path0 returns the path of an order's callback without its token.
func (o *order) path0() string {
	var sent struct {
		URL string `json:"callBackUrl"`
	}
	if err := json.Unmarshal([]byte(o.params), &sent); err != nil {
		panic(err)
	}
	_, path, _ := strings.Cut(sent.URL, "/v1/callbacks/")
	return path[:strings.LastIndex(path, "/")+1]
}

// readAs returns a transport that changes records.
func readAs(change func(*order, *read)) func(*process, http.RoundTripper) http.RoundTripper {
	return func(p *process, to http.RoundTripper) http.RoundTripper {
		return roundTrip(func(r *http.Request) (*http.Response, error) {
			resp, err := to.RoundTrip(r)
			if err != nil || !strings.HasSuffix(r.URL.Path, "record-info") {
				return resp, err
			}
			body, err := io.ReadAll(resp.Body)
			if err != nil {
				return nil, err
			}
			p.sim.mu.Lock()
			if o := p.sim.provider.byID(r.FormValue("taskId")); o != nil {
				body = changed(body, o, change)
			}
			p.sim.mu.Unlock()
			resp.Body = io.NopCloser(bytes.NewReader(body))
			return resp, nil
		})
	}
}

func changed(body []byte, o *order, change func(*order, *read)) []byte {
	var all map[string]any
	if json.Unmarshal(body, &all) != nil {
		return body
	}
	r := read{sent: map[string]any{}}
	var is bool
	if r.data, is = all["data"].(map[string]any); !is {
		return body
	}
	if text, is := r.data["paramJson"].(string); is {
		_ = json.Unmarshal([]byte(text), &r.sent)
	}
	r.address, _ = r.sent["callBackUrl"].(string)
	r.ours = strings.Contains(r.address, "/v1/callbacks/")
	if change(o, &r); r.gone {
		return []byte("<html>")
	}
	sent, err := json.Marshal(r.sent)
	if err != nil {
		panic(err)
	}
	if r.data["paramJson"] = string(sent); len(r.sent) == 0 {
		r.data["paramJson"] = ""
	}
	if body, err = json.Marshal(all); err != nil {
		panic(err)
	}
	return body
}
