package taskdb

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/preset/nanobanana-functions/shared/aws/env/envtest"
	"github.com/preset/nanobanana-functions/shared/aws/taskdb/taskdbtest"
	"github.com/preset/nanobanana-functions/shared/task"
)

// wire is the connection between the store and DynamoDB. It counts requests and
// lets a test make them fail.
type wire struct {
	mu     sync.Mutex
	counts map[string]int
	// fault decides about the nth request, from 1, of an operation: if answer is
	// set, it is returned instead; if lost, the request is sent but its answer lost.
	fault func(operation string, n int) (answer *http.Response, lost bool)
}

var errLost = errors.New("connection reset by peer")

func (w *wire) Do(r *http.Request) (*http.Response, error) {
	_, operation, _ := strings.Cut(r.Header.Get("X-Amz-Target"), ".")
	w.mu.Lock()
	w.counts[operation]++
	n := w.counts[operation]
	w.mu.Unlock()
	var answer *http.Response
	var lost bool
	if w.fault != nil {
		answer, lost = w.fault(operation, n)
	}
	if answer != nil {
		answer.Request = r
		return answer, nil
	}
	resp, err := http.DefaultTransport.RoundTrip(r)
	if err == nil && lost {
		_ = resp.Body.Close()
		return nil, errLost
	}
	return resp, err
}

// refuse returns an error in DynamoDB's form.
func refuse(status int, code, more string) *http.Response {
	body := fmt.Sprintf(`{"__type":"com.amazonaws.dynamodb.v20120810#%s","message":"no"%s}`, code, more)
	return &http.Response{
		StatusCode: status, Header: http.Header{"Content-Type": {"application/x-amz-json-1.0"}},
		Body: io.NopCloser(bytes.NewReader([]byte(body))), ContentLength: int64(len(body)),
	}
}

// canceled returns a cancelled transaction, with one reason for each write.
func canceled(reasons ...string) *http.Response {
	list := make([]string, len(reasons))
	for i, r := range reasons {
		list[i] = fmt.Sprintf(`{"Code":%q}`, r)
	}
	return refuse(400, "TransactionCanceledException", `,"CancellationReasons":[`+strings.Join(list, ",")+`]`)
}

func openFaulty(t *testing.T, fault func(operation string, n int) (*http.Response, bool)) (*Store, *wire) {
	t.Helper()
	c := envtest.Config(t)
	table := taskdbtest.NewTable(t, c)
	w := &wire{counts: map[string]int{}, fault: fault}
	c.HTTPClient = w
	return New(c, table), w
}

var start = time.Date(2026, 3, 14, 12, 0, 0, 0, time.UTC)

func draft(counted bool) *task.Task {
	return task.New(task.Draft{Owner: "ada", CountQuota: counted, Request: task.Request{
		Prompt: "a lighthouse", NumImages: 2, Model: task.DefaultModel, Target: &task.Target{Kind: "moodboard", ID: "42"},
	}}, start)
}

func refused(x *task.Task) error {
	return x.Refused(task.DefaultRules(), start.Add(time.Second), 1, task.Refusal{Code: task.CodeProviderRejected})
}

// first applies fault to the first request of an operation.
func first(operation string, fault func() (*http.Response, bool)) func(string, int) (*http.Response, bool) {
	return func(op string, n int) (*http.Response, bool) {
		if op == operation && n == 1 {
			return fault()
		}
		return nil, false
	}
}

// After a lost answer the SDK repeats the request and the store recognizes its own
// write. The quota is counted once.
func TestLostAnswers(t *testing.T) {
	for _, counted := range []bool{false, true} {
		t.Run(fmt.Sprintf("quota %v", counted), func(t *testing.T) {
			t.Parallel()
			operation := "PutItem"
			if counted {
				operation = "TransactWriteItems"
			}
			s, w := openFaulty(t, nil)
			w.fault = func(op string, n int) (*http.Response, bool) { return nil, op == operation && n%2 == 1 }
			x, err := s.Create(t.Context(), draft(counted), 2)
			if err != nil {
				t.Fatalf("create: %v", err)
			}
			if _, err := task.Update(t.Context(), s, x, refused); err != nil {
				t.Fatalf("put: %v", err)
			}
			got, err := s.Task(t.Context(), x.ID)
			if err != nil || got.Version != 2 || got.Status != task.Failed {
				t.Errorf("row: %+v, %v", got, err)
			}
			if used, err := s.UsedImages(t.Context(), "ada", task.Day(start)); used != 0 || err != nil {
				t.Errorf("used: %d, %v", used, err)
			}
			if n := w.counts[operation]; n != 4 {
				t.Errorf("%d requests, want each twice", n)
			}
		})
	}
}

// A transaction that conflicts with another is tried up to eight times.
func TestContention(t *testing.T) {
	conflict := func(times int) func(string, int) (*http.Response, bool) {
		return func(op string, n int) (*http.Response, bool) {
			if op == "TransactWriteItems" && n <= times {
				return canceled("None", "TransactionConflict"), false
			}
			return nil, false
		}
	}
	t.Run("seven conflicts, then it is written", func(t *testing.T) {
		t.Parallel()
		s, w := openFaulty(t, conflict(7))
		if _, err := s.Create(t.Context(), draft(true), 0); err != nil || w.counts["TransactWriteItems"] != 8 {
			t.Errorf("%v after %d requests", err, w.counts["TransactWriteItems"])
		}
	})
	t.Run("always in conflict: the store is busy", func(t *testing.T) {
		t.Parallel()
		s, w := openFaulty(t, conflict(1000))
		if _, err := s.Create(t.Context(), draft(true), 0); !errors.Is(err, task.ErrBusy) || w.counts["TransactWriteItems"] != 8 {
			t.Errorf("%v after %d requests, want ErrBusy after 8", err, w.counts["TransactWriteItems"])
		}
	})
	t.Run("a single put is tried again too", func(t *testing.T) {
		t.Parallel()
		s, w := openFaulty(t, first("PutItem", func() (*http.Response, bool) {
			return refuse(400, "TransactionConflictException", ""), false
		}))
		if _, err := s.Create(t.Context(), draft(false), 0); err != nil || w.counts["PutItem"] != 2 {
			t.Errorf("%v after %d requests", err, w.counts["PutItem"])
		}
	})
	t.Run("the wait ends with the context", func(t *testing.T) {
		t.Parallel()
		s, _ := openFaulty(t, conflict(1000))
		ctx, cancel := context.WithTimeout(t.Context(), 30*time.Millisecond)
		defer cancel()
		if _, err := s.Create(ctx, draft(true), 0); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("got %v, want the deadline", err)
		}
	})
}

// In a cancelled creation the row's reason decides before the quota's.
func TestReasons(t *testing.T) {
	for _, test := range []struct {
		reasons []string
		want    error
		tries   int
	}{
		{[]string{"None", "ConditionalCheckFailed"}, task.ErrQuota, 1},
		{[]string{"TransactionConflict", "ConditionalCheckFailed"}, nil, 2},
		{[]string{"ThrottlingError", "None"}, nil, 2},
		{[]string{"None", "ProvisionedThroughputExceeded"}, nil, 2},
	} {
		t.Run(strings.Join(test.reasons, " "), func(t *testing.T) {
			t.Parallel()
			s, w := openFaulty(t, first("TransactWriteItems", func() (*http.Response, bool) { return canceled(test.reasons...), false }))
			_, err := s.Create(t.Context(), draft(true), 2)
			if !errors.Is(err, test.want) || w.counts["TransactWriteItems"] != test.tries {
				t.Errorf("%v after %d requests, want %v after %d", err, w.counts["TransactWriteItems"], test.want, test.tries)
			}
		})
	}
}

// A store that is unavailable or throttles is tried again briefly, then the error
// is ErrBusy.
func TestUnavailable(t *testing.T) {
	for name, answer := range map[string]func() *http.Response{
		"throttled":  func() *http.Response { return refuse(400, "ProvisionedThroughputExceededException", "") },
		"overloaded": func() *http.Response { return refuse(400, "ThrottlingException", "") },
		"broken":     func() *http.Response { return refuse(500, "InternalServerError", "") },
		"gone": func() *http.Response {
			return &http.Response{StatusCode: 503, Body: http.NoBody, Header: http.Header{}}
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			failing := func(times int) func(string, int) (*http.Response, bool) {
				return func(_ string, n int) (*http.Response, bool) {
					if n <= times {
						return answer(), false
					}
					return nil, false
				}
			}
			s, _ := openFaulty(t, failing(2))
			x, err := s.Create(t.Context(), draft(true), 2)
			if err != nil {
				t.Fatalf("twice: %v", err)
			}
			if _, err := s.Task(t.Context(), x.ID); err != nil {
				t.Errorf("twice: %v", err)
			}
			s, w := openFaulty(t, failing(1000))
			begun := time.Now()
			_, err = s.Create(t.Context(), draft(true), 2)
			if !errors.Is(err, task.ErrBusy) || w.counts["TransactWriteItems"] > 4 {
				t.Errorf("always: %v after %d requests, want ErrBusy after 4", err, w.counts["TransactWriteItems"])
			}
			if _, err := s.Task(t.Context(), x.ID); !errors.Is(err, task.ErrBusy) {
				t.Errorf("always: a read: %v, want ErrBusy", err)
			}
			t.Logf("given up after %v", time.Since(begun))
		})
	}
}

// The unread part of a batch is requested again.
func TestUnprocessed(t *testing.T) {
	s, w := openFaulty(t, nil)
	x, err := s.Create(t.Context(), draft(false), 0)
	if err != nil {
		t.Fatal(err)
	}
	unread := func() (*http.Response, bool) {
		body := fmt.Sprintf(`{"Responses":{},"UnprocessedKeys":{%q:{"Keys":[{"id":{"S":%q}}],"ConsistentRead":true}}}`, *s.table, x.ID)
		return &http.Response{StatusCode: 200, Header: http.Header{}, Body: io.NopCloser(strings.NewReader(body))}, false
	}
	w.fault = first("BatchGetItem", unread)
	got, err := s.Tasks(t.Context(), []string{x.ID})
	if err != nil || len(got) != 1 || w.counts["BatchGetItem"] != 2 {
		t.Errorf("%d tasks, %v after %d requests", len(got), err, w.counts["BatchGetItem"])
	}
	w.fault = func(string, int) (*http.Response, bool) { return unread() }
	if _, err := s.Tasks(t.Context(), []string{x.ID}); !errors.Is(err, task.ErrBusy) {
		t.Errorf("always: %v, want ErrBusy", err)
	}
}

// DynamoDB's time to live deletes failed tasks and old quotas, and nothing else.
func TestTimeToLive(t *testing.T) {
	s, _ := openFaulty(t, nil)
	x, err := s.Create(t.Context(), draft(true), 0)
	if err != nil {
		t.Fatal(err)
	}
	expires := func(id string) int64 {
		n, err := s.readNumber(t.Context(), id, attrExpires)
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
	if got := expires(x.ID); got != 0 {
		t.Errorf("an unfinished task expires at %d", got)
	}
	if got, want := expires(quotaID("ada", "2026-03-14")), time.Date(2026, 3, 22, 0, 0, 0, 0, time.UTC).Unix(); got != want {
		t.Errorf("the day's quota expires at %d, want %d", got, want)
	}
	failed, err := task.Update(t.Context(), s, x, refused)
	if err != nil {
		t.Fatal(err)
	}
	if got, want := expires(x.ID), failed.EndedAt.Add(400*24*time.Hour).Unix(); got != want {
		t.Errorf("a failed task expires at %d, want %d", got, want)
	}
}
