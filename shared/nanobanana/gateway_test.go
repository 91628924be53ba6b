package nanobanana_test

import (
	"strings"
	"testing"

	"github.com/preset/nanobanana-functions/shared/nanobanana"
)

// A refusal that may name a task, in any place and form, is not certain.
func TestRefusalsThatNameATask(t *testing.T) {
	for _, body := range []string{
		`{"error":"x","taskIds":["a1"]}`,
		`{"error":"x","parentTaskId":"a1"}`,
		`{"error":"x","task":{"id":"a1"}}`,
		`{"error":"x","taskId":["a1"]}`,
		`{"error":"x","taskId":{"value":"a1"}}`,
		`{"error":"x","taskId":"no lawful id!"}`,
		`{"error":"task\u0049d: a1"}`,
		`{"task\u0049d":"a1"}`,
		`{"pad":[` + strings.Repeat("0,", 30_000) + `0],"taskId":"a1"}`,
		strings.Repeat(`{"a":`, 70) + `{"taskId":"a1"}` + strings.Repeat("}", 70),
	} {
		if err := callError(t, answeringClient(t, 400, nil, body), nanobanana.OpSubmit); err.Certain() {
			t.Errorf("400 %.80s: certain", body)
		}
	}
	for _, body := range []string{`{"code":429,"msg":"x","data":{"taskIds":["a1"]}}`, `{"code":429,"msg":"x","data":{"taskId":"no lawful id!"}}`} {
		if err := callError(t, answeringClient(t, 200, nil, body), nanobanana.OpSubmit); err.Certain() {
			t.Errorf("200 %s: certain", body)
		}
	}
	for _, body := range []string{`{"error":"x","taskIds":[]}`, `{"error":"x","taskId":{"value":null}}`, `{"error":"x","task":{"id":null}}`, `{"error":"x","task":"generate"}`} {
		if err := callError(t, answeringClient(t, 400, nil, body), nanobanana.OpSubmit); !err.Certain() {
			t.Errorf("400 %s: not certain", body)
		}
	}
}

// If the id's own place is empty, the id of another task further in does not replace it.
func TestSubmitIgnoresOtherTasks(t *testing.T) {
	err := callError(t, answeringClient(t, 200, nil, `{"code":200,"data":{"taskId":"0","parent":{"taskId":"other"}}}`), nanobanana.OpSubmit)
	if err.Certain() || err.Reason != nanobanana.Unreadable {
		t.Errorf("%v, certain %v", err, err.Certain())
	}
}

// The reason of a gateway's refusal depends on whether it is JSON or a page. Only a message about
// credits in the vendor's envelope makes a 429 final.
func TestGatewayReasons(t *testing.T) {
	for _, tt := range []struct {
		status int
		body   string
		want   nanobanana.Reason
	}{
		{403, `"Forbidden"`, nanobanana.Unauthorized},
		{403, `["Forbidden","x"]`, nanobanana.Unauthorized},
		{403, `403`, nanobanana.Blocked},
		{403, `Forbidden`, nanobanana.Blocked},
		{403, ``, nanobanana.Blocked},
		{429, `{"error":"blocked by our usage policy: slow down"}`, nanobanana.RateLimited},
		{429, `{"title":"Too many requests","detail":"The site owner has blocked you"}`, nanobanana.RateLimited},
		{429, `{"code":429,"msg":"Blocked: you violate our usage policy"}`, nanobanana.RateLimited},
		{429, `{"code":429,"msg":"Credits insufficient"}`, nanobanana.NoCredits},
	} {
		err := callError(t, answeringClient(t, tt.status, nil, tt.body), nanobanana.OpSubmit)
		if err.Reason != tt.want || !err.Certain() {
			t.Errorf("%d %s: %s, certain %v; want %s", tt.status, tt.body, err.Reason, err.Certain(), tt.want)
		}
	}
}

// No key, token or address in a message gets into the log, in any spelling.
func TestMessagesHaveNoSecret(t *testing.T) {
	for text, want := range map[string]string{
		"download of https://h/图.png?sig=SECRET failed":                                                  "download of ... failed",
		"no answer from /v1/callbacks/0123456789abcdefghijklmnop/1/k1.c2VjcmV0LXRva2Vu-dG9rZW4_c2VjcmV0": "no answer from ...",
		"Invalid API key 0123456789abcdef0123456789abcdef":                                               "Invalid API key ...",
		"Incorrect key sk-proj-abc123DEF456ghi789jkl012 given":                                           "Incorrect key ... given",
		"https%3A%2F%2Fh%2Fa.png%3Fsig%3DSECRET is gone":                                                 "... is gone",
		"cannot open /r/a.png?X-Amz-Signature=SECRET":                                                    "cannot open ...",
		"10.0.0.1/a.png?t=SECRET and localhost:80/x?t=SECRET":                                            "... and ...",
		"PUBLIC_ERROR_PROMINENT_PEOPLE_FILTER_FAILED, support code 29310472":                             "PUBLIC_ERROR_PROMINENT_PEOPLE_FILTER_FAILED, support code 29310472",
	} {
		r := record(t, `{"code":200,"data":{"taskId":"task1","successFlag":3,"errorCode":501,"errorMessage":`+quoted(text)+`}}`)
		if r.Message != want {
			t.Errorf("%s: message %q, want %q", text, r.Message, want)
		}
	}
}
