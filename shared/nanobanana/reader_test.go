package nanobanana_test

import (
	"fmt"
	"net/http"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/preset/nanobanana-functions/shared/nanobanana"
	"github.com/preset/nanobanana-functions/shared/outbound"
)

const link = "https://h/a.png"

// In any of these shapes, the record of task1 has its state and its one picture.
func TestRecordInOtherShapes(t *testing.T) {
	const success = `"taskId":"task1","successFlag":1,"response":{"resultImageUrl":"` + link + `"}`
	for _, body := range []string{
		// The envelope.
		`{"code":200,"data":{` + success + `}}`,
		`{"code":200,` + success + `}`,
		`{` + success + `}`,
		`{"code":200,"data":null,` + success + `}`,
		`{"code":200,"data":[{` + success + `}]}`,
		`[{"code":200,"data":[[{` + success + `}]]}]`,
		`{"CODE":"200","Data":` + quoted(`{`+success+`}`) + `}`,
		`{"code":200,"data":` + quoted(quoted(`[{`+success+`}]`)) + `}`,
		`{"code":200,"data":{"data":{` + success + `}}}`,
		`{"code":200,"data":{"record":{` + success + `}}}`,
		`{"code":200,"result":{` + success + `}}`,
		`{"code":200,"data":{"docs":[{` + success + `}]}}`,
		`{"code":200,"data":{"total":2,"records":[{"taskId":"other","successFlag":3,"resultUrls":["https://h/other.png"]},{` + success + `}]}}`,
		`{"code":200,"status":"failed","successFlag":3,"data":{` + success + `}}`,
		`{"code":200,"data":{"code":200,"status":"running","data":{` + success + `}}}`,
		`{"code":200,"data":{"taskId":"task1","successFlag":1,"data":{"resultImageUrl":"` + link + `"}}}`,
		`{"code":200,"data":{"taskId":"task1","code":0,"successFlag":1,"data":{"resultImageUrl":"` + link + `"}}}`,
		`{"code":200,"data":{"taskId":"task1","successFlag":1,"response":{"taskId":"upstream","resultImageUrl":"` + link + `"},` +
			`"parent":{"taskId":"task0","resultImageUrl":"https://h/parent.png"}}}`,
		// The parts of the record in several places.
		`{"code":200,"data":{"taskId":"task1","detail":{"successFlag":1,"response":{"resultImageUrl":"` + link + `"}}}}`,
		`{"code":200,"data":{"successFlag":1,"task":{"taskId":"task1"},"response":{"resultImageUrl":"` + link + `"}}}`,
		`{"code":200,"data":{"taskId":"task1","successFlag":1},"response":{"resultImageUrl":"` + link + `"}}`,
		// Names.
		`{"code":200,"data":{"task_id":"task1","success_flag":1,"Response":{"result_image_url":"` + link + `"}}}`,
		`{"code":200,"data":{"TaskID":"task1","SUCCESS-FLAG":1,"response":{"Result Image URL":"` + link + `"}}}`,
		// Places of links.
		`{"code":200,"data":{"taskId":"task1","state":"success","param":"{}","resultJson":` + quoted(`{"resultUrls":["`+link+`"]}`) + `,"failCode":"","failMsg":""}}`,
		`{"code":200,"data":{"taskId":"task1","status":"completed","output":"` + link + `"}}`,
		`{"code":200,"data":{"taskId":"task1","status":"completed","outputs":["` + link + `"]}}`,
		`{"code":200,"data":{"taskId":"task1","status":"done","result":{"url":"` + link + `"}}}`,
		`{"code":200,"data":{"taskId":"task1","status":"done","results":[{"url":"` + link + `","type":"image/png"}]}}`,
		`{"code":200,"data":{"taskId":"task1","status":"done","result":{"0":"` + link + `"}}}`,
		`{"code":200,"data":{"taskId":"task1","successFlag":1,"response":"` + link + `"}}`,
		`{"code":200,"data":{"taskId":"task1","successFlag":1,"response":["` + link + `"]}}`,
		`{"code":200,"data":{"taskId":"task1","successFlag":1,"info":{"resultImageUrl":{"first":"` + link + `","thumbnail":"https://h/t.png"}}}}`,
		`{"code":200,"data":{"taskId":"task1","successFlag":1,"info":{"resultImageUrl":{"url":"` + link + `","page":"https://h/"}}}}`,
		`{"code":200,"data":{"taskId":"task1","successFlag":1,"response":{"images":[{"url":"` + link + `","content_type":"image/png"}]}}}`,
	} {
		r, err := answeringClient(t, 200, nil, body).Record(t.Context(), "key", "task1")
		if err != nil || r.TaskID != "task1" || r.State != nanobanana.Succeeded || !slices.Equal(r.URLs, []string{link}) {
			t.Errorf("%s\n got %+v, %v", body, r, err)
		}
	}
}

func quoted(text string) string { return fmt.Sprintf("%q", text) }

func TestStatesInOtherWords(t *testing.T) {
	const withLink = `,"response":{"resultImageUrl":"` + link + `"}`
	for stated, want := range map[string]nanobanana.State{
		`"status":"SUCCESS"`:                                   nanobanana.Succeeded,
		`"state":"success"`:                                    nanobanana.Succeeded,
		`"state":"Succeeded"`:                                  nanobanana.Succeeded,
		`"status":"COMPLETED"`:                                 nanobanana.Succeeded,
		`"status":"finished"`:                                  nanobanana.Succeeded,
		`"state":"waiting"`:                                    nanobanana.Running,
		`"state":"queuing"`:                                    nanobanana.Running,
		`"status":"IN_PROGRESS"`:                               nanobanana.Running,
		`"status":"generating","successFlag":0`:                nanobanana.Running,
		`"status":"SUBMITTED","successFlag":0`:                 nanobanana.Running,
		`"state":"in_queue"`:                                   nanobanana.Running,
		`"state":"fail"`:                                       nanobanana.Failed,
		`"status":"CANCELLED"`:                                 nanobanana.Failed,
		`"status":"error","state":"failed"`:                    nanobanana.Failed,
		`"successFlag":1,"state":"success"`:                    nanobanana.Succeeded,
		`"successFlag":1,"status":"whatever"`:                  nanobanana.Succeeded,
		`"successFlag":1,"state":"fail"`:                       nanobanana.Unclear,
		`"successFlag":0,"state":"success"`:                    nanobanana.Unclear,
		`"successFlag":3,"status":"running"`:                   nanobanana.Unclear,
		`"successFlag":3,"status":"whatever"`:                  nanobanana.Unclear,
		`"successFlag":0,"status":"whatever"`:                  nanobanana.Unclear,
		`"state":"whatever"`:                                   nanobanana.Unclear,
		`"status":1`:                                           nanobanana.Unclear,
		`"successFlag":false`:                                  nanobanana.Running,
		`"successFlag":false,"errorCode":501`:                  nanobanana.Unclear,
		`"successFlag":3` + withLink:                           nanobanana.Unclear,
		`"state":"fail"` + withLink:                            nanobanana.Unclear,
		`"errorCode":500,"errorMessage":"x"`:                   nanobanana.Unstated,
		`"x":1` + withLink:                                     nanobanana.Unstated,
		`"callback":{"status":"failed"}` + withLink:            nanobanana.Unstated,
		`"paramJson":{"status":"failed","successFlag":3}`:      nanobanana.Unstated,
		`"images":[{"status":"failed"}]`:                       nanobanana.Unstated,
		`"other":{"taskId":"task2","successFlag":3}`:           nanobanana.Unstated,
		`"successFlag":0,"response":{"status":"failed"}`:       nanobanana.Running,
		`"successFlag":null,"detail":[{"state":"generating"}]`: nanobanana.Running,
	} {
		body := `{"code":200,"status":"failed","data":{"taskId":"task1",` + stated + `}}`
		if r := record(t, body); r.State != want {
			t.Errorf("%s = %s, want %s", stated, r.State, want)
		}
	}
}

// Only an explicit failure is a reason to pay for another generation.
func TestRetryable(t *testing.T) {
	for data, want := range map[string]bool{
		`"successFlag":3,"errorCode":501`:                                       true,
		`"successFlag":2,"failCode":"500"`:                                      true,
		`"state":"fail","failCode":"501","failMsg":"Generation failed"`:         true,
		`"state":"fail","error":{"code":500,"message":"internal error"}`:        false,
		`"status":"failed","errorCode":501`:                                     false,
		`"state":"fail","failCode":"","failMsg":""`:                             false,
		`"state":"fail","failCode":"501","failMsg":"flagged by content policy"`: false,
		`"state":"fail","failCode":"422"`:                                       false,
		`"successFlag":3,"errorCode":501,"resultUrls":"` + link + `"`:           false,
		`"errorCode":501`:                     false,
		`"successFlag":false,"errorCode":501`: false,
	} {
		if r := record(t, `{"code":200,"data":{"taskId":"task1",`+data+`}}`); r.Retryable != want {
			t.Errorf("%s: %+v, want retryable %v", data, r, want)
		}
	}
}

// The error names a picture in the answer itself, and an answer that is too long.
func TestUnreadableAnswersHaveADetail(t *testing.T) {
	picture := "iVBORw0KGgo" + strings.Repeat("A", 200)
	const inline, large = "a picture in the answer itself", "an answer over 1 MiB"
	for body, detail := range map[string]string{
		`{"code":200,"data":{"taskId":"task1","successFlag":1,"response":{"resultImageUrl":"data:image/png;base64,` + picture + `"}}}`:      inline,
		`{"code":200,"data":{"taskId":"task1","successFlag":1,"response":{"b64_json":"` + picture + `"}}}`:                                  inline,
		`{"code":200,"data":{"taskId":"task1","successFlag":1,"response":{"resultImageUrl":"/9j/` + strings.Repeat("A", 200) + `"}}}`:       inline,
		`{"code":200,"data":{"taskId":"task1","response":{"image":"` + strings.Repeat("QUJD", 400) + `"}}}`:                                 inline,
		`{"code":200,"data":{"taskId":"task1","successFlag":1,"x":"` + strings.Repeat("x", 1<<20) + `"}}`:                                   large,
		`{"code":200,"data":{"taskId":"task1","successFlag":1,"response":{"thumbnail":"data:image/png;base64,x","y":1}}}`:                   "",
		`{"code":200,"data":{"taskId":"task1","successFlag":0,"response":{"image":"data:image/png;base64,x"}}}`:                             "",
		`{"code":200,"data":{"taskId":"task1","successFlag":1,"image":"data:image/png;base64,x","response":{"resultUrls":"` + link + `"}}}`: "",
	} {
		_, err := answeringClient(t, 200, nil, body).Record(t.Context(), "key", "task1")
		if detail == "" {
			if err != nil {
				t.Errorf("%.120s: %v", body, err)
			}
			continue
		}
		failed := asError(t, err)
		if failed.Reason != nanobanana.Unreadable || failed.Detail != detail || !strings.Contains(failed.Error(), detail) || !strings.HasPrefix(failed.Shape, "{code:number,data:{taskId:text,") {
			t.Errorf("%.120s: %v, shape %s", body, failed, failed.Shape)
		}
	}
}

func TestShape(t *testing.T) {
	many := make([]string, 150)
	for i := range many {
		many[i] = fmt.Sprintf(`"k%d":{"secret":"x"}`, i)
	}
	for body, want := range map[string]string{
		`{"code":404,"msg":"no","data":null,"ok":true}`:                    `{code:number,msg:text,data:null,ok:bool}`,
		`{"code":404,"https://x/y":1,"` + strings.Repeat("a", 41) + `":2}`: `{code:number,*:number,*:number}`,
		`{"code":404,"a\nb":1,"ü":[1,"x",{},[],5]}`:                        `{code:number,*:number,*:[number,text,{},...]}`,
		`{"code":404,"data":"{\"a\":[\"b\"]}"}`:                            `{code:number,data:text:{a:[text]}}`,
		`[{"code":404}]`:                                                   `{code:number}`,
		`not json`:                                                         ``,
	} {
		if err := callError(t, answeringClient(t, 200, nil, body), nanobanana.OpRecord); err.Shape != want {
			t.Errorf("%s: shape %s, want %s", body, err.Shape, want)
		}
	}
	err := callError(t, answeringClient(t, 200, nil, `{"code":404,`+strings.Join(many, ",")+`}`), nanobanana.OpRecord)
	if n := strings.Count(err.Shape, ":"); n != 100 || !strings.HasSuffix(err.Shape, ",...}") {
		t.Errorf("%d names in %s", n, err.Shape)
	}
}

func TestMessages(t *testing.T) {
	for text, want := range map[string]string{
		`No.\n\tReally \u0007no\u202e.`:                          "No. Really no .",
		`see https://h/a.png?sig=secret, or //h/x and h.com/y z`: "see ... or ... and ... z",
		`图片https://h/a.png无法访问`:                                  "图片...无法访问",
		`bad prompt: a quiet harbour`:                            "bad prompt: ...",
		`key sk-` + strings.Repeat("a1", 30) + ` is bad`:         "key ... is bad",
		strings.Repeat("多", 300):                                 strings.Repeat("多", 200),
		`data:image/png;base64,AAAA is no image`:                 "... is no image",
		`no answer from /v1/callbacks/ch536g9l62h6ainvcjbtij3g2o/1/local.be4s63QoegZB13W9-FwHm7VO07Hlo`: "no answer from ...",
		`no answer from https%3A%2F%2Fapi.example.com%2Fv1%2Fcallbacks%2Fid`:                            "no answer from ...",
		`be4s63QoegZB13W9SFwHm7VO07Hlo2GsJRTuh062mSg is no token`:                                       "... is no token",
		`X-Amz-Signature=4f1c0a9b7d2e expired`:                                                          "... expired",
		`key sk-1234567890abcd is wrong`:                                                                "key ... is wrong",
		`GENERATE_CONTENT_REQUEST_FAILED in generateContent`:                                            "GENERATE_CONTENT_REQUEST_FAILED in generateContent",
	} {
		r := record(t, `{"code":200,"data":{"taskId":"task1","successFlag":3,"errorCode":501,"errorMessage":"`+text+
			`","paramJson":"{\"prompt\":\"a quiet harbour\"}"}}`)
		if r.Message != want {
			t.Errorf("%s: message %q, want %q", text, r.Message, want)
		}
	}
}

// The reason may be in another place than the documented one.
func TestReasonsInOtherPlaces(t *testing.T) {
	for data, want := range map[string]nanobanana.Reason{
		`"failMsg":"The image was filtered out by Google safety"`:                       nanobanana.Policy,
		`"errorMessage":"{\"error\":{\"code\":400,\"message\":\"Request Moderated\"}}"`: nanobanana.Policy,
		`"error":{"message":"blocked"}`:                                                 nanobanana.Policy,
		`"error":"Unable to process input image"`:                                       nanobanana.InputImage,
		`"failCode":"IMAGE_SAFETY"`:                                                     nanobanana.Policy,
		`"response":{"finishReason":"PROHIBITED_CONTENT"}`:                              nanobanana.Policy,
		`"errorMessage":"[1,2]"`:                                                        nanobanana.GenerationFailed,
		`"paramJson":"{\"errorMessage\":\"blocked\"}"`:                                  nanobanana.GenerationFailed,
	} {
		if r := record(t, `{"code":200,"msg":"success","data":{"taskId":"task1","successFlag":3,"errorCode":501,`+data+`}}`); r.Reason != want || r.ErrorCode != 501 {
			t.Errorf("%s: %+v, want %s", data, r, want)
		}
	}
	if r := record(t, `{"code":200,"msg":"Your prompt was flagged","data":{"taskId":"task1","successFlag":3,"errorCode":501}}`); r.Reason != nanobanana.Policy {
		t.Errorf("in the envelope: %+v", r)
	}
}

func TestInvalidIDs(t *testing.T) {
	for _, id := range []string{
		`"null"`, `"NULL"`, `"undefined"`, `"None"`, `"nil"`, `"0"`, `0`, `""`, `" "`, `null`, `false`, `"NaN"`, `"-1"`, `-1`, `"-"`,
		`"00000000-0000-0000-0000-000000000000"`, `[]`, `{}`,
	} {
		err := callError(t, answeringClient(t, 200, nil, `{"code":200,"msg":"success","data":{"taskId":`+id+`}}`), nanobanana.OpSubmit)
		if err.Certain() || err.Reason != nanobanana.Unreadable {
			t.Errorf("taskId %s: %v, certain %v", id, err, err.Certain())
		}
		if cb, err := nanobanana.ParseCallback([]byte(`{"code":501,"data":{"taskId":` + id + `}}`)); err != nil || cb.TaskID != "" {
			t.Errorf("taskId %s: callback %+v, %v", id, cb, err)
		}
		// Such an id in a refusal does not name a task.
		if err := callError(t, answeringClient(t, 400, nil, `{"error":"x","taskId":`+id+`}`), nanobanana.OpSubmit); !err.Certain() {
			t.Errorf("a refusal with taskId %s is not certain", id)
		}
	}
	for _, id := range []string{"nullable", "none1", "10", "0x0a", "undefined-1"} {
		got, err := answeringClient(t, 200, nil, `{"code":200,"data":{"taskId":"`+id+`"}}`).Submit(t.Context(), "key", imageRequest())
		if err != nil || got != id {
			t.Errorf("taskId %s = %q, %v", id, got, err)
		}
	}
}

// A base URL may already end in /api/v1.
func TestBaseURL(t *testing.T) {
	for _, suffix := range []string{"", "/", "/api/v1", "/api/v1/", "/api/v1//"} {
		provider := rawProvider(t, http11("200 OK", "", accepted))
		client := &nanobanana.Client{BaseURL: provider.url + suffix, HTTP: outbound.NewClient()}
		client.HTTP.Transport = pathOnly{t, client.HTTP.Transport}
		if _, err := client.Submit(t.Context(), "key", imageRequest()); err != nil {
			t.Errorf("%q: %v", suffix, err)
		}
	}
}

// pathOnly fails the test for requests to any other path.
type pathOnly struct {
	t    *testing.T
	next http.RoundTripper
}

func (p pathOnly) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.URL.Path != "/api/v1/nanobanana/generate" {
		p.t.Errorf("path %s", r.URL.Path)
	}
	return p.next.RoundTrip(r)
}

func TestCallbackInOtherShapes(t *testing.T) {
	for body, want := range map[string]nanobanana.Callback{
		`{"code":200,"data":{"taskId":"a","state":"success","resultJson":"{\"resultUrls\":[\"` + link + `\"]}"}}`: {TaskID: "a", Final: true, Success: true, URLs: []string{link}},
		`{"code":501,"data":{"taskId":"a","state":"fail","failCode":"422","failMsg":"no"}}`:                       {TaskID: "a", Final: true, Code: 422, Reason: nanobanana.Invalid, Message: "no"},
		`{"code":200,"data":{"taskId":"a","successFlag":3,"resultUrls":["` + link + `"]}}`:                        {TaskID: "a", URLs: []string{link}},
		`{"code":200,"data":{"taskId":"a","info":{"resultImageUrl":"/files/a.png"}}}`:                             {TaskID: "a"},
		`{"code":200,"data":[{"task_id":"a","info":{"resultImageUrl":"//h/a.png"}}]}`:                             {TaskID: "a", Final: true, Success: true, URLs: []string{link}},
	} {
		got, err := nanobanana.ParseCallback([]byte(body))
		if err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("%s\n got %+v, %v\nwant %+v", body, got, err, want)
		}
	}
}
