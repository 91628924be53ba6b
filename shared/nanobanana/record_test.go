package nanobanana_test

import (
	"cmp"
	"fmt"
	"net/http"
	"net/http/httptest"
	"reflect"
	"strings"
	"sync"
	"testing"

	"github.com/preset/nanobanana-functions/shared/nanobanana"
	"github.com/preset/nanobanana-functions/shared/nanobanana/nanobananatest"
	"github.com/preset/nanobanana-functions/shared/outbound"
)

func record(t *testing.T, body string) nanobanana.Record {
	t.Helper()
	r, err := answeringClient(t, 200, nil, body).Record(t.Context(), "key", "task1")
	if err != nil {
		t.Fatalf("Record of %s: %v", body, err)
	}
	return r
}

func TestRecordSamples(t *testing.T) {
	params := nanobanana.Params{
		Present: true, Prompt: "A quiet harbour at dawn", CallbackURL: "https://preset.example/v1/callbacks/t1/1/k1.abc",
	}
	for name, want := range map[string]nanobanana.Record{
		"record-running": {State: nanobanana.Running},
		"record-success": {State: nanobanana.Succeeded, URLs: []string{"https://ourserver.com/image/result.jpg"}},
		"record-failed": {State: nanobanana.Failed, Reason: nanobanana.GenerationFailed, ErrorCode: 501, Retryable: true,
			Message: "Image generation task failed"},
	} {
		want.TaskID, want.Params = "nanobanana_task_123456", params
		response := map[string]string{"record-success": "{originImageUrl:text,resultImageUrl:text}"}[name]
		code := map[string]string{"record-running": "null"}[name]
		want.Shape = fmt.Sprintf("{code:number,msg:text,data:{taskId:text,paramJson:text:{prompt:text,callBackUrl:text},completeTime:text,"+
			"response:%s,successFlag:number,errorCode:%s,errorMessage:text,operationType:text,createTime:text}}", cmp.Or(response, "null"), cmp.Or(code, "number"))
		if got := record(t, string(nanobananatest.Golden(name))); !reflect.DeepEqual(got, want) {
			t.Errorf("%s = %+v, want %+v", name, got, want)
		}
	}
}

func TestRecordStates(t *testing.T) {
	for flag, want := range map[string]nanobanana.State{
		`0`: nanobanana.Running, `1`: nanobanana.Succeeded, `2`: nanobanana.Failed, `3`: nanobanana.Failed,
		`"1"`: nanobanana.Succeeded, `" 3 "`: nanobanana.Failed, `1.0`: nanobanana.Succeeded,
		`true`: nanobanana.Succeeded, `"true"`: nanobanana.Succeeded, `false`: nanobanana.Running, `"SUCCESS"`: nanobanana.Succeeded,
		`7`: nanobanana.Unclear, `-1`: nanobanana.Unclear, `1.5`: nanobanana.Unclear, `null`: nanobanana.Unstated,
		`"yes"`: nanobanana.Unclear, `{}`: nanobanana.Unclear, `1e300`: nanobanana.Unclear, `""`: nanobanana.Unstated,
	} {
		if got := record(t, `{"code":200,"data":{"successFlag":`+flag+`}}`).State; got != want {
			t.Errorf("successFlag %s = %s, want %s", flag, got, want)
		}
	}
	if got := record(t, `{"code":200,"data":{"taskId":"a"}}`).State; got != nanobanana.Unstated {
		t.Errorf("no successFlag = %s, want unstated", got)
	}
}

func TestRecordFailures(t *testing.T) {
	for _, tt := range []struct {
		code, text string
		reason     nanobanana.Reason
		wantCode   int
		retryable  bool
	}{
		{`500`, ``, nanobanana.ServerError, 500, true},
		{`501`, `Image generation task failed`, nanobanana.GenerationFailed, 501, true},
		{`"501"`, ``, nanobanana.GenerationFailed, 501, true},
		{`501`, `too many requests`, nanobanana.RateLimited, 501, true},
		{`501`, `Your prompt has been flagged`, nanobanana.Policy, 501, false},
		{`500`, `Resolution must not be blank`, nanobanana.BadRequest, 500, false},
		{`500`, `insufficient credits`, nanobanana.NoCredits, 500, false},
		{`500`, `invalid API key`, nanobanana.Unauthorized, 500, false},
		{`501`, `failed to fetch image url`, nanobanana.InputImage, 501, false},
		{`400`, ``, nanobanana.Policy, 400, false},
		{`422`, ``, nanobanana.Invalid, 422, false},
		{`null`, ``, nanobanana.GenerationFailed, 0, false},
		{`0`, ``, nanobanana.GenerationFailed, 0, false},
		{`200`, `nsfw`, nanobanana.Policy, 200, false},
		{`"oops"`, ``, nanobanana.GenerationFailed, 0, false},
		{`777`, ``, nanobanana.ServerError, 777, false},
	} {
		r := record(t, fmt.Sprintf(`{"code":200,"data":{"successFlag":3,"errorCode":%s,"errorMessage":%q}}`, tt.code, tt.text))
		if r.State != nanobanana.Failed || r.Reason != tt.reason || r.ErrorCode != tt.wantCode || r.Retryable != tt.retryable {
			t.Errorf("errorCode %s %q = %+v, want %s, code %d, retryable %v", tt.code, tt.text, r, tt.reason, tt.wantCode, tt.retryable)
		}
	}
}

// The reader ignores times, so that no format of a time can lose a picture.
func TestTimesAreIgnored(t *testing.T) {
	for _, at := range []string{`""`, `null`, `"2025-09-05T12:34:56Z"`, `"2026-02-02 17:11:25"`, `"2026-02-27 24:00:00"`, `1757075696000`, `{}`} {
		body := `{"code":200,"data":{"taskId":"task1","successFlag":1,"completeTime":` + at + `,"createTime":` + at +
			`,"response":{"resultImageUrl":"https://h/1.png"}}}`
		if r := record(t, body); len(r.URLs) != 1 {
			t.Errorf("time %s: record = %+v", at, r)
		}
		if callback, err := nanobanana.ParseCallback([]byte(body)); err != nil || !callback.Success {
			t.Errorf("time %s: callback = %+v, %v", at, callback, err)
		}
	}
}

func TestURLs(t *testing.T) {
	long := "https://h/" + strings.Repeat("x", 8192-len("https://h/"))
	many := make([]string, 40)
	for i := range many {
		many[i] = fmt.Sprintf(`"https://h/%d.png"`, i)
	}
	for data, want := range map[string][]string{
		`"response":{"resultImageUrl":"https://h/1.png"}`:                                     {"https://h/1.png"},
		`"response":"{\"resultImageUrl\":\"https://h/1.png\"}"`:                               {"https://h/1.png"},
		`"response":{"resultImageUrl":["https://h/1.png","https://h/2.png"]}`:                 {"https://h/1.png", "https://h/2.png"},
		`"response":{"resultImageUrl":"[\"https://h/1.png\",\"https://h/2.png\"]"}`:           {"https://h/1.png", "https://h/2.png"},
		`"response":{"resultImageUrl":"https://h/1.png, https://h/2.png,http://h/3"}`:         {"https://h/1.png", "https://h/2.png", "http://h/3"},
		`"response":{"resultImageUrl":"https://h/w_1,h_2/1.png,https://h/2.png"}`:             {"https://h/w_1,h_2/1.png", "https://h/2.png"},
		`"response":{"resultImageUrls":["https://h/1.png"]}`:                                  {"https://h/1.png"},
		`"response":{"resultUrls":["https://h/1.png"]}`:                                       {"https://h/1.png"},
		`"response":{"result_urls":["https://h/1.png"]}`:                                      {"https://h/1.png"},
		`"response":{"images":[{"url":"https://h/1.png"},{"url":"https://h/2.png"},{"x":1}]}`: {"https://h/1.png", "https://h/2.png"},
		`"info":{"resultImageUrl":"https://h/1.png"}`:                                         {"https://h/1.png"},
		`"resultImageUrl":"https://h/1.png"`:                                                  {"https://h/1.png"},
		`"resultImageUrl":"https://h/3.png","info":{"resultImageUrl":"https://h/2.png"},` +
			`"response":{"resultImageUrl":"https://h/1.png","resultUrls":["https://h/1.png","https://h/3.png"]}`: {"https://h/1.png", "https://h/3.png", "https://h/2.png"},
		`"response":{"originImageUrl":"https://h/origin.png","resultImageUrl":""}`:                nil,
		`"response":{"resultImageUrl":["ftp://h/1","https://","n/a","image/png",7]}`:              nil,
		`"response":{"resultImageUrl":"https://h/\u0000"}`:                                        nil,
		`"response":{"resultImageUrl":"` + long + `"}`:                                            {long},
		`"response":{"resultImageUrl":"` + long + `x"}`:                                           nil,
		`"response":{"resultImageUrl":["[\"https://h/1.png\"]",["https://h/2.png"]]}`:             {"https://h/1.png", "https://h/2.png"},
		`"response":{"resultImageUrl":"[\"https://h/1.png\", 7, {\"url\":\"https://h/2.png\"}]"}`: {"https://h/1.png", "https://h/2.png"},
		`"response":[],"info":7`: nil,
		`"response":null`:        nil,
	} {
		if got := record(t, `{"code":200,"data":{"successFlag":1,`+data+`}}`).URLs; !reflect.DeepEqual(got, want) {
			t.Errorf("%s:\n got %q\nwant %q", data, got, want)
		}
	}
	if got := record(t, `{"code":200,"data":{"resultUrls":[`+strings.Join(many, ",")+`]}}`).URLs; len(got) != 8 {
		t.Errorf("of 40 URLs %d are kept, want 8", len(got))
	}
}

func TestParams(t *testing.T) {
	for raw, want := range map[string]nanobanana.Params{
		`""`:            {},
		`null`:          {},
		`"{}"`:          {},
		`"{\"prompt\""`: {},
		`"[]"`:          {},
		`7`:             {},
		`"{\"prompt\":\" p \\n\",\"callBackUrl\":\"https://cb\"}"`:                   {Present: true, Prompt: " p \n", CallbackURL: "https://cb"},
		`"{\"prompt\":\"p\",\"callbackUrl\":\"https://cb\"}"`:                        {Present: true, Prompt: "p", CallbackURL: "https://cb"},
		`"{\"callback_url\":\"https://cb\"}"`:                                        {Present: true, CallbackURL: "https://cb"},
		`{"prompt":"p"}`:                                                             {Present: true, Prompt: "p"},
		`"{\"callBackUrl\":\"https://cb\",\"input\":{\"prompt\":\"p\"}}"`:            {Present: true, Prompt: "p", CallbackURL: "https://cb"},
		`"{\"input\":\"{\\\"prompt\\\":\\\"p\\\",\\\"callBackUrl\\\":\\\"u\\\"}\"}"`: {Present: true, Prompt: "p", CallbackURL: "u"},
		`"{\"callBackUrl\":\"https://cb\",\"callback_url\":\"https://cb\"}"`:         {Present: true, CallbackURL: "https://cb"},
		`"{\"prompt\":7}"`: {},
	} {
		if got := record(t, `{"code":200,"data":{"successFlag":0,"paramJson":`+raw+`}}`).Params; got != want {
			t.Errorf("paramJson %s = %+v, want %+v", raw, got, want)
		}
	}
}

func TestRecordUnreadable(t *testing.T) {
	for body, status := range map[string]int{
		`{"code":200,"data":null}`: 200, `{"code":200,"data":[]}`: 200, `{"code":200}`: 200, `{"code":200,"data":"x"}`: 200,
		`<html>`: 200, ``: 200, `null`: 200, `[]`: 200, `{"code":200,"data":{}} {}`: 200,
	} {
		if err := callError(t, answeringClient(t, status, nil, body), nanobanana.OpRecord); err.Reason != nanobanana.Unreadable {
			t.Errorf("%s: error = %v, want unreadable", body, err)
		}
	}
	err := callError(t, answeringClient(t, 500, nil, `{"code":200,"data":{"successFlag":1}}`), nanobanana.OpRecord)
	if err.Reason != nanobanana.ServerError {
		t.Errorf("a record with status 500: error = %v, want server error", err)
	}
}

func TestReplyIsBounded(t *testing.T) {
	sim, bombing := newSimulator(t, func(k *nanobananatest.Knobs) { k.Credit.Kind = nanobananatest.FaultGzipBomb })
	sim.SetKeys("key")
	if err := callError(t, bombing, nanobanana.OpCredits); err.Reason != nanobanana.Unreadable {
		t.Errorf("a gzip bomb: error = %v, want unreadable", err)
	}
	body := func(size int) string {
		head, tail := `{"code":200,"data":{"successFlag":1,"x":"`, `"}}`
		return head + strings.Repeat("x", size-len(head)-len(tail)) + tail
	}
	if r := record(t, body(1<<20)); r.State != nanobanana.Succeeded {
		t.Errorf("exactly 1 MiB: record = %+v", r)
	}
	for _, long := range []string{body(1<<20 + 1), body(1<<20) + " "} {
		if err := callError(t, answeringClient(t, 200, nil, long), nanobanana.OpRecord); err.Reason != nanobanana.Unreadable {
			t.Errorf("1 MiB and one byte: error = %v, want unreadable", err)
		}
	}
}

// pathProvider is a provider that has some record paths and remembers the requests.
type pathProvider struct {
	mu    sync.Mutex
	known map[string]bool
	asked []string
}

func (p *pathProvider) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	p.mu.Lock()
	defer p.mu.Unlock()
	path := strings.TrimPrefix(r.URL.Path, "/api/v1/nanobanana/")
	p.asked = append(p.asked, path)
	if !p.known[path] {
		http.NotFound(w, r)
		return
	}
	_, _ = w.Write(nanobananatest.Golden("record-success"))
}

func TestRecordPath(t *testing.T) {
	for name, tt := range map[string]struct {
		configured string
		known      []string
		reads      int
		asked      []string
		fails      bool
	}{
		"the default":                          {"", []string{"record-info", "record"}, 2, []string{"record-info", "record-info"}, false},
		"the guide's, found and remembered":    {"", []string{"record"}, 3, []string{"record-info", "record", "record", "record"}, false},
		"configured as the guide's":            {"/nanobanana/record", []string{"record"}, 2, []string{"record", "record"}, false},
		"configured wrong, found, remembered":  {"/nanobanana/record", []string{"record-info"}, 2, []string{"record", "record-info", "record-info"}, false},
		"a path of the operator's, and it is":  {"/nanobanana/status", []string{"status"}, 1, []string{"status"}, false},
		"a path of the operator's, and is not": {"/nanobanana/status", []string{"record"}, 2, []string{"status", "record", "record"}, false},
		"none":                                 {"", nil, 2, []string{"record-info", "record", "record-info", "record"}, true},
	} {
		t.Run(name, func(t *testing.T) {
			provider := &pathProvider{known: map[string]bool{}}
			for _, path := range tt.known {
				provider.known[path] = true
			}
			server := httptest.NewServer(provider)
			defer server.Close()
			client := &nanobanana.Client{BaseURL: server.URL, RecordPath: tt.configured, HTTP: outbound.NewClient()}
			for range tt.reads {
				_, err := client.Record(t.Context(), "key", "task1")
				if tt.fails != (err != nil) || tt.fails && asError(t, err).Reason != nanobanana.NoSuchPath {
					t.Errorf("error = %v", err)
				}
			}
			if !reflect.DeepEqual(provider.asked, tt.asked) {
				t.Errorf("asked %v, want %v", provider.asked, tt.asked)
			}
		})
	}
}

// The client does not believe for ever that it found the right path.
func TestRecordPathIsFoundAgain(t *testing.T) {
	t.Run("changed while running", func(t *testing.T) {
		provider := &pathProvider{known: map[string]bool{"record": true}}
		server := httptest.NewServer(provider)
		defer server.Close()
		client := &nanobanana.Client{BaseURL: server.URL, HTTP: outbound.NewClient()}
		for _, known := range []string{"record", "record-info", "record"} {
			provider.mu.Lock()
			provider.known = map[string]bool{known: true}
			provider.mu.Unlock()
			if _, err := client.Record(t.Context(), "key", "task1"); err != nil {
				t.Errorf("%s: %v", known, err)
			}
		}
	})
	t.Run("a path that only refuses is not remembered", func(t *testing.T) {
		mux, asked := http.NewServeMux(), 0
		mux.HandleFunc("/api/v1/nanobanana/record", func(w http.ResponseWriter, _ *http.Request) {
			_, _ = w.Write([]byte(`{"code":404,"msg":"no such path"}`))
		})
		mux.HandleFunc("/api/v1/nanobanana/record-info", func(w http.ResponseWriter, r *http.Request) {
			if asked++; asked == 1 { // a deployment of the provider's, say
				http.NotFound(w, r)
				return
			}
			_, _ = w.Write(nanobananatest.Golden("record-success"))
		})
		server := httptest.NewServer(mux)
		defer server.Close()
		client := &nanobanana.Client{BaseURL: server.URL, HTTP: outbound.NewClient()}
		if err := callError(t, client, nanobanana.OpRecord); err.Reason != nanobanana.NotFound {
			t.Errorf("error = %v, want not found", err)
		}
		if _, err := client.Record(t.Context(), "key", "task1"); err != nil || asked != 2 {
			t.Errorf("error = %v after %d requests to the path that exists", err, asked)
		}
	})
	t.Run("the vendor's own 404 is about the task", func(t *testing.T) {
		provider := rawProvider(t, http11("404 Not Found", "", `{"code":404,"msg":"no such task"}`))
		client := &nanobanana.Client{BaseURL: provider.url, HTTP: outbound.NewClient()}
		if err := callError(t, client, nanobanana.OpRecord); err.Reason != nanobanana.NotFound || err.Code != 404 {
			t.Errorf("error = %v, want not found", err)
		}
		if n := provider.requests.Load(); n != 1 {
			t.Errorf("the provider saw %d requests, want 1", n)
		}
	})
}

func TestRecordAsksForTheTask(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodGet || r.URL.Query().Get("taskId") != "a&b c" || r.Header.Get("Authorization") != "Bearer key" {
			t.Errorf("request %s %s with %v", r.Method, r.URL, r.Header)
		}
		_, _ = w.Write(nanobananatest.Golden("record-running"))
	}))
	defer server.Close()
	client := &nanobanana.Client{BaseURL: server.URL, HTTP: outbound.NewClient()}
	if _, err := client.Record(t.Context(), "key", "a&b c"); err != nil {
		t.Error(err)
	}
}

func TestCredits(t *testing.T) {
	for data, want := range map[string]float64{`100`: 100, `100.5`: 100.5, `"12.25"`: 12.25, `0`: 0, `-3`: -3, `1e3`: 1000} {
		got, err := answeringClient(t, 200, nil, `{"code":200,"msg":"success","data":`+data+`}`).Credits(t.Context(), "key")
		if err != nil || got != want {
			t.Errorf("data %s = %v, %v; want %v", data, got, err, want)
		}
	}
	if got, err := answeringClient(t, 200, nil, string(nanobananatest.Golden("credit"))).Credits(t.Context(), "key"); err != nil || got != 100.5 {
		t.Errorf("the sample = %v, %v; want 100.5", got, err)
	}
	for _, data := range []string{`null`, `{}`, `""`, `"NaN"`, `"Inf"`, `1e999`, `true`, `"many"`} {
		body := `{"code":200,"data":` + data + `}`
		if err := callError(t, answeringClient(t, 200, nil, body), nanobanana.OpCredits); err.Reason != nanobanana.Unreadable {
			t.Errorf("data %s: error = %v, want unreadable", data, err)
		}
	}
}

func FuzzRecord(f *testing.F) {
	for _, name := range []string{"record-running", "record-success", "record-failed", "callback-generate", "refusal", "credit"} {
		f.Add(nanobananatest.Golden(name))
	}
	f.Add([]byte(`{"code":200,"data":{"successFlag":3,"errorCode":"501","response":"[]","resultUrls":[[[["https://h/1"]]]]}}`))
	f.Add([]byte(`{"code":200,"data":"{\"successFlag\":1,\"resultImageUrl\":\",,,,https://h/1,,https://h/2\"}"}`))
	f.Fuzz(func(t *testing.T, body []byte) {
		r, ok := nanobanana.DecodeRecord(body)
		if !ok {
			return
		}
		switch r.State {
		case nanobanana.Running, nanobanana.Succeeded, nanobanana.Unstated, nanobanana.Unclear:
			if r.Reason != "" || r.Retryable {
				t.Errorf("%s with reason %q, retryable %v", r.State, r.Reason, r.Retryable)
			}
		case nanobanana.Failed:
			if r.Reason == "" || r.Retryable && r.ErrorCode != 500 && r.ErrorCode != 501 {
				t.Errorf("failed with reason %q, code %d, retryable %v", r.Reason, r.ErrorCode, r.Retryable)
			}
		default:
			t.Errorf("state %q", r.State)
		}
		checkURLs(t, r.URLs)
		checkURLs(t, r.Guesses)
		checkForLog(t, r.Message, 200)
		checkForLog(t, r.Shape, 6000)
		checkTaskID(t, r.TaskID)
	})
}
