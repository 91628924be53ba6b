// Package client calls the API as a user does. The demo, the verification of a
// stack and the tests share it.
package client

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"

	"github.com/preset/nanobanana-functions/shared/httpapi"
	"github.com/preset/nanobanana-functions/shared/media"
)

// Client is a signed-in user of the API.
type Client struct {
	Base  string // the API's address, without a slash at its end
	Token string
	HTTP  *http.Client
}

// maxAnswer is how many bytes of an answer of the API are read.
const maxAnswer = 1 << 20

// Call calls the API and returns the task it answers with. A POST is sent with
// key as its Idempotency-Key. An error begins with the answer's HTTP status, if
// there was an answer.
func (c Client) Call(ctx context.Context, method, path string, body any, key string) (t httpapi.Task, err error) {
	var content io.Reader
	if body != nil {
		b, err := json.Marshal(body)
		if err != nil {
			return t, err
		}
		content = bytes.NewReader(b)
	}
	r, err := http.NewRequestWithContext(ctx, method, c.Base+path, content)
	if err != nil {
		return t, err
	}
	if body != nil {
		r.Header.Set("Content-Type", "application/json")
		r.Header.Set("Idempotency-Key", key)
	}
	err = c.do(r, &t)
	return t, err
}

// Read reads path of the API into v, which is a pointer.
func (c Client) Read(ctx context.Context, path string, v any) error {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, c.Base+path, nil)
	if err != nil {
		return err
	}
	return c.do(r, v)
}

func (c Client) do(r *http.Request, v any) error {
	r.Header.Set("Authorization", "Bearer "+c.Token)
	answer, err := c.HTTP.Do(r)
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	b, err := io.ReadAll(io.LimitReader(answer.Body, maxAnswer))
	if err != nil {
		return err
	}
	if answer.StatusCode >= 300 {
		var p httpapi.Problem
		if json.Unmarshal(b, &p) != nil || p.Title == "" { // the gateway's own answers are no problems
			return errors.New(answer.Status)
		}
		return fmt.Errorf("%s: %s %s", answer.Status, p.Title, p.Hint)
	}
	return json.Unmarshal(b, v)
}

// Get reads what a link serves, without a token.
func (c Client) Get(ctx context.Context, link string) ([]byte, error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, link, nil)
	if err != nil {
		return nil, err
	}
	r.Header.Set("User-Agent", "nanobanana-demo")
	answer, err := c.HTTP.Do(r)
	if err != nil {
		return nil, err
	}
	defer answer.Body.Close()
	if answer.StatusCode != http.StatusOK {
		return nil, errors.New(answer.Status)
	}
	return io.ReadAll(io.LimitReader(answer.Body, media.MaxBytes+1))
}
