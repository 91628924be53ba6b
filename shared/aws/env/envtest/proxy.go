package envtest

import (
	"bytes"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strings"
	"sync"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
)

// Proxy is a proxy between one function and the stand-in of AWS. It records the
// function's calls and makes them fail where a test wants that.
type Proxy struct {
	URL string // the function's AWS_ENDPOINT_URL

	engine http.Handler

	mu            sync.Mutex // guards what follows
	calls         []string
	before, after func(call string) (status int)
	onWrite       func()
	throttled     func()
}

// NewProxy returns a proxy to the stand-in that c reaches. It is closed when the test ends.
func NewProxy(t testing.TB, c aws.Config) *Proxy {
	t.Helper()
	engine, err := url.Parse(aws.ToString(c.BaseEndpoint))
	if err != nil {
		t.Fatal(err)
	}
	forward := httputil.NewSingleHostReverseProxy(engine)
	forward.ErrorHandler = func(w http.ResponseWriter, _ *http.Request, _ error) { w.WriteHeader(http.StatusBadGateway) }
	p := &Proxy{engine: forward}
	server := httptest.NewServer(p)
	t.Cleanup(server.Close)
	p.URL = server.URL
	return p
}

// Fail makes calls fail with the status that before or after returns: before or
// after the call takes effect. 0 lets the call through; a nil function lets all
// through. The functions may also do something at that moment.
func (p *Proxy) Fail(before, after func(call string) (status int)) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.before, p.after = before, after
}

// Throttle makes writes to a table fail as DynamoDB throttles them, and calls f for
// each. Nil lets them through.
func (p *Proxy) Throttle(f func()) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.throttled = f
}

// throttledBody is how DynamoDB refuses what is too much for it.
const throttledBody = `{"__type":"com.amazonaws.dynamodb.v20120810#ThrottlingException","message":"Throughput exceeds the current capacity of your table or index."}`

// OnWrite makes the proxy call f after each write to a table.
func (p *Proxy) OnWrite(f func()) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.onWrite = f
}

// Take returns the calls since the last Take, by operation, such as PutItem, or by
// method for S3. The read of the pauses, which a start
// makes and which a process then makes in its own time, is Paused.
func (p *Proxy) Take() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	calls := p.calls
	p.calls = nil
	return calls
}

func (p *Proxy) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	call := r.Method
	if _, operation, ok := strings.Cut(r.Header.Get("X-Amz-Target"), "."); ok {
		call = operation
	}
	if call == "GetItem" {
		body, _ := io.ReadAll(r.Body) // a broken one does not reach the stand-in whole, which refuses it
		if bytes.Contains(body, []byte(`"PAUSE"`)) {
			call = "Paused"
		}
		r.Body = io.NopCloser(bytes.NewReader(body))
	}
	p.mu.Lock()
	p.calls = append(p.calls, call)
	before, after, onWrite, throttled := p.before, p.after, p.onWrite, p.throttled
	p.mu.Unlock()

	if Writes(call) && throttled != nil {
		throttled()
		w.Header().Set("Content-Type", "application/x-amz-json-1.0")
		w.WriteHeader(http.StatusBadRequest)
		_, _ = io.WriteString(w, throttledBody)
		return
	}

	if before != nil {
		if status := before(call); status != 0 {
			w.WriteHeader(status)
			return
		}
	}
	answer := httptest.NewRecorder()
	p.engine.ServeHTTP(answer, r)
	if Writes(call) && onWrite != nil {
		onWrite()
	}
	if after != nil {
		if status := after(call); status != 0 {
			w.WriteHeader(status)
			return
		}
	}
	for name, values := range answer.Header() {
		w.Header()[name] = values
	}
	w.WriteHeader(answer.Code)
	_, _ = w.Write(answer.Body.Bytes())
}

// Writes reports whether a call writes to a table.
func Writes(call string) bool {
	switch call {
	case "PutItem", "UpdateItem", "DeleteItem", "TransactWriteItems":
		return true
	}
	return false
}
