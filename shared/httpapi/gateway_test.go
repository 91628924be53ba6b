package httpapi

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"reflect"
	"strings"
	"testing"
	"testing/synctest"
	"time"
	"unicode/utf8"

	"github.com/aws/aws-lambda-go/events"

	"github.com/preset/nanobanana-functions/shared/task"
)

// echo answers with everything that an endpoint sees of its request.
func echo(r *http.Request) (Answer, error) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return Answer{}, err
	}
	if r.URL.Query().Has("teapot") {
		return Answer{Status: 418, Header: http.Header{"X-Kettle": {"1"}}}, &task.Error{Code: task.CodeConflict}
	}
	return Answer{
		Header: http.Header{"Set-Cookie": {"a=1", "b=2"}, "Vary": {"Origin", "Accept"}},
		Body: map[string]any{
			"method": r.Method, "id": r.PathValue("id"), "query": r.URL.Query(), "escaped": r.URL.EscapedPath(), "uri": r.RequestURI,
			"length": r.ContentLength, "body": body, "accept": r.Header.Get("Accept"), "cookie": r.Header.Get("Cookie"), "host": r.Header["Host"],
		},
	}, nil
}

func echoHandler() http.Handler {
	log := slog.New(slog.DiscardHandler)
	mux := http.NewServeMux()
	mux.Handle("/echo/{id}", Handler(log, echo))
	mux.Handle("POST /submit", Handler(log, func(r *http.Request) (Answer, error) {
		key, err := IdempotencyKey(r)
		if err != nil {
			return Answer{}, err
		}
		s, err := Decode[submission](r, 64, advice)
		return Answer{Status: 202, Header: http.Header{"X-Key": {key}}, Body: s}, err
	}))
	mux.HandleFunc("/binary", func(w http.ResponseWriter, r *http.Request) { w.Write([]byte{0x89, 'P', 'N', 'G', 0xff, 0}) })
	mux.HandleFunc("/nothing", func(w http.ResponseWriter, r *http.Request) {})
	mux.HandleFunc("/moved", func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, "https://b.example/x?sig=1", http.StatusFound)
	})
	return Mux(log, mux)
}

// TestGateway sends the same requests to one handler through a server and through the
// adapter. The answers must be the same.
func TestGateway(t *testing.T) {
	h := echoHandler()
	server := httptest.NewServer(h)
	defer server.Close()
	server.Client().CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	jsonType := http.Header{"Content-Type": {"application/json"}}
	for _, c := range []struct {
		method, path string
		header       http.Header
		body         string
	}{
		{"GET", "/echo/1?a=1&a=2&b=%20x+y", http.Header{"Accept": {"text/plain"}, "Cookie": {"a=1; b=2"}}, ""},
		{"GET", "/echo/a%2Fb%20c%3Fd", nil, ""},
		{"GET", "/echo/%00", nil, ""},
		{"GET", "/echo/caf%C3%A9", nil, ""},
		{"GET", "/echo/100%25", nil, ""},
		{"HEAD", "/echo/1", nil, ""},
		{"DELETE", "/echo/1", nil, ""},
		{"PUT", "/echo/1", nil, "\x00\xff\xfe binary"},
		{"GET", "/echo/1?teapot", nil, ""},
		{"GET", "/echo/..%2F..%2Fsubmit", nil, ""},
		{"GET", "/nowhere", nil, ""},
		{"GET", "/echo//1", nil, ""},
		{"GET", "/submit", nil, ""},
		{"POST", "/submit", jsonType, `{"prompt":"🍌"}`},
		{"POST", "/submit", http.Header{"Content-Type": {"application/json"}, "Idempotency-Key": {"k1"}}, `{"prompt":"a"}`},
		{"POST", "/submit", http.Header{"Content-Type": {"application/json"}, "Idempotency-Key": {"k1", "k2"}}, `{"prompt":"a"}`},
		{"POST", "/submit", http.Header{"Content-Type": {"application/json"}, "Idempotency-Key": {""}}, `{"prompt":"a"}`},
		{"POST", "/submit", http.Header{"Content-Type": {"application/json", "text/plain"}}, `{"prompt":"a"}`},
		{"POST", "/submit", http.Header{"Content-Type": {"text/plain"}}, `{"prompt":"a"}`},
		{"POST", "/submit", jsonType, ``},
		{"POST", "/submit", jsonType, "{\"prompt\":\"\xff\"}"},
		{"POST", "/submit", jsonType, `{"prompt":"` + strings.Repeat("a", 64) + `"}`},
		{"GET", "/binary", nil, ""},
		{"GET", "/nothing", nil, ""},
		{"GET", "/moved", nil, ""},
	} {
		t.Run(c.method+" "+c.path, func(t *testing.T) {
			r, err := http.NewRequest(c.method, server.URL+c.path, strings.NewReader(c.body))
			if err != nil {
				t.Fatal(err)
			}
			maps.Copy(r.Header, c.header)
			for _, base64Body := range []bool{false, true} {
				overWire := send(t, server.Client(), r.Clone(t.Context()), c.body)
				throughGateway := invoke(t, h, toEvent(r, c.path, c.body, base64Body))
				if !reflect.DeepEqual(overWire, throughGateway) {
					t.Errorf("base64 %v:\nnet/http %+v\ngateway  %+v", base64Body, overWire, throughGateway)
				}
			}
		})
	}
}

// clientView is what a client sees of an answer, without what differs each time.
type clientView struct {
	status int
	header http.Header
	body   string
}

func (s clientView) trim() clientView {
	id := s.header.Get("X-Request-Id")
	if id != "" {
		s.body = strings.ReplaceAll(s.body, id, "ID")
	}
	for _, name := range []string{"X-Request-Id", "Date", "Content-Length"} {
		s.header.Del(name)
	}
	for name, values := range s.header {
		if name != "Set-Cookie" {
			s.header[name] = []string{strings.Join(values, ", ")}
		}
	}
	return s
}

func send(t *testing.T, client *http.Client, r *http.Request, body string) clientView {
	t.Helper()
	r.Body = io.NopCloser(strings.NewReader(body))
	resp, err := client.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	got, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return clientView{resp.StatusCode, resp.Header, string(got)}.trim()
}

// toEvent returns r as API Gateway sends it: headers in lower case, values joined by
// commas, cookies separate. Text that is not UTF-8 must be in base64.
func toEvent(r *http.Request, target, body string, base64Body bool) events.APIGatewayV2HTTPRequest {
	path, query, _ := strings.Cut(target, "?")
	e := events.APIGatewayV2HTTPRequest{Version: "2.0", RawPath: path, RawQueryString: query, Headers: map[string]string{"host": "api.example"}, Body: body}
	if base64Body || strings.Contains(body, "\xff") {
		e.Body, e.IsBase64Encoded = base64.StdEncoding.EncodeToString([]byte(body)), true
	}
	for name, values := range r.Header {
		if name == "Cookie" {
			e.Cookies = strings.Split(values[0], "; ")
			continue
		}
		e.Headers[strings.ToLower(name)] = strings.Join(values, ",")
	}
	e.RequestContext.RequestID = "JKJaXmPLvHcESHA="
	e.RequestContext.DomainName = "api.example"
	e.RequestContext.HTTP.Method = r.Method
	e.RequestContext.HTTP.SourceIP = "192.0.2.1"
	return e
}

func invoke(t *testing.T, h http.Handler, e events.APIGatewayV2HTTPRequest) clientView {
	t.Helper()
	resp, err := Gateway(h)(t.Context(), e)
	if err != nil {
		t.Fatal(err)
	}
	if id := resp.Headers["X-Request-Id"]; id != "" && id != e.RequestContext.RequestID {
		t.Errorf("request id %q", id)
	}
	s := clientView{status: resp.StatusCode, header: http.Header{}, body: resp.Body}
	for name, value := range resp.Headers {
		s.header.Set(name, value)
	}
	if resp.Cookies != nil {
		s.header["Set-Cookie"] = resp.Cookies
	}
	if resp.IsBase64Encoded {
		body, err := base64.StdEncoding.DecodeString(resp.Body)
		if err != nil {
			t.Fatal(err)
		}
		s.body = string(body)
	}
	return s.trim()
}

func TestGatewayDecodedPath(t *testing.T) {
	h := echoHandler()
	for sent, id := range map[string]string{
		"/echo/\x00":      "\x00",
		"/echo/caf\u00e9": "caf\u00e9",
		"/echo/100%":      "100%",
		"/echo/a?b#c d":   "a?b#c d",
		"/echo/a\r\nX: y": "a\r\nX: y",
	} {
		e := toEvent(httptest.NewRequest("GET", "/echo/1", nil), sent, "", false)
		e.RawPath, e.RawQueryString = sent, ""
		quoted, _ := Encode(id)
		if got := invoke(t, h, e); got.status != 200 || !strings.Contains(got.body, fmt.Sprintf(`"id":%s,`, quoted)) {
			t.Errorf("%q: got %d %s", sent, got.status, got.body)
		}
	}
	for _, sent := range []string{"", "/", "//evil.example/x", "echo/1", "*", "/echo/1/2", "http://evil.example/echo/1"} {
		e := toEvent(httptest.NewRequest("GET", "/echo/1", nil), "/", "", false)
		e.RawPath = sent
		if got := invoke(t, h, e); got.status != 404 {
			t.Errorf("%q: got %d %s", sent, got.status, got.body)
		}
	}
}

func TestGatewayRequest(t *testing.T) {
	deadline := time.Now().Add(time.Minute)
	ctx, cancel := context.WithDeadline(t.Context(), deadline)
	defer cancel()
	h := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if got, ok := r.Context().Deadline(); !ok || got.After(deadline) || got.Before(deadline.Add(-time.Second)) {
			t.Errorf("deadline %v, want just before %v", got, deadline)
		}
		if RequestID(r.Context()) != "JKJaXmPLvHcESHA=" || r.Host != "api.example" || r.RemoteAddr != "192.0.2.1:0" {
			t.Errorf("got %q %q %q", RequestID(r.Context()), r.Host, r.RemoteAddr)
		}
		if _, err := url.ParseRequestURI(r.RequestURI); err != nil {
			t.Error(err)
		}
	})
	e := toEvent(httptest.NewRequest("GET", "/a?b=c", nil), "/a?b=c", "", false)
	if _, err := Gateway(h)(ctx, e); err != nil {
		t.Fatal(err)
	}
	e.Body, e.IsBase64Encoded = "%%%", true
	if _, err := Gateway(h)(ctx, e); err == nil {
		t.Error("a body that is not base64 was accepted")
	}
}

func TestGatewayAnswersInTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), answerMargin+20*time.Millisecond)
		defer cancel()
		h := Handler(slog.New(slog.DiscardHandler), func(r *http.Request) (Answer, error) {
			<-r.Context().Done()
			return Answer{}, r.Context().Err()
		})
		begun := time.Now()
		resp, err := Gateway(h)(ctx, events.APIGatewayV2HTTPRequest{})
		if err != nil || resp.StatusCode != 503 || ctx.Err() != nil || time.Since(begun) != 20*time.Millisecond {
			t.Errorf("got %d, %v after %v; Lambda's own context %v", resp.StatusCode, err, time.Since(begun), ctx.Err())
		}
	})
}

// FuzzGateway runs events as Lambda may get them. For every event there must be an answer
// that the gateway can pass on.
func FuzzGateway(f *testing.F) {
	h := echoHandler()
	for _, r := range []*http.Request{post(`{"prompt":"a"}`), httptest.NewRequest("GET", "/echo/a%2Fb?x=%zz", nil), httptest.NewRequest("OPTIONS", "/", nil)} {
		for _, body := range []string{"", `{"prompt":"a"}`, "\xff"} {
			event, err := json.Marshal(toEvent(r, r.RequestURI, body, false))
			if err != nil {
				f.Fatal(err)
			}
			f.Add(event)
		}
	}
	for _, event := range []string{`{}`, `{"isBase64Encoded":true,"body":"%"}`, `{"rawPath":"//evil.example/\u0000%","requestContext":{"http":{"method":"CONNECT"}}}`,
		`{"rawPath":"*","headers":{"":"","a b":"\r\n"},"cookies":["\n"],"requestContext":{"http":{"method":"a b"}}}`} {
		f.Add([]byte(event))
	}
	f.Fuzz(func(t *testing.T, event []byte) {
		var e events.APIGatewayV2HTTPRequest
		if json.Unmarshal(event, &e) != nil {
			return
		}
		resp, err := Gateway(h)(t.Context(), e)
		if err != nil {
			if _, fault := base64.StdEncoding.DecodeString(e.Body); !e.IsBase64Encoded || fault == nil {
				t.Errorf("%s: %v", event, err)
			}
			return
		}
		if resp.StatusCode < 200 || resp.StatusCode > 599 || resp.StatusCode == 500 {
			t.Errorf("%s: %d %s", event, resp.StatusCode, resp.Body)
		}
		body := []byte(resp.Body)
		if resp.IsBase64Encoded {
			if body, err = base64.StdEncoding.DecodeString(resp.Body); err != nil {
				t.Errorf("%s: %v", event, err)
			}
		} else if !utf8.Valid(body) {
			t.Errorf("%s: text that is not UTF-8", event)
		}
		var p Problem
		if resp.StatusCode >= 400 && len(body) > 0 && (json.Unmarshal(body, &p) != nil || p.Status != resp.StatusCode) {
			t.Errorf("%s: %d %s", event, resp.StatusCode, body)
		}
	})
}
