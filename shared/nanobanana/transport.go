package nanobanana

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"net/url"
	"strconv"
	"strings"
	"sync/atomic"
	"time"
)

const (
	maxReply      = 1 << 20
	maxRetryAfter = 24 * time.Hour
	userAgent     = "preset-nanobanana-functions/1"
)

// NewHTTPClient returns the HTTP client for the provider. It follows no redirect, so that the key
// never goes to another host, and uses no proxy. Its Transport may be replaced.
//
// Every call has a connection of its own. A Lambda is frozen between calls for longer than any
// server keeps a connection, and a POST that goes down with a stale one is a POST whose fate nobody
// knows; net/http would also repeat a read on its own. A handshake per call is the cheaper price.
func NewHTTPClient() *http.Client {
	return &http.Client{
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		Transport: &http.Transport{
			DialContext:            (&net.Dialer{Timeout: 5 * time.Second}).DialContext,
			TLSHandshakeTimeout:    5 * time.Second,
			MaxResponseHeaderBytes: 64 << 10,
			DisableKeepAlives:      true,
		},
	}
}

// call makes one request, a POST where there is a body, and reads the answer. Its error is an
// *Error about the connection; what the answer says is for the caller to judge.
func (c *Client) call(ctx context.Context, op Op, key, path string, body []byte) (reply, error) {
	if !fitsHeader(key) {
		return reply{}, &Error{Op: op, Reason: Unauthorized, NotSent: true}
	}
	var conn connection
	req, err := newRequest(conn.watch(ctx), key, c.url(path), body)
	if err == nil {
		err = ctx.Err()
	}
	if err != nil {
		return reply{}, &Error{Op: op, Reason: NotConnected, NotSent: true, cause: bare(err)}
	}
	resp, err := c.HTTP.Do(req)
	if err != nil {
		return reply{}, conn.failure(op, err)
	}
	defer resp.Body.Close()
	r := reply{status: resp.StatusCode, retryAfter: retryAfter(resp.Header.Get("Retry-After"))}
	if len(key) >= leastKey {
		r.key = key
	}
	raw, err := io.ReadAll(io.LimitReader(resp.Body, maxReply+1))
	var broken net.Error
	switch {
	case errors.As(err, &broken) || errors.Is(err, context.Canceled):
		return reply{}, &Error{Op: op, Reason: Transport, HTTPStatus: r.status, cause: err}
	case len(raw) > maxReply:
		r.body(raw, false)
		r.detail = "an answer over 1 MiB"
	default:
		r.body(raw, err == nil)
	}
	return r, nil
}

// newRequest builds a request that net/http cannot send twice: to repeat a POST it needs to rewind
// the body (GetBody), or an Idempotency-Key header as permission.
func newRequest(ctx context.Context, key, url string, body []byte) (*http.Request, error) {
	method := http.MethodGet
	if body != nil {
		method = http.MethodPost
	}
	req, err := http.NewRequestWithContext(ctx, method, url, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	req.GetBody = nil
	req.Header.Set("Authorization", "Bearer "+key)
	req.Header.Set("Accept", "application/json")
	req.Header.Set("User-Agent", userAgent)
	if body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	return req, nil
}

// connection watches whether a request ever got a connection to be written on.
type connection struct{ wanted, got atomic.Bool }

func (c *connection) watch(ctx context.Context) context.Context {
	return httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{
		GetConn: func(string) { c.wanted.Store(true) },
		GotConn: func(httptrace.GotConnInfo) { c.got.Store(true) },
	})
}

// failure tells a request that certainly was not written from one that may have been. Only a
// transport that was seen to look for a connection and not seen to get one is proof: a replaced
// transport may not report at all.
func (c *connection) failure(op Op, err error) *Error {
	if c.wanted.Load() && !c.got.Load() {
		return &Error{Op: op, Reason: NotConnected, NotSent: true, cause: bare(err)}
	}
	return &Error{Op: op, Reason: Transport, cause: bare(err)}
}

// bare takes off the *url.Error, which quotes the URL.
func bare(err error) error {
	var wrapped *url.Error
	if errors.As(err, &wrapped) {
		return wrapped.Err
	}
	return err
}

// fitsHeader tells whether key can stand in a header: a key that cannot is a wrong one, and
// net/http would refuse it in a way that leaves open whether something was sent.
func fitsHeader(key string) bool {
	return key != "" && !strings.ContainsFunc(key, func(r rune) bool { return r <= ' ' || r > '~' })
}

// retryAfter reads the header in both its forms; what cannot be read is 0.
func retryAfter(header string) time.Duration {
	var wait time.Duration
	if seconds, err := strconv.ParseUint(header, 10, 31); err == nil {
		wait = time.Duration(seconds) * time.Second
	} else if at, err := http.ParseTime(header); err == nil {
		wait = time.Until(at)
	}
	return min(max(wait, 0), maxRetryAfter)
}
