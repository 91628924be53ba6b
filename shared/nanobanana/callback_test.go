package nanobanana_test

import (
	"net/url"
	"reflect"
	"regexp"
	"strings"
	"testing"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/preset/nanobanana-functions/shared/cputest"
	"github.com/preset/nanobanana-functions/shared/nanobanana"
	"github.com/preset/nanobanana-functions/shared/nanobanana/nanobananatest"
)

func TestParseCallback(t *testing.T) {
	const newer = "31ce2c17b257492959d62279e6d01a54"
	sample := func(name string) string { return string(nanobananatest.Golden(name)) }
	one := []string{"https://h/1.png"}
	for body, want := range map[string]nanobanana.Callback{
		// The samples.
		sample("callback-generate"): {TaskID: "9e4286b7b27960dfe8e1d279b50b28d", Final: true, Success: true,
			URLs: []string{"https://yourserver.com/image/result.jpg"}},
		sample("callback-generate-failed"): {TaskID: "task12345", Final: true, Reason: nanobanana.Policy, Code: 400,
			Message: "Your prompt has been flagged for violating content policy"},
		sample("callback-newer"): {TaskID: newer, Final: true, Success: true,
			URLs: []string{"https://tempfile.aiquickdraw.com/gemini-preview/x.jpeg"}},
		sample("callback-newer-failed"): {TaskID: newer, Final: true, Reason: nanobanana.GenerationFailed, Code: 501,
			Message: "Image generation task failed"},

		// Family A.
		`{"code":501,"msg":"failed","data":{"taskId":"a","info":{"resultImageUrl":""}}}`:            {TaskID: "a", Final: true, Reason: nanobanana.GenerationFailed, Code: 501, Message: "failed"},
		`{"code":"200","data":{"taskId":"a","info":{"resultImageUrl":"https://h/1.png"}}}`:          {TaskID: "a", Final: true, Success: true, URLs: one},
		`{"code":200,"data":{"taskId":"a","info":{"resultImageUrl":""}}}`:                           {TaskID: "a"},
		`{"code":200,"data":{"taskId":"a","info":null}}`:                                            {TaskID: "a"},
		`{"code":200,"data":null,"taskId":"a"}`:                                                     {TaskID: "a"},
		`{"code":200,"data":{"task_id":"a","resultImageUrl":"https://h/1.png"}}`:                    {TaskID: "a", Final: true, Success: true, URLs: one},
		`{"CODE":200,"Data":{"TASKID":"a","Info":{"ResultImageURL":"https://h/1.png"}}}`:            {TaskID: "a", Final: true, Success: true, URLs: one},
		`{"code":501,"code":200,"data":{"taskId":"b","taskId":"a","resultUrls":"https://h/1.png"}}`: {TaskID: "a", Final: true, Success: true, URLs: one},
		`{"code":500,"message":"failed to fetch image url","data":{"taskId":"a"}}`:                  {TaskID: "a", Final: true, Reason: nanobanana.InputImage, Code: 500, Message: "failed to fetch image url"},
		`{"code":400,"msg":"prompt must not be blank","data":{"taskId":"a"}}`:                       {TaskID: "a", Final: true, Reason: nanobanana.BadRequest, Code: 400, Message: "prompt must not be blank"},
		`{"code":501,"msg":"x","data":{"taskId":"a","info":{"resultImageUrl":"https://h/1.png"}}}`:  {TaskID: "a", Final: true, Reason: nanobanana.GenerationFailed, Code: 501, Message: "x", URLs: one},
		`{"code":501}`:                          {Final: true, Reason: nanobanana.GenerationFailed, Code: 501},
		`{"code":200}`:                          {},
		`{"taskId":"a"}`:                        {TaskID: "a"},
		`{"code":200,"data":{"taskId":"../x"}}`: {},
		`{"code":200,"data":{"taskId":"` + strings.Repeat("a", 129) + `"}}`: {},
		"\ufeff {\"code\":200,\"data\":\"{\\\"taskId\\\":\\\"a\\\"}\"} ":    {TaskID: "a"},

		// Family B: the flag decides, whatever the code says.
		`{"code":200,"data":{"taskId":"a","successFlag":0}}`:                                                 {TaskID: "a"},
		`{"code":501,"data":{"taskId":"a","successFlag":0}}`:                                                 {TaskID: "a"},
		`{"code":200,"data":{"taskId":"a","successFlag":7}}`:                                                 {TaskID: "a"},
		`{"code":200,"data":{"taskId":"a","successFlag":1,"response":null}}`:                                 {TaskID: "a"},
		`{"code":501,"data":{"taskId":"a","successFlag":"1","response":{"resultUrls":["https://h/1.png"]}}}`: {TaskID: "a", Final: true, Success: true, URLs: one},
		`{"code":200,"data":{"taskId":"a","successFlag":2,"errorCode":null}}`:                                {TaskID: "a", Final: true, Reason: nanobanana.GenerationFailed},
		`{"code":400,"msg":"x","data":{"taskId":"a","successFlag":3,"errorCode":null}}`:                      {TaskID: "a", Final: true, Reason: nanobanana.Policy, Code: 400, Message: "x"},
		`{"code":200,"data":{"taskId":"a","successFlag":3,"errorCode":"400"}}`:                               {TaskID: "a", Final: true, Reason: nanobanana.Policy, Code: 400},
		`{"code":200,"data":{"taskId":"a","successFlag":3,"errorCode":500,"errorMessage":"nsfw"}}`:           {TaskID: "a", Final: true, Reason: nanobanana.Policy, Code: 500, Message: "nsfw"},
		`{"code":200,"msg":"content policy","data":{"taskId":"a","successFlag":3,"errorCode":501}}`:          {TaskID: "a", Final: true, Reason: nanobanana.Policy, Code: 501, Message: "content policy"},
	} {
		got, err := nanobanana.ParseCallback([]byte(body))
		if err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("%s\n got %+v, %v\nwant %+v", body, got, err, want)
		}
	}
}

func TestParseCallbackUnreadable(t *testing.T) {
	for _, body := range []string{
		"", " ", "null", "[]", "7", `""`, `"x"`, "true", "<html></html>", "{", `{"code":200`, "{}", `{"code":"x","data":{}}`,
		`{"code":200} {"code":200}`, strings.Repeat("[", 200_000), strings.Repeat(`{"data":`, 200_000), "\xff\xfe",
	} {
		callback, err := nanobanana.ParseCallback([]byte(body))
		if err == nil || asError(t, err).Reason != nanobanana.Unreadable || asError(t, err).Op != nanobanana.OpCallback {
			t.Errorf("%.40q = %+v, %v; want unreadable", body, callback, err)
		}
	}
}

// A holder of a callback's token can send a megabyte of anything.
func TestParseCallbackTakesLinearTime(t *testing.T) {
	const size = 1 << 20
	depth := strings.Repeat("[", 9000) + strings.Repeat("]", 9000)
	for name, value := range map[string]string{
		"commas":  `"` + strings.Repeat(",", size) + `"`,
		"URLs":    `"` + strings.Repeat("https://h,", size/10) + `"`,
		"depth":   "[" + strings.TrimSuffix(strings.Repeat(depth+",", size/len(depth)), ",") + "]",
		"numbers": "[" + strings.Repeat("1,", size/2) + "1]",
		"paths":   `"` + strings.Repeat("/a ", size/3) + `"`,
		"words":   `"` + strings.Repeat("unable image failed credits ", size/28) + `"`,
	} {
		body := `{"code":500,"msg":` + value + `,"data":{"taskId":"a","resultImageUrl":` + value + `}}`
		cputest.Within(t, 5*time.Second, name, func() {
			if _, err := nanobanana.ParseCallback([]byte(body)); err != nil {
				t.Errorf("%s: %v", name, err)
			}
		})
	}
}

func FuzzParseCallback(f *testing.F) {
	for _, name := range []string{"callback-generate", "callback-generate-failed", "callback-newer", "callback-newer-failed", "record-running"} {
		f.Add(nanobananatest.Golden(name))
	}
	f.Add([]byte(`{"code":"200","taskId":"a","data":"{\"successFlag\":\"1\",\"images\":[{\"url\":\"https://h\"}]}"}`))
	f.Fuzz(func(t *testing.T, body []byte) {
		callback, err := nanobanana.ParseCallback(body)
		if err != nil {
			return
		}
		if callback.Success && (!callback.Final || len(callback.URLs) == 0 || callback.Reason != "") {
			t.Errorf("a success without final or URLs, or with a reason: %+v", callback)
		}
		if failed := callback.Final && !callback.Success; failed != (callback.Reason != "") {
			t.Errorf("a failure without a reason, or a reason without a failure: %+v", callback)
		}
		checkURLs(t, callback.URLs)
		checkForLog(t, callback.Message, 200)
		checkTaskID(t, callback.TaskID)
	})
}

func checkURLs(t *testing.T, urls []string) {
	t.Helper()
	seen := map[string]bool{}
	for _, text := range urls {
		u, err := url.Parse(text)
		if err != nil || !u.IsAbs() || u.Host == "" || len(text) > 8192 || seen[text] {
			t.Errorf("URL %q is invalid or repeated", text)
		}
		seen[text] = true
	}
	if len(urls) > 8 {
		t.Errorf("%d URLs", len(urls))
	}
}

// checkForLog checks that a text is one line of limited length without a link.
func checkForLog(t *testing.T, text string, most int) {
	t.Helper()
	odd := func(r rune) bool { return !unicode.IsPrint(r) }
	if utf8.RuneCountInString(text) > most || strings.ContainsFunc(text, odd) || strings.Contains(text, "://") {
		t.Errorf("%q must not be in the log", text)
	}
}

func checkTaskID(t *testing.T, id string) {
	t.Helper()
	if id != "" && !regexp.MustCompile(`^[A-Za-z0-9_-]{1,128}$`).MatchString(id) {
		t.Errorf("task id %q", id)
	}
}
