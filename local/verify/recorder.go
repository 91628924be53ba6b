package verify

import (
	"encoding/json"
	"io"
	"net/http"
	"os"
	"strings"
	"sync"
	"time"
)

// exchange is a request to the provider and its answer.
type exchange struct {
	Method string
	Path   string // without the query
	Status int    // 0 if no answer came
	Took   time.Duration
	Body   []byte // as far as it was read
}

// recorder is an http.RoundTripper that keeps each exchange, and writes the answers
// to the transcript. It is for one request at a time.
type recorder struct {
	http.RoundTripper
	transcript *transcript
	exchanges  []*exchange
}

// RoundTrip implements http.RoundTripper.
func (t *recorder) RoundTrip(r *http.Request) (*http.Response, error) {
	e := &exchange{Method: r.Method, Path: r.URL.Path}
	t.exchanges = append(t.exchanges, e)
	started := time.Now()
	resp, err := t.RoundTripper.RoundTrip(r)
	e.Took = time.Since(started)
	if err != nil {
		return nil, err
	}
	e.Status = resp.StatusCode
	resp.Body = &recordedBody{ReadCloser: resp.Body, exchange: e, transcript: t.transcript, started: started}
	return resp, nil
}

// since returns the exchanges after the first n.
func (t *recorder) since(n int) []*exchange { return t.exchanges[n:] }

// recordedBody is an answer's body that fills in its exchange.
type recordedBody struct {
	io.ReadCloser
	exchange   *exchange
	transcript *transcript
	started    time.Time
}

func (b *recordedBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	b.exchange.Body = append(b.exchange.Body, p[:n]...)
	return n, err
}

func (b *recordedBody) Close() error {
	e := b.exchange
	e.Took = time.Since(b.started)
	b.transcript.write(map[string]any{"answer": e.Method + " " + e.Path, "status": e.Status, "ms": e.Took.Milliseconds(), "body": string(e.Body)})
	return b.ReadCloser.Close()
}

// transcript is the file that keeps the provider's answers and callbacks unchanged,
// so that the simulator's samples can be corrected.
type transcript struct {
	mu     sync.Mutex
	file   *os.File
	secret string // must not be in the file
}

func (n *transcript) write(line map[string]any) {
	line["at"] = time.Now().UTC()
	b, err := json.Marshal(line)
	if err != nil {
		return
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	_, _ = n.file.Write(append([]byte(redact(string(b), n.secret)), '\n')) // a missing line does not matter
}

// redact removes a secret from a text that came from outside.
func redact(text, secret string) string {
	if secret == "" {
		return text
	}
	return strings.ReplaceAll(text, secret, "[hidden]")
}
