package nanobanana_test

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"reflect"
	"slices"
	"testing"

	"github.com/preset/nanobanana-functions/shared/nanobanana"
	"github.com/preset/nanobanana-functions/shared/nanobanana/nanobananatest"
	"github.com/preset/nanobanana-functions/shared/outbound"
)

func TestSubmitBody(t *testing.T) {
	full := nanobanana.Request{
		Prompt: "<a> & b", ImageURLs: []string{"https://a/1.png"}, NumImages: 2,
		AspectRatio: "16:9", Resolution: "2K", Watermark: "w", CallbackURL: "https://cb",
	}
	plain := nanobanana.Request{Prompt: "p", CallbackURL: "https://cb"}
	type object = map[string]any
	for name, tt := range map[string]struct {
		model, path string
		request     nanobanana.Request
		want        object
	}{
		"generate": {"nano-banana", "/api/v1/nanobanana/generate", plain, object{
			"prompt": "p", "type": "TEXTTOIAMGE", "callBackUrl": "https://cb"}},
		"generate, edit with everything": {"nano-banana", "/api/v1/nanobanana/generate", full, object{
			"prompt": "<a> & b", "type": "IMAGETOIAMGE", "callBackUrl": "https://cb", "numImages": 2.0,
			"imageUrls": []any{"https://a/1.png"}, "image_size": "16:9", "watermark": "w"}},
		"generate-2": {"nano-banana-2", "/api/v1/nanobanana/generate-2", plain, object{"prompt": "p", "callBackUrl": "https://cb"}},
		"generate-2 with everything": {"nano-banana-2", "/api/v1/nanobanana/generate-2", full, object{
			"prompt": "<a> & b", "imageUrls": []any{"https://a/1.png"}, "aspectRatio": "16:9", "resolution": "2K", "callBackUrl": "https://cb"}},
		"generate-pro": {"nano-banana-pro", "/api/v1/nanobanana/generate-pro", plain, object{
			"prompt": "p", "resolution": "1K", "callBackUrl": "https://cb"}},
		"generate-pro in 2K": {"nano-banana-pro", "/api/v1/nanobanana/generate-pro", full, object{
			"prompt": "<a> & b", "imageUrls": []any{"https://a/1.png"}, "aspectRatio": "16:9", "resolution": "2K", "callBackUrl": "https://cb"}},
	} {
		t.Run(name, func(t *testing.T) {
			var got object
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if r.Method != http.MethodPost || r.URL.Path != tt.path || r.Header.Get("Authorization") != "Bearer key" ||
					r.Header.Get("Content-Type") != "application/json" || r.Header.Get("Idempotency-Key") != "" {
					t.Errorf("request %s %s with %v", r.Method, r.URL, r.Header)
				}
				if err := json.NewDecoder(r.Body).Decode(&got); err != nil {
					t.Error(err)
				}
				_, _ = w.Write(nanobananatest.Golden("submit-newer"))
			}))
			defer server.Close()
			client := &nanobanana.Client{BaseURL: server.URL + "/", HTTP: outbound.NewClient()}
			tt.request.Model = tt.model
			id, err := client.Submit(t.Context(), "key", tt.request)
			if err != nil || id != "31ce2c17b257492959d62279e6d01a54" {
				t.Errorf("Submit = %q, %v", id, err)
			}
			if !reflect.DeepEqual(got, tt.want) {
				t.Errorf("body = %v, want %v", got, tt.want)
			}
		})
	}
}

func TestSubmitAnswers(t *testing.T) {
	for body, want := range map[string]string{
		string(nanobananatest.Golden("submit-generate")):           "task12345",
		string(nanobananatest.Golden("submit-newer")):              "31ce2c17b257492959d62279e6d01a54",
		`{"code":"200","message":"ok","data":{"task_id":"a-b_c"}}`: "a-b_c",
		`{"code":200.0,"taskId":"top","data":null}`:                "top",
		"\ufeff" + accepted + "\n":                                 "task1",
		`{"code":200,"data":{"taskId":12345}}`:                     "12345",
	} {
		if id, err := answeringClient(t, 200, nil, body).Submit(t.Context(), "key", imageRequest()); err != nil || id != want {
			t.Errorf("%s: Submit = %q, %v; want %q", body, id, err, want)
		}
	}
}

func FuzzSubmit(f *testing.F) {
	for _, name := range []string{"submit-generate", "submit-newer", "refusal", "record-running"} {
		f.Add(200, nanobananatest.Golden(name))
		f.Add(402, nanobananatest.Golden(name))
		f.Add(500, nanobananatest.Golden(name))
	}
	f.Add(200, []byte(`{"code":429,"taskId":"a"}`))
	f.Fuzz(func(t *testing.T, status int, body []byte) {
		id, err := nanobanana.DecodeSubmit(status, body)
		if err == nil {
			if id == "" || status < 200 || status > 299 {
				t.Errorf("status %d is a success with id %q", status, id)
			}
			checkTaskID(t, id)
			return
		}
		failed := asError(t, err)
		if id != "" || failed.Reason == "" || failed.NotSent {
			t.Errorf("id %q with error %+v", id, *failed)
		}
		// A refusal is certain only in an envelope with one of nine codes, or without an envelope with
		// one of thirteen statuses.
		refusal := slices.Contains([]int{400, 401, 402, 404, 413, 422, 429, 455, 505}, failed.Code)
		fronted := failed.Code == 0 && slices.Contains([]int{400, 401, 403, 404, 405, 406, 411, 413, 414, 415, 422, 429, 431}, status)
		if failed.Certain() && !fronted && (!refusal || status >= 500 && status != failed.Code || status >= 300 && status < 400) {
			t.Errorf("status %d, code %d is certain", status, failed.Code)
		}
	})
}
