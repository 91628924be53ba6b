package nanobananatest_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/preset/nanobanana-functions/shared/nanobanana/nanobananatest"
)

// differs returns the first place where an answer does not have the sample's names and types. For a null
// in the sample, any value is right.
func differs(got, sample any, place string) string {
	inGot, isObject := got.(object)
	inSample, wantObject := sample.(object)
	switch {
	case sample == nil:
	case isObject && wantObject:
		names := slices.Sorted(maps.Keys(inSample))
		if have := slices.Sorted(maps.Keys(inGot)); !slices.Equal(have, names) {
			return fmt.Sprintf("%s has %v, want %v", place, have, names)
		}
		for _, name := range names {
			if text := differs(inGot[name], inSample[name], place+"."+name); text != "" {
				return text
			}
		}
	case reflect.TypeOf(got) != reflect.TypeOf(sample):
		return fmt.Sprintf("%s is %T, want %T", place, got, sample)
	}
	return ""
}

func expectShape(t *testing.T, got object, sample string) {
	t.Helper()
	var want object
	if err := json.Unmarshal(nanobananatest.Golden(sample), &want); err != nil {
		t.Fatal(err)
	}
	if text := differs(got, want, sample); text != "" {
		t.Error(text)
	}
}

// The answers have the shape of the samples that the client's tests read.
func TestAnswersHaveTheShapeOfTheSamples(t *testing.T) {
	for endpoint, family := range map[string]string{"generate": "generate", "generate-2": "newer", "generate-pro": "newer"} {
		t.Run(endpoint, func(t *testing.T) {
			p, callbacks := serve(t, func(k *nanobananatest.Knobs) { k.Delay = nanobananatest.Duration(time.Hour) }), receive(t)
			address := object{"callBackUrl": callbacks.url}
			running := p.submit(endpoint, params(endpoint, address))
			expectShape(t, running.body, "submit-"+family)
			record := p.record(running.data()["taskId"].(string))
			expectShape(t, record.body, "record-running")

			p.SetKnobs(func(k *nanobananatest.Knobs) { k.Delay = 0 })
			id := p.mustSubmit(endpoint, address)
			_, callback := callbacks.next(t)
			expectShape(t, callback, "callback-"+family)
			record = p.record(id)
			expectShape(t, record.body, "record-success")

			p.SetKnobs(func(k *nanobananatest.Knobs) { k.Outcome.ErrorCode = 501 })
			id = p.mustSubmit(endpoint, address)
			_, callback = callbacks.next(t)
			expectShape(t, callback, "callback-"+family+"-failed")
			expectShape(t, p.record(id).body, "record-failed")

			expectShape(t, p.submit(endpoint, object{}).body, "refusal")
			expectShape(t, p.credit().body, "credit")
		})
	}
}

func TestRecordTellsOfItsTask(t *testing.T) {
	noon := time.Date(2026, 2, 2, 12, 0, 0, 0, time.UTC)
	for endpoint, want := range map[string]object{
		"generate":     {"operationType": "nano-banana_1k", "createTime": "2026-02-02T12:00:00Z", "completeTime": "2026-02-02T12:00:00Z"},
		"generate-2":   {"operationType": "nano-banana-2_1k", "createTime": "2026-02-02 20:00:00", "completeTime": "2026-02-02 20:00:00"},
		"generate-pro": {"operationType": "nano-banana-pro_1k", "createTime": "2026-02-02 20:00:00", "completeTime": "2026-02-02 20:00:00"},
	} {
		t.Run(endpoint, func(t *testing.T) {
			p := serve(t)
			p.Now = func() time.Time { return noon }
			id := p.mustSubmit(endpoint)
			task := p.done(id)
			data := p.record(id).data()
			want["taskId"], want["successFlag"], want["errorCode"], want["errorMessage"] = id, 1.0, 0.0, ""
			for name, value := range want {
				if data[name] != value {
					t.Errorf("%s is %v, want %v", name, data[name], value)
				}
			}
			if got := at(data, "response.resultImageUrl"); got != task.URLs[0] {
				t.Errorf("resultImageUrl is %v, want %s", got, task.URLs[0])
			}
			var echoed object
			if err := json.Unmarshal([]byte(data["paramJson"].(string)), &echoed); err != nil || !reflect.DeepEqual(echoed, params(endpoint)) {
				t.Errorf("paramJson echoes %v, %v; want %v", echoed, err, params(endpoint))
			}
			if !task.CreatedAt.Equal(noon) || task.Endpoint != endpoint || task.Prompt != "a harbour" || task.CallbackURL != nowhere {
				t.Errorf("task %+v", task)
			}
		})
	}
}

func TestSubmitRefusals(t *testing.T) {
	p := serve(t)
	long := func(n int) string { return string(make([]rune, n)) + "é" } // one too many
	many := func(n int) []string { return slices.Repeat([]string{"https://h/1.png"}, n+1) }
	for _, tt := range []struct {
		endpoint string
		fields   object
		message  string
	}{
		{"generate", object{"prompt": " \n"}, "prompt must not be blank"},
		{"generate", object{"prompt": long(5000)}, "prompt is longer than 5000 characters"},
		{"generate-2", object{"prompt": long(20000)}, "prompt is longer than 20000 characters"},
		{"generate-pro", object{"prompt": 7}, "a parameter has the wrong type"},
		{"generate", object{"type": "TEXTTOIMAGE"}, "type must be TEXTTOIAMGE or IMAGETOIAMGE"},
		{"generate", object{"type": "IMAGETOIAMGE"}, "imageUrls must not be blank"},
		{"generate", object{"imageUrls": many(10)}, "imageUrls has more than 10 entries"},
		{"generate-2", object{"imageUrls": many(14)}, "imageUrls has more than 14 entries"},
		{"generate-pro", object{"imageUrls": many(8)}, "imageUrls has more than 8 entries"},
		{"generate-pro", object{"imageUrls": []string{"data:image/png;base64,x"}}, "imageUrls must be http or https"},
		{"generate", object{"callBackUrl": nil}, "callBackUrl must not be blank"},
		{"generate", object{"callBackUrl": "https://h/cb\n"}, "callBackUrl must be http or https"},
		{"generate-2", object{"callBackUrl": "h/cb"}, "callBackUrl must be http or https"},
		{"generate", object{"numImages": 0}, "numImages must be between 1 and 4"},
		{"generate", object{"numImages": 5}, "numImages must be between 1 and 4"},
		{"generate", object{"numImages": 1.5}, "a parameter has the wrong type"},
		{"generate", object{"numImages": "2"}, "a parameter has the wrong type"},
		{"generate-2", object{"googleSearch": "yes"}, "a parameter has the wrong type"},
		{"generate", object{"image_size": "auto"}, "the aspect ratio is not one of 1:1 9:16 16:9 3:4 4:3 3:2 2:3 5:4 4:5 21:9"},
		{"generate-pro", object{"aspectRatio": "8:1"}, "the aspect ratio is not one of 1:1 2:3 3:2 3:4 4:3 4:5 5:4 9:16 16:9 21:9 auto"},
		{"generate-pro", object{"resolution": ""}, "Resolution must not be blank"},
		{"generate-2", object{"resolution": "8K"}, "resolution must be 1K, 2K or 4K"},
		{"generate-2", object{"outputFormat": "webp"}, "outputFormat must be png or jpg"},
	} {
		a := p.submit(tt.endpoint, params(tt.endpoint, tt.fields))
		if a.status != 400 || a.code() != 400 || a.body["msg"] != tt.message {
			t.Errorf("%s %.60v: %d %s, want %q", tt.endpoint, tt.fields, a.status, a.raw, tt.message)
		}
	}
	for body, status := range map[string]int{"": 400, "null": 400, "[]": 400, "{": 400, `{"prompt":"a","prompt":"b"}`: 400, string(make([]byte, 1<<20+1)): 413} {
		if a := p.ask("POST", p.URL+"/api/v1/nanobanana/generate", []byte(body)); a.status != status || a.code() != status {
			t.Errorf("%.20q: %d %s, want %d", body, a.status, a.raw, status)
		}
	}
	if len(p.Tasks()) != 0 || p.Balance() != 1000 || p.Posts() != 29 {
		t.Errorf("%d tasks, balance %v, %d posts", len(p.Tasks()), p.Balance(), p.Posts())
	}
}

func TestWrongMethodsAndPaths(t *testing.T) {
	p := serve(t)
	for call, want := range map[string]int{
		"GET /nanobanana/generate": 405, "GET /nanobanana/generate-2": 405, "POST /nanobanana/record-info": 405,
		"POST /nanobanana/record": 405, "POST /common/credit": 405, "POST /nanobanana/generate-3": 404, "GET /nanobanana/task": 404,
	} {
		method, path, _ := strings.Cut(call, " ")
		if a := p.ask(method, p.URL+"/api/v1"+path, nil); a.status != want || a.body != nil {
			t.Errorf("%s: %d %s, want %d and no envelope", call, a.status, a.raw, want)
		}
	}
}

// Real integrations lost options by using the names of another endpoint.
func TestUnknownFieldsAreDropped(t *testing.T) {
	p := serve(t)
	for endpoint, fields := range map[string]object{
		"generate":     {"aspectRatio": "16:9", "aspect_ratio": "16:9", "resolution": "2K", "callbackUrl": "https://h"},
		"generate-2":   {"image_size": "16:9", "numImages": 4, "watermark": "w", "type": "IMAGETOIMAGE"},
		"generate-pro": {"outputFormat": "jpg", "googleSearch": true, "image_size": "1:1"},
	} {
		task := p.done(p.mustSubmit(endpoint, fields))
		if want := params(endpoint); !reflect.DeepEqual(task.Params, map[string]any(want)) || len(task.URLs) != 1 {
			t.Errorf("%s: params %v, want %v", endpoint, task.Params, want)
		}
	}
}

func TestKeyRotation(t *testing.T) {
	p := serve(t)
	calls := map[string]func() answer{
		"submit": func() answer { return p.submit("generate", params("generate")) },
		"record": func() answer { return p.record(p.Tasks()[0].ID) },
		"credit": p.credit,
	}
	p.mustSubmit("generate")
	expect := func(key string, status int) {
		t.Helper()
		p.key = key
		for name, call := range calls {
			if a := call(); a.status != status || a.code() != status {
				t.Errorf("%s with key %q: %d %s, want %d", name, key, a.status, a.raw, status)
			}
		}
	}
	expect(nanobananatest.DefaultKey, 200)
	expect("", 401)
	p.SetKeys("old", "new")
	expect("old", 200)
	expect("new", 200)
	expect(nanobananatest.DefaultKey, 401)
	p.SetKeys("new")
	expect("old", 401)
	p.SetKeys()
	expect("", 401)
	if len(p.Tasks()) != 4 || p.Posts() != 8 || p.CreditReads() != 7 {
		t.Errorf("%d tasks, %d posts, %d credit reads", len(p.Tasks()), p.Posts(), p.CreditReads())
	}
}

func TestBehindAPrefix(t *testing.T) {
	s := nanobananatest.New(func(k *nanobananatest.Knobs) { k.PictureSide = 32 })
	mux := http.NewServeMux()
	mux.Handle("/simulator/", http.StripPrefix("/simulator", s))
	server := httptest.NewServer(mux)
	t.Cleanup(server.Close)
	s.URL = server.URL + "/simulator"
	p := attach(t, s)
	task := p.done(p.mustSubmit("generate"))
	if task.URLs[0] != server.URL+"/simulator/result/"+task.ID+"-1.png" {
		t.Errorf("its picture is at %s", task.URLs[0])
	}
	if got := at(p.record(task.ID).body, "data.response.resultImageUrl"); got != task.URLs[0] {
		t.Errorf("its record says %v", got)
	}
	if a := p.ask("GET", task.URLs[0], nil); a.status != 200 || a.header.Get("Content-Type") != "image/png" {
		t.Errorf("its picture is answered %d %s", a.status, a.header)
	}
	if p.credit().body["data"] != 996.0 {
		t.Error("no credit")
	}
}
