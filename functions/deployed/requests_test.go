package deployed_test

import (
	"image/color"
	"net/http"
	"slices"
	"testing"
	"time"

	"github.com/preset/nanobanana-functions/functions/submit"
	"github.com/preset/nanobanana-functions/shared/aws/taskdb"
	"github.com/preset/nanobanana-functions/shared/nanobanana/nanobananatest"
	"github.com/preset/nanobanana-functions/shared/task"
)

// checkRequests fails the test unless these are all requests that a function
// made of DynamoDB and S3 since the last check, besides what its start reads and
// the pauses, which a process reads again when its copy is 10 s old.
func (h *harness) checkRequests(name string, want ...string) {
	h.t.Helper()
	got := slices.DeleteFunc(h.proxy[name].Take(), func(call string) bool { return call == "GetSecretValue" || call == "Paused" })
	if !slices.Equal(got, want) {
		h.t.Errorf("%s made the requests %v, want %v", name, got, want)
	}
}

// If all is well a task costs 7 requests of DynamoDB and 2 of S3, unless it is
// one whose timing is stored.
func TestRequests(t *testing.T) {
	t.Parallel()
	h := newHarness(t, nil, func(k *nanobananatest.Knobs) { k.Delay = nanobananatest.Duration(500 * time.Millisecond) })
	const untimed = "a" // the key of a task whose timing is not kept
	x := h.submit("ada", map[string]any{"prompt": "a lighthouse"}, untimed)
	h.checkRequests("submit", "PutItem", "PutItem")
	made := h.awaitOrder(0)
	h.checkRequests("callback", "GetItem", "PutItem", "PutItem")
	h.awaitEnd("ada", x.ID)
	h.checkRequests("ingest", "GetItem", "PUT", "PUT", "PutItem")

	h.callBack(made, http.StatusOK)
	h.checkRequests("callback", "GetItem")
	link := h.forgedCallbackURL(made)
	if a := h.call("", http.MethodPost, link, map[string]int{"code": 200}); a.status != http.StatusNotFound {
		t.Errorf("a forged callback: %d", a.status)
	}
	h.checkRequests("callback")
	h.sweep()
	h.checkRequests("sweep", "Query")
	h.checkRequests("ingest")

	h.proxy["tasks"].Take()
	got := h.awaitEnd("ada", x.ID)
	h.checkRequests("tasks", "GetItem")
	if a := h.call("", http.MethodGet, got.Images[0].URL, nil); a.status != http.StatusFound {
		t.Errorf("the picture's link: %d", a.status)
	}
	h.checkRequests("images")
	h.submit("ada", map[string]any{"prompt": "a lighthouse"}, untimed)
	h.checkRequests("submit", "PutItem") // refused: the answer contains the existing row
}

// One of four tasks is timed, which costs one more request. Showing a running
// task reads the timings once a minute.
func TestRequestsOfProgress(t *testing.T) {
	t.Parallel()
	h := newHarness(t, nil, func(k *nanobananatest.Knobs) { k.Delay = nanobananatest.Duration(5 * time.Second) })
	const timed = "c" // the key of one
	x := h.submit("ada", map[string]any{"prompt": "a lighthouse"}, timed)
	h.call("ada", http.MethodGet, "/v1/tasks/"+x.ID, nil)
	h.checkRequests("tasks", "GetItem", "GetItem")
	h.call("ada", http.MethodGet, "/v1/tasks/"+x.ID, nil)
	h.checkRequests("tasks", "GetItem")
	h.awaitOrder(0)
	h.awaitEnd("ada", x.ID)
	end := h.row(x.ID)
	timing, ok := end.Timing()
	if !ok {
		t.Fatal("the task is not timed")
	}
	eventually(t, "its timing is not stored", func() bool {
		timings, err := taskdb.New(h.aws, h.table).Timings(t.Context())
		return err == nil && slices.Equal(timings[timing.Kind], []int{timing.Seconds})
	})
	h.checkRequests("ingest", "GetItem", "PUT", "PUT", "PutItem", "UpdateItem")
}

// With a quota, the creation counts the images in the same transaction.
func TestRequestsWithQuota(t *testing.T) {
	t.Parallel()
	h := newHarness(t, map[string]string{"DAILY_QUOTA": "1"}, func(k *nanobananatest.Knobs) { k.LoseCallbacks = true })
	h.submit("ada", map[string]any{"prompt": "a lighthouse"}, "k")
	h.checkRequests("submit", "TransactWriteItems", "PutItem")
	h.call("ada", http.MethodGet, "/v1/credits", nil)
	h.checkRequests("credits", "GetItem", "GetItem") // the stored balance, and ada's quota
	h.call("ada", http.MethodGet, "/v1/credits", nil)
	h.checkRequests("credits", "GetItem")
}

// Showing the credits costs one request, and none for the next 30 s. Only a
// check asks the provider.
func TestRequestsOfCredits(t *testing.T) {
	t.Parallel()
	h := newHarness(t, nil)
	h.checkCredits()
	h.checkRequests("credits", "GetItem", "PutItem")
	h.function["credits"].Kill()
	h.call("ada", http.MethodGet, "/v1/credits", nil)
	h.checkRequests("credits", "GetItem")
	h.call("ada", http.MethodGet, "/v1/credits", nil)
	h.checkRequests("credits")
	if n := h.sim.CreditReads(); n != 1 {
		t.Errorf("the provider was asked %d times", n)
	}
}

// Submit asks the provider for the balance when it starts, and its first order does not
// ask again.
func TestRequestsOfAStart(t *testing.T) {
	t.Parallel()
	h := newHarness(t, nil)
	order := map[string]any{"prompt": "a lighthouse"}
	checkRefused(t, h.call("", http.MethodPost, "/v1/tasks", order), http.StatusUnauthorized, task.CodeUnauthorized)
	started := h.sim.CreditReads()
	h.submit("ada", order, "k")
	if n := h.sim.CreditReads(); started != 1 || n != 1 {
		t.Errorf("the provider was asked %d times by the start and %d times in all, want once", started, n)
	}
}

// A quote reads the quota, the task of its key and each upload, once, and writes nothing.
// A submit reads each upload once, too.
func TestRequestsOfQuotes(t *testing.T) {
	t.Parallel()
	h := newHarness(t, map[string]string{"DAILY_QUOTA": "5"}, func(k *nanobananatest.Knobs) { k.LoseCallbacks = true })
	file := plainPNG(color.White)
	u := h.announceUpload("ada", len(file))
	if got := h.putFile(u, file); got != http.StatusOK {
		t.Fatalf("PUT: %d", got)
	}
	quote := func(order map[string]any, header ...string) (q submit.Quote) {
		t.Helper()
		h.call("ada", http.MethodPost, "/v1/quotes", order, header...).decode(t, http.StatusOK, &q)
		return q
	}
	words, edit := map[string]any{"prompt": "a lighthouse"}, map[string]any{"prompt": "at night", "imageUrls": []string{"upload:" + u.ID}}
	if q := quote(words); len(q.Problems) > 0 || *q.Left != 5 || *q.Estimate != 4 {
		t.Errorf("%+v", q)
	}
	h.checkRequests("submit", "GetItem")
	quote(edit)
	h.checkRequests("submit", "GetItem", "GET")
	x := h.submit("ada", edit, "k")
	// The provider's own read of the upload comes through the same proxy, after the row.
	if got := h.proxy["submit"].Take(); len(got) < 3 || !slices.Equal(got[:2], []string{"GET", "TransactWriteItems"}) {
		t.Errorf("submit made the requests %v", got)
	}
	if q := quote(edit, "Idempotency-Key", "k"); q.Task == nil || q.Task.ID != x.ID || *q.Left != 4 {
		t.Errorf("%+v", q)
	}
	h.checkRequests("submit", "GetItem", "GetItem")
	if n := h.sim.CreditReads(); n != 1 || h.sim.Posts() != 1 {
		t.Errorf("the provider was asked %d times for the balance, and was sent %d POSTs", n, h.sim.Posts())
	}
}
