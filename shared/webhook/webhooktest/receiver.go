// Package webhooktest has a receiver of webhooks for tests, and checks the signatures of
// what it received.
package webhooktest

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/preset/nanobanana-functions/shared/auth/token"
)

// Query is in the URL of a receiver. No log may contain it.
const Query = "hunter2hunter2"

// Delivery is a request that a receiver got.
type Delivery struct {
	Header http.Header
	Body   []byte
}

// ID returns the id of the message.
func (d Delivery) ID() string { return d.Header.Get("webhook-id") }

// SignedBy reports whether one of the signatures is by key. It follows the
// specification and does not use the library that signs.
func (d Delivery) SignedBy(key []byte) bool {
	mac := hmac.New(sha256.New, key)
	fmt.Fprintf(mac, "%s.%s.%s", d.ID(), d.Header.Get("webhook-timestamp"), d.Body)
	want := "v1," + base64.StdEncoding.EncodeToString(mac.Sum(nil))
	return slices.ContainsFunc(strings.Split(d.Header.Get("webhook-signature"), " "), func(got string) bool {
		return hmac.Equal([]byte(got), []byte(want))
	})
}

// NewKey returns a key, and the same key as it is in the secret.
func NewKey(letter string) ([]byte, token.Key) {
	key := []byte(strings.Repeat(letter, 36))
	return key, token.Key{ID: letter, Key: token.Hidden("whsec_" + base64.StdEncoding.EncodeToString(key))}
}

// FaultyKeys returns lists of keys that receivers' libraries would refuse, by what is
// wrong with them.
func FaultyKeys() map[string][]token.Key {
	short := base64.StdEncoding.EncodeToString([]byte(strings.Repeat("s", 23)))
	_, good := NewKey("g")
	return map[string][]token.Key{
		"none":               nil,
		"23 bytes":           {{ID: "s", Key: token.Hidden(short)}},
		"23 bytes, whsec_":   {{ID: "s", Key: token.Hidden("whsec_" + short)}},
		"the prefix alone":   {{ID: "s", Key: token.Hidden("whsec_whsec_whsec_whsec_whsec_")}},
		"not base64":         {{ID: "s", Key: "a passphrase of more than 24 bytes"}},
		"one good, one bad":  {good, {ID: "s", Key: token.Hidden(short)}},
		"base64url, not std": {{ID: "s", Key: token.Hidden("whsec_" + strings.Repeat("-_", 20))}},
	}
}

// Receiver is a receiver of webhooks, on loopback.
type Receiver struct {
	URL string

	mu     sync.Mutex // guards the fields below
	got    []Delivery
	answer http.HandlerFunc
}

// NewReceiver returns a receiver that answers 204 until the test ends. Any request but
// a POST of JSON to its URL fails the test.
func NewReceiver(t testing.TB) *Receiver {
	r := &Receiver{}
	server := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, request *http.Request) {
		body, _ := io.ReadAll(request.Body)
		if request.Method != http.MethodPost || request.URL.Path != "/hook" || request.URL.Query().Get("token") != Query || request.Header.Get("Content-Type") != "application/json" {
			t.Errorf("the receiver got %s %s with %v", request.Method, request.URL, request.Header)
		}
		r.receive(Delivery{request.Header, body})(rw, request)
	}))
	t.Cleanup(server.Close)
	r.URL = server.URL + "/hook?token=" + Query
	return r
}

func (r *Receiver) receive(d Delivery) http.HandlerFunc {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.got = append(r.got, d)
	if r.answer == nil {
		return Status(http.StatusNoContent)
	}
	return r.answer
}

// Answer sets how the receiver answers; nil stands for 204.
func (r *Receiver) Answer(answer http.HandlerFunc) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.answer = answer
}

// Take returns what the receiver got since the last call of Take.
func (r *Receiver) Take() []Delivery {
	r.mu.Lock()
	defer r.mu.Unlock()
	defer func() { r.got = nil }()
	return r.got
}

// Status returns a handler that answers with code and an empty body.
func Status(code int) http.HandlerFunc {
	return func(rw http.ResponseWriter, _ *http.Request) { rw.WriteHeader(code) }
}
