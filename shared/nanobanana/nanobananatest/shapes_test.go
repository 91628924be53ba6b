package nanobananatest_test

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"io"
	"net/http"
	"reflect"
	"testing"

	"github.com/preset/nanobanana-functions/shared/nanobanana/nanobananatest"
)

// Each shape differs from the documented answer, for a success and mostly also for a failure, and is
// valid JSON.
func TestShapes(t *testing.T) {
	p := serve(t)
	id := p.mustSubmit("generate", object{"prompt": "a harboür"})
	p.done(id)
	plain := p.record(id)
	for name, shape := range nanobananatest.Shapes {
		p.SetKnobs(func(k *nanobananatest.Knobs) { k.Reshape = shape })
		a := p.record(id)
		var shaped any
		if err := json.Unmarshal(a.raw, &shaped); err != nil || a.status != 200 {
			t.Errorf("%s: %d %.200s, %v", name, a.status, a.raw, err)
		}
		if same := reflect.DeepEqual(shaped, any(plain.body)); same != (name == "http") { // its links already are http
			t.Errorf("%s: same as without: %v", name, same)
		}
	}
	p.SetKnobs(func(k *nanobananatest.Knobs) { k.Reshape = nil })
	if a := p.record(id); !reflect.DeepEqual(a.body, plain.body) {
		t.Errorf("afterwards: %s", a.raw)
	}
}

func TestCallbacksHaveShapesToo(t *testing.T) {
	p, callbacks := serve(t, func(k *nanobananatest.Knobs) { k.ReshapeCallback = nanobananatest.Shapes["listed"] }), receive(t)
	id := p.mustSubmit("generate", object{"callBackUrl": callbacks.url})
	_, body := callbacks.next(t)
	if list, ok := body["data"].([]any); !ok || len(list) != 1 || list[0].(object)["taskId"] != id {
		t.Errorf("callback %v", body)
	}
}

// A gateway in front of the API answers without an envelope and accepts nothing.
func TestRawAnswers(t *testing.T) {
	p := serve(t, func(k *nanobananatest.Knobs) {
		k.Submit = nanobananatest.Fault{Kind: nanobananatest.FaultRaw, Code: 429, Type: "text/plain", Message: "error code: 1015", RetryAfter: nanobananatest.Duration(7e9), Times: 1}
	})
	a := p.submit("generate", params("generate"))
	if a.status != 429 || string(a.raw) != "error code: 1015" || a.header.Get("Content-Type") != "text/plain" || a.header.Get("Retry-After") != "7" {
		t.Errorf("%d %s %s", a.status, a.header, a.raw)
	}
	if len(p.Tasks()) != 0 {
		t.Error("it accepted the request")
	}
	p.mustSubmit("generate")
}

func TestSending(t *testing.T) {
	p := serve(t, func(k *nanobananatest.Knobs) { k.PictureSide = 32 })
	link := p.done(p.mustSubmit("generate")).URLs[0]
	whole := p.ask(http.MethodGet, link, nil).raw
	send := func(d nanobananatest.Sending) (status int, header http.Header, body []byte) {
		t.Helper()
		p.SetKnobs(func(k *nanobananatest.Knobs) { k.Sending = d })
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, link, nil)
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("User-Agent", "a test")
		req.Header.Set("Accept-Encoding", "identity") // so that net/http does not decompress
		resp, err := http.DefaultTransport.RoundTrip(req)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		if body, err = io.ReadAll(resp.Body); err != nil {
			t.Fatal(err)
		}
		return resp.StatusCode, resp.Header, body
	}
	if status, _, body := send(nanobananatest.Sending{Status: 203}); status != 203 || !bytes.Equal(body, whole) {
		t.Errorf("203 is %d", status)
	}
	if status, header, body := send(nanobananatest.Sending{Status: 206}); status != 206 || header.Get("Content-Range") == "" || !bytes.Equal(body, whole) {
		t.Errorf("206 is %d %s", status, header)
	}
	if _, header, body := send(nanobananatest.Sending{Encoding: "gzip"}); header.Get("Content-Encoding") != "gzip" || !bytes.Equal(body, whole) {
		t.Errorf("the lie is %s", header)
	}
	_, header, body := send(nanobananatest.Sending{Gzip: true})
	unpacked, err := gzip.NewReader(bytes.NewReader(body))
	if err != nil || header.Get("Content-Encoding") != "gzip" {
		t.Fatalf("packed: %s, %v", header, err)
	}
	if got, err := io.ReadAll(unpacked); err != nil || !bytes.Equal(got, whole) {
		t.Errorf("unpacked it is another: %v", err)
	}
	_, _, body = send(nanobananatest.Sending{Change: nanobananatest.BadChecksum})
	if len(body) != len(whole)+16 || !bytes.HasPrefix(body, whole[:33]) || !bytes.HasSuffix(body, whole[33:]) {
		t.Error("the chunk with a wrong checksum is not there")
	}
	if got := nanobananatest.NoEnd([]byte("x\xff\xd9")); string(got) != "x" {
		t.Errorf("without an end: %q", got)
	}
	p.SetKnobs(func(k *nanobananatest.Knobs) { k.Sending = nanobananatest.Sending{} })
	if a := p.ask(http.MethodGet, link+"?a=1&amp;b=2", nil); a.status != 403 {
		t.Errorf("a link written otherwise is answered %d", a.status)
	}
	if a := p.ask(http.MethodGet, link+"?a=1&b=2", nil); a.status != 200 {
		t.Errorf("a link with a query is answered %d", a.status)
	}
}
