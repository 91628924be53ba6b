package nanobanana_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/preset/nanobanana-functions/shared/nanobanana"
	"github.com/preset/nanobanana-functions/shared/outbound"
)

// answeringClient returns the client of a provider that gives one answer to everything.
func answeringClient(t *testing.T, status int, header http.Header, body string) *nanobanana.Client {
	t.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		for name, values := range header {
			w.Header()[name] = values
		}
		w.WriteHeader(status)
		_, _ = w.Write([]byte(body))
	}))
	t.Cleanup(server.Close)
	return &nanobanana.Client{BaseURL: server.URL, HTTP: outbound.NewClient()}
}

// callError makes the call that op names and returns its error.
func callError(t *testing.T, client *nanobanana.Client, op nanobanana.Op) *nanobanana.Error {
	t.Helper()
	var err error
	switch op {
	case nanobanana.OpSubmit:
		_, err = client.Submit(t.Context(), "key", imageRequest())
	case nanobanana.OpRecord:
		_, err = client.Record(t.Context(), "key", "task1")
	case nanobanana.OpCredits:
		_, err = client.Credits(t.Context(), "key")
	}
	return asError(t, err)
}

func asError(t *testing.T, err error) *nanobanana.Error {
	t.Helper()
	var failed *nanobanana.Error
	if !errors.As(err, &failed) {
		t.Fatalf("error = %v, want a *nanobanana.Error", err)
	}
	return failed
}

func imageRequest() nanobanana.Request {
	return nanobanana.Request{Model: "nano-banana", Prompt: "a harbour", CallbackURL: "https://preset.example/cb/secret-token"}
}

func TestCodes(t *testing.T) {
	calls := []nanobanana.Op{nanobanana.OpSubmit, nanobanana.OpRecord, nanobanana.OpCredits}
	for _, tt := range []struct {
		code            int
		answer, outcome nanobanana.Reason
		certain         bool
	}{
		{400, nanobanana.BadRequest, nanobanana.Policy, true},
		{401, nanobanana.Unauthorized, nanobanana.Unauthorized, true},
		{402, nanobanana.NoCredits, nanobanana.NoCredits, true},
		{404, nanobanana.NotFound, nanobanana.NotFound, true},
		{413, nanobanana.TooLarge, nanobanana.TooLarge, true},
		{422, nanobanana.Invalid, nanobanana.Invalid, true},
		{429, nanobanana.RateLimited, nanobanana.RateLimited, true},
		{455, nanobanana.Maintenance, nanobanana.Maintenance, true},
		{500, nanobanana.ServerError, nanobanana.ServerError, false},
		{501, nanobanana.GenerationFailed, nanobanana.GenerationFailed, false},
		{505, nanobanana.Disabled, nanobanana.Disabled, true},
		{599, nanobanana.ServerError, nanobanana.ServerError, false},
	} {
		body := fmt.Sprintf(`{"code":%d,"msg":"No.","data":null}`, tt.code)
		for carrier, status := range map[string]int{"HTTP status": tt.code, "body": 200} {
			client := answeringClient(t, status, nil, body)
			for _, op := range calls {
				t.Run(fmt.Sprintf("%d of %s in the %s", tt.code, op, carrier), func(t *testing.T) {
					err := callError(t, client, op)
					if err.Reason != tt.answer || err.Code != tt.code || err.HTTPStatus != status || err.Op != op || err.NotSent {
						t.Errorf("error = %+v, want reason %s", *err, tt.answer)
					}
					if err.Certain() != tt.certain {
						t.Errorf("Certain() = %v, want %v", err.Certain(), tt.certain)
					}
				})
			}
		}
		t.Run(fmt.Sprintf("%d of %s", tt.code, nanobanana.OpCallback), func(t *testing.T) {
			callback, err := nanobanana.ParseCallback([]byte(body))
			if err != nil || !callback.Final || callback.Success || callback.Reason != tt.outcome || callback.Code != tt.code {
				t.Errorf("callback = %+v, %v; want a failure with reason %s", callback, err, tt.outcome)
			}
		})
		t.Run(fmt.Sprintf("%d as errorCode of a record", tt.code), func(t *testing.T) {
			body := fmt.Sprintf(`{"code":200,"data":{"taskId":"task1","successFlag":3,"errorCode":%d}}`, tt.code)
			record, err := answeringClient(t, 200, nil, body).Record(t.Context(), "key", "task1")
			retryable := tt.code == 500 || tt.code == 501
			if err != nil || record.State != nanobanana.Failed || record.Reason != tt.outcome ||
				record.ErrorCode != tt.code || record.Retryable != retryable {
				t.Errorf("record = %+v, %v; want reason %s, retryable %v", record, err, tt.outcome, retryable)
			}
		})
	}
}

// A gateway in front of the API refuses with its own answers. Some statuses prove that it let nothing
// through, if the answer has neither the vendor's envelope nor a task id.
func TestGatewayRefusals(t *testing.T) {
	const page, object = "<html>credits insufficient</html>", `{"timestamp":"x","status":400,"error":"No."}`
	for _, tt := range []struct {
		status       int
		object, page nanobanana.Reason
		certain      bool
	}{
		{400, nanobanana.BadRequest, nanobanana.BadRequest, true},
		{401, nanobanana.Unauthorized, nanobanana.Unauthorized, true},
		{402, nanobanana.NoCredits, nanobanana.NoCredits, false},
		{403, nanobanana.Unauthorized, nanobanana.Blocked, true},
		{404, nanobanana.NoSuchPath, nanobanana.NoSuchPath, true},
		{405, nanobanana.NoSuchPath, nanobanana.NoSuchPath, true},
		{406, nanobanana.BadRequest, nanobanana.BadRequest, true},
		{408, nanobanana.ServerError, nanobanana.ServerError, false},
		{409, nanobanana.ServerError, nanobanana.ServerError, false},
		{411, nanobanana.BadRequest, nanobanana.BadRequest, true},
		{413, nanobanana.TooLarge, nanobanana.TooLarge, true},
		{414, nanobanana.TooLarge, nanobanana.TooLarge, true},
		{415, nanobanana.BadRequest, nanobanana.BadRequest, true},
		{418, nanobanana.ServerError, nanobanana.ServerError, false},
		{422, nanobanana.Invalid, nanobanana.Invalid, true},
		{425, nanobanana.ServerError, nanobanana.ServerError, false},
		{429, nanobanana.RateLimited, nanobanana.RateLimited, true},
		{431, nanobanana.TooLarge, nanobanana.TooLarge, true},
		{451, nanobanana.ServerError, nanobanana.ServerError, false},
		{455, nanobanana.Maintenance, nanobanana.Maintenance, false},
		{499, nanobanana.ServerError, nanobanana.ServerError, false},
		{500, nanobanana.ServerError, nanobanana.ServerError, false},
		{505, nanobanana.Disabled, nanobanana.Disabled, false},
		{200, nanobanana.Unreadable, nanobanana.Unreadable, false},
		{307, nanobanana.ServerError, nanobanana.ServerError, false},
	} {
		for body, want := range map[string]nanobanana.Reason{page: tt.page, object: tt.object, "": tt.page} {
			err := callError(t, answeringClient(t, tt.status, nil, body), nanobanana.OpSubmit)
			if err.Reason != want || err.Code != 0 || err.Certain() != tt.certain {
				t.Errorf("%d %q: error = %+v, certain %v; want %s, %v", tt.status, body, *err, err.Certain(), want, tt.certain)
			}
		}
		for _, body := range []string{
			`{"error":"No.","taskId":"abc"}`, `{"error":{"x":[{"task_id":7}]}}`, `{"error":"taken as task_id abc"}`, `{"x":"{\"taskId\":\"a\"}"}`,
			"<p>Task ID: abc", `{"taskId":"a"`, `[{"taskId":"a"},{}]`, strings.Repeat("x", 1<<20+1),
			`{"code":418,"msg":"No."}`, `{"code":200,"msg":"success"}`, `{"code":0}`,
		} {
			if err := callError(t, answeringClient(t, tt.status, nil, body), nanobanana.OpSubmit); err.Certain() {
				t.Errorf("%d %.40s: error = %+v is certain", tt.status, body, *err)
			}
		}
	}
}

// A refusing envelope is not a certain refusal if the HTTP status leaves open what was done.
func TestRefusalThatContradictsItsStatusIsNotCertain(t *testing.T) {
	for _, code := range []int{400, 401, 402, 404, 413, 422, 429, 455, 505} {
		for status, certain := range map[int]bool{200: true, 201: true, 400: true, 418: true, 307: false, 500: false, 502: false, 504: false} {
			err := callError(t, answeringClient(t, status, nil, fmt.Sprintf(`{"code":%d,"msg":"No."}`, code)), nanobanana.OpSubmit)
			if err.Certain() != certain || err.Code != code || err.HTTPStatus != status {
				t.Errorf("code %d with status %d: error = %v, certain %v; want %v", code, status, err, err.Certain(), certain)
			}
		}
	}
}

func TestTextRefinesTheReasonOnly(t *testing.T) {
	for _, tt := range []struct {
		code    int
		text    string
		want    nanobanana.Reason
		certain bool
	}{
		{429, "Credits insufficient, please top up", nanobanana.NoCredits, true},
		{500, "insufficient credits", nanobanana.NoCredits, false},
		{500, "Please top up to continue", nanobanana.NoCredits, false},
		{402, "call frequency is too high", nanobanana.RateLimited, true},
		{500, "Too Many Requests", nanobanana.RateLimited, false},
		{422, "Your prompt was flagged", nanobanana.Policy, true},
		{400, "violates our Content Policy", nanobanana.Policy, true},
		{500, "prohibited use", nanobanana.Policy, false},
		{501, "NSFW", nanobanana.Policy, false},
		{422, "contains sensitive words", nanobanana.Policy, true},
		{500, "Resolution must not be blank", nanobanana.BadRequest, false},
		{422, "prompt must not be null", nanobanana.BadRequest, true},
		{500, "Failed to fetch image url", nanobanana.InputImage, false},
		{400, "unable to download the image", nanobanana.InputImage, true},
		{400, "cannot access url", nanobanana.InputImage, true},
		{422, "image format is wrong", nanobanana.InputImage, true},
		{500, "failed to upload image to our store", nanobanana.ServerError, false},
		{501, "Image generation failed; see the log for more information", nanobanana.GenerationFailed, false},
		{501, "Image unsupported", nanobanana.InputImage, false},
		{401, "cannot access this url", nanobanana.Unauthorized, true},
		{455, "too many requests during maintenance", nanobanana.Maintenance, true},
		{500, "invalid api key", nanobanana.Unauthorized, false},
		{200, "insufficient credits", nanobanana.NoCredits, false},
	} {
		t.Run(fmt.Sprintf("%d %s", tt.code, tt.text), func(t *testing.T) {
			for _, name := range []string{"msg", "message"} {
				body := fmt.Sprintf(`{"code":%d,%q:%q}`, tt.code, name, tt.text)
				err := callError(t, answeringClient(t, 200, nil, body), nanobanana.OpSubmit)
				if err.Reason != tt.want || err.Certain() != tt.certain {
					t.Errorf("%s: reason %s, certain %v; want %s, %v", name, err.Reason, err.Certain(), tt.want, tt.certain)
				}
			}
		})
	}
}

func TestRetryAfter(t *testing.T) {
	for _, tt := range []struct {
		header   string
		min, max time.Duration
	}{
		{"3600", time.Hour, time.Hour},
		{"0", 0, 0},
		{"-5", 0, 0},
		{"soon", 0, 0},
		{"", 0, 0},
		{"99999999", 24 * time.Hour, 24 * time.Hour},
		{"99999999999999999999", 0, 0},
		{time.Now().Add(time.Hour).UTC().Format(http.TimeFormat), 59 * time.Minute, time.Hour},
		{time.Now().Add(-time.Hour).UTC().Format(http.TimeFormat), 0, 0},
	} {
		for _, status := range []int{200, 429} {
			client := answeringClient(t, status, http.Header{"Retry-After": {tt.header}}, `{"code":429,"msg":"slow down"}`)
			for _, op := range []nanobanana.Op{nanobanana.OpSubmit, nanobanana.OpRecord} {
				if got := callError(t, client, op).RetryAfter; got < tt.min || got > tt.max {
					t.Errorf("%s, status %d, %q: RetryAfter = %v, want %v to %v", op, status, tt.header, got, tt.min, tt.max)
				}
			}
		}
	}
}

func TestErrorTextHasNoSecret(t *testing.T) {
	secrets := []string{"SECRETKEY", "secret-token", "harbour", "taskId", "PROVIDERTEXT"}
	request := imageRequest()
	check := func(t *testing.T, err error) {
		t.Helper()
		text := fmt.Sprintf("%v %+v %s", err, err, errors.Unwrap(err))
		for _, secret := range secrets {
			if strings.Contains(text, secret) {
				t.Errorf("error text %q contains %q", text, secret)
			}
		}
	}
	for name, base := range map[string]string{
		"refused":       "http://127.0.0.1:1",
		"no such host":  "http://host.invalid",
		"bad base URL":  "http://[::1",
		"not HTTP":      rawProvider(t, "PROVIDERTEXT taskId\r\n\r\n").url,
		"said in words": answeringClient(t, 402, nil, `{"code":402,"msg":"PROVIDERTEXT"}`).BaseURL,
	} {
		t.Run(name, func(t *testing.T) {
			client := &nanobanana.Client{BaseURL: base, HTTP: outbound.NewClient()}
			_, err := client.Submit(t.Context(), "SECRETKEY", request)
			if name != "not HTTP" { // Unwrap is for errors.Is; net/http quotes the answer there
				check(t, err)
			} else if strings.Contains(err.Error(), "PROVIDERTEXT") {
				t.Errorf("error text %q quotes the provider", err)
			}
			_, err = client.Record(t.Context(), "SECRETKEY", "task1")
			if strings.Contains(err.Error(), "taskId") || strings.Contains(err.Error(), "SECRETKEY") {
				t.Errorf("error text %q", err)
			}
		})
	}
}

func TestCancellationIsRecognised(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	client := answeringClient(t, 200, nil, `{}`)
	_, err := client.Submit(ctx, "key", imageRequest())
	if failed := asError(t, err); !errors.Is(err, context.Canceled) || !failed.Certain() || failed.Reason != nanobanana.NotConnected {
		t.Errorf("error = %v, want a certain cancellation", err)
	}
}
