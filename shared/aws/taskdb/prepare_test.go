package taskdb

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"

	"github.com/preset/nanobanana-functions/shared/task"
)

// The first request uses the connection that Prepare opened. Package http gives up a
// connection whose own goroutine has not run for 50 ms, so one of ten tries suffices.
func TestPrepareOpensTheConnection(t *testing.T) {
	for range 10 {
		if connectionsOfPrepared(t) == 1 {
			return
		}
	}
	t.Error("the first request never used the connection that Prepare opened")
}

// connectionsOfPrepared returns how many connections Prepare and one request open.
func connectionsOfPrepared(t *testing.T) int32 {
	var opened atomic.Int32
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/x-amz-json-1.0")
		_, _ = io.WriteString(w, "{}")
	}))
	server.Config.ConnState = func(_ net.Conn, state http.ConnState) {
		if state == http.StateNew {
			opened.Add(1)
		}
	}
	server.Start()
	defer server.Close()
	for name, value := range map[string]string{
		"AWS_REGION": "eu-central-1", "AWS_ACCESS_KEY_ID": "id", "AWS_SECRET_ACCESS_KEY": "secret", "AWS_ENDPOINT_URL": server.URL,
	} {
		t.Setenv(name, value)
	}
	s := Open("table")
	if opened.Load() != 0 {
		t.Error("Open connects")
	}
	if err := s.Prepare(t.Context()); err != nil || opened.Load() != 1 {
		t.Fatalf("Prepare: %v, %d connections", err, opened.Load())
	}
	if _, err := s.Task(t.Context(), "x"); !errors.Is(err, task.ErrNotFound) {
		t.Errorf("Task: %v", err)
	}
	return opened.Load()
}

// silent never answers.
type silent struct{}

func (silent) Do(r *http.Request) (*http.Response, error) {
	<-r.Context().Done()
	return nil, r.Context().Err()
}

// Prepare ends with its context, though DynamoDB hangs.
func TestPrepareIsCancelled(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := aws.Config{Region: "eu-central-1", HTTPClient: silent{}, Credentials: aws.AnonymousCredentials{}}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		start := time.Now()
		if err := New(c, "table").Prepare(ctx); err == nil || time.Since(start) != time.Second {
			t.Errorf("Prepare: %v after %v", err, time.Since(start))
		}
	})
}
