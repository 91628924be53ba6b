// Package lambdatest is Lambda, API Gateway and DynamoDB's event source on
// loopback, in the style of net/http/httptest. It runs real bootstrap binaries as
// separate processes and speaks AWS's protocols with them.
package lambdatest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"sync"
	"time"
)

// Config describes a function on Lambda.
type Config struct {
	Name    string            // AWS_LAMBDA_FUNCTION_NAME
	Path    string            // of its bootstrap binary
	Env     map[string]string // all that it sees besides Lambda's own variables
	Timeout time.Duration     // of an invocation; 0 is Lambda's default, 3 s

	// If set, OnNext is called before a process gets an event that it asked for, and
	// OnAnswer when its answer has arrived.
	OnNext, OnAnswer func(*os.Process)
}

// Function is a function on Lambda. It has as many environments as there are
// concurrent invocations; each is a process that handles one invocation at a time
// and is frozen between them. It is safe for concurrent use.
type Function struct {
	config Config
	log    output

	mu     sync.Mutex // guards what follows
	live   map[*environment]bool
	idle   []*environment // among the live ones; the last was used last
	starts int
	closed bool
}

// NewFunction returns a function; nothing runs until it is invoked. The caller
// calls Close when finished.
func NewFunction(c Config) *Function {
	if c.Timeout <= 0 {
		c.Timeout = 3 * time.Second
	}
	return &Function{config: c, live: map[*environment]bool{}}
}

// Error is why an invocation failed.
type Error struct {
	Type    string // such as Runtime.ExitError, or the handler's own
	Message string
}

func (e *Error) Error() string { return e.Type + ": " + e.Message }

// errClosed is returned for invocations after Close.
var errClosed = errors.New("lambdatest: the function is closed")

// Invoke lets the function handle an event and returns its answer. The error is an
// *Error where Lambda would return one. As on Lambda, an invocation continues when
// the caller's ctx has ended.
func (f *Function) Invoke(ctx context.Context, event []byte) ([]byte, error) {
	type result struct {
		body []byte
		err  error
	}
	done := make(chan result, 1)
	go func() {
		e, err := f.take()
		if err != nil {
			done <- result{nil, err}
			return
		}
		body, err := e.invoke(event, f.config.Timeout)
		f.release(e)
		done <- result{body, err}
	}()
	select {
	case r := <-done:
		return r.body, r.err
	case <-ctx.Done():
		return nil, fmt.Errorf("lambdatest: waiting for %s: %w", f.config.Name, context.Cause(ctx))
	}
}

// take returns an idle environment, or a new one, which is a cold start.
func (f *Function) take() (*environment, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.closed {
		return nil, errClosed
	}
	for len(f.idle) > 0 {
		e := f.idle[len(f.idle)-1]
		f.idle = f.idle[:len(f.idle)-1]
		if !e.ended() {
			return e, nil
		}
	}
	e, err := start(f.config, &f.log)
	if err != nil {
		return nil, err
	}
	f.starts++
	f.live[e] = true
	go func() {
		<-e.exited
		f.mu.Lock()
		defer f.mu.Unlock()
		delete(f.live, e)
	}()
	return e, nil
}

func (f *Function) release(e *environment) {
	f.mu.Lock()
	defer f.mu.Unlock()
	switch {
	case e.outdated.Load():
		go e.kill()
	case !e.ended():
		f.idle = append(f.idle, e)
	}
}

// Kill ends every environment at once, as kill -9 does; running invocations fail,
// and the next one is a cold start. It returns when all have ended.
func (f *Function) Kill() {
	f.mu.Lock()
	var live []*environment
	for e := range f.live {
		live = append(live, e)
	}
	f.idle = nil
	f.mu.Unlock()
	for _, e := range live {
		e.kill()
	}
}

// Update replaces the function's binary, as an alias that moves to another version.
// Running invocations end with the old one; every later one is a start of the new.
func (f *Function) Update(path string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.config.Path = path
	for e := range f.live {
		e.outdated.Store(true)
	}
	for _, e := range f.idle {
		go e.kill()
	}
	f.idle = nil
}

// Close kills all environments; the function can no longer be invoked.
func (f *Function) Close() {
	f.mu.Lock()
	f.closed = true
	f.mu.Unlock()
	f.Kill()
}

// Starts returns the number of cold starts.
func (f *Function) Starts() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.starts
}

// Log returns everything that the function's processes printed.
func (f *Function) Log() string { return f.log.String() }

// output collects what processes print.
type output struct {
	mu   sync.Mutex // guards text
	text bytes.Buffer
}

func (o *output) Write(b []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.Write(b)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.String()
}
