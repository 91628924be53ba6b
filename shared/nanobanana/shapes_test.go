package nanobanana_test

import (
	"reflect"
	"slices"
	"testing"

	"github.com/preset/nanobanana-functions/shared/nanobanana"
)

// Several objects of one task may each have one of its pictures.
func TestPicturesInSeveralObjects(t *testing.T) {
	for _, data := range []string{
		`[{"taskId":"task1","successFlag":1,"resultImageUrl":"https://h/1.png"},{"taskId":"task2","resultImageUrl":"https://h/x.png"},{"taskId":"task1","successFlag":1,"resultImageUrl":"https://h/2.png"}]`,
		`{"list":[{"taskId":"task1","state":"success","resultUrls":["https://h/1.png"]},{"task_id":"task1","state":"success","response":{"resultImageUrl":"https://h/2.png"}}]}`,
	} {
		r := record(t, `{"code":200,"data":`+data+`}`)
		if want := []string{"https://h/1.png", "https://h/2.png"}; r.State != nanobanana.Succeeded || !slices.Equal(r.URLs, want) {
			t.Errorf("%s: %s %q", data, r.State, r.URLs)
		}
	}
}

// An unknown status counts in the object with the task's id, but not around it.
func TestUnknownStatusOutsideTheTask(t *testing.T) {
	for data, want := range map[string]nanobanana.State{
		`"user":{"status":"active"}`:                       nanobanana.Unstated,
		`"status":"active"`:                                nanobanana.Unclear,
		`"detail":{"successFlag":7}`:                       nanobanana.Unclear,
		`"detail":{"status":"success"}`:                    nanobanana.Succeeded,
		`"user":{"status":"x"},"job":{"status":"success"}`: nanobanana.Succeeded,
	} {
		if r := record(t, `{"code":200,"data":{"taskId":"task1","resultUrls":["`+link+`"],`+data+`}}`); r.State != want {
			t.Errorf("%s: %s, want %s", data, r.State, want)
		}
	}
}

// A bracket or a quote within a link is part of it. JSON that was quoted once too often is readable.
func TestBracketsInLinks(t *testing.T) {
	for text, want := range map[string][]string{
		`https://h/a.png?ref=(https://o/b.png)`:             {`https://h/a.png?ref=(https://o/b.png)`},
		`https://h/a.png?ref='https://o/b.png'`:             {`https://h/a.png?ref='https://o/b.png'`},
		`https://h/a.png?r=[//o],https://h/b.png?r=(//o)`:   {`https://h/a.png?r=[//o]`, `https://h/b.png?r=(//o)`},
		`"https://h/a.png","https://h/b.png"`:               {`https://h/a.png`, `https://h/b.png`},
		`{\"resultUrls\":[\"https:\/\/h\/a.png\"]}`:         {`https://h/a.png`},
		`{\"a\":\"https://h/a.png\",\"b\":\"//h/b.png\"}`:   {`https://h/a.png`, `https://h/b.png`},
		`pictures: (https://h/a.png) and (https://h/b.png)`: {`https://h/a.png`, `https://h/b.png`},
	} {
		if r := record(t, `{"code":200,"data":{"taskId":"task1","successFlag":1,"resultImageUrl":`+quoted(text)+`}}`); !slices.Equal(r.URLs, want) {
			t.Errorf("%s: %q, want %q", text, r.URLs, want)
		}
	}
}

// A callback keeps its code even if its state is unclear, since 400 forbids another generation. The code
// 0 is none.
func TestCallbackCodes(t *testing.T) {
	for body, want := range map[string]nanobanana.Callback{
		`{"code":400,"msg":"x","data":{"taskId":"a","successFlag":9}}`: {TaskID: "a", Code: 400, Reason: nanobanana.Policy, Message: "x"},
		`{"code":200,"data":{"taskId":"a","successFlag":3,"errorCode":400,"resultUrls":["` + link + `"]}}`: {
			TaskID: "a", Code: 400, Reason: nanobanana.Policy, URLs: []string{link}},
		`{"code":0,"msg":"success","data":{"taskId":"a","info":{"resultImageUrl":"` + link + `"}}}`: {TaskID: "a", URLs: []string{link}},
		`{"code":200,"data":{"taskId":"a","successFlag":9}}`:                                        {TaskID: "a"},
	} {
		got, err := nanobanana.ParseCallback([]byte(body))
		if err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("%s\n got %+v, %v\nwant %+v", body, got, err, want)
		}
	}
}
