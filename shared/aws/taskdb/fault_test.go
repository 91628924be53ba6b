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

// wire is what lies between the store and DynamoDB. It counts requests, and
// lets a test have its way with the first of an operation.
type wire struct {
	mu     sync.Mutex
	counts map[string]int
	// spoil gives what becomes of the nth request, from 1, of an operation:
	// an answer instead, or none and lost: the answer is, not the request.
	spoil func(operation string, n int) (answer *http.Response, lost bool)
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
	if w.spoil != nil {
		answer, lost = w.spoil(operation, n)
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

// refuse is an error as DynamoDB says it.
func refuse(status int, code, more string) *http.Response {
	body := fmt.Sprintf(`{"__type":"com.amazonaws.dynamodb.v20120810#%s","message":"no"%s}`, code, more)
	return &http.Response{
		StatusCode: status, Header: http.Header{"Content-Type": {"application/x-amz-json-1.0"}},
		Body: io.NopCloser(bytes.NewReader([]byte(body))), ContentLength: int64(len(body)),
	}
}

// canceled is a cancelled transaction, a reason for each of its writes.
func canceled(reasons ...string) *http.Response {
	list := make([]string, len(reasons))
	for i, r := range reasons {
		list[i] = fmt.Sprintf(`{"Code":%q}`, r)
	}
	return refuse(400, "TransactionCanceledException", `,"CancellationReasons":[`+strings.Join(list, ",")+`]`)
}

func openFaulty(t *testing.T, spoil func(operation string, n int) (*http.Response, bool)) (*Store, *wire) {
	t.Helper()
	c := envtest.Config(t)
	table := taskdbtest.NewTable(t, c)
	w := &wire{counts: map[string]int{}, spoil: spoil}
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

// first spoils the first request of an operation.
func first(operation string, spoil func() (*http.Response, bool)) func(string, int) (*http.Response, bool) {
	return func(op string, n int) (*http.Response, bool) {
		if op == operation && n == 1 {
			return spoil()
		}
		return nil, false
	}
}

// An answer that is lost on its way is asked for again by the SDK: the write
// is found done, and is our own. What it counted counts once.
func TestLostAnswers(t *testing.T) {
	for _, counted := range []bool{false, true} {
		t.Run(fmt.Sprintf("quota %v", counted), func(t *testing.T) {
			t.Parallel()
			operation := "PutItem"
			if counted {
				operation = "TransactWriteItems"
			}
			s, w := openFaulty(t, nil)
			w.spoil = func(op string, n int) (*http.Response, bool) { return nil, op == operation && n%2 == 1 }
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

// A transaction that met another's is made again, up to eight times.
func TestContention(t *testing.T) {
	conflict := func(times int) func(string, int) (*http.Response, bool) {
		return func(op string, n int) (*http.Response, bool) {
			if op == "TransactWriteItems" && n <= times {
				return canceled("None", "TransactionConflict"), false
			}
			return nil, false
		}
	}
	t.Run("seven times, then it is written", func(t *testing.T) {
		t.Parallel()
		s, w := openFaulty(t, conflict(7))
		if _, err := s.Create(t.Context(), draft(true), 0); err != nil || w.counts["TransactWriteItems"] != 8 {
			t.Errorf("%v after %d requests", err, w.counts["TransactWriteItems"])
		}
	})
	t.Run("always: the store is busy", func(t *testing.T) {
		t.Parallel()
		s, w := openFaulty(t, conflict(1000))
		if _, err := s.Create(t.Context(), draft(true), 0); !errors.Is(err, task.ErrBusy) || w.counts["TransactWriteItems"] != 8 {
			t.Errorf("%v after %d requests, want ErrBusy after 8", err, w.counts["TransactWriteItems"])
		}
	})
	t.Run("of a single put too", func(t *testing.T) {
		t.Parallel()
		s, w := openFaulty(t, first("PutItem", func() (*http.Response, bool) {
			return refuse(400, "TransactionConflictException", ""), false
		}))
		if _, err := s.Create(t.Context(), draft(false), 0); err != nil || w.counts["PutItem"] != 2 {
			t.Errorf("%v after %d requests", err, w.counts["PutItem"])
		}
	})
	t.Run("nobody waits for what nobody wants", func(t *testing.T) {
		t.Parallel()
		s, _ := openFaulty(t, conflict(1000))
		ctx, cancel := context.WithTimeout(t.Context(), 30*time.Millisecond)
		defer cancel()
		if _, err := s.Create(ctx, draft(true), 0); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("got %v, want the deadline", err)
		}
	})
}

// Of a cancelled creation the row's own reason is judged before the quota's.
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

// A store that is away or throttles is tried again for a moment, then it is
// busy: nobody waits longer for it than that.
func TestAway(t *testing.T) {
	for name, fault := range map[string]func() *http.Response{
		"throttled":  func() *http.Response { return refuse(400, "ProvisionedThroughputExceededException", "") },
		"overloaded": func() *http.Response { return refuse(400, "ThrottlingException", "") },
		"broken":     func() *http.Response { return refuse(500, "InternalServerError", "") },
		"gone": func() *http.Response {
			return &http.Response{StatusCode: 503, Body: http.NoBody, Header: http.Header{}}
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for_ := func(times int) func(string, int) (*http.Response, bool) {
				return func(_ string, n int) (*http.Response, bool) {
					if n <= times {
						return fault(), false
					}
					return nil, false
				}
			}
			s, _ := openFaulty(t, for_(2))
			x, err := s.Create(t.Context(), draft(true), 2)
			if err != nil {
				t.Fatalf("twice: %v", err)
			}
			if _, err := s.Task(t.Context(), x.ID); err != nil {
				t.Errorf("twice: %v", err)
			}
			s, w := openFaulty(t, for_(1000))
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

// What a batch leaves unread is asked for again.
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
	w.spoil = first("BatchGetItem", unread)
	got, err := s.Tasks(t.Context(), []string{x.ID})
	if err != nil || len(got) != 1 || w.counts["BatchGetItem"] != 2 {
		t.Errorf("%d tasks, %v after %d requests", len(got), err, w.counts["BatchGetItem"])
	}
	w.spoil = func(string, int) (*http.Response, bool) { return unread() }
	if _, err := s.Tasks(t.Context(), []string{x.ID}); !errors.Is(err, task.ErrBusy) {
		t.Errorf("always: %v, want ErrBusy", err)
	}
}

// Rows that are done with go by DynamoDB's time to live, and only they.
func TestTimeToLive(t *testing.T) {
	s, _ := openFaulty(t, nil)
	x, err := s.Create(t.Context(), draft(true), 0)
	if err != nil {
		t.Fatal(err)
	}
	expires := func(id string) int64 {
		n, err := s.number(t.Context(), id, attrExpires)
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
	if got := expires(x.ID); got != 0 {
		t.Errorf("a task that runs goes at %d", got)
	}
	if got, want := expires(quotaID("ada", "2026-03-14")), time.Date(2026, 3, 22, 0, 0, 0, 0, time.UTC).Unix(); got != want {
		t.Errorf("the day's quota goes at %d, want %d", got, want)
	}
	failed, err := task.Update(t.Context(), s, x, refused)
	if err != nil {
		t.Fatal(err)
	}
	if got, want := expires(x.ID), failed.EndedAt.Add(400*24*time.Hour).Unix(); got != want {
		t.Errorf("a failed task goes at %d, want %d", got, want)
	}
}
