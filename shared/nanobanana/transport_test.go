package nanobanana_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/preset/nanobanana-functions/shared/nanobanana"
	"github.com/preset/nanobanana-functions/shared/nanobanana/nanobananatest"
	"github.com/preset/nanobanana-functions/shared/outbound"
)

const accepted = `{"code":200,"msg":"success","data":{"taskId":"task1"}}`

// raw is a provider on a bare TCP listener. It counts the complete requests and answers each with
// the next of its answers. After the last it closes the connection.
type raw struct {
	url         string
	connections atomic.Int32
	requests    atomic.Int32
	keys        atomic.Int32
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

// rawProviderFunc calls answer for the n-th request. answer reports whether to read another request
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
	p.connections.Add(1)
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
		"402 page":                          {say(http11("402 Payment Required", "", "<html>")), nanobanana.NoCredits},
		"a refusal that names a task":       {say(http11("200 OK", "", `{"code":429,"data":{"taskId":"task1"}}`)), nanobanana.Unreadable},
		"not HTTP":                          {say("220 smtp ready\r\n\r\n"), nanobanana.Transport},
		"429 page that names a task":        {say(http11("429 Slow", "Retry-After: 3600\r\n", "<html>task_id=7")), nanobanana.RateLimited},
		"400 page cut short":                {say("HTTP/1.1 400 No\r\nContent-Length: 1000\r\n\r\n<html>"), nanobanana.BadRequest},
		"455 page":                          {say(http11("455 Maintenance", "", "<html>")), nanobanana.Maintenance},
		"a task's id without a code":        {say(http11("200 OK", "", `{"taskId":"task1"}`)), nanobanana.Unreadable},
		"headers that never end":            {say("HTTP/1.1 200 OK\r\nX: " + strings.Repeat("x", 1<<20)), nanobanana.Transport},
		"a code that is text but no number": {say(http11("200 OK", "", `{"code":"refused"}`)), nanobanana.Unreadable},
	} {
		t.Run(name, func(t *testing.T) {
			provider := rawProviderFunc(t, tt.answer)
			client := &nanobanana.Client{BaseURL: provider.url, HTTP: outbound.NewClient()}
			_, err := client.Submit(t.Context(), "key", imageRequest())
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

// ending is a context that ends when the test closes done, as if its deadline passed then.
type ending struct {
	context.Context
	done  chan struct{}
	cause error
}

func (e ending) Done() <-chan struct{} { return e.done }

func (e ending) Err() error {
	select {
	case <-e.done:
		return e.cause
	default:
		return nil
	}
}

func TestSubmitGivenUpByItsCaller(t *testing.T) {
	release := make(chan struct{})
	t.Cleanup(func() { close(release) })
	for name, tt := range map[string]struct {
		cause error
		first string
	}{
		"canceled before the answer":  {context.Canceled, ""},
		"canceled within the answer":  {context.Canceled, "HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n{"},
		"timed out before the answer": {context.DeadlineExceeded, ""},
		"timed out within the answer": {context.DeadlineExceeded, "HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n{"},
	} {
		t.Run(name, func(t *testing.T) {
			ctx := ending{t.Context(), make(chan struct{}), tt.cause}
			seen := make(chan struct{})
			provider := rawProviderFunc(t, func(conn net.Conn, _ int) bool {
				_, _ = io.WriteString(conn, tt.first)
				close(seen)
				<-release
				return false
			})
			go func() { <-seen; close(ctx.done) }()
			client := &nanobanana.Client{BaseURL: provider.url, HTTP: outbound.NewClient()}
			_, err := client.Submit(ctx, "key", imageRequest())
			if failed := asError(t, err); failed.Certain() || failed.Reason != nanobanana.Transport || !errors.Is(err, tt.cause) {
				t.Errorf("error = %v, certain %v; want transport by %v, not certain", err, failed.Certain(), tt.cause)
			}
			if n := provider.requests.Load(); n != 1 {
				t.Errorf("the provider saw %d requests, want 1", n)
			}
		})
	}
}

// No call sends the key to another host than the configured one.
func TestNoCallFollowsARedirect(t *testing.T) {
	other := rawProvider(t, http11("200 OK", "", string(nanobananatest.Golden("record-success"))))
	for _, op := range []nanobanana.Op{nanobanana.OpSubmit, nanobanana.OpRecord, nanobanana.OpCredits} {
		for _, status := range []string{"301 Moved", "302 Found", "303 See Other", "307 Temporary Redirect", "308 Permanent Redirect"} {
			provider := rawProvider(t, http11(status, "Location: "+other.url+"\r\n", ""))
			client := &nanobanana.Client{BaseURL: provider.url, HTTP: outbound.NewClient()}
			if failed := callError(t, client, op); failed.Certain() || failed.Reason != nanobanana.ServerError {
				t.Errorf("%s, %s: error = %v, certain %v", op, status, failed, failed.Certain())
			}
			if provider.requests.Load() != 1 || other.requests.Load() != 0 {
				t.Errorf("%s, %s: %d requests, and %d to the other host", op, status, provider.requests.Load(), other.requests.Load())
			}
		}
	}
}

// hanging is a transport that never answers and does not report its connections.
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
			err := callError(t, client, op)
			if took := time.Since(start); took != want {
				t.Errorf("%s took %v, want %v", op, took, want)
			}
			// This transport reports no connections, so nothing proves that the request was not sent.
			if err.Certain() || err.Reason != nanobanana.Transport || !strings.Contains(err.Error(), "timed out") {
				t.Errorf("%s: error = %v, certain %v", op, err, err.Certain())
			}
		})
	}
}

// A server may close a kept connection while the next request is written to it. net/http repeats
// requests that it considers harmless; a POST must not be repeated.
func TestSubmitIsNotRepeatedOnAStaleConnection(t *testing.T) {
	for name, tt := range map[string]struct {
		client      *http.Client
		connections int32
	}{
		"our client has no stale connections": {outbound.NewClient(), 2},
		"a transport that keeps and pools":    {&http.Client{Transport: &http.Transport{}}, 1},
	} {
		t.Run(name, func(t *testing.T) {
			provider := rawProviderFunc(t, func(conn net.Conn, n int) bool {
				if n != 1 {
					return false // closes without an answer
				}
				_, err := io.WriteString(conn, http11("200 OK", "Connection: keep-alive\r\n", accepted))
				return err == nil
			})
			client := &nanobanana.Client{BaseURL: provider.url, HTTP: tt.client}
			if id, err := client.Submit(t.Context(), "key", imageRequest()); err != nil || id != "task1" {
				t.Fatalf("the first submit = %q, %v", id, err)
			}
			_, err := client.Submit(t.Context(), "key", imageRequest())
			if failed := asError(t, err); failed.Certain() {
				t.Errorf("error = %v is certain", err)
			}
			if n, on := provider.requests.Load(), provider.connections.Load(); n != 2 || on != tt.connections {
				t.Errorf("the provider saw %d requests on %d connections, want 2 on %d", n, on, tt.connections)
			}
		})
	}
}

// recorder is a transport that keeps the request, as one with HTTP/2 or with retries could.
type recorder struct{ seen *http.Request }

func (l *recorder) RoundTrip(r *http.Request) (*http.Response, error) {
	l.seen = r
	return nil, errors.New("seen")
}

func TestSubmitCannotBeResentByTheTransport(t *testing.T) {
	var transport recorder
	client := &nanobanana.Client{BaseURL: "http://provider", HTTP: &http.Client{Transport: &transport}}
	callError(t, client, nanobanana.OpSubmit)
	r := transport.seen
	if r == nil || r.Method != http.MethodPost || r.GetBody != nil || r.ContentLength <= 0 {
		t.Fatalf("request %+v can be rewound", r)
	}
	for name := range r.Header {
		if strings.Contains(name, "Idempotency") {
			t.Errorf("header %s allows net/http to resend the request", name)
		}
	}
}

func TestNotConnectedIsCertain(t *testing.T) {
	secure := httptest.NewUnstartedServer(http.NotFoundHandler())
	secure.Config.ErrorLog = log.New(io.Discard, "", 0) // the handshakes fail
	secure.StartTLS()
	t.Cleanup(secure.Close)
	plain := rawProviderFunc(t, func(net.Conn, int) bool { return false })
	silent, err := net.Listen("tcp", "127.0.0.1:0") // its backlog accepts, but the handshake is never answered
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { silent.Close() })
	for name, base := range map[string]string{
		"connection refused":           "http://127.0.0.1:1",
		"no such host":                 "http://x.invalid",
		"certificate of an unknown CA": secure.URL,
		"TLS spoken to a plain server": strings.Replace(plain.url, "http:", "https:", 1),
		"TLS handshake never answered": "https://" + silent.Addr().String(),
		"an invalid base URL":          "http://[::1",
	} {
		t.Run(name, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			if strings.HasPrefix(name, "TLS handshake") {
				cancel()
				ctx, cancel = context.WithTimeout(t.Context(), 100*time.Millisecond)
			}
			defer cancel()
			client := &nanobanana.Client{BaseURL: base, HTTP: outbound.NewClient()}
			_, err := client.Submit(ctx, "key", imageRequest())
			failed := asError(t, err)
			if failed.Reason != nanobanana.NotConnected || !failed.NotSent || !failed.Certain() {
				t.Errorf("error = %v, want a certain not connected", err)
			}
		})
	}
}

func TestUnsendableRequestIsCertain(t *testing.T) {
	provider := rawProvider(t)
	client := &nanobanana.Client{BaseURL: provider.url, HTTP: outbound.NewClient()}
	for _, key := range []string{"", "key\n", "key key", "ключ"} {
		_, err := client.Submit(t.Context(), key, imageRequest())
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
