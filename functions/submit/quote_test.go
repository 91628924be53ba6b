package submit_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"reflect"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/preset/nanobanana-functions/functions/submit"
	"github.com/preset/nanobanana-functions/shared/httpapi"
	"github.com/preset/nanobanana-functions/shared/httpapi/httpapitest"
	"github.com/preset/nanobanana-functions/shared/lifecycle/lifecycletest"
	"github.com/preset/nanobanana-functions/shared/moderation"
	"github.com/preset/nanobanana-functions/shared/nanobanana/nanobananatest"
	"github.com/preset/nanobanana-functions/shared/task"
)

// quoteAnswer asks for a quote. It expects that nothing is written or sent to the
// provider, and that the log has the request's line alone.
func (h *harness) quoteAnswer(body string, header ...string) httpapitest.Answer {
	h.t.Helper()
	written := func() int { return h.Rows.Count("create") + h.Rows.Count("put") + h.Rows.Count("setBalance") }
	rows, writes, posts := h.countRows(), written(), h.Sim.Posts()
	h.Logged.Take()
	header = append([]string{"Authorization", "Bearer " + h.token, "Content-Type", "application/json"}, header...)
	got := h.contract.Do(h.t, httpapitest.NewRequest(h.t, http.MethodPost, h.Settings.PublicURL+"/v1/quotes", strings.NewReader(body), header...))
	if logged := h.Logged.TakeUncommon(); strings.Count(logged, "\n") != 1 || !strings.Contains(logged, `"route":"POST /v1/quotes"`) {
		h.t.Errorf("logged: %s", logged)
	}
	if n := written() - writes; n != 0 || h.countRows() != rows || h.Sim.Posts() != posts {
		h.t.Errorf("%d writes, %d rows, %d POSTs", n, h.countRows()-rows, h.Sim.Posts()-posts)
	}
	return got
}

func (h *harness) quote(body string, header ...string) (q submit.Quote) {
	h.t.Helper()
	h.quoteAnswer(body, header...).JSON(h.t, http.StatusOK, &q)
	return q
}

// codesOf returns the codes of the problems.
func codesOf(problems []httpapi.Problem) (codes []task.Code) {
	for _, p := range problems {
		codes = append(codes, p.Code)
	}
	return codes
}

// A quote of a good order has its price and what is left, and leaves its key unused.
func TestQuote(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	body := `{"prompt":"a","model":"nano-banana-2","resolution":"2K"}`
	q := h.quote(body, "Idempotency-Key", "k")
	midnight := time.Date(2026, 3, 15, 0, 0, 0, 0, time.UTC)
	if q.Estimate == nil || *q.Estimate != 12 || q.Left != nil || q.Quota != (httpapi.Quota{ResetsAt: midnight}) || q.Task != nil || len(q.Problems) > 0 {
		t.Errorf("without a quota: %+v", q)
	}
	h.Quota = 5
	first := h.accepted(body, "Idempotency-Key", "k")
	if q = h.quote(goodBody); q.Left == nil || *q.Left != 4 || q.Quota != (httpapi.Quota{Limit: 5, Used: 1, ResetsAt: midnight}) || *q.Estimate != 4 {
		t.Errorf("with a quota: %+v", q)
	}
	h.Quota = 0
	if again := h.accepted(body, "Idempotency-Key", "k"); again.ID != first.ID {
		t.Errorf("%s, then %s", first.ID, again.ID)
	}
}

// obstacles are what can speak against an order, in the order in which a submit is
// refused for them.
var obstacles = []struct {
	code task.Code
	set  func(h *harness, order map[string]any) (header []string)
}{
	{task.CodeIdempotencyKeyReused, func(h *harness, _ map[string]any) []string {
		h.accepted(`{"prompt":"another"}`, "Idempotency-Key", "k")
		return []string{"Idempotency-Key", "k"}
	}},
	{task.CodeInvalidRequest, func(_ *harness, order map[string]any) []string {
		order["aspectRatio"], order["target"] = "7:5", map[string]any{"kind": "X", "id": "1"}
		return nil
	}},
	{task.CodePromptRejected, func(h *harness, order map[string]any) []string {
		h.Filter = moderation.New([]string{"lighthouse"}, nil)
		order["prompt"] = "a lighthouse"
		return nil
	}},
	{task.CodePaused, func(h *harness, _ map[string]any) []string {
		h.Pause(h.t)
		return nil
	}},
	{task.CodeInvalidRequest, func(h *harness, order map[string]any) []string {
		order["imageUrls"] = []string{"upload:" + h.upload("ada", "image/jpeg", heic)}
		return nil
	}},
	{task.CodeInsufficientCredits, func(h *harness, _ map[string]any) []string {
		h.Sim.SetBalance(3.9)
		h.Clock.Add(time.Minute)
		return nil
	}},
	{task.CodeQuotaExceeded, func(h *harness, _ map[string]any) []string {
		h.Quota = 1
		h.accepted(`{"prompt":"the one of today"}`)
		return nil
	}},
}

// Whatever comes together: a quote finds all of it, and its first problem is what a
// submit answers. Without a problem the submit is accepted.
func TestQuoteAgreesWithSubmit(t *testing.T) {
	t.Parallel()
	for set := range 1 << len(obstacles) {
		t.Run(fmt.Sprintf("%07b", set), func(t *testing.T) {
			t.Parallel()
			h := newHarness(t)
			order := map[string]any{"prompt": "a"}
			var header []string
			var want []task.Code
			for _, i := range []int{0, 6, 1, 2, 3, 4, 5} { // first those that need another task
				if set&(1<<i) != 0 {
					header = append(header, obstacles[i].set(h, order)...)
				}
			}
			for i, o := range obstacles {
				if set&(1<<i) != 0 && !slices.Contains(want, o.code) {
					want = append(want, o.code)
				}
			}
			body, err := json.Marshal(order)
			if err != nil {
				t.Fatal(err)
			}
			q := h.quote(string(body), header...)
			if got := codesOf(q.Problems); !slices.Equal(got, want) {
				t.Fatalf("problems %v, want %v", got, want)
			}
			if len(want) == 0 {
				h.accepted(string(body), header...)
				return
			}
			first := q.Problems[0]
			p := h.refused(first.Status, first.Code, string(body), header...)
			for _, e := range p.Errors {
				if !slices.Contains(first.Errors, e) || !strings.Contains(first.Detail, e.Message) {
					t.Errorf("the quote lacks %+v: %+v", e, first)
				}
			}
			if p.Title != first.Title || p.Hint != first.Hint || p.Type != first.Type || first.RequestID == "" {
				t.Errorf("the quote has %+v, the submit %+v", first, p)
			}
		})
	}
}

// If the key has a task, the quote names it. The same order costs nothing more, whatever
// has changed since.
func TestQuoteOfUsedKey(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	h.Quota = 1
	x := h.accepted(goodBody, "Idempotency-Key", "k")
	h.Sim.SetBalance(0)
	h.Clock.Add(time.Minute)
	named := &submit.QuotedTask{ID: x.ID, Status: task.Generating}
	for _, same := range []string{goodBody, `{"prompt":" a lighthouse ","numImages":1}`} {
		if q := h.quote(same, "Idempotency-Key", "k"); !reflect.DeepEqual(q.Task, named) || len(q.Problems) > 0 || *q.Estimate != 4 || *q.Left != 0 {
			t.Errorf("%s: %+v", same, q)
		}
	}
	if q := h.quote(`{"prompt":"b","numImages":2}`, "Idempotency-Key", "k"); !reflect.DeepEqual(q.Task, named) || q.Problems[0].Code != task.CodeIdempotencyKeyReused || *q.Estimate != 8 {
		t.Errorf("another order: %+v", q)
	}
	if q := h.quote(goodBody, "Idempotency-Key", "other"); q.Task != nil {
		t.Errorf("another key: %+v", q)
	}
	h.token = h.identity.Token("bob")
	if q := h.quote(goodBody, "Idempotency-Key", "k"); q.Task != nil {
		t.Errorf("another owner: %+v", q)
	}
	h.token = h.identity.Token("ada")

	h.Sim.SetBalance(100)
	h.Quota = 0
	h.Sim.SetKnobs(func(k *nanobananatest.Knobs) {
		k.Submit = nanobananatest.Fault{Kind: nanobananatest.FaultStatus, Code: 429, Times: 1}
	})
	h.Clock.Add(time.Minute)
	row, err := h.Rows.Task(t.Context(), h.accepted(goodBody, "Idempotency-Key", "deleted").ID)
	if err != nil {
		t.Fatal(err)
	}
	h.delete(row)
	if q := h.quote(goodBody, "Idempotency-Key", "deleted"); q.Task != nil || !slices.Equal(codesOf(q.Problems), []task.Code{task.CodeIdempotencyKeyReused}) {
		t.Errorf("a deleted task: %+v", q)
	}
}

// What cannot be understood is refused, as an order is; what can be is quoted.
func TestQuoteOfOddBodies(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	for body, pointer := range map[string]string{``: "", `{`: "", `[]`: "", `{"prompt":"a","size":1}`: "/size", `{"prompt":null}`: "/prompt"} {
		var p httpapi.Problem
		h.quoteAnswer(body).JSON(t, http.StatusBadRequest, &p)
		if p.Code != task.CodeInvalidRequest || len(p.Errors) != 1 || p.Errors[0].Pointer != pointer {
			t.Errorf("%s: %+v", body, p)
		}
	}
	h.quoteAnswer(goodBody, "Content-Type", "text/plain").Problem(t, http.StatusUnsupportedMediaType, task.CodeUnsupportedMediaType)
	h.quoteAnswer(goodBody+strings.Repeat(" ", 256<<10)).Problem(t, http.StatusRequestEntityTooLarge, task.CodeBodyTooLarge)
	h.quoteAnswer(goodBody, "Authorization", "").Problem(t, http.StatusUnauthorized, task.CodeUnauthorized)
	h.quoteAnswer(goodBody, "Idempotency-Key", "a b").Problem(t, http.StatusBadRequest, task.CodeInvalidRequest)

	h.Quota = 3
	for body, test := range map[string]struct {
		pointers string
		priced   bool
	}{
		`{"prompt":"a","numImages":1.5}`:          {"/numImages", false},
		`{"prompt":["a"]}`:                        {"/prompt", false},
		`{}`:                                      {"/prompt", true},
		`{"prompt":"a","model":"nano-banana-9"}`:  {"/model", false},
		`{"prompt":"a","numImages":99}`:           {"/numImages", false},
		`{"prompt":"","imageUrls":["task:x/1"]}`:  {"/prompt /imageUrls/0", true},
		`{"prompt":"a","imageUrls":["blob:x/1"]}`: {"/imageUrls/0", true},
		`{"prompt":"a","resolution":"9K","imageUrls":["https://10.0.0.1/a.png"]}`: {"/resolution /imageUrls/0", false},
	} {
		q := h.quote(body)
		if len(q.Problems) != 1 || q.Problems[0].Status != 422 || q.Left == nil || *q.Left != 3 || (q.Estimate != nil) != test.priced {
			t.Fatalf("%s: %+v", body, q)
		}
		var got []string
		for _, e := range q.Problems[0].Errors {
			got = append(got, e.Pointer)
		}
		if joined := strings.Join(got, " "); joined != test.pointers {
			t.Errorf("%s: errors at %s, want %s", body, joined, test.pointers)
		}
	}
}

// A list of inputs that is too long is not read, however long.
func TestQuoteOfManyUploads(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	id := h.upload("ada", "image/png", pngOf(8))
	var reads atomic.Int32
	bucket := h.HTTP.Transport
	h.HTTP = &http.Client{Transport: roundTripper(func(r *http.Request) (*http.Response, error) {
		reads.Add(1)
		return bucket.RoundTrip(r)
	})}
	entries := make([]string, 5000)
	for i := range entries {
		entries[i] = fmt.Sprintf("upload:%s%04dp", id[:21], i)
	}
	if q := h.quote(edit(entries...)); len(q.Problems) != 1 || q.Problems[0].Errors[0].Code != "too_many" || reads.Load() != 0 || h.Rows.Count("tasks") != 0 {
		t.Errorf("%d reads: %+v", reads.Load(), q)
	}
	if q := h.quote(edit("upload:" + id)); len(q.Problems) != 0 || reads.Load() != 1 {
		t.Errorf("%d reads: %+v", reads.Load(), q)
	}
	if q := h.quote(edit(entries[0])); len(q.Problems) != 1 || q.Problems[0].Errors[0].Code != "not_found" {
		t.Errorf("an upload that does not exist: %+v", q)
	}
}

type roundTripper func(*http.Request) (*http.Response, error)

func (f roundTripper) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// The provider is asked for its balance as rarely as by submits.
func TestQuotesAskSeldom(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	for range 20 {
		h.quote(goodBody)
	}
	if n := h.Sim.CreditReads(); n != 1 {
		t.Errorf("20 quotes at once: %d requests", n)
	}
	h.accepted(goodBody)
	h.Clock.Add(29 * time.Second)
	if h.quote(goodBody); h.Sim.CreditReads() != 1 {
		t.Errorf("after a submit: %d requests", h.Sim.CreditReads())
	}
	h.Sim.SetKnobs(func(k *nanobananatest.Knobs) {
		k.Credit = nanobananatest.Fault{Kind: nanobananatest.FaultStatus, Code: 500}
	})
	h.Clock.Add(time.Hour)
	if q := h.quote(goodBody); len(q.Problems) > 0 {
		t.Errorf("a balance that cannot be read: %+v", q)
	}
}

// While something is down, a quote answers what a submit would: 503, or a problem that
// was found before.
func TestQuoteUnavailable(t *testing.T) {
	t.Parallel()
	down := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusInternalServerError) }))
	t.Cleanup(down.Close)
	for name, fail := range map[string]func(*harness){
		"the store":  func(h *harness) { h.Rows.Fail(lifecycletest.On("used", lifecycletest.ErrStore), nil) },
		"the row":    func(h *harness) { h.Rows.Fail(lifecycletest.On("task", lifecycletest.ErrStore), nil) },
		"the bucket": func(h *harness) { h.HTTP = clientOf(down) },
		"the key":    func(h *harness) { h.Secret.Set("", nil); h.Clock.Add(time.Hour) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := newHarness(t)
			h.Quota = 1
			id := h.upload("ada", "image/png", pngOf(8))
			fail(h)
			h.quoteAnswer(edit("upload:"+id), "Idempotency-Key", "k").Problem(t, http.StatusServiceUnavailable, task.CodeUnavailable)
			if name == "the bucket" || name == "the key" {
				body := strings.Replace(edit("upload:"+id), `"a"`, `""`, 1)
				if q := h.quote(body); !slices.Equal(codesOf(q.Problems), []task.Code{task.CodeInvalidRequest}) {
					t.Errorf("%+v", q)
				}
				h.refused(422, task.CodeInvalidRequest, body)
			}
		})
	}
}

// The quotes equal the contract's examples.
func TestQuoteExamples(t *testing.T) {
	t.Parallel()
	contract := httpapitest.Load(t)
	h := newHarness(t)
	photo := edit("upload:" + h.upload("ada", "image/jpeg", heic))
	h.Clock.Add(time.Date(2026, 11, 24, 1, 0, 0, 0, time.UTC).Sub(h.Now()))
	h.token = h.identity.Token("ada")
	h.Quota = 40
	for range 12 {
		h.accepted(goodBody)
	}
	check := func(name string, got submit.Quote) {
		t.Helper()
		var want submit.Quote
		if err := json.Unmarshal(contract.Example(t, name), &want); err != nil {
			t.Fatal(err)
		}
		for i := range got.Problems {
			got.Problems[i].RequestID = "JKJaXmPLvHcESHA="
		}
		if a, b := encode(t, got), encode(t, want); a != b {
			t.Errorf("%s:\nanswered %s\nexample  %s", name, a, b)
		}
	}
	check("quote", h.quote(goodBody))
	h.Sim.SetBalance(0)
	h.Clock.Add(time.Minute)
	check("quoteOfFaulty", h.quote(photo))
}

func encode(t *testing.T, v any) string {
	t.Helper()
	b, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}
