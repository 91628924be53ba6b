package lambdatest_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-lambda-go/events"
	"github.com/aws/aws-lambda-go/lambda"

	"github.com/preset/nanobanana-functions/functions/deployed/lambdatest"
)

// TestMain runs this program as a function if it is started as one.
func TestMain(m *testing.M) {
	switch os.Getenv("FUNCTION") {
	case "":
		os.Exit(m.Run())
	case "echo":
		lambda.Start(func(_ context.Context, e events.APIGatewayV2HTTPRequest) (events.APIGatewayV2HTTPResponse, error) {
			seen, err := json.Marshal(e)
			return events.APIGatewayV2HTTPResponse{
				StatusCode: http.StatusTeapot, Headers: map[string]string{"Content-Type": "application/json"},
				Cookies: []string{"a=1", "b=2"}, Body: string(seen),
			}, err
		})
	case "word":
		lambda.Start(act)
	}
	fmt.Println("cannot start")
	os.Exit(1)
}

// act does what its event says.
func act(ctx context.Context, what string) (string, error) {
	switch what {
	case "fail":
		return "", errors.New("as asked")
	case "hang":
		<-make(chan struct{})
	case "exit":
		os.Exit(3)
	case "environment":
		return strings.Join(os.Environ(), "\n"), nil
	case "deadline":
		deadline, _ := ctx.Deadline()
		return time.Until(deadline).String(), nil
	}
	return what + " " + fmt.Sprint(os.Getpid()), nil
}

// longTimeout is more than any invocation needs that shall not time out.
const longTimeout = time.Minute

func newFunction(t *testing.T, kind string) *lambdatest.Function {
	t.Helper()
	return newFunctionWithin(t, kind, longTimeout)
}

func newFunctionWithin(t *testing.T, kind string, timeout time.Duration) *lambdatest.Function {
	t.Helper()
	f := lambdatest.NewFunction(lambdatest.Config{
		Name: "test", Path: os.Args[0], Env: map[string]string{"FUNCTION": kind, "GORACE": "atexit_sleep_ms=0"}, Timeout: timeout,
	})
	t.Cleanup(f.Close)
	return f
}

func invoke(t *testing.T, f *lambdatest.Function, what string) (string, *lambdatest.Error) {
	t.Helper()
	event, _ := json.Marshal(what)
	b, err := f.Invoke(t.Context(), event)
	if err == nil {
		var said string
		if err := json.Unmarshal(b, &said); err != nil {
			t.Fatal(err)
		}
		return said, nil
	}
	e, ok := errors.AsType[*lambdatest.Error](err)
	if !ok {
		t.Fatal(err)
	}
	return "", e
}

func TestFunction(t *testing.T) {
	t.Setenv("OUTSIDE", "seen")
	f := newFunction(t, "word")
	first, _ := invoke(t, f, "a")
	if again, _ := invoke(t, f, "a"); again != first || f.Starts() != 1 {
		t.Errorf("%q and then %q: the process is not warm", first, again)
	}
	if env, _ := invoke(t, f, "environment"); strings.Contains(env, "OUTSIDE") || !strings.Contains(env, "AWS_LAMBDA_FUNCTION_NAME=test") {
		t.Errorf("it sees %s", env)
	}
	left, _ := invoke(t, f, "deadline")
	if d, err := time.ParseDuration(left); err != nil || d > longTimeout || d < longTimeout/2 {
		t.Errorf("it has %s left, %v", left, err)
	}
	if _, err := invoke(t, f, "fail"); err == nil || err.Message != "as asked" || f.Starts() != 1 {
		t.Errorf("failed with %v, %d processes", err, f.Starts())
	}
	if _, err := invoke(t, f, "exit"); err == nil || err.Type != "Runtime.ExitError" || err.Message != "exit status 3" {
		t.Errorf("ended with %v", err)
	}
	if again, err := invoke(t, f, "a"); err != nil || again == first || f.Starts() != 2 {
		t.Errorf("after it ended: %q, %v, %d processes", again, err, f.Starts())
	}
	hurried := newFunctionWithin(t, "word", 100*time.Millisecond)
	for n := range 2 { // one that ran out of time is gone
		if _, err := invoke(t, hurried, "hang"); err == nil || err.Type != "Sandbox.Timedout" || hurried.Starts() != n+1 {
			t.Errorf("timed out with %v, %d processes", err, hurried.Starts())
		}
	}
	if _, err := invoke(t, newFunction(t, "none"), "a"); err == nil || err.Message != "exit status 1" {
		t.Errorf("a cold start that stops: %v", err)
	}
}

// After an update every invocation is by a process of the new binary.
func TestUpdate(t *testing.T) {
	f := newFunction(t, "word")
	first, _ := invoke(t, f, "a")
	f.Update("/nowhere/bootstrap")
	if _, err := f.Invoke(t.Context(), []byte(`"a"`)); err == nil || !strings.Contains(err.Error(), "/nowhere/bootstrap") {
		t.Errorf("with a binary that does not exist: %v", err)
	}
	f.Update(os.Args[0])
	second, _ := invoke(t, f, "a")
	if again, _ := invoke(t, f, "a"); second == first || again != second || f.Starts() != 2 {
		t.Errorf("%q, then %q, then %q, %d processes", first, second, again, f.Starts())
	}
}

// Kill ends running and idle processes; the next invocation is a cold start.
func TestKill(t *testing.T) {
	f := newFunction(t, "word")
	ended := make(chan error, 1)
	go func() {
		_, err := f.Invoke(t.Context(), []byte(`"hang"`))
		ended <- err
	}()
	for f.Starts() == 0 {
		time.Sleep(time.Millisecond)
	}
	f.Kill()
	if err := <-ended; err == nil || !strings.Contains(err.Error(), "killed") {
		t.Errorf("the invocation ended with %v", err)
	}
	first, _ := invoke(t, f, "a")
	f.Kill()
	if second, _ := invoke(t, f, "a"); second == first || f.Starts() != 3 {
		t.Errorf("%q and then %q, %d processes", first, second, f.Starts())
	}
	f.Close()
	if _, err := f.Invoke(t.Context(), []byte(`"a"`)); err == nil {
		t.Error("a closed function answers")
	}
}

// A function gets payload format 2.0, and its answer becomes the response.
func TestGateway(t *testing.T) {
	g := lambdatest.NewGateway()
	g.Handle("POST /v1/things/{id}", newFunction(t, "echo"))
	r := httptest.NewRequest(http.MethodPost, "http://localhost:8080/v1/things/a%20b?x=1&y=2&x=3", strings.NewReader("\xff\x00"))
	r.Header.Add("X-Two", "1")
	r.Header.Add("X-Two", "2")
	r.Header.Set("Cookie", "a=1; b=2")
	r.Header.Set("Content-Type", "image/png")
	w := httptest.NewRecorder()
	g.ServeHTTP(w, r)
	var e events.APIGatewayV2HTTPRequest
	if err := json.Unmarshal(w.Body.Bytes(), &e); err != nil || w.Code != http.StatusTeapot || len(w.Result().Cookies()) != 2 {
		t.Fatalf("%v, answered %d %v %s", err, w.Code, w.Header(), w.Body)
	}
	for _, x := range []struct{ name, got, want string }{
		{"version", e.Version, "2.0"}, {"route", e.RouteKey, "POST /v1/things/{id}"}, {"path", e.RawPath, "/v1/things/a b"},
		{"query", e.RawQueryString, "x=1&y=2&x=3"}, {"query x", e.QueryStringParameters["x"], "1,3"}, {"header", e.Headers["x-two"], "1,2"},
		{"cookie header", e.Headers["cookie"], ""}, {"cookies", strings.Join(e.Cookies, "|"), "a=1|b=2"}, {"parameter", e.PathParameters["id"], "a b"},
		{"body", e.Body, "/wA="}, {"method", e.RequestContext.HTTP.Method, "POST"}, {"host", e.RequestContext.DomainName, "localhost:8080"},
		{"source", e.RequestContext.HTTP.SourceIP, "192.0.2.1"},
	} {
		if x.got != x.want {
			t.Errorf("%s is %q, want %q", x.name, x.got, x.want)
		}
	}
	for _, x := range []struct {
		name, method, host string
		status             int
		message            string
	}{
		{"another method", http.MethodGet, "localhost:8080", http.StatusNotFound, "Not Found"},
		{"another name", http.MethodPost, "evil.example", http.StatusForbidden, "Forbidden"},
		{"one that begins like ours", http.MethodPost, "127.0.0.1.evil.example", http.StatusForbidden, "Forbidden"},
	} {
		w := httptest.NewRecorder()
		g.ServeHTTP(w, httptest.NewRequest(x.method, "http://"+x.host+"/v1/things/a", nil))
		if w.Code != x.status || strings.TrimSpace(w.Body.String()) != `{"message":"`+x.message+`"}` {
			t.Errorf("%s: %d %s", x.name, w.Code, w.Body)
		}
	}
}
