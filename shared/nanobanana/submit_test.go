package nanobanana_test

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"reflect"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/preset/nanobanana-functions/shared/nanobanana"
	"github.com/preset/nanobanana-functions/shared/nanobanana/nanobananatest"
)

const accepted = `{"code":200,"msg":"success","data":{"taskId":"task1"}}`

// raw is a provider on a bare TCP listener: it counts the requests that reached it whole, and
// answers each with the next of its answers. After the last it closes the connection.
type raw struct {
	url      string
	requests atomic.Int32
	keys     atomic.Int32
}

func rawProvider(t *testing.T, answers ...string) *raw {
	t.Helper()
	return rawProviderFunc(t, func(conn net.Conn, n int) bool {
		if n > len(answers) {
			return false
		}
		_, err := io.WriteString(conn, answers[n-1])
		return err == nil && strings.Contains(answers[n-1], "keep-alive")
	})
}

// rawProviderFunc calls answer for the n-th request seen; answer tells whether to read another
// from the same connection.
func rawProviderFunc(t *testing.T, answer func(conn net.Conn, n int) bool) *raw {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { listener.Close() })
	p := &raw{url: "http://" + listener.Addr().String()}
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			go p.serve(conn, answer)
		}
	}()
	return p
}

func (p *raw) serve(conn net.Conn, answer func(net.Conn, int) bool) {
	defer conn.Close()
	reader := bufio.NewReader(conn)
	for {
		req, err := http.ReadRequest(reader)
		if err != nil {
			return
		}
		if _, err := io.Copy(io.Discard, req.Body); err != nil {
			return
		}
		if req.Header.Get("Authorization") != "" {
			p.keys.Add(1)
		}
		if !answer(conn, int(p.requests.Add(1))) {
			return
		}
	}
}

func http11(status, headers, body string) string {
	return fmt.Sprintf("HTTP/1.1 %s\r\n%sContent-Length: %d\r\n\r\n%s", status, headers, len(body), body)
}

func reset(conn net.Conn, _ int) bool {
	_ = conn.(*net.TCPConn).SetLinger(0)
	return false
}

func TestAmbiguousSubmitIsSentOnceAndNeverCertain(t *testing.T) {
	other := rawProvider(t, http11("200 OK", "", accepted))
	unfinished := "HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n" + accepted
	say := func(answer string) func(net.Conn, int) bool {
		return func(conn net.Conn, _ int) bool {
			_, _ = io.WriteString(conn, answer)
			return false
		}
	}
	for name, tt := range map[string]struct {
		answer func(net.Conn, int) bool
		reason nanobanana.Reason
	}{
		"reset after the headers":           {reset, nanobanana.Transport},
		"closed after reading":              {say(""), nanobanana.Transport},
		"307 to another host":               {say(http11("307 Temporary Redirect", "Location: "+other.url+"\r\n", "")), nanobanana.ServerError},
		"302 to another host":               {say(http11("302 Found", "Location: "+other.url+"\r\n", "")), nanobanana.ServerError},
		"HTTP 500":                          {say(http11("500 Oops", "", "")), nanobanana.ServerError},
		"HTTP 502 page":                     {say(http11("502 Bad Gateway", "", "<html>")), nanobanana.ServerError},
		"HTTP 500 around a success":         {say(http11("500 Oops", "", `{"code":200,"msg":"success","data":{}}`)), nanobanana.ServerError},
		"code 500":                          {say(http11("200 OK", "", `{"code":500,"msg":"Oops"}`)), nanobanana.ServerError},
		"HTML":                              {say(http11("200 OK", "", "<html>hello</html>")), nanobanana.Unreadable},
		"truncated JSON":                    {say(http11("200 OK", "", accepted[:30])), nanobanana.Unreadable},
		"connection cut in the body":        {say(unfinished), nanobanana.Unreadable},
		"no taskId":                         {say(http11("200 OK", "", `{"code":200,"msg":"success","data":{}}`)), nanobanana.Unreadable},
		"data null":                         {say(http11("200 OK", "", `{"code":200,"msg":"success","data":null}`)), nanobanana.Unreadable},
		"unlawful taskId":                   {say(http11("200 OK", "", `{"code":200,"data":{"taskId":"../../etc"}}`)), nanobanana.Unreadable},
		"no code":                           {say(http11("200 OK", "", `{"data":{"x":1}}`)), nanobanana.Unreadable},
		"empty":                             {say(http11("200 OK", "", "")), nanobanana.Unreadable},
		"null":                              {say(http11("200 OK", "", "null")), nanobanana.Unreadable},
		"list":                              {say(http11("200 OK", "", "[]")), nanobanana.Unreadable},
		"too large":                         {say(http11("200 OK", "", `{"code":402,"msg":"`+strings.Repeat("x", 1<<20)+`"}`)), nanobanana.Unreadable},
		"402 without an envelope":           {say(http11("402 Payment Required", "", `{"message":"pay"}`)), nanobanana.NoCredits},
		"401 page":                          {say(http11("401 Unauthorized", "", "<html>")), nanobanana.Unauthorized},
		"a refusal that names a task":       {say(http11("200 OK", "", `{"code":429,"data":{"taskId":"task1"}}`)), nanobanana.Unreadable},
		"not HTTP":                          {say("220 smtp ready\r\n\r\n"), nanobanana.Transport},
		"429 page asking for an hour":       {say(http11("429 Slow", "Retry-After: 3600\r\n", "<html>")), nanobanana.RateLimited},
		"headers that never end":            {say("HTTP/1.1 200 OK\r\nX: " + strings.Repeat("x", 1<<20)), nanobanana.Transport},
		"a code that is text but no number": {say(http11("200 OK", "", `{"code":"refused"}`)), nanobanana.Unreadable},
	} {
		t.Run(name, func(t *testing.T) {
			provider := rawProviderFunc(t, tt.answer)
			client := &nanobanana.Client{BaseURL: provider.url, HTTP: nanobanana.NewHTTPClient()}
			_, err := client.Submit(t.Context(), "key", order())
			failed := asError(t, err)
			if failed.Reason != tt.reason || failed.Certain() || failed.NotSent {
				t.Errorf("error = %v, certain %v; want %s, not certain", err, failed.Certain(), tt.reason)
			}
			if n := provider.requests.Load(); n != 1 {
				t.Errorf("the provider saw %d requests, want 1", n)
			}
		})
	}
	if n := other.keys.Load(); n != 0 {
		t.Errorf("the key went to another host %d times", n)
	}
}

func TestSubmitGivenUpByItsCaller(t *testing.T) {
	release := make(chan struct{})
	t.Cleanup(func() { close(release) })
	for name, first := range map[string]string{"before the answer": "", "within the answer": "HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n{"} {
		t.Run(name, func(t *testing.T) {
			ctx, cancel := context.WithCancel(t.Context())
			seen := make(chan struct{})
			provider := rawProviderFunc(t, func(conn net.Conn, _ int) bool {
				_, _ = io.WriteString(conn, first)
				close(seen)
				<-release
				return false
			})
			go func() { <-seen; cancel() }()
			client := &nanobanana.Client{BaseURL: provider.url, HTTP: nanobanana.NewHTTPClient()}
			_, err := client.Submit(ctx, "key", order())
			if failed := asError(t, err); failed.Certain() || failed.Reason != nanobanana.Transport {
				t.Errorf("error = %v, certain %v; want transport, not certain", err, failed.Certain())
			}
			if n := provider.requests.Load(); n != 1 {
				t.Errorf("the provider saw %d requests, want 1", n)
			}
		})
	}
}

// hanging is a transport that reports a connection and then answers nothing.
type hanging struct{}

func (hanging) RoundTrip(r *http.Request) (*http.Response, error) {
	<-r.Context().Done()
	return nil, r.Context().Err()
}

func TestCallsAreBoundedWithoutTheCallersDeadline(t *testing.T) {
	for op, want := range map[nanobanana.Op]time.Duration{
		nanobanana.OpSubmit: 20 * time.Second, nanobanana.OpRecord: 10 * time.Second, nanobanana.OpCredits: 10 * time.Second,
	} {
		synctest.Test(t, func(t *testing.T) {
			start := time.Now()
			client := &nanobanana.Client{BaseURL: "http://provider", HTTP: &http.Client{Transport: hanging{}}}
			err := failure(t, client, op)
			if took := time.Since(start); took != want {
				t.Errorf("%s took %v, want %v", op, took, want)
			}
			// This transport tells nothing about connections: no proof that nothing was sent.
			if err.Certain() || err.Reason != nanobanana.Transport || !strings.Contains(err.Error(), "timed out") {
				t.Errorf("%s: error = %v, certain %v", op, err, err.Certain())
			}
		})
	}
}

// A server may close a kept connection just when the next request is written on it. net/http
// repeats what it thinks harmless; a POST must not be.
func TestSubmitIsNotRepeatedOnAStaleConnection(t *testing.T) {
	for name, httpClient := range map[string]*http.Client{
		"our client":                       nanobanana.NewHTTPClient(),
		"a transport that keeps and pools": {Transport: &http.Transport{}},
	} {
		t.Run(name, func(t *testing.T) {
			provider := rawProviderFunc(t, func(conn net.Conn, n int) bool {
				if n != 1 {
					return false // read, and closed without a word
				}
				_, err := io.WriteString(conn, http11("200 OK", "Connection: keep-alive\r\n", accepted))
				return err == nil
			})
			client := &nanobanana.Client{BaseURL: provider.url, HTTP: httpClient}
			if id, err := client.Submit(t.Context(), "key", order()); err != nil || id != "task1" {
				t.Fatalf("the first submit = %q, %v", id, err)
			}
			_, err := client.Submit(t.Context(), "key", order())
			if failed := asError(t, err); failed.Certain() {
				t.Errorf("error = %v is certain", err)
			}
			if n := provider.requests.Load(); n != 2 {
				t.Errorf("the provider saw %d requests, want 2", n)
			}
		})
	}
}

func TestNotConnectedIsCertain(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	listener.Close()
	secure := httptest.NewUnstartedServer(http.NotFoundHandler())
	secure.Config.ErrorLog = log.New(io.Discard, "", 0) // of the handshakes that are to fail
	secure.StartTLS()
	t.Cleanup(secure.Close)
	plain := rawProviderFunc(t, func(net.Conn, int) bool { return false })
	silent, err := net.Listen("tcp", "127.0.0.1:0") // accepts by its backlog, never shakes hands
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { silent.Close() })
	for name, base := range map[string]string{
		"connection refused":           "http://" + listener.Addr().String(),
		"no such host":                 "http://x.invalid",
		"certificate of nobody":        secure.URL,
		"TLS spoken to a plain server": strings.Replace(plain.url, "http:", "https:", 1),
		"TLS handshake never answered": "https://" + silent.Addr().String(),
		"a base URL that is none":      "http://[::1",
	} {
		t.Run(name, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
			if strings.HasPrefix(name, "TLS handshake") {
				cancel()
				ctx, cancel = context.WithTimeout(t.Context(), 100*time.Millisecond)
			}
			defer cancel()
			client := &nanobanana.Client{BaseURL: base, HTTP: nanobanana.NewHTTPClient()}
			_, err := client.Submit(ctx, "key", order())
			failed := asError(t, err)
			if failed.Reason != nanobanana.NotConnected || !failed.NotSent || !failed.Certain() {
				t.Errorf("error = %v, want a certain not connected", err)
			}
		})
	}
}

func TestWhatCannotBeSentIsCertain(t *testing.T) {
	provider := rawProvider(t)
	client := &nanobanana.Client{BaseURL: provider.url, HTTP: nanobanana.NewHTTPClient()}
	for _, key := range []string{"", "key\n", "key key", "ключ"} {
		_, err := client.Submit(t.Context(), key, order())
		if failed := asError(t, err); failed.Reason != nanobanana.Unauthorized || !failed.Certain() {
			t.Errorf("key %q: error = %v, want a certain unauthorized", key, err)
		}
	}
	_, err := client.Submit(t.Context(), "key", nanobanana.Request{Model: "banana-phone"})
	if failed := asError(t, err); failed.Reason != nanobanana.BadRequest || !failed.Certain() {
		t.Errorf("unknown model: error = %v, want a certain bad request", err)
	}
	if n := provider.requests.Load(); n != 0 {
		t.Errorf("the provider saw %d requests, want none", n)
	}
}

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
			client := &nanobanana.Client{BaseURL: server.URL + "/", HTTP: nanobanana.NewHTTPClient()}
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
		if id, err := answering(t, 200, nil, body).Submit(t.Context(), "key", order()); err != nil || id != want {
			t.Errorf("%s: Submit = %q, %v; want %q", body, id, err, want)
		}
	}
}

// A proxy would see the key, and a dial-time check of addresses would see only the proxy.
func TestNewHTTPClientUsesNoProxy(t *testing.T) {
	if nanobanana.NewHTTPClient().Transport.(*http.Transport).Proxy != nil {
		t.Error("the client has a proxy")
	}
}
