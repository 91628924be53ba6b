// Package webhook sends Preset a notice as a signed POST, in the form of Standard
// Webhooks (https://www.standardwebhooks.com). It sends each notice once; callers
// choose the body, and the id under which the receiver recognises a repeated notice.
package webhook

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"strconv"
	"time"

	"github.com/preset/nanobanana-functions/shared/config"
	"github.com/preset/nanobanana-functions/shared/outbound"
)

// postTimeout bounds a POST. A receiver that needs longer answers first and works then.
const postTimeout = 10 * time.Second

// Sender signs and sends notices.
type Sender struct {
	Secrets *config.Secrets // has the signing keys
	URL     string          // of the receiver; empty if there is none
	HTTP    *http.Client    // follows no redirect and has a Timeout
	Now     func() time.Time
}

// FromSettings returns a Sender for the settings. It uses client's transport, with a
// timeout of its own.
func FromSettings(c config.Settings, secrets *config.Secrets, client *http.Client) Sender {
	bounded := *client
	bounded.Timeout = postTimeout
	return Sender{Secrets: secrets, URL: c.NotifyURL, HTTP: &bounded, Now: time.Now}
}

// Send sends a JSON body once, and returns an error unless the receiver answers 2xx.
// The id has no dot and is the same at every try; the signed time is that of this
// try, since receivers refuse an old one. The error quotes neither a key nor the URL.
// It is ErrKeys if the notice could not be signed.
func (s Sender) Send(ctx context.Context, id string, body []byte) error {
	secret, err := s.Secrets.Current(ctx)
	if err != nil {
		return err
	}
	now := s.Now()
	signatures, err := sign(secret.NotifyKeys, id, now, body)
	if err != nil {
		return err
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, s.URL, bytes.NewReader(body))
	if err != nil {
		return outbound.WithoutURL(err)
	}
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("User-Agent", outbound.UserAgent)
	r.Header.Set("Webhook-Id", id)
	r.Header.Set("Webhook-Timestamp", strconv.FormatInt(now.Unix(), 10))
	r.Header.Set("Webhook-Signature", signatures)
	return s.post(r)
}

// post sends a request. Only the status of the response counts; its body is not read.
func (s Sender) post(r *http.Request) error {
	resp, err := s.HTTP.Do(r)
	if err != nil {
		return fmt.Errorf("the receiver of notices: %w", outbound.WithoutURL(err))
	}
	_ = resp.Body.Close()
	if resp.StatusCode < 200 || resp.StatusCode > 299 {
		return fmt.Errorf("the receiver of notices answered %d", resp.StatusCode)
	}
	return nil
}
