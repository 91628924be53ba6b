package nanobananatest_test

import (
	"fmt"
	"reflect"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/preset/nanobanana-functions/shared/nanobanana/nanobananatest"
)

func TestRecordPath(t *testing.T) {
	for knob, served := range map[string][]string{
		"": {"record-info"}, "record-info": {"record-info"}, "record": {"record"}, "both": {"record-info", "record"},
	} {
		p := serve(t, func(k *nanobananatest.Knobs) { k.RecordPath = knob })
		id := p.mustSubmit("generate")
		for _, path := range []string{"record-info", "record"} {
			a := p.ask("GET", p.URL+"/api/v1/nanobanana/"+path+"?taskId="+id, nil)
			exists := strings.Contains(strings.Join(served, " ")+" ", path+" ")
			if exists && (a.status != 200 || a.data()["taskId"] != id) || !exists && (a.status != 404 || a.body != nil) {
				t.Errorf("knob %q: %s is answered %d %s", knob, path, a.status, a.raw)
			}
		}
		if n := len(p.task(id).Reads); n != len(served) {
			t.Errorf("knob %q: %d reads counted, want %d", knob, n, len(served))
		}
	}
}

func TestRecordIsHiddenAtFirst(t *testing.T) {
	var now atomic.Int64
	p := serve(t, func(k *nanobananatest.Knobs) { k.RecordHiddenFor = nanobananatest.Duration(time.Minute) })
	p.Now = func() time.Time { return time.Unix(now.Load(), 0) }
	id := p.mustSubmit("generate")
	for second, status := range map[int64]int{0: 404, 59: 404, 60: 200} {
		now.Store(second)
		if a := p.record(id); a.status != status || a.code() != status {
			t.Errorf("after %d s: %d %s, want %d", second, a.status, a.raw, status)
		}
	}
	if reads := p.task(id).Reads; len(reads) != 3 {
		t.Errorf("reads %v", reads)
	}
	if a := p.record("unknown"); a.status != 404 || a.code() != 404 {
		t.Errorf("an unknown task: %d %s", a.status, a.raw)
	}
}

func TestRecordFlag(t *testing.T) {
	p := serve(t)
	succeeded := p.done(p.mustSubmit("generate-2")).ID
	for _, flag := range []int{0, 2, 7, -1} {
		p.SetKnobs(func(k *nanobananatest.Knobs) { k.RecordFlag = &flag })
		if got := p.record(succeeded).data()["successFlag"]; got != float64(flag) {
			t.Errorf("flag %d is %v in the record", flag, got)
		}
	}
	if got := p.task(succeeded).Flag; got != nanobananatest.FlagSucceeded {
		t.Errorf("the task itself has flag %d", got)
	}
}

func TestRecordFlips(t *testing.T) {
	p := serve(t, func(k *nanobananatest.Knobs) { k.RecordFlips = true })
	id := p.done(p.mustSubmit("generate")).ID
	for i, want := range []float64{1, 3, 3} {
		if got := p.record(id).data()["successFlag"]; got != want {
			t.Errorf("read %d says %v, want %v", i, got, want)
		}
	}
	if a := p.ask("GET", p.task(id).URLs[0], nil); a.status != 200 {
		t.Errorf("its picture is answered %d", a.status)
	}
}

func TestBareFailures(t *testing.T) {
	p := serve(t, func(k *nanobananatest.Knobs) { k.BareFailures, k.Outcome.ErrorCode = true, 400 })
	data := p.record(p.done(p.mustSubmit("generate")).ID).data()
	if data["successFlag"] != 3.0 || data["errorCode"] != nil || data["errorMessage"] != "" {
		t.Errorf("record %v", data)
	}
}

func TestParamJSON(t *testing.T) {
	for knob, want := range map[string]string{
		"": `"callBackUrl":"` + nowhere + `"`, "full": `"callBackUrl":"` + nowhere + `"`, "noCallback": `{"prompt":"a harbour"}`, "absent": "",
	} {
		p, callbacks := serve(t, func(k *nanobananatest.Knobs) { k.ParamJSON = knob }), receive(t)
		echoed, _ := p.record(p.mustSubmit("generate-2")).data()["paramJson"].(string)
		if !strings.Contains(echoed, want) || (want == "") != (echoed == "") {
			t.Errorf("knob %q: paramJson is %s, want %s", knob, echoed, want)
		}
		p.mustSubmit("generate-2", object{"callBackUrl": callbacks.url})
		if _, body := callbacks.next(t); (at(body, "data.paramJson") == "") != (want == "") {
			t.Errorf("knob %q: the callback says %v", knob, at(body, "data.paramJson"))
		}
	}
}

// The URLs are in the same place in a record and in a callback.
func TestDelivery(t *testing.T) {
	for knob, want := range map[string]func(one, two string) object{
		"":                func(one, two string) object { return object{"resultImageUrl": []any{one, two}} },
		"array":           func(one, two string) object { return object{"resultImageUrl": []any{one, two}} },
		"jsonText":        func(one, two string) object { return object{"resultImageUrl": fmt.Sprintf("[%q,%q]", one, two)} },
		"commaText":       func(one, two string) object { return object{"resultImageUrl": one + "," + two} },
		"resultUrls":      func(one, two string) object { return object{"resultUrls": []any{one, two}} },
		"resultImageUrls": func(one, two string) object { return object{"resultImageUrls": []any{one, two}} },
		"result_urls":     func(one, two string) object { return object{"result_urls": []any{one, two}} },
		"images":          func(one, two string) object { return object{"images": []any{object{"url": one}, object{"url": two}}} },
	} {
		p, callbacks := serve(t, func(k *nanobananatest.Knobs) { k.Delivery = knob }), receive(t)
		id := p.mustSubmit("generate", object{"numImages": 2, "callBackUrl": callbacks.url})
		_, callback := callbacks.next(t)
		urls := p.task(id).URLs
		if info := at(callback, "data.info"); !reflect.DeepEqual(info, want(urls[0], urls[1])) {
			t.Errorf("knob %q: the callback has %v", knob, info)
		}
		response, _ := p.record(id).data()["response"].(object)
		delete(response, "originImageUrl")
		if !reflect.DeepEqual(response, want(urls[0], urls[1])) {
			t.Errorf("knob %q: the record has %v", knob, response)
		}
	}
}

func TestShortBy(t *testing.T) {
	for short, want := range map[int]int{0: 3, 1: 2, 3: 0, 9: 0} {
		p := serve(t, func(k *nanobananatest.Knobs) { k.ShortBy, k.Delivery = short, "resultUrls" })
		task := p.done(p.mustSubmit("generate", object{"numImages": 3}))
		urls, _ := at(p.record(task.ID).body, "data.response.resultUrls").([]any)
		if len(urls) != want || len(task.URLs) != 3 || p.Balance() != 1000-12 {
			t.Errorf("short by %d: %d of %d delivered, balance %v", short, len(urls), len(task.URLs), p.Balance())
		}
	}
}

func TestTextNumbers(t *testing.T) {
	p, callbacks := serve(t, func(k *nanobananatest.Knobs) { k.TextNumbers = true }), receive(t)
	p.SetBalance(100.5)
	for _, tt := range []struct {
		code int
		flag string
	}{{0, "1"}, {501, "3"}} {
		p.SetKnobs(func(k *nanobananatest.Knobs) { k.Outcome.ErrorCode = tt.code })
		id := p.mustSubmit("generate-2", object{"callBackUrl": callbacks.url})
		_, callback := callbacks.next(t)
		for who, body := range map[string]object{"callback": callback, "record": p.record(id).body} {
			if at(body, "code") != "200" || at(body, "data.successFlag") != tt.flag || at(body, "data.taskId") != id {
				t.Errorf("the %s says %v", who, body)
			}
		}
	}
	if a := p.credit(); a.body["data"] != "84.5" {
		t.Errorf("the balance is %s", a.raw)
	}
}
