// Package nanobanana is the client of the NanoBanana API, and the only place where its wire
// formats live. It sends a request for pictures exactly once, reads records and the balance, and
// parses callbacks; it is strict in what it sends and tolerant in what it accepts.
package nanobanana

import (
	"cmp"
	"context"
	"errors"
	"log/slog"
	"net/http"
	"net/url"
	"strings"
	"sync/atomic"
	"time"
)

const (
	submitTimeout = 20 * time.Second
	readTimeout   = 10 * time.Second

	defaultRecordPath = "/nanobanana/record-info" // what works
	guideRecordPath   = "/nanobanana/record"      // what the guide says
)

// Client calls the NanoBanana API. Its fields are set before use; its methods may be used by many
// goroutines. Each takes the key, since it may have been rotated.
type Client struct {
	BaseURL    string       // such as https://api.nanobananaapi.ai; may already end in /api/v1
	RecordPath string       // empty means /nanobanana/record-info
	HTTP       *http.Client // required; from outbound.NewClient
	Log        *slog.Logger // gets a line for each call; nil: none

	otherRecordPath atomic.Bool // the path not configured is the one that answers
}

// Submit sends r once and returns the provider's task id. It takes at most 20 s. The caller may send
// again only after an error that is [Error.Certain]: after any other error the task may exist, be
// paid for and call back (docs/decisions/sent-once.md).
func (c *Client) Submit(ctx context.Context, key string, r Request) (taskID string, err error) {
	path, body, err := r.encode()
	if err != nil {
		return "", err
	}
	defer c.logCall(ctx, OpSubmit, time.Now(), &err)
	ctx, cancel := context.WithTimeout(ctx, submitTimeout)
	defer cancel()
	answer, err := c.call(ctx, OpSubmit, key, path, body)
	if err != nil {
		return "", err
	}
	return answer.submitted()
}

// Record returns the provider's record of a task. An answer that is not a record (404, 429 with
// RetryAfter, 5xx, no JSON) is an error and proves nothing about the task.
func (c *Client) Record(ctx context.Context, key, taskID string) (_ Record, err error) {
	defer c.logCall(ctx, OpRecord, time.Now(), &err)
	ctx, cancel := context.WithTimeout(ctx, readTimeout)
	defer cancel()
	query := "?taskId=" + url.QueryEscape(taskID)
	path, other := c.recordPaths()
	answer, err := c.call(ctx, OpRecord, key, path+query, nil)
	if err == nil && answer.noSuchPath() {
		// Only a record proves that the path exists: a gateway may refuse in the vendor's own
		// envelope before it looks at the path.
		if answer, err = c.call(ctx, OpRecord, key, other+query, nil); err == nil && answer.readable() {
			c.otherRecordPath.Store(other != c.configuredRecordPath())
		}
	}
	if err != nil {
		return Record{}, err
	}
	return answer.record(taskID, c.origin())
}

// Credits returns the account's balance, which may have a fraction.
func (c *Client) Credits(ctx context.Context, key string) (_ float64, err error) {
	defer c.logCall(ctx, OpCredits, time.Now(), &err)
	ctx, cancel := context.WithTimeout(ctx, readTimeout)
	defer cancel()
	answer, err := c.call(ctx, OpCredits, key, "/common/credit", nil)
	if err != nil {
		return 0, err
	}
	if credits, ok := answer.root.get("data").float(); ok && answer.ok() {
		return credits, nil
	}
	return 0, answer.err(OpCredits)
}

// EventCalled is the attribute "event" of the log line for each call of the provider.
const EventCalled = "provider_called"

// logCall logs a call that has ended with *err: how long it took; the code in the answer,
// or the HTTP status, 0 if there was no answer; and "ok" or the Reason of its error. The
// outcome is that of the call: a record that reports a failure is "ok".
func (c *Client) logCall(ctx context.Context, op Op, begun time.Time, err *error) {
	if c.Log == nil {
		return
	}
	code, outcome := http.StatusOK, "ok"
	if *err != nil {
		code, outcome = 0, string(Transport)
		if e, ok := errors.AsType[*Error](*err); ok {
			code, outcome = cmp.Or(e.Code, e.HTTPStatus), string(e.Reason)
		}
	}
	c.Log.InfoContext(ctx, "the provider was called", "event", EventCalled,
		"call", op, "ms", time.Since(begun).Milliseconds(), "providerCode", code, "outcome", outcome)
}

// recordPaths returns the path of records, and the one to try if that does not exist: the vendor's
// page and the guide disagree, and we could not ask the live API.
func (c *Client) recordPaths() (path, other string) {
	path = c.configuredRecordPath()
	other = guideRecordPath
	if path == guideRecordPath {
		other = defaultRecordPath
	}
	if c.otherRecordPath.Load() {
		return other, path
	}
	return path, other
}

func (c *Client) configuredRecordPath() string {
	if c.RecordPath == "" {
		return defaultRecordPath
	}
	return c.RecordPath
}

// url returns the URL of a path under /api/v1, which the base may already end in.
func (c *Client) url(path string) string {
	return strings.TrimSuffix(strings.TrimRight(c.BaseURL, "/"), "/api/v1") + "/api/v1" + path
}

// origin returns the base of the provider's relative links, or "".
func (c *Client) origin() string {
	u, err := url.Parse(c.BaseURL)
	if err != nil || u.Host == "" {
		return ""
	}
	return u.Scheme + "://" + u.Host
}
