package nanobanana

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/preset/nanobanana-functions/shared/outbound"
)

const (
	maxReply      = 1 << 20
	maxRetryAfter = 24 * time.Hour
)

// call makes one request, a POST if there is a body, and reads the answer. Its error is an *Error
// about the connection. The caller judges the content of the answer.
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
		return reply{}, &Error{Op: op, Reason: NotConnected, NotSent: true, cause: outbound.WithoutURL(err)}
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
		r.parseBody(raw, false)
		r.detail = "an answer over 1 MiB"
	default:
		r.parseBody(raw, err == nil)
	}
	return r, nil
}

// newRequest returns a request that net/http cannot send twice: to repeat a POST it would need
// GetBody, to rewind the body, or an Idempotency-Key header (docs/decisions/sent-once.md).
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
	req.Header.Set("User-Agent", outbound.UserAgent)
	if body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	return req, nil
}

// connection records whether a request asked for a connection, and whether it got one.
type connection struct{ wanted, got atomic.Bool }

func (c *connection) watch(ctx context.Context) context.Context {
	return httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{
		GetConn: func(string) { c.wanted.Store(true) },
		GotConn: func(httptrace.GotConnInfo) { c.got.Store(true) },
	})
}

// failure returns the error for a request that failed with err. The request certainly was not
// sent only if the transport reported that it wanted a connection and never reported that it got
// one: a replaced transport may report nothing at all.
func (c *connection) failure(op Op, err error) *Error {
	if c.wanted.Load() && !c.got.Load() {
		return &Error{Op: op, Reason: NotConnected, NotSent: true, cause: outbound.WithoutURL(err)}
	}
	return &Error{Op: op, Reason: Transport, cause: outbound.WithoutURL(err)}
}

// fitsHeader reports whether key is valid in a header. One that is not is a wrong key, and the
// error of net/http would leave open whether something was sent.
func fitsHeader(key string) bool {
	return key != "" && !strings.ContainsFunc(key, func(r rune) bool { return r <= ' ' || r > '~' })
}

// retryAfter parses both forms of the header. It returns 0 for an invalid one.
func retryAfter(header string) time.Duration {
	var wait time.Duration
	if seconds, err := strconv.ParseUint(header, 10, 31); err == nil {
		wait = time.Duration(seconds) * time.Second
	} else if at, err := http.ParseTime(header); err == nil {
		wait = time.Until(at)
	}
	return min(max(wait, 0), maxRetryAfter)
}
