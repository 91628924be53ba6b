package httpapi

import (
	"bytes"
	"context"
	"encoding/base64"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/aws/aws-lambda-go/events"
)

// answerMargin is how long the request's context ends before Lambda ends the function,
// so that there is time to answer for an endpoint that took too long.
const answerMargin = 250 * time.Millisecond

// Gateway returns h as the function that Lambda calls for an API Gateway HTTP API
// (payload 2.0). To h, a request looks as it does behind net/http, except that headers
// sent twice arrive joined by commas. The context carries the gateway's request id, and
// ends shortly before Lambda's deadline. The function returns an error only if the
// event did not come from the gateway.
func Gateway(h http.Handler) func(context.Context, events.APIGatewayV2HTTPRequest) (events.APIGatewayV2HTTPResponse, error) {
	return func(ctx context.Context, e events.APIGatewayV2HTTPRequest) (events.APIGatewayV2HTTPResponse, error) {
		if deadline, ok := ctx.Deadline(); ok {
			var cancel context.CancelFunc
			ctx, cancel = context.WithDeadline(ctx, deadline.Add(-answerMargin))
			defer cancel()
		}
		r, err := fromEvent(WithRequestID(ctx, e.RequestContext.RequestID), &e)
		if err != nil {
			return events.APIGatewayV2HTTPResponse{}, err
		}
		w := response{header: http.Header{}}
		h.ServeHTTP(&w, r)
		return w.event(r.Method), nil
	}
}

// Capture calls h with r and returns the response as an Answer, for an Endpoint that
// answers through an http.Handler. The Body is a []byte, or nil.
func Capture(h http.Handler, r *http.Request) Answer {
	w := response{header: http.Header{}}
	h.ServeHTTP(&w, r)
	w.WriteHeader(http.StatusOK)
	a := Answer{Status: w.status, Header: w.header}
	if w.body.Len() > 0 {
		a.Body = w.body.Bytes()
	}
	return a
}

// fromEvent returns the request that a server would have read from the wire.
func fromEvent(ctx context.Context, e *events.APIGatewayV2HTTPRequest) (*http.Request, error) {
	body := []byte(e.Body)
	if e.IsBase64Encoded {
		var err error
		if body, err = base64.StdEncoding.DecodeString(e.Body); err != nil {
			return nil, fmt.Errorf("body of the API Gateway event: %w", err)
		}
	}
	u := eventURL(e)
	r := &http.Request{
		Method:        e.RequestContext.HTTP.Method,
		URL:           u,
		Proto:         "HTTP/1.1",
		ProtoMajor:    1,
		ProtoMinor:    1,
		Header:        make(http.Header, len(e.Headers)),
		Body:          http.NoBody,
		ContentLength: int64(len(body)),
		Host:          e.RequestContext.DomainName,
		RemoteAddr:    net.JoinHostPort(e.RequestContext.HTTP.SourceIP, "0"),
		RequestURI:    u.RequestURI(),
	}
	if len(body) > 0 {
		r.Body = io.NopCloser(bytes.NewReader(body))
	}
	for name, value := range e.Headers {
		r.Header.Set(name, value)
	}
	r.Header.Del("Host") // as a server does: it is in r.Host
	if len(e.Cookies) > 0 {
		r.Header.Set("Cookie", strings.Join(e.Cookies, "; "))
	}
	return r.WithContext(ctx), nil
}

// eventURL returns the URL of e. HTTP APIs pass the path decoded; function URLs and
// local stand-ins pass it as it was sent. Either way r.URL.EscapedPath returns a valid
// path, in which %00 and %2F are not separators.
func eventURL(e *events.APIGatewayV2HTTPRequest) *url.URL {
	decoded, err := url.PathUnescape(e.RawPath)
	if err != nil { // a bare %: already decoded
		decoded = e.RawPath
	}
	return &url.URL{Path: decoded, RawPath: e.RawPath, RawQuery: e.RawQueryString}
}

// response is an http.ResponseWriter that becomes an event.
type response struct {
	header http.Header
	status int
	body   bytes.Buffer
}

func (w *response) Header() http.Header { return w.header }

func (w *response) WriteHeader(status int) {
	if w.status == 0 {
		w.status = status
	}
}

func (w *response) Write(b []byte) (int, error) {
	w.WriteHeader(http.StatusOK)
	return w.body.Write(b)
}

// event returns the response in the gateway's form. A body that is not text is in
// base64, because the event is JSON.
func (w *response) event(method string) events.APIGatewayV2HTTPResponse {
	w.WriteHeader(http.StatusOK)
	body := w.body.Bytes()
	if len(body) > 0 && w.header.Get("Content-Type") == "" {
		w.header.Set("Content-Type", http.DetectContentType(body)) // as net/http does
	}
	out := events.APIGatewayV2HTTPResponse{
		StatusCode: w.status,
		Headers:    make(map[string]string, len(w.header)),
		Cookies:    w.header["Set-Cookie"],
	}
	for name, values := range w.header {
		if name != "Set-Cookie" {
			out.Headers[name] = strings.Join(values, ", ")
		}
	}
	switch {
	case method == http.MethodHead:
	case utf8.Valid(body):
		out.Body = string(body)
	default:
		out.Body = base64.StdEncoding.EncodeToString(body)
		out.IsBase64Encoded = true
	}
	return out
}
